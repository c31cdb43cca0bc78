"""Check a quadratic program and bring it into one form for every solver."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from simrl_controllers.qp.result import QPResult

Matrix: TypeAlias = "np.ndarray | sp.spmatrix | sp.sparray"
"""A dense array or any scipy sparse matrix."""

Warm: TypeAlias = "QPResult | tuple[np.ndarray, np.ndarray | None]"
"""Where a solver may start: an earlier result, or x `[n]` and the duals `[m + n]` or None."""

INFINITY = 1e20
"""A limit at least this large is none: solvers disagree about what stands for infinity."""

_SYMMETRY = 1e-8
"""Largest difference of H from its transpose, relative to its largest entry."""
_CURVATURE = 1e-9
"""Most negative curvature that passes for rounding, relative to the largest entry of H."""


@dataclass(frozen=True)
class QPProblem:
    """Hold minimise 1/2 x H x + g x subject to l <= A x <= u and lb <= x <= ub.

    Made by `QPProblem.build`.  Matrices are C-contiguous float64 arrays, or csc matrices if any of
    the two was sparse; limits are float64 with true infinities.
    """

    H: np.ndarray | sp.csc_matrix
    """Cost matrix `[n, n]`, symmetric and positive semidefinite."""
    g: np.ndarray
    """Linear cost `[n]`."""
    A: np.ndarray | sp.csc_matrix
    """Constraint rows `[m, n]`; m may be 0."""
    l: np.ndarray  # noqa: E741 (the field's name for a lower limit)
    """Lower limit of each row `[m]`."""
    u: np.ndarray
    """Upper limit of each row `[m]`."""
    lb: np.ndarray
    """Lower bound of each variable `[n]`."""
    ub: np.ndarray
    """Upper bound of each variable `[n]`."""

    @classmethod
    def build(
        cls,
        H: Matrix,  # noqa: N803 (the field's letters)
        g: np.ndarray,
        A: Matrix | None = None,  # noqa: N803
        l: np.ndarray | None = None,  # noqa: E741
        u: np.ndarray | None = None,
        lb: np.ndarray | None = None,
        ub: np.ndarray | None = None,
        *,
        check: bool = True,
    ) -> QPProblem:
        """Check the parts and fill in the missing ones.

        With `check` False only the shapes are looked at: for loops whose matrices are made by code
        that has been checked before.

        Raises:
            ValueError: a part has another shape than expected, holds NaN or infinities where none
                may be, or H is not symmetric or has negative curvature; the message names the part.
        """
        g = np.ascontiguousarray(g, np.float64)
        if g.ndim != 1 or g.size == 0:
            raise ValueError(f"g must be a vector with at least one entry, got shape {g.shape}")
        n = g.size
        sparse = sp.issparse(H) or sp.issparse(A)
        cost = _matrix(H, sparse)
        if cost.shape != (n, n):
            raise ValueError(f"H must have shape {(n, n)} as g has {n} entries, got {cost.shape}")
        if A is None and (l is not None or u is not None):
            raise ValueError("l and u limit the rows of A, but A was not given")
        rows = _matrix(np.zeros((0, n)) if A is None else A, sparse)
        if rows.ndim != 2 or rows.shape[1] != n:
            raise ValueError(f"A must have shape (m, {n}) as g has {n} entries, got {rows.shape}")
        m = rows.shape[0]
        problem = cls(
            cost,
            g,
            rows,
            _limit(l, m, -np.inf, "l", f"A has {m} rows"),
            _limit(u, m, np.inf, "u", f"A has {m} rows"),
            _limit(lb, n, -np.inf, "lb", f"g has {n} entries"),
            _limit(ub, n, np.inf, "ub", f"g has {n} entries"),
        )
        if check:
            problem.check()
        return problem

    def check(self) -> None:
        """Raise ValueError naming the part that is not finite, not symmetric or not convex."""
        for name, part in (("H", self.H), ("g", self.g), ("A", self.A)):
            _check_finite(part, name)
        for name, limit in (("l", self.l), ("u", self.u), ("lb", self.lb), ("ub", self.ub)):
            if np.isnan(limit).any():
                raise ValueError(f"{name}[{int(np.isnan(limit).argmax())}] is NaN")
        check_convex(self.H)

    @property
    def num_vars(self) -> int:
        """Number of variables n."""
        return int(self.g.size)

    @property
    def num_rows(self) -> int:
        """Number of rows m of A."""
        return int(self.l.size)

    @property
    def sparse(self) -> bool:
        """Whether the matrices are sparse."""
        return bool(sp.issparse(self.H))

    @property
    def crossed(self) -> bool:
        """Whether some lower limit is above its upper one, so that nothing is feasible."""
        return bool(
            (self.l > self.u).any()
            or (self.lb > self.ub).any()
            or (self.l == np.inf).any()
            or (self.u == -np.inf).any()
            or (self.lb == np.inf).any()
            or (self.ub == -np.inf).any()
        )

    @cached_property
    def equal_rows(self) -> np.ndarray:
        """Whether each row of A is an equality `[m]` bool."""
        return _equal(self.l, self.u)

    @cached_property
    def equal_bounds(self) -> np.ndarray:
        """Whether each variable is fixed by its bounds `[n]` bool."""
        return _equal(self.lb, self.ub)

    @cached_property
    def dense(self) -> QPProblem:
        """The same problem with dense matrices."""
        if not self.sparse:
            return self
        cost, rows = _dense(self.H), _dense(self.A)
        return QPProblem(cost, self.g, rows, self.l, self.u, self.lb, self.ub)


def check_convex(H: np.ndarray | sp.csc_matrix) -> None:  # noqa: N803
    """Raise ValueError unless `H` is symmetric and positive semidefinite, up to rounding."""
    dense = _dense(H)
    scale = float(np.abs(dense).max(initial=0.0))
    gap = np.abs(dense - dense.T)
    if float(gap.max(initial=0.0)) > _SYMMETRY * scale:
        row, column = (int(i) for i in np.unravel_index(int(gap.argmax()), gap.shape))
        raise ValueError(
            f"H must be symmetric, but H[{row}, {column}] = {dense[row, column]:g} and "
            f"H[{column}, {row}] = {dense[column, row]:g}"
        )
    try:  # the cheap proof: a Cholesky factor of H, moved by what passes for rounding
        np.linalg.cholesky(dense + (_CURVATURE * scale + 1e-300) * np.eye(len(dense)))
    except np.linalg.LinAlgError:
        least = float(np.linalg.eigvalsh(dense)[0])
        if least < -_CURVATURE * scale:
            raise ValueError(
                f"H must be positive semidefinite, but its least eigenvalue is {least:g}"
            ) from None


def _matrix(value: Matrix, sparse: bool) -> np.ndarray | sp.csc_matrix:
    if sparse:
        result = sp.csc_matrix(value, dtype=np.float64)
        result.sort_indices()
        return result
    return np.ascontiguousarray(value, np.float64)


def _dense(matrix: Any) -> np.ndarray:
    return np.ascontiguousarray(matrix.toarray()) if sp.issparse(matrix) else matrix


def _limit(
    value: np.ndarray | None, size: int, missing: float, name: str, because: str
) -> np.ndarray:
    if value is None:
        return np.full(size, missing)
    limit = np.array(value, np.float64)
    if limit.shape != (size,):
        raise ValueError(f"{name} must have shape {(size,)} as {because}, got {limit.shape}")
    limit[limit >= INFINITY] = np.inf
    limit[limit <= -INFINITY] = -np.inf
    return limit


def _equal(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    finite = np.isfinite(low) & np.isfinite(high)
    gap = np.where(finite, high - np.where(finite, low, 0.0), np.inf)
    return gap <= 1e-12 * (1.0 + np.abs(np.where(finite, low, 0.0)))


def _check_finite(part: np.ndarray | sp.csc_matrix, name: str) -> None:
    if np.isfinite(part.data if sp.issparse(part) else part).all():
        return
    dense = _dense(part)
    where = np.argwhere(~np.isfinite(dense))[0]
    index = ", ".join(str(int(i)) for i in where)
    raise ValueError(f"{name}[{index}] is {dense[tuple(where)]}; its entries must be finite")
