"""Offset-free control: estimate what pushes the plant steadily, and where it can rest under it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Offset:
    """Estimate a constant disturbance of x' = A x + B u + d and cancel its steady effect.

    The estimate follows the model's one-step errors, d += gain (x' - A x - B u - d).  The offset
    (x_o, u_o) is the equilibrium under d that is closest to x = 0 in the state cost; measured from
    it the plant has no disturbance, so the controller itself needs no other change (Pannocchia and
    Rawlings 2003, with the whole state measured).

    Args:
        a: A `[n, n]`.
        b: B `[n, nu]`.
        q: State cost `[n, n]`: which numbers have to return to their targets.
        r: Input cost `[nu, nu]`, that breaks ties.
        gain: Share of the error that the estimate takes up in a step, in (0, 1].

    Raises:
        ValueError: the gain is out of range.
    """

    def __init__(
        self, a: np.ndarray, b: np.ndarray, q: np.ndarray, r: np.ndarray, gain: float
    ) -> None:
        if not 0.0 < gain <= 1.0:
            raise ValueError(f"observer_gain must be in (0, 1], got {gain}")
        n, nu = b.shape
        self._a, self._b, self._gain = torch.from_numpy(a), torch.from_numpy(b), gain
        tie = 1e-8 * max(float(np.abs(q).max()), 1e-12)
        cost = np.zeros((n + nu, n + nu))
        cost[:n, :n] = q + tie * np.eye(n)
        cost[n:, n:] = tie * r / float(np.abs(r).max())
        rest = np.hstack([np.eye(n) - a, -b])
        system = np.block([[cost, rest.T], [rest, np.zeros((n, n))]])
        right = np.vstack([np.zeros((n + nu, n)), np.eye(n)])
        self._map = torch.from_numpy(np.linalg.lstsq(system, right, rcond=None)[0][: n + nu])
        self._num_states = n

    def update(self, estimate: Tensor, last: Tensor, applied: Tensor, now: Tensor) -> Tensor:
        """Return the next estimate `[rows, n]` from the last state, the input and the new state."""
        error = now - (last @ self._a.T + applied @ self._b.T)
        return estimate + self._gain * (error - estimate)

    def rest(self, estimate: Tensor) -> tuple[Tensor, Tensor]:
        """Return the offsets x_o `[rows, n]` and u_o `[rows, nu]` under an estimate."""
        both = estimate @ self._map.T
        return both[:, : self._num_states], both[:, self._num_states :]
