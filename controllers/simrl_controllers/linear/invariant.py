"""Sets that a linear system never leaves: tubes around a plan, and safe ends of a horizon."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog


class DisturbanceTube:
    """Bound where x' = A x + w stays, |w_i| <= width_i, A stable: the minimal invariant set.

    The minimal robust positively invariant set is the sum of A^i W over all i.  It is known by its
    support function h(f) = max f x = sum_i |f A^i| width, cut off where A^m has shrunk to 1e-10 and
    enlarged by a bound of the rest, so it errs to the safe side (Rakovic et al. 2005).

    Args:
        a: Closed-loop matrix `[n, n]`, spectral radius below 1.
        width: Largest disturbance of each state per step `[n]`.

    Raises:
        ValueError: A is not stable, or a width is negative or not finite.
    """

    def __init__(self, a: np.ndarray, width: np.ndarray) -> None:
        if width.shape != (len(a),) or not np.isfinite(width).all() or (width < 0.0).any():
            raise ValueError(
                f"disturbance must be {len(a)} finite numbers of at least 0, got {width.tolist()}"
            )
        radius = float(np.abs(np.linalg.eigvals(a)).max())
        if radius >= 1.0 - 1e-6:
            raise ValueError(f"the closed loop is not stable: its spectral radius is {radius:.6g}")
        powers = [np.eye(len(a))]
        while (shrunk := float(np.abs(powers[-1]).sum(axis=1).max())) > 1e-10:
            powers.append(powers[-1] @ a)
        self._powers, self._width = np.array(powers[:-1] or powers), width
        coordinates = self._series(np.eye(len(a)))
        self._rest = shrunk / (1.0 - shrunk) * float(coordinates.max(initial=0.0))

    def support(self, directions: np.ndarray) -> np.ndarray:
        """Return max f x over the set for each row f of `directions` `[p, n]`."""
        return self._series(directions) + np.abs(directions).sum(axis=1) * self._rest

    def reach(self, directions: np.ndarray, steps: int) -> np.ndarray:
        """Return max f x over the states that `steps` disturbances can reach from 0."""
        return np.abs(directions @ self._powers[:steps]).sum(axis=0) @ self._width

    def _series(self, directions: np.ndarray) -> np.ndarray:
        return np.abs(directions @ self._powers).sum(axis=0) @ self._width


def admissible_set(
    a: np.ndarray, rows: np.ndarray, high: np.ndarray, *, max_steps: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Return the states from which x' = A x keeps rows x <= high for ever, as rows and limits.

    Adds the rows of one more step at a time until linear programs show that they say nothing new
    (Gilbert and Tan 1991).

    Args:
        a: Stable closed-loop matrix `[n, n]`.
        rows: Directions `[p, n]`.
        high: Limits `[p]`, all above 0: the origin is strictly inside.
        max_steps: Steps to try.

    Raises:
        ValueError: the origin is not strictly inside, or the set was not found in `max_steps`.
    """
    if (high <= 0.0).any():
        index = int(np.flatnonzero(high <= 0.0)[0])
        raise ValueError(
            f"limit {index} leaves no room about the operating point: {high[index]:.4g}; it is "
            "infeasible or the disturbance bound is too large"
        )
    scale = high[:, None]  # rows in units of their limits: all limits are 1
    unit = rows / scale
    found, ahead = unit.copy(), unit
    for _ in range(max_steps):
        ahead = ahead @ a
        new = np.array([row for row in ahead if _largest(row, found) > 1.0 + 1e-9])
        if not len(new):
            return found, np.ones(len(found))
        found = np.vstack([found, new])
    raise ValueError(f"the set of safe states was not found within {max_steps} steps")


def _largest(row: np.ndarray, inside: np.ndarray) -> float:
    """Return max row x subject to inside x <= 1; infinite if unbounded."""
    result = linprog(-row, A_ub=inside, b_ub=np.ones(len(inside)), bounds=(None, None))
    return float(-result.fun) if result.status == 0 else np.inf
