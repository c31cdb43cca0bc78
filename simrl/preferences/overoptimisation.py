"""How far a learned reward can be trusted: proxy and true reward against the distance travelled.

Gao, Schulman and Hilton 2022, "Scaling laws for reward model overoptimization": against
d = sqrt(KL(pi || ref)), the gain in true reward of a policy trained by reinforcement learning on a
proxy follows R(d) = d (alpha - beta log d).  It rises, peaks at d = exp(alpha / beta - 1), and
falls again while the proxy still rises.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MIN_DISTANCE = 0.05
"""Distance below which a point tells nothing of the curve, since log d runs away."""


@dataclass(frozen=True)
class Overoptimisation:
    """Hold a fit of R(d) = d (alpha - beta log d) to gains in reward."""

    alpha: float
    """Gain per distance at d = 1."""
    beta: float
    """How fast more distance stops to pay; 0 or less: it never does."""
    r_squared: float
    """Share of the variance of the gains that the fit explains."""

    @property
    def peak(self) -> float | None:
        """Distance at which the gain is greatest; None if it only rises."""
        if self.beta <= 0:
            return None
        return math.exp(min(self.alpha / self.beta - 1.0, 700.0))

    def gain(self, distance: np.ndarray) -> np.ndarray:
        """Return the fitted gain at distances `[...]`; 0 at 0."""
        safe = np.maximum(distance, 1e-12)
        return np.where(distance > 0, safe * (self.alpha - self.beta * np.log(safe)), 0.0)


def fit_overoptimisation(distance: np.ndarray, gain: np.ndarray) -> Overoptimisation:
    """Fit by least squares to gains `[K]` over the reference at distances `[K]`.

    Points nearer than `MIN_DISTANCE` are left out.  ValueError if fewer than three are left, or
    they all lie at one distance.
    """
    kept = (distance >= MIN_DISTANCE) & np.isfinite(gain)
    d, r = distance[kept].astype(np.float64), gain[kept].astype(np.float64)
    if len(d) < 3 or np.ptp(d) < 1e-9:
        raise ValueError(
            f"the fit needs three points at different distances of at least {MIN_DISTANCE}, "
            f"got {len(d)}"
        )
    columns = np.stack([d, -d * np.log(d)], axis=-1)
    (alpha, beta), *_ = np.linalg.lstsq(columns, r)
    residual = r - columns @ np.array([alpha, beta])
    spread = float(np.square(r - r.mean()).sum())
    share = 1.0 - float(np.square(residual).sum()) / spread if spread > 0 else 0.0
    return Overoptimisation(float(alpha), float(beta), share)
