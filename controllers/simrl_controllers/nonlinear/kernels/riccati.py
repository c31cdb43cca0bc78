"""Solve the linear-quadratic program without inequalities: one backward and one forward sweep."""

from __future__ import annotations

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


@kernel
def factorise(A, B, Q, S, R, fixed, P, K, L):  # type: ignore[no-untyped-def]
    """Sweep backward over the matrices; return False if an input Hessian is not positive.

    Inputs marked in `fixed` `[N, nu]` bool may not move.  Writes the cost-to-go P `[N + 1, nx, nx]`,
    the gains K `[N, nu, nx]` and the Cholesky factors L `[N, nu, nu]` of the input Hessians.
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
def _hold(fixed, G, L):  # type: ignore[no-untyped-def]
    """Take the fixed inputs out of one stage."""
    for j in range(L.shape[0]):
        if fixed[j]:
            for i in range(G.shape[1]):
                G[j, i] = 0.0
            for i in range(L.shape[0]):
                L[i, j] = L[j, i] = 0.0
            L[j, j] = 1.0


@kernel
def substitute(A, B, q, r, b, fixed, P, K, L, x, u):  # type: ignore[no-untyped-def]
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
