"""What one step of N environments returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

Obs = Mapping[str, Tensor]
"""Observation groups by name, each `[N, A, ...]`: "policy" always; "critic" (privileged),
"action_mask" (bool, layout in `simrl.core.actions`) and "alive" (bool `[N, A]`) where they exist.
"state" belongs to the environment, not to an agent: `[N, S]`, the same rows as `snapshot()`."""

PolicyState = Mapping[str, Tensor]
"""Memory of a policy, each `[rows, ...]`; `{}` if it keeps none."""


@dataclass(frozen=True)
class TimeStep:
    """Hold what N environments with A agents return from one step.

    Environments reset in the same step: where an episode is done, `obs` is already the first
    observation of the next one, and `final_obs` is the last of the one that ended.  Tensors are
    valid until the next step; whoever keeps one copies it.
    """

    obs: Obs
    """Observations to act on next, each `[N, A, ...]`."""
    reward: Tensor
    """Weighted reward `[N, A]` float32."""
    terminated: Tensor
    """Whether the task ended by its own rules `[N]` bool; excludes `truncated`."""
    truncated: Tensor
    """Whether a time limit cut the episode `[N]` bool."""
    final_obs: Obs
    """Last observations before the reset; meaningful in rows that are done."""
    reward_terms: Tensor | None = None
    """Unweighted terms `[N, A, R]`, named by `spec.reward_terms`."""
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    """Figures of the episode that ended, `[N]` or `[N, A]`; meaningful in rows that are done."""

    @property
    def done(self) -> Tensor:
        """Whether the episode ended for either reason `[N]` bool."""
        return self.terminated | self.truncated
