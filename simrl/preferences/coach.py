"""COACH: a person's feedback is the advantage of what was just done.

MacGlashan et al. 2017, "Interactive learning from policy-dependent human feedback", real-time
COACH.  An eligibility trace keeps what led here,

    e <- lambda e + grad log pi(a_t | s_t),

where the trace lags behind the play by the person's delay, and a judgement f moves the policy by

    theta <- theta + alpha f e.

People praise improvement and fall silent once it is the habit: that is what an advantage does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl.nn.actor_critic import ActorCritic


@dataclass(frozen=True)
class CoachConfig:
    """Choose how fast and how far back feedback works."""

    learning_rate: float = 0.01
    """Step size alpha."""
    trace: float = 0.95
    """Decay lambda of the eligibility trace from step to step."""
    delay: float = 0.4
    """Seconds from what is seen to its judgement; younger steps are not yet in the trace [s]."""
    max_step: float | None = 0.5
    """Norm to which alpha f e is scaled down; None: no bound."""
    entropy_coef: float = 0.0
    """Weight of an entropy bonus at each judgement, which keeps the policy from becoming certain
    (Arumugam et al. 2019, "Deep reinforcement learning from policy-dependent human feedback")."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        if not 0.0 <= self.trace < 1.0:
            raise ValueError(f"trace must be from 0 up to 1, got {self.trace}")
        if self.delay < 0:
            raise ValueError(f"delay must not be negative, got {self.delay}")


class CoachPolicy:
    """Act by an actor-critic's policy as it stands, without its values."""

    def __init__(self, net: ActorCritic) -> None:
        """Act by `net`; what it learns later is seen."""
        self.net = net
        self.reads: frozenset[str] = net.reads - {"critic"}

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Draw an action for each row, or with `deterministic` take the most probable."""
        with torch.no_grad():
            dist, _, _ = self.net.act_step(obs, {}, need_value=False)
            action, log_prob = dist.sample(rng, deterministic=deterministic)
        return PolicyOutput(action, {}, {"log_prob": log_prob})


@dataclass
class _Step:
    """Hold one step that is not yet in the trace."""

    time: float
    obs: dict[str, Tensor]
    action: Tensor
    done: bool


class CoachLearner:
    """Change a policy by judgements that come while it plays.

    `observe` every step as it is shown, `feedback` at every judgement, both in the same clock.

    Attributes:
        trace: The eligibility trace, one tensor for each parameter of the policy.
    """

    kind = "coach"

    def __init__(self, net: ActorCritic, config: CoachConfig | None = None) -> None:
        """Change the weights of `net`; ValueError if it has memory, which a trace cannot follow."""
        if net.stateful:
            raise ValueError("COACH needs a network without memory")
        self.net = net
        self.config = config or CoachConfig()
        self.count = 0
        self._policy = CoachPolicy(net)
        self._parameters = [
            p for name, p in net.named_parameters() if not name.startswith("critic")
        ]
        self.trace = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._waiting: deque[_Step] = deque()
        self._last: _Step | None = None
        self._fresh = False

    @property
    def policy(self) -> CoachPolicy:
        """What acts; it sees what is learned at once."""
        return self._policy

    def observe(self, time: float, obs: Mapping[str, Tensor], action: Tensor, done: bool) -> None:
        """Take in a step: what was seen `[1, ...]` and done `[1, ...]`, shown from `time` [s] on.

        It joins the trace once it is `delay` old; the trace is emptied where an episode starts.
        """
        seen = {name: obs[name].clone() for name in self._policy.reads}
        if self.net.normaliser is not None:
            self.net.normaliser.update(seen["policy"])
        self._waiting.append(_Step(time, seen, action.clone(), done))
        self._catch_up(time)

    def feedback(self, time: float, value: float) -> dict[str, float]:
        """Move the policy by judgement `value` given at `time` [s].

        Returns `step` (the norm of the change), `trace` (the norm of the trace) and `count`.
        """
        self._catch_up(time)
        config = self.config
        change = [config.learning_rate * value * part for part in self.trace]
        if config.entropy_coef and self._last is not None:
            bonus = self._gradient(self._last, entropy=True)
            rate = config.learning_rate * config.entropy_coef
            change = [part + rate * extra for part, extra in zip(change, bonus, strict=True)]
        size = _norm(change)
        shrink = 1.0
        if config.max_step is not None and size > config.max_step:
            shrink = config.max_step / size
        with torch.no_grad():
            for parameter, part in zip(self._parameters, change, strict=True):
                parameter.add_(part, alpha=shrink)
        self.count += 1
        figures = {"step": size * shrink, "trace": _norm(self.trace), "count": float(self.count)}
        return figures

    def state_dict(self) -> dict[str, Any]:
        """Return weights, trace and count; steps not yet in the trace are left out."""
        return {"net": dict(self.net.state_dict()), "trace": list(self.trace), "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.net.load_state_dict(state["net"])
        self.trace = [part.clone() for part in state["trace"]]
        self.count = int(state["count"])
        self._waiting.clear()
        self._last, self._fresh = None, False

    def _catch_up(self, time: float) -> None:
        """Let every step that is old enough join the trace."""
        while self._waiting and self._waiting[0].time <= time - self.config.delay:
            step = self._waiting.popleft()
            decay = 0.0 if self._fresh else self.config.trace
            gradient = self._gradient(step)
            self.trace = [
                decay * part + new for part, new in zip(self.trace, gradient, strict=True)
            ]
            self._last, self._fresh = step, step.done

    def _gradient(self, step: _Step, *, entropy: bool = False) -> list[Tensor]:
        """Return the gradient of log pi at a step, or of the entropy, by the weights of now."""
        dist, _, _ = self.net.act_step(step.obs, {}, need_value=False)
        value = dist.entropy(step.action) if entropy else dist.log_prob(step.action)
        grads = torch.autograd.grad(value.sum(), self._parameters, allow_unused=True)
        return [
            torch.zeros_like(parameter) if grad is None else grad
            for parameter, grad in zip(self._parameters, grads, strict=True)
        ]


def _norm(parts: list[Tensor]) -> float:
    return float(torch.stack([part.square().sum() for part in parts]).sum().sqrt())
