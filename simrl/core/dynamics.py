"""The contract of a model that planners step: a simulator or a learned model as a function."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Dynamics(Protocol):
    """Step B independent states; keeps nothing between calls."""

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the next state `[B, S]`, rewards `[B, A]` and discount `[B]`.

        state: `[B, S]`, rows as `VecEnv.snapshot` gives them.  action: the joint action,
        `[B, A, heads]` int64 or `[B, A, size]` float32.  The discount is 0 where the task ended by
        its own rules and 1 elsewhere; an ended state stays as it is.
        """
        ...
