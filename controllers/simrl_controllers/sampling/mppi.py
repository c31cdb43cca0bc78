"""Model-predictive path integral control: average the samples by the exponent of their cost.

Source: "Information-Theoretic Model Predictive Control: Theory and Applications to Autonomous
Driving" (Williams et al. 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simrl_controllers.sampling.plan import PlanDistribution, SamplingConfig, weighted_mean


@dataclass(frozen=True)
class MppiConfig(SamplingConfig):
    """Set the options of MPPI."""

    temperature: float = 0.0
    """Temperature of the weights [reward]; 0 adapts it in each row: the mean distance in cost of
    the elites from the best sample."""
    elite_fraction: float = 0.1
    """Share of the samples that count as elites for the adaptive temperature."""
    control_cost: float = 0.0
    """Share of the information-theoretic control cost, temperature x mean / variance x noise, that
    is charged; 1 is the path integral's own, 0 leaves it to the reward."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature >= 0.0:
            raise ValueError(f"temperature must be at least 0, got {self.temperature}")
        if not 0.0 < self.elite_fraction <= 1.0:
            raise ValueError(
                f"elite_fraction must be above 0 and at most 1, got {self.elite_fraction}"
            )
        if not 0.0 <= self.control_cost <= 1.0:
            raise ValueError(f"control_cost must be from 0 to 1, got {self.control_cost}")


class MppiUpdate:
    """Weigh each sample by exp(-cost / temperature)."""

    def __init__(self, config: MppiConfig, middle: Tensor) -> None:
        """Charge control costs for knots away from `middle` `[size]`, the idle action."""
        self._config, self._middle = config, middle

    def __call__(
        self, plan: PlanDistribution, knots: Tensor, cost: Tensor
    ) -> tuple[PlanDistribution, Tensor]:
        """Return the weighted mean of the samples and their weights."""
        config = self._config
        temperature = self._temperature(cost)
        if config.control_cost:
            push = (plan.mean - self._middle) / plan.scale.square()
            noise = (knots - plan.mean.unsqueeze(1)).flatten(2)
            crossed = (noise @ push.flatten(1).unsqueeze(-1)).squeeze(-1)
            cost = cost + config.control_cost * temperature * crossed.to(cost.dtype)
        weights = torch.softmax(-cost / temperature, dim=1)
        return PlanDistribution(weighted_mean(weights, knots), plan.scale), weights

    def _temperature(self, cost: Tensor) -> Tensor:
        """Return each row's temperature `[rows, 1]`."""
        config = self._config
        if config.temperature:
            return torch.full_like(cost[:, :1], config.temperature)
        count = max(2, round(config.elite_fraction * cost.shape[1]))
        elites = cost.topk(count, dim=1, largest=False).values
        best = elites[:, :1]
        gap = torch.where(torch.isfinite(elites), elites - best, torch.zeros_like(elites))
        # Samples of equal cost leave no gap: any temperature then weighs them alike.
        floor = 1e-9 * (1.0 + best.abs())
        return torch.maximum(gap.mean(dim=1, keepdim=True), floor)
