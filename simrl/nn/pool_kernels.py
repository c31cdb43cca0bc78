"""Numba kernels of the masked max-pooling over the rows of a table."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def linear_max(
    hidden: np.ndarray, x: np.ndarray, present: int, pooled: np.ndarray, winner: np.ndarray
) -> None:
    """Write the maximum `[R, F]` over the present rows of `hidden` `[R, rows, F]`, and which won.

    A row counts where column `present` of `x` `[R, rows, columns]` is at least 0.5; all do if
    `present` is -1.  Where none counts, the maximum is 0 and the winner -1.
    """
    num_rows, num_features = hidden.shape[1], hidden.shape[2]
    for sample in range(hidden.shape[0]):
        any_row = False
        for row in range(num_rows):
            if present >= 0 and x[sample, row, present] < 0.5:
                continue
            if not any_row:
                any_row = True
                for feature in range(num_features):
                    pooled[sample, feature] = hidden[sample, row, feature]
                    winner[sample, feature] = row
                continue
            for feature in range(num_features):
                value = hidden[sample, row, feature]
                better = value > pooled[sample, feature]
                pooled[sample, feature] = value if better else pooled[sample, feature]
                winner[sample, feature] = row if better else winner[sample, feature]
        if not any_row:
            pooled[sample] = 0.0
            winner[sample] = -1


@njit(cache=True, nogil=True)
def linear_max_backward(
    grad: np.ndarray,
    x: np.ndarray,
    winner: np.ndarray,
    grad_weight: np.ndarray,
    grad_bias: np.ndarray,
) -> None:
    """Add the gradient of `linear_max` after a linear layer to its weight `[F, columns]` and bias.

    grad, winner: `[R, F]`; x: `[R, rows, columns]`.
    """
    for sample in range(grad.shape[0]):
        for feature in range(grad.shape[1]):
            row = winner[sample, feature]
            slope = grad[sample, feature]
            if row < 0 or slope == 0.0:
                continue
            grad_bias[feature] += slope
            for column in range(x.shape[2]):
                grad_weight[feature, column] += slope * x[sample, row, column]
