"""State a linear model-predictive control problem and check it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl_controllers.lqr.riccati import check_horizon, check_limits, check_problem


@dataclass(frozen=True)
class MpcProblem:
    """Hold a tracking problem over N steps of x' = A x + B u.

    The cost is the sum over k < N of (x_k - t_k) Q (x_k - t_k) + u_k R u_k, and
    (x_N - t_N) P (x_N - t_N); limits hold for u_0 .. u_{N-1} and x_1 .. x_N.  Limits of the state
    are rows, and may be soft: violating one by s costs soft_linear s + soft_quadratic s^2.

    Raises:
        ValueError: a part has the wrong shape, is not finite where it must be, or no point lies
            within its limits (low above high); the message names it.
    """

    a: np.ndarray
    """A `[n, n]`."""
    b: np.ndarray
    """B `[n, nu]`."""
    q: np.ndarray
    """Q `[n, n]`, positive semidefinite."""
    r: np.ndarray
    """R `[nu, nu]`, positive definite."""
    final: np.ndarray
    """P `[n, n]`, positive semidefinite."""
    horizon: int
    """N, at least 1."""
    low: np.ndarray
    """Lowest input `[nu]`; may be -inf."""
    high: np.ndarray
    """Highest input `[nu]`; may be inf."""
    rows: np.ndarray
    """Directions F of the limits on the state `[p, n]`; p may be 0."""
    row_low: np.ndarray
    """Lowest F x `[p]`; may be -inf."""
    row_high: np.ndarray
    """Highest F x `[p]`; may be inf."""
    rate: np.ndarray
    """Largest change of each input from one step to the next `[nu]`; inf for none."""
    soft: np.ndarray
    """Which rows are soft `[p]` bool."""
    soft_linear: float = 1e3
    """Cost of a violation; above the largest multiplier it is only violated where it must be."""
    soft_quadratic: float = 1e3
    """Cost of a squared violation."""
    final_rows: np.ndarray | None = None
    """Directions of limits on the last state alone `[f, n]`, always hard; None for none."""
    final_high: np.ndarray | None = None
    """Their highest values `[f]`."""

    def __post_init__(self) -> None:
        check_horizon(self.horizon)
        check_problem(self.a, self.b, self.q, self.r)
        n, nu, p = self.num_states, self.num_controls, len(self.rows)
        for name, shape in (
            ("final", (n, n)), ("low", (nu,)), ("high", (nu,)), ("rows", (p, n)),
            ("row_low", (p,)), ("row_high", (p,)), ("rate", (nu,)), ("soft", (p,)),
        ):  # fmt: skip
            part = getattr(self, name)
            if part.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {part.shape}")
            if part.dtype != np.bool_ and np.isnan(part).any():
                raise ValueError(f"{name} holds NaN")
        check_limits("input", self.low, self.high)
        check_limits("state row", self.row_low, self.row_high)
        if (self.rate <= 0.0).any():
            raise ValueError(f"the rate limit must be above 0, got {self.rate.tolist()}")
        if self.soft_linear < 0.0 or self.soft_quadratic < 0.0:
            raise ValueError(
                f"costs of violations must be at least 0, got {self.soft_linear} and "
                f"{self.soft_quadratic}"
            )

    @property
    def num_states(self) -> int:
        """Number of states n."""
        return len(self.a)

    @property
    def num_controls(self) -> int:
        """Number of inputs nu."""
        return int(self.b.shape[1])


@dataclass(frozen=True)
class FinalCost:
    """Hold a local model of the cost beyond the horizon: slope x + 1/2 x curvature x."""

    slope: np.ndarray
    """Slope at x = 0 `[n]`."""
    curvature: np.ndarray
    """Curvature `[n, n]`, positive semidefinite."""


@dataclass(frozen=True)
class MpcInstance:
    """Hold what changes from one solve to the next."""

    state: np.ndarray
    """x_0 `[n]`."""
    targets: np.ndarray
    """t_0 .. t_N `[N + 1, n]`."""
    previous: np.ndarray
    """Input of the last step `[nu]`, from which rates count."""
    final: FinalCost | None = None
    """Cost of the last state instead of P; None for P."""
    control_shift: np.ndarray | None = None
    """Added to the input limits `[nu]`: the problem's inputs count from minus this."""
    state_shift: np.ndarray | None = None
    """Added to the limits of the state rows `[n]` likewise."""


@dataclass(frozen=True)
class QPData:
    """Hold one quadratic program as the solvers take it."""

    H: np.ndarray
    g: np.ndarray
    A: np.ndarray
    l: np.ndarray  # noqa: E741 (the field's name for a lower limit)
    u: np.ndarray
    lb: np.ndarray
    ub: np.ndarray
