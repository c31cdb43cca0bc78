"""Measure string stability: does a disturbance fade from car to car?"""

from __future__ import annotations

import numpy as np


def string_ratios(norms: np.ndarray) -> np.ndarray:
    """Return how much each car's spacing error exceeds its predecessor's: `[..., A - 1]`.

    norms: the 2-norm over an episode of each follower's spacing error `[..., A]`, in their order,
    as the metric "error_norm" of `platoon`.  The platoon is string stable in that episode if every
    ratio is at most 1.

    Raises:
        ValueError: There are fewer than two followers, or a norm is negative or not finite.
    """
    norms = np.asarray(norms, np.float64)
    if norms.ndim < 1 or norms.shape[-1] < 2:
        raise ValueError(f"a string needs at least 2 followers, got norms {norms.shape}")
    if not np.isfinite(norms).all() or (norms < 0.0).any():
        raise ValueError("the norms of spacing errors must be finite and not negative")
    before, after = norms[..., :-1], norms[..., 1:]
    still = before < 1e-12
    return np.where(still, np.where(after < 1e-12, 0.0, np.inf), after / np.where(still, 1, before))
