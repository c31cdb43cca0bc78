"""A policy that plays uniformly at random among what is legal: the floor of every comparison."""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.core import ContinuousActions, DiscreteActions, EnvSpec, Obs, PolicyOutput, PolicyState


class RandomPolicy:
    """Draw the selector uniformly among its legal values, then each head that counts.

    Continuous actions are uniform within their bounds.  With `deterministic` it takes the first
    legal values, or the middle of the bounds.
    """

    def __init__(self, spec: EnvSpec, *, masked: bool = True) -> None:
        """Play `spec`; without `masked` every value of a discrete action counts as legal."""
        self._actions = spec.actions
        self._masked = masked and isinstance(spec.actions, DiscreteActions)
        self.reads: frozenset[str] = frozenset({"action_mask"} if self._masked else ())

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Choose for each row; "log_prob" `[rows]` is among the extras."""
        seat = obs["seat"]
        if isinstance(self._actions, ContinuousActions):
            return self._continuous(self._actions, seat, state, rng, deterministic)
        actions = self._actions
        shape = (len(seat), actions.num_heads)
        if deterministic:
            u = torch.zeros(shape, device=seat.device)
        else:
            u = torch.rand(shape, generator=rng, device=seat.device)
        if self._masked:
            mask = obs["action_mask"]
        else:
            mask = torch.ones(len(seat), actions.mask_size, dtype=torch.bool, device=seat.device)
        action, log_prob = sample_legal(actions, mask, u)
        return PolicyOutput(action, state, {"log_prob": log_prob})

    def _continuous(
        self,
        actions: ContinuousActions,
        seat: Tensor,
        state: PolicyState,
        rng: torch.Generator,
        deterministic: bool,
    ) -> PolicyOutput:
        shape = (len(seat), actions.size)
        low = torch.tensor(actions.low, device=seat.device)
        width = torch.tensor(actions.high, device=seat.device) - low
        if deterministic:
            u = torch.full(shape, 0.5, device=seat.device)
        else:
            u = torch.rand(shape, generator=rng, device=seat.device)
        log_prob = -width.log().sum().expand(len(seat))
        return PolicyOutput(low + u * width, state, {"log_prob": log_prob})


def sample_legal(actions: DiscreteActions, mask: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Draw legal actions `[rows, H]` int64 and their log-probability `[rows]` float32.

    mask: `[rows, M]` bool, u: `[rows, H]` in [0, 1).  A head that does not count is 0.  ValueError
    names row and head where nothing is legal.
    """
    used = torch.ones_like(u, dtype=torch.bool)
    log_prob = torch.zeros_like(u[:, 0])
    columns: list[Tensor] = []
    for index, head in enumerate(actions.heads):
        choice = columns[0] if columns else None
        legal = actions.head_mask(mask, index, choice if head.conditional else None)
        count = legal.sum(-1)
        if bool(((count == 0) & used[:, index]).any()):
            row = int(((count == 0) & used[:, index]).nonzero()[0])
            raise ValueError(f"row {row}: no value of head {head.name!r} is legal")
        nth = torch.minimum((u[:, index] * count).long(), count - 1)
        value = (legal.cumsum(-1) <= nth.unsqueeze(-1)).sum(-1)
        columns.append(torch.where(used[:, index], value, 0))
        log_prob = log_prob - torch.where(used[:, index], count.clamp(min=1).log(), 0.0)
        if index == 0 and actions.selector is not None:
            used = actions.used(mask, value)
            used[:, 0] = True
    return torch.stack(columns, dim=1), log_prob
