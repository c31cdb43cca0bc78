# ruff: noqa: N803, N806 (matrices are named as in the papers)
"""Solve the linear-quadratic program without inequalities: one backward and one forward sweep."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simrl_controllers.nonlinear.kernels.small import (
    add_product,
    add_transposed_matrix,
    add_transposed_product,
    cholesky,
    copy,
    copy_vector,
    fill,
    kernel,
    solve_rows,
    solve_vector,
)


class Work(NamedTuple):
    """Hold the Riccati factors that the solvers write."""

    P: np.ndarray
    """`[N + 1, nx, nx]`."""
    K: np.ndarray
    """`[N, nu, nx]`."""
    L: np.ndarray
    """`[N, nu, nu]`."""


def empty_work(num_stages: int, nx: int, nu: int) -> Work:
    """Make room for Riccati factors."""
    n = num_stages
    return Work(np.zeros((n + 1, nx, nx)), np.zeros((n, nu, nx)), np.zeros((n, nu, nu)))


@kernel
def factorise(
    A: np.ndarray,
    B: np.ndarray,
    Q: np.ndarray,
    S: np.ndarray,
    R: np.ndarray,
    fixed: np.ndarray,
    P: np.ndarray,
    K: np.ndarray,
    L: np.ndarray,
) -> bool:
    """Sweep backward over the matrices; return False if an input Hessian is not positive.

    Inputs marked in `fixed` `[N, nu]` bool may not move.  Writes the cost-to-go P
    `[N + 1, nx, nx]`, the gains K `[N, nu, nx]` and the Cholesky factors L `[N, nu, nu]` of the
    input Hessians.
    """
    num_stages, nx, nu = B.shape
    PA, PB, G = np.empty((nx, nx)), np.empty((nx, nu)), np.empty((nu, nx))
    copy(P[num_stages], Q[num_stages])
    for k in range(num_stages - 1, -1, -1):
        fill(PA, 0.0)
        fill(PB, 0.0)
        add_transposed_matrix(PA, P[k + 1], A[k])
        add_transposed_matrix(PB, P[k + 1], B[k])
        copy(G, S[k])
        copy(L[k], R[k])
        add_transposed_matrix(G, B[k], PA)
        add_transposed_matrix(L[k], B[k], PB)
        _hold(fixed[k], G, L[k])
        if not cholesky(L[k]):
            return False
        for j in range(nu):
            for i in range(nx):
                K[k, j, i] = -G[j, i]
        solve_rows(L[k], K[k])
        copy(P[k], Q[k])
        add_transposed_matrix(P[k], A[k], PA)
        add_transposed_matrix(P[k], G, K[k])
        for i in range(nx):
            for j in range(i):
                P[k, i, j] = P[k, j, i] = 0.5 * (P[k, i, j] + P[k, j, i])
    return True


@kernel
def _hold(fixed: np.ndarray, G: np.ndarray, L: np.ndarray) -> None:
    """Take the fixed inputs out of one stage."""
    for j in range(L.shape[0]):
        if fixed[j]:
            for i in range(G.shape[1]):
                G[j, i] = 0.0
            for i in range(L.shape[0]):
                L[i, j] = L[j, i] = 0.0
            L[j, j] = 1.0


@kernel
def substitute(
    A: np.ndarray,
    B: np.ndarray,
    q: np.ndarray,
    r: np.ndarray,
    b: np.ndarray,
    fixed: np.ndarray,
    P: np.ndarray,
    K: np.ndarray,
    L: np.ndarray,
    x: np.ndarray,
    u: np.ndarray,
) -> None:
    """Sweep over the vectors with the factors of `factorise`; write x `[N + 1, nx]`, u `[N, nu]`.

    x0 = 0 and fixed inputs stay 0: shift the program so that this is so.
    """
    num_stages, nx, nu = B.shape
    p, t = np.empty(nx), np.empty(nx)
    copy_vector(p, q[num_stages])
    for k in range(num_stages - 1, -1, -1):
        copy_vector(t, p)
        add_product(t, P[k + 1], b[k])
        copy_vector(u[k], r[k])
        add_transposed_product(u[k], B[k], t)
        copy_vector(p, q[k])
        add_transposed_product(p, A[k], t)
        for j in range(nu):
            if fixed[k, j]:
                u[k, j] = 0.0
        add_transposed_product(p, K[k], u[k])
        for j in range(nu):
            u[k, j] = -u[k, j]
        solve_vector(L[k], u[k])
    for i in range(nx):
        x[0, i] = 0.0
    for k in range(num_stages):
        add_product(u[k], K[k], x[k])
        copy_vector(x[k + 1], b[k])
        add_product(x[k + 1], A[k], x[k])
        add_product(x[k + 1], B[k], u[k])
