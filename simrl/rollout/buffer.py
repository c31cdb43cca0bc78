"""Keep what a learner needs of T steps of L training lanes, in memory that is allocated once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass
class RolloutBuffer:
    """Hold T steps of L lanes; a lane is one training seat (environment row, agent).

    All tensors live on the learner's device.  The buffer is filled anew by every `collect`: whoever
    keeps a tensor longer copies it.
    """

    lanes: Tensor
    """Environment row and agent of each lane `[L, 2]` int64."""
    obs: dict[str, Tensor]
    """Observation groups that the training policy reads, each `[T, L, ...]`."""
    action: Tensor
    """Actions `[T, L, heads]` int64 or `[T, L, size]` float32: those that were taken, or the
    policy's extra "learn_action"."""
    log_prob: Tensor
    """Log-probability of the action `[T, L]`; NaN if the policy gives none."""
    value: Tensor
    """Values of each reward group `[T, L, V]`; NaN if the policy gives none."""
    reward: Tensor
    """Weighted reward `[T, L]`."""
    reward_terms: Tensor | None
    """Unweighted reward terms `[T, L, R]`, or None if the environment has none."""
    terminated: Tensor
    """Whether step t ended the episode by the task's own rules `[T, L]` bool."""
    truncated: Tensor
    """Whether a time limit cut the episode at step t `[T, L]` bool."""
    episode_start: Tensor
    """Whether step t is the first of its episode, so the policy state was reset `[T, L]` bool."""
    start_state: dict[str, Tensor]
    """Policy state before step 0, each `[L, ...]`."""
    final_index: Tensor
    """(t, lane) of each truncation, in the order of time `[K, 2]` int64."""
    final_obs: dict[str, Tensor]
    """Last observations of the truncated episodes, each `[K, ...]`."""
    final_state: dict[str, Tensor]
    """Policy state after acting at t in the truncated episodes, each `[K, ...]`."""
    next_obs: dict[str, Tensor]
    """Observations after the last step, each `[L, ...]`: of the new episode where done."""
    next_state: dict[str, Tensor]
    """Policy state after the last step, each `[L, ...]`; already reset where done."""

    @property
    def num_steps(self) -> int:
        """Agent-steps in the buffer, T * L."""
        return self.reward.numel()

    @property
    def unroll(self) -> int:
        """Steps of each lane, T."""
        return self.reward.shape[0]

    @property
    def num_lanes(self) -> int:
        """Number of lanes L."""
        return self.reward.shape[1]

    def clone(self) -> RolloutBuffer:
        """Return a copy that the next `collect` leaves alone."""
        return RolloutBuffer(
            **{each.name: _clone(getattr(self, each.name)) for each in fields(self)}
        )


def _clone(value: Any) -> Any:
    """Copy a tensor, a dict of tensors, or nothing."""
    if isinstance(value, dict):
        return {name: each.clone() for name, each in value.items()}
    return value if value is None else value.clone()


def allocate(
    unroll: int,
    lanes: Tensor,
    obs: dict[str, Tensor],
    action: Tensor,
    state: dict[str, Tensor],
    *,
    num_values: int,
    num_terms: int,
    device: torch.device,
) -> RolloutBuffer:
    """Allocate a buffer of `unroll` steps for `lanes` `[L, 2]`.

    `obs`, `action` and `state` are samples whose first axis is any number of rows; the others'
    sizes and their dtypes are taken over.
    """
    size = len(lanes)

    def rows(sample: Tensor, *lead: int) -> Tensor:
        return torch.zeros(*lead, *sample.shape[1:], dtype=sample.dtype, device=device)

    def numbers(*shape: int, fill: float = 0.0) -> Tensor:
        return torch.full(shape, fill, dtype=torch.float32, device=device)

    def flags() -> Tensor:
        return torch.zeros(unroll, size, dtype=torch.bool, device=device)

    return RolloutBuffer(
        lanes=lanes.to(device),
        obs={name: rows(value, unroll, size) for name, value in obs.items()},
        action=rows(action, unroll, size),
        log_prob=numbers(unroll, size, fill=torch.nan),
        value=numbers(unroll, size, num_values, fill=torch.nan),
        reward=numbers(unroll, size),
        reward_terms=numbers(unroll, size, num_terms) if num_terms else None,
        terminated=flags(),
        truncated=flags(),
        episode_start=flags(),
        start_state={name: rows(value, size) for name, value in state.items()},
        final_index=torch.zeros(0, 2, dtype=torch.int64, device=device),
        final_obs={name: rows(value, 0) for name, value in obs.items()},
        final_state={name: rows(value, 0) for name, value in state.items()},
        next_obs={name: rows(value, size) for name, value in obs.items()},
        next_state={name: rows(value, size) for name, value in state.items()},
    )
