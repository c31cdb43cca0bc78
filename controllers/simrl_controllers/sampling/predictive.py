"""Predictive sampling: keep the cheapest of a few noisy copies of the plan.

Source: "Predictive Sampling: Real-time Behaviour Synthesis with MuJoCo" (Howell et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simrl_controllers.sampling.plan import PlanDistribution, SamplingConfig


@dataclass(frozen=True)
class PredictiveConfig(SamplingConfig):
    """Set the options of predictive sampling."""


class PredictiveUpdate:
    """Take the cheapest sample; among equals the first, so that an equal plan stays."""

    def __call__(
        self, plan: PlanDistribution, knots: Tensor, cost: Tensor
    ) -> tuple[PlanDistribution, Tensor]:
        """Return the cheapest knots as the new mean, and weight 1 for them."""
        best = cost.argmin(dim=1)
        weights = torch.nn.functional.one_hot(best, cost.shape[1]).to(cost.dtype)
        mean = knots[torch.arange(len(best)), best]
        return PlanDistribution(mean, plan.scale), weights
