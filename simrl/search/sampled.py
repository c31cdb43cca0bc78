"""Judge positions by a network and a few whole actions drawn from its policy (Sampled MuZero)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions
from simrl.core.dynamics import ObservedDynamics, TurnDynamics
from simrl.core.spec import EnvSpec
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.distributions import ClippedGaussian, Distribution, MaskedHeads
from simrl.search.model import Evaluation
from simrl.search.planner_evaluators import Value


class SampledEvaluator:
    """Offer K actions drawn from the network's policy: whole tuples of factored or float actions.

    Actions come from beta, the policy pi made flatter by `temperature`; an action that came m times
    has one slot with the prior (m / K) / beta * pi (Hubert et al. 2021, "Learning and Planning in
    Complex Action Spaces"), whose expectation is pi.  Slots beyond the distinct actions repeat an
    earlier one with logit -inf.
    """

    def __init__(
        self,
        net: ActorCritic,
        dynamics: ObservedDynamics,
        spec: EnvSpec,
        num_samples: int,
        *,
        temperature: float = 1.0,
        include_mode: bool = False,
        value: Value | None = None,
    ) -> None:
        """Judge by `net` as whoever is to move in a `TurnDynamics`, else as the only agent.

        `temperature` divides the logits of heads, and multiplies the deviation of floats.  With
        `include_mode`, slot 0 holds the policy's most probable action instead of a drawn one.
        `value` replaces the network's value.  Raises ValueError for several agents that act at
        once, and for a network with memory.
        """
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}")
        if temperature <= 0.0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        if net.stateful:
            raise ValueError(f"{spec.id}: a search judges positions by a network without memory")
        if not isinstance(dynamics, ObservedDynamics):
            raise ValueError(f"{spec.id}: its dynamics tell no observations to judge by")
        if spec.num_agents > 1 and not isinstance(dynamics, TurnDynamics):
            raise ValueError(
                f"{spec.id}: {spec.num_agents} agents act at once; use AgentModel for one of them"
            )
        self._net, self._dynamics, self._spec = net, dynamics, spec
        self._temperature, self._include_mode, self._value = temperature, include_mode, value
        self.num_slots = num_samples

    @torch.no_grad()
    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Judge positions uint8 `[B, S]`."""
        state = state.contiguous().view(self._spec.state_dtype)
        obs = self._see(state)
        policy, value, _ = self._net.act_step(obs, {})
        action, logits = draw_sampled(
            policy, self.num_slots, rng, self._temperature, self._include_mode
        )
        judged = value.sum(-1) if self._value is None else self._value(state, rng)
        return Evaluation(logits, judged, action)

    def _see(self, state: Tensor) -> dict[str, Tensor]:
        """Return the groups that the network reads, as the acting agent sees them, `[B, ...]`."""
        groups = self._dynamics.observe(state)
        rows = torch.arange(len(state))
        if isinstance(self._dynamics, TurnDynamics):
            seat = self._dynamics.mover(state)
        else:
            seat = torch.zeros_like(rows)
        obs = {name: groups[name][rows, seat] for name in self._net.reads}
        actions = self._spec.actions
        if isinstance(actions, DiscreteActions):
            # Where a game is over nothing may be legal, and nobody will act: draw anything.
            over = ~actions.head_mask(obs["action_mask"], 0).any(-1, keepdim=True)
            obs["action_mask"] = obs["action_mask"] | over
        return obs


def draw_sampled(
    policy: Distribution,
    count: int,
    rng: torch.Generator,
    temperature: float = 1.0,
    include_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """Draw `count` actions for each row: `[B, count, H or size]` and their logits `[B, count]`.

    The logit is the logarithm of (times drawn / count) * pi / beta, -inf for repeats.
    """
    many, flat = repeat(policy, count), repeat(policy, count, temperature)
    action, log_beta = flat.sample(rng)
    rows = len(action) // count
    if include_mode:
        first = slice(None, None, count)
        action[first] = policy.mode()
        log_beta = flat.log_prob(action)
    weight = many.log_prob(action) - log_beta if temperature != 1.0 else torch.zeros_like(log_beta)
    action = action.unflatten(0, (rows, count))
    same = (action[:, :, None] == action[:, None]).all(-1)
    repeated = (same & torch.ones(count, count, dtype=torch.bool).tril(-1)).any(-1)
    logits = (same.sum(-1) / count).log() + weight.unflatten(0, (rows, count))
    return action, logits.masked_fill(repeated, -math.inf)


def repeat(policy: Distribution, count: int, temperature: float = 1.0) -> Distribution:
    """Return the distribution with each row `count` times, made flatter by `temperature`."""
    if isinstance(policy, MaskedHeads):
        return MaskedHeads(
            policy.actions,
            (policy.logits / temperature).repeat_interleave(count, 0),
            policy.mask.repeat_interleave(count, 0),
        )
    if isinstance(policy, ClippedGaussian):
        return ClippedGaussian(
            policy.actions,
            policy.mean.repeat_interleave(count, 0),
            policy.log_std + math.log(temperature),
        )
    raise ValueError(f"cannot draw candidates from a {type(policy).__name__}")
