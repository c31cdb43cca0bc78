"""Small dense loops that the other kernels share; plain loops keep Numba's compile times short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel as all of this folder are: cached, without the interpreter's lock."""
    return numba.njit(cache=True, nogil=True, error_model="numpy")(function)


@kernel
def fill(out: np.ndarray, value: float) -> None:
    """Set every entry of a matrix."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = value


@kernel
def copy(out: np.ndarray, source: np.ndarray) -> None:
    """Copy a matrix."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = source[i, j]


@kernel
def copy_vector(out: np.ndarray, source: np.ndarray) -> None:
    """Copy a vector."""
    for i in range(out.shape[0]):
        out[i] = source[i]


@kernel
def add_scaled(out: np.ndarray, scale: float, source: np.ndarray) -> None:
    """Add `scale * source` to a matrix."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] += scale * source[i, j]


@kernel
def add_product(out: np.ndarray, matrix: np.ndarray, vector: np.ndarray) -> None:
    """Add `matrix @ vector` to `out`."""
    for i in range(matrix.shape[0]):
        total = 0.0
        for j in range(matrix.shape[1]):
            total += matrix[i, j] * vector[j]
        out[i] += total


@kernel
def add_transposed_product(out: np.ndarray, matrix: np.ndarray, vector: np.ndarray) -> None:
    """Add `matrix.T @ vector` to `out`."""
    for i in range(matrix.shape[0]):
        scale = vector[i]
        if scale != 0.0:
            for j in range(matrix.shape[1]):
                out[j] += matrix[i, j] * scale


@kernel
def add_transposed_matrix(out: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Add `left.T @ right` to `out`, passing over the zeros of `left`."""
    for m in range(left.shape[0]):
        for i in range(left.shape[1]):
            scale = left[m, i]
            if scale != 0.0:
                for j in range(right.shape[1]):
                    out[i, j] += scale * right[m, j]


@kernel
def cholesky(matrix: np.ndarray) -> bool:
    """Overwrite the lower triangle with the Cholesky factor; return False if there is none."""
    size = matrix.shape[0]
    for j in range(size):
        pivot = matrix[j, j]
        for m in range(j):
            pivot -= matrix[j, m] * matrix[j, m]
        if not pivot > 0.0:
            return False
        root = pivot**0.5
        matrix[j, j] = root
        for i in range(j + 1, size):
            value = matrix[i, j]
            for m in range(j):
                value -= matrix[i, m] * matrix[j, m]
            matrix[i, j] = value / root
    return True


@kernel
def solve_rows(factor: np.ndarray, right: np.ndarray) -> None:
    """Overwrite `right` `[n, m]` with (L L')^-1 right."""
    size, width = right.shape
    for i in range(size):
        for m in range(i):
            scale = factor[i, m]
            for j in range(width):
                right[i, j] -= scale * right[m, j]
        scale = 1.0 / factor[i, i]
        for j in range(width):
            right[i, j] *= scale
    for i in range(size - 1, -1, -1):
        for m in range(i + 1, size):
            scale = factor[m, i]
            for j in range(width):
                right[i, j] -= scale * right[m, j]
        scale = 1.0 / factor[i, i]
        for j in range(width):
            right[i, j] *= scale


@kernel
def solve_vector(factor: np.ndarray, right: np.ndarray) -> None:
    """Overwrite `right` `[n]` with (L L')^-1 right."""
    size = factor.shape[0]
    for i in range(size):
        for m in range(i):
            right[i] -= factor[i, m] * right[m]
        right[i] /= factor[i, i]
    for i in range(size - 1, -1, -1):
        for m in range(i + 1, size):
            right[i] -= factor[m, i] * right[m]
        right[i] /= factor[i, i]


@kernel
def larger(worst: float, value: float) -> float:
    """Return the larger magnitude; NaN stays."""
    size = abs(value)
    return worst if size <= worst or worst != worst else size
