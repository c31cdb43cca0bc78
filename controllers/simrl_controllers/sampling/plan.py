"""Say what the sampling controllers have in common: a distribution of plans, and its update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Protocol

from torch import Tensor

from simrl_controllers.sampling.spline import SplineKind


@dataclass(frozen=True)
class SamplingConfig:
    """Set how plans are sampled and rolled out; every sampling controller has these options.

    What is None takes the value that suits the system, see `SUITED`.
    """

    horizon: int | None = None
    """Steps H that a plan looks ahead."""
    samples: int | None = None
    """Plans tried in each iteration, the one at hand among them."""
    knots: int | None = None
    """Knots K of a plan's spline, from 1 to the horizon; left open, no more than that."""
    spline: SplineKind = "linear"
    """How controls between knots are found: zero (held), linear or cubic."""
    noise: tuple[float, ...] | None = None
    """Standard deviation of the knots as a share of half an actuator's range: one number for all
    actuators or one for each."""
    fine: float | None = None
    """Share of the samples that are drawn at a fifth of the noise, to polish the plan."""
    iterations: int | None = None
    """Times that plans are sampled and the distribution is moved, for each action."""
    gamma: float | None = None
    """Discount of rewards per step; None: 1, or that of the run that guides the plans."""
    end_cost: float | None = None
    """Cost of a plan that ends the task within the horizon [reward]; where every step costs, ending
    early would otherwise look cheap.  None: 20, or 0 where a run values the ends of plans: it has
    learned what an early end forgoes."""
    guide_plans: int = 1
    """Plans that a guiding run proposes in each step: what its policy does from here on, in its
    mode and then drawn (a row's draws differ with the batch that it is in); 0: none.  The cheapest
    of them and the last plan is improved."""
    guide_value: bool = True
    """Whether the critic of a guiding run values the ends of plans."""

    def __post_init__(self) -> None:
        lowest = {"horizon": 1, "samples": 2, "iterations": 1, "knots": 1}
        for name, least in lowest.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        noise = self.noise
        if noise is not None and not (noise and all(0.0 < value < float("inf") for value in noise)):
            raise ValueError(f"noise must be positive numbers, got {noise}")
        if self.gamma is not None and not 0.0 < self.gamma <= 1.0:
            raise ValueError(f"gamma must be above 0 and at most 1, got {self.gamma}")
        if self.fine is not None and not 0.0 <= self.fine <= 1.0:
            raise ValueError(f"fine must be from 0 to 1, got {self.fine}")
        if self.guide_plans < 0:
            raise ValueError(f"guide_plans must be at least 0, got {self.guide_plans}")


@dataclass(frozen=True)
class Effort:
    """Hold the options of a `SamplingConfig` that depend on the system, none of them open."""

    horizon: int = 40
    samples: int = 64
    knots: int = 8
    noise: tuple[float, ...] = (0.3,)
    fine: float = 0.25
    iterations: int = 1


SUITED: Mapping[str, Effort] = {
    "cartpole": Effort(horizon=50, samples=32, knots=10, noise=(0.5,)),
    "quadrotor": Effort(horizon=20, samples=32, knots=5, noise=(0.15,), fine=0.5, iterations=2),
    "car": Effort(horizon=30, samples=40, knots=6, iterations=2),
}
"""What suits a system, by `physics["model"]`; the defaults of `Effort` for all others."""


def effort(config: SamplingConfig, system: str) -> Effort:
    """Fill what `config` leaves open; ValueError if it asks for more knots than steps."""
    names = [field.name for field in fields(Effort)]
    given = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    filled = replace(SUITED.get(system, Effort()), **given)
    if config.knots is None:
        return replace(filled, knots=min(filled.knots, filled.horizon))
    if filled.knots > filled.horizon:
        raise ValueError(
            f"knots must be at most the horizon of {filled.horizon}, got {filled.knots}"
        )
    return filled


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
