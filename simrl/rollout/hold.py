"""Run a slow policy inside a fast environment: decide seldom, repeat in between."""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.core import ActionSpec, DiscreteActions, Obs, Policy, PolicyOutput, PolicyState
from simrl.rollout.plan import action_dtype, action_width

_INNER = "inner/"


class HoldPolicy:
    """Let `policy` decide every `every` steps of an episode and repeat its action in between.

    Only the rows whose turn it is are handed to `policy`.  A held discrete action that is no longer
    legal is decided anew at once.  The counter and the held action live in the policy state, so
    every row keeps its own beat from the start of its episode.

    Extras: those of `policy`, NaN (or 0 if not floats) in rows that held; and "decided" `[rows]`
    bool.
    """

    def __init__(
        self, policy: Policy, actions: ActionSpec, every: int, *, masked: bool = True
    ) -> None:
        """Hold the actions of `policy`; without `masked` every held discrete action is legal."""
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        self._policy, self._actions, self._every = policy, actions, every
        self._discrete = actions if masked and isinstance(actions, DiscreteActions) else None
        self.reads = frozenset(policy.reads) | ({"action_mask"} if self._discrete else set())

    @property
    def device(self) -> torch.device | None:
        """Where the held policy wants its rows, if it says so."""
        device: torch.device | None = getattr(self._policy, "device", None)
        return device

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return a memory in which every row is about to decide."""
        inner = self._policy.initial_state(num_rows)
        width = action_width(self._actions)
        return {
            "steps_left": torch.zeros(num_rows, dtype=torch.int64, device=self.device),
            "action": torch.zeros(
                num_rows, width, dtype=action_dtype(self._actions), device=self.device
            ),
            **{_INNER + name: value for name, value in inner.items()},
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Decide in the rows whose turn it is and repeat in the others."""
        left, action = state["steps_left"], state["action"]
        inner = {k.removeprefix(_INNER): v for k, v in state.items() if k.startswith(_INNER)}
        decided = left == 0
        if self._discrete is not None:
            decided = decided | ~self._discrete.legal(obs["action_mask"], action).all(-1)
        rows = decided.nonzero().squeeze(1)
        extras: dict[str, Tensor] = {"decided": decided}
        if len(rows):
            part = {name: obs[name][rows] for name in (*self._policy.reads, "seat")}
            kept = {name: value[rows] for name, value in inner.items()}
            output = self._policy.act(part, kept, rng, deterministic=deterministic)
            action = action.index_copy(0, rows, output.action)
            inner = {k: v.index_copy(0, rows, output.state[k]) for k, v in inner.items()}
            extras |= {k: _spread(v, rows, len(left)) for k, v in output.extras.items()}
        left = torch.where(decided, self._every, left) - 1
        memory = {_INNER + name: value for name, value in inner.items()}
        return PolicyOutput(action, {"steps_left": left, "action": action, **memory}, extras)


def _spread(value: Tensor, rows: Tensor, num_rows: int) -> Tensor:
    """Put `value` `[len(rows), ...]` at `rows` of `[num_rows, ...]`; NaN or 0 elsewhere."""
    fill = torch.nan if value.is_floating_point() else 0
    result = torch.full((num_rows, *value.shape[1:]), fill, dtype=value.dtype, device=value.device)
    return result.index_copy(0, rows, value)
