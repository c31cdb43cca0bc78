"""The cross-entropy method: fit mean and spread of the plan to the elites, again and again.

Source: "The Cross-Entropy Method for Optimization" (Botev et al. 2013), with the momentum and the
floor of the variance that are usual in control.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simrl_controllers.sampling.plan import PlanDistribution, SamplingConfig, weighted_mean


@dataclass(frozen=True)
class CemConfig(SamplingConfig):
    """Set the options of the cross-entropy method."""

    iterations: int | None = 3
    """Times that plans are sampled and the distribution is moved, for each action."""
    elite_fraction: float = 0.25
    """Share of the samples that the distribution is fitted to; at least two samples."""
    momentum: float = 0.3
    """Share of the old mean and spread that each iteration keeps."""
    min_noise: float = 0.3
    """Least standard deviation, as a share of the initial one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.elite_fraction <= 1.0:
            raise ValueError(
                f"elite_fraction must be above 0 and at most 1, got {self.elite_fraction}"
            )
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum}")
        if not 0.0 < self.min_noise <= 1.0:
            raise ValueError(f"min_noise must be above 0 and at most 1, got {self.min_noise}")


class CemUpdate:
    """Fit the distribution to the cheapest samples."""

    def __init__(self, config: CemConfig, scale: Tensor) -> None:
        """Keep the spread above `config.min_noise` times the initial `scale` `[size]`."""
        self._config, self._floor = config, scale * config.min_noise

    def __call__(
        self, plan: PlanDistribution, knots: Tensor, cost: Tensor
    ) -> tuple[PlanDistribution, Tensor]:
        """Return the distribution of the elites, and equal weights for them."""
        config = self._config
        count = max(2, round(config.elite_fraction * cost.shape[1]))
        values, index = cost.topk(min(count, cost.shape[1]), dim=1, largest=False)
        weights = torch.zeros_like(cost).scatter(1, index, torch.isfinite(values).to(cost.dtype))
        weights = weights / weights.sum(dim=1, keepdim=True)
        mean = weighted_mean(weights, knots)
        variance = weighted_mean(weights, (knots - mean.unsqueeze(1)).square())
        keep = config.momentum
        mean = keep * plan.mean + (1.0 - keep) * mean
        scale = keep * plan.scale + (1.0 - keep) * variance.sqrt()
        return PlanDistribution(mean, torch.maximum(scale, self._floor)), weights
