"""Let compute time count: an action that took t to compute is applied t later.

While a row's controller computes, its last action stands and nothing new is observed.  Each row is
decided for and timed alone, as it would be on its own robot.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from simrl.core.actions import ContinuousActions
from simrl.core.policy import Policy, PolicyOutput
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, PolicyState

_INNER = "inner/"
NEVER = -1
"""Step at which nothing is due."""


class RealTimePolicy:
    """Apply the actions of `policy` as late as it computed them.

    A decision begun at step k that takes t seconds is over at k + t / step.  With `within_step` its
    action is sent in the step in which that is, late by what remains: the extra "delay" `[rows]`
    [s], from 0 to a step, says by how much (environments with `delay_actions` take it); else it is
    sent at the first step after.  The next decision begins at the first step after this one.  The
    first decision of an episode is made before its clock starts, so it costs nothing.

    Extras: "delay", and "seconds" `[rows]`: how long the decision that began now took, NaN in rows
    that did not begin one.
    """

    def __init__(
        self,
        policy: Policy,
        spec: EnvSpec,
        *,
        within_step: bool,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not isinstance(spec.actions, ContinuousActions):
            raise ValueError(
                f"{spec.id}: real time holds actions, which needs continuous ones; its are not"
            )
        if not spec.step_seconds > 0.0:
            raise ValueError(f"{spec.id}: real time needs steps with a length in seconds")
        self._policy, self._clock, self._within = policy, clock, within_step
        self._width, self._step_seconds = spec.actions.size, spec.step_seconds
        self.reads = frozenset(policy.reads)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return a memory in which every row is about to make its first, free decision."""
        inner = self._policy.initial_state(num_rows)
        return {
            "steps": torch.zeros(num_rows, dtype=torch.int64),
            "held": torch.zeros(num_rows, self._width),
            "coming": torch.zeros(num_rows, self._width),
            "due": torch.full((num_rows,), NEVER, dtype=torch.int64),
            "free": torch.zeros(num_rows, dtype=torch.int64),
            "rest": torch.zeros(num_rows, dtype=torch.float64),
            **{_INNER + name: value for name, value in inner.items()},
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Begin decisions where rows are free, and send the actions that are due."""
        memory = {name: value.clone() for name, value in state.items() if name[:6] != _INNER}
        inner = {k.removeprefix(_INNER): v for k, v in state.items() if k.startswith(_INNER)}
        steps = memory["steps"]
        seconds = torch.full((len(steps),), math.nan, dtype=torch.float64)
        delay = self._send(memory)
        for row in (steps >= memory["free"]).nonzero().squeeze(1).tolist():
            output, taken = self._timed(obs, inner, row, rng, deterministic)
            seconds[row] = taken
            inner = {k: v.index_copy(0, _at(row), output.state[k]) for k, v in inner.items()}
            first = int(steps[row]) == 0
            self._plan(memory, row, output.action[0], 0.0 if first else taken)
        delay = torch.maximum(delay, self._send(memory))
        memory["steps"] = steps + 1
        kept = {_INNER + name: value for name, value in inner.items()}
        extras = {"delay": delay, "seconds": seconds}
        return PolicyOutput(memory["held"].clone(), {**memory, **kept}, extras)

    def _timed(
        self, obs: Obs, inner: PolicyState, row: int, rng: torch.Generator, deterministic: bool
    ) -> tuple[PolicyOutput, float]:
        """Let the policy decide for one row; return its output and the seconds that it took."""
        part = {name: obs[name][row : row + 1] for name in (*self._policy.reads, "seat")}
        kept = {name: value[row : row + 1] for name, value in inner.items()}
        begin = self._clock()
        output = self._policy.act(part, kept, rng, deterministic=deterministic)
        return output, self._clock() - begin

    @staticmethod
    def _send(memory: dict[str, Tensor]) -> Tensor:
        """Hold the actions that are due in this step; return how late they are `[rows]` [s]."""
        due = memory["due"] == memory["steps"]
        memory["held"] = torch.where(due[:, None], memory["coming"], memory["held"])
        memory["due"] = torch.where(due, NEVER, memory["due"])
        return torch.where(due, memory["rest"], 0.0)

    def _plan(self, memory: dict[str, Tensor], row: int, action: Tensor, taken: float) -> None:
        """Note when the decision that begins now is over and its action is sent."""
        steps = math.ceil(taken / self._step_seconds - 1e-9)
        whole = max(0, steps - 1) if self._within else steps
        begun = int(memory["steps"][row])
        memory["coming"][row] = action
        memory["due"][row] = begun + whole
        memory["rest"][row] = max(0.0, taken - whole * self._step_seconds) if self._within else 0.0
        memory["free"][row] = begun + max(1, steps)


def _at(row: int) -> Tensor:
    return torch.tensor([row])
