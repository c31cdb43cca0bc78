"""Write a stage-wise quadratic program as one sparse program, for the solvers of the QP adapter.

The real-time iteration does not need it: its own kernels are several times faster than the fastest
of those solvers.  It is the independent check of the kernels, and the other side of the benchmark.
"""

# ruff: noqa: N806 (matrices are named as in the papers)

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from simrl_controllers.nonlinear.kernels.problem import StageQp


def assemble(qp: StageQp) -> dict[str, Any]:
    """Return the arguments of `solve_qp` for the same program.

    Its variables are (x0, u0, s0), ..., (xN, sN), where s are the violations.
    """
    num_stages, nx, nu = qp.B.shape
    nh = qp.c.shape[1]
    width = nx + nu + nh
    costs, linear, low, high = [], [], [], []
    for k in range(num_stages + 1):
        last = k == num_stages
        block = [[qp.Q[k]]] if last else [[qp.Q[k], qp.S[k].T], [qp.S[k], qp.R[k]]]
        costs.append(sp.block_diag([np.block(block), np.diag(qp.w2)]))
        linear += [qp.q[k], *([] if last else [qp.r[k]]), qp.w1]
        free = np.zeros(nx) if k == 0 else np.full(nx, np.inf)
        low += [-free, *([] if last else [qp.low[k]]), np.zeros(nh)]
        high += [free, *([] if last else [qp.high[k]]), np.full(nh, np.inf)]
    size = num_stages * width + nx + nh
    rows, below, above = [], [], []
    for k in range(num_stages + 1):
        start, last = k * width, k == num_stages
        if nh:
            own = [qp.C[k], *([] if last else [qp.D[k]]), -np.eye(nh)]
            rows.append(_place(np.hstack(own), start, size))
            below.append(np.full(nh, -np.inf))
            above.append(-qp.c[k])
        if not last:
            motion = np.hstack([qp.A[k], qp.B[k], np.zeros((nx, nh)), -np.eye(nx)])
            rows.append(_place(motion, start, size))
            below.append(-qp.b[k])
            above.append(-qp.b[k])
    H, A = sp.block_diag(costs, "csc"), sp.vstack(rows, "csc")
    limits = [np.concatenate(part) for part in (linear, below, above, low, high)]
    names = ("g", "l", "u", "lb", "ub")
    return {"H": H, "A": A, **dict(zip(names, limits, strict=True))}


def split(qp: StageQp, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return states `[N + 1, nx]` and inputs `[N, nu]` of a solution of the assembled program."""
    num_stages, nx, nu = qp.B.shape
    width = nx + nu + qp.c.shape[1]
    stages = solution[: num_stages * width].reshape(num_stages, width)
    last = solution[num_stages * width :][:nx]
    return np.vstack([stages[:, :nx], last]), stages[:, nx : nx + nu]


def _place(block: np.ndarray, start: int, size: int) -> sp.coo_matrix:
    """Put a dense block at column `start` of otherwise empty rows."""
    rows, columns = np.nonzero(block)
    values = block[rows, columns]
    return sp.coo_matrix((values, (rows, columns + start)), shape=(len(block), size))
