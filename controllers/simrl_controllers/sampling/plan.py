"""Say what the sampling controllers have in common: a distribution of plans, and its update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from simrl_controllers.sampling.spline import SplineKind


@dataclass(frozen=True)
class SamplingConfig:
    """Set how plans are sampled and rolled out; every sampling controller has these options."""

    horizon: int = 40
    """Steps H that a plan looks ahead."""
    samples: int = 64
    """Plans tried in each iteration, the one at hand among them."""
    knots: int = 8
    """Knots K of a plan's spline, from 1 to the horizon."""
    spline: SplineKind = "linear"
    """How controls between knots are found: zero (held), linear or cubic."""
    noise: tuple[float, ...] = (0.3,)
    """Standard deviation of the knots as a share of half an actuator's range: one number for all
    actuators or one for each."""
    fine: float = 0.25
    """Share of the samples that are drawn at a fifth of the noise, to polish the plan."""
    iterations: int = 1
    """Times that plans are sampled and the distribution is moved, for each action."""
    gamma: float = 1.0
    """Discount of rewards per step."""
    end_cost: float = 20.0
    """Cost of a plan that ends the task within the horizon [reward]; where every step costs,
    ending early would otherwise look cheap."""

    def __post_init__(self) -> None:
        lowest = {"horizon": 1, "samples": 2, "iterations": 1, "knots": 1}
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.knots > self.horizon:
            raise ValueError(
                f"knots must be at most the horizon of {self.horizon}, got {self.knots}"
            )
        if not self.noise or not all(0.0 < value < float("inf") for value in self.noise):
            raise ValueError(f"noise must be positive numbers, got {self.noise}")
        if not 0.0 < self.gamma <= 1.0:
            raise ValueError(f"gamma must be above 0 and at most 1, got {self.gamma}")
        if not 0.0 <= self.fine <= 1.0:
            raise ValueError(f"fine must be from 0 to 1, got {self.fine}")


@dataclass(frozen=True)
class PlanDistribution:
    """Hold a Gaussian over the knots of each row's plan."""

    mean: Tensor
    """Mean of the knots `[rows, K, size]`, in units of the action."""
    scale: Tensor
    """Standard deviation of the knots `[rows, K, size]`."""


class Update(Protocol):
    """Move the distribution towards the cheap samples."""

    def __call__(
        self, plan: PlanDistribution, knots: Tensor, cost: Tensor
    ) -> tuple[PlanDistribution, Tensor]:
        """Return the new distribution and the weight of each sample `[rows, N]`, sum 1.

        knots: `[rows, N, K, size]`; cost: `[rows, N]`, +inf for a sample that diverged, at least
        one of each row finite.
        """
        ...


def weighted_mean(weights: Tensor, knots: Tensor) -> Tensor:
    """Average `knots` `[rows, N, K, size]` with `weights` `[rows, N]`."""
    flat = weights.to(knots.dtype).unsqueeze(1) @ knots.flatten(2)
    return flat.view(knots.shape[0], *knots.shape[2:])
