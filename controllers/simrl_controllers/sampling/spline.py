"""Describe a control sequence by a few knots: zero-order, linear or cubic in between.

Every kind is linear in its knots, so a spline is a matrix: controls = basis @ knots.  The cubic is
the Hermite spline with central differences as slopes (Catmull and Rom 1974), as MJPC uses it
("Predictive Sampling: Real-time Behaviour Synthesis with MuJoCo", 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

SplineKind = Literal["zero", "linear", "cubic"]


@dataclass(frozen=True)
class Spline:
    """Map K knots to H controls; with K = H every kind is the controls themselves.

    Linear and cubic knots stand from the first control to the last; knot k of a zero-order spline
    holds from control k H / K on.
    """

    kind: SplineKind
    """How controls between knots are found."""
    num_knots: int
    """Number of knots K, from 1 to H."""
    horizon: int
    """Number of controls H."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(SplineKind):
            kinds = ", ".join(get_args(SplineKind))
            raise ValueError(f"unknown spline {self.kind!r}; the splines are {kinds}")
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, got {self.horizon}")
        if not 1 <= self.num_knots <= self.horizon:
            raise ValueError(
                f"knots must be from 1 to the horizon of {self.horizon}, got {self.num_knots}"
            )

    @cached_property
    def basis(self) -> Tensor:
        """Return the matrix `[H, K]` float32 that turns knots into controls."""
        return _to_torch(_basis(self.kind, self.num_knots, self.horizon))

    @cached_property
    def fit(self) -> Tensor:
        """Return the matrix `[K, H]` float32 that finds the knots nearest to given controls."""
        return _to_torch(np.linalg.pinv(_basis(self.kind, self.num_knots, self.horizon)))

    @cached_property
    def shift(self) -> Tensor:
        """Return the matrix `[K, K]` float32 that moves knots on by one control.

        The controls move up, the last one is repeated, and the nearest knots are taken: for a
        zero-order spline each knot becomes the mean of the controls that it now covers.
        """
        basis = _basis(self.kind, self.num_knots, self.horizon)
        moved = np.concatenate([basis[1:], basis[-1:]])
        return _to_torch(np.linalg.pinv(basis) @ moved)


def _to_torch(matrix: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float32))


def _basis(kind: SplineKind, num_knots: int, horizon: int) -> np.ndarray:
    """Evaluate the spline through each unit vector of knots `[H, K]` float64."""
    steps = np.arange(horizon)
    if kind == "zero" or num_knots == 1:
        return np.eye(num_knots)[steps * num_knots // horizon]
    place = steps * (num_knots - 1) / (horizon - 1)
    left = np.minimum(place.astype(np.int64), num_knots - 2)
    part = (place - left)[:, None]
    values = np.eye(num_knots)
    if kind == "linear":
        return (1.0 - part) * values[left] + part * values[left + 1]
    slopes = np.gradient(values, axis=0)
    square, cube = part**2, part**3
    result = (2.0 * cube - 3.0 * square + 1.0) * values[left]
    result += (cube - 2.0 * square + part) * slopes[left]
    result += (3.0 * square - 2.0 * cube) * values[left + 1]
    return result + (cube - square) * slopes[left + 1]
