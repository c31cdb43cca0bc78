"""The contract of what may guide a planner: a learned policy and its critic, inside a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from simrl.core.dynamics import ObservedDynamics
from simrl.core.policy import Policy


@dataclass(frozen=True)
class Guide:
    """Hold what was learned in a task, for a controller that plans in a model of it.

    The value is of the task's own reward, so it belongs to plans that are paid that reward at the
    same discount.
    """

    name: str
    """What people call it, for errors."""
    dynamics: ObservedDynamics
    """The model to plan in; it tells what the policy sees."""
    policy: Policy
    """Proposes plans."""
    value: Callable[[Tensor], Tensor]
    """Rewards `[B]`, discounted, that the policy is expected to earn after states `[B, S]`."""
    gamma: float
    """Discount per step that the value was learned with."""
