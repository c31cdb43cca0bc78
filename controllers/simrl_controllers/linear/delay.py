"""Control through an actuation delay: predict, or count inputs on their way as state."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

Compensation = Literal["predict", "augment", "none"]
"""What to do about inputs that act d steps late: plan from the state predicted for then, plan with
the inputs on their way as part of the state, or nothing."""


def augment(
    a: np.ndarray, b: np.ndarray, q: np.ndarray, delay: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Append the d inputs on their way to the state: (x, s_0 .. s_{d-1}), s_0 acts next.

    Returns:
        A, B and Q of the longer state; inputs on their way cost nothing, since they were paid for.
    """
    n, nu = b.shape
    size = n + delay * nu
    long_a, long_b, long_q = np.zeros((size, size)), np.zeros((size, nu)), np.zeros((size, size))
    long_a[:n, :n], long_a[:n, n : n + nu] = a, b
    long_a[n : size - nu, n + nu :] = np.eye(size - n - nu)
    long_b[size - nu :] = np.eye(nu)
    long_q[:n, :n] = q
    return long_a, long_b, long_q


def predict_through(a: Tensor, b: Tensor, state: Tensor, sent: Tensor) -> Tensor:
    """Return the states `[rows, n]` after the inputs on their way `[rows, d, nu]` have acted."""
    for step in range(sent.shape[1]):
        state = state @ a.T + sent[:, step] @ b.T
    return state


def push(sent: Tensor, control: Tensor) -> Tensor:
    """Return the inputs on their way after another one `[rows, nu]` was sent."""
    return torch.cat([sent[:, 1:], control[:, None]], dim=1)
