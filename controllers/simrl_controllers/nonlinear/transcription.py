"""Write an optimal control problem as symbolic stage functions: motion, cost, constraints.

Multiple shooting: the states at all stages are unknowns, and each stage's motion is one or more
steps of Runge-Kutta 4.  The Hessians are those of Gauss and Newton.
"""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np

from simrl_controllers.nonlinear.model import Model


@dataclass(frozen=True)
class Stages:
    """Hold symbols and expressions of one stage; p is targets, then x, y, radius of each disc."""

    x: ca.SX
    """States `[nx]`."""
    u: ca.SX
    """Inputs `[nu]`."""
    p: ca.SX
    """Parameters `[np]`."""
    following: ca.SX
    """Next state `[nx]`."""
    residual: ca.SX
    """Residuals of state and input."""
    last_residual: ca.SX
    """Residuals of the last state."""
    last_cost: ca.SX
    """A further cost of the last state, quadratic in it."""
    soft: ca.SX
    """Soft constraints `[nh]`."""
    last_soft: ca.SX
    """Those of the last state; what depends on the input never binds there."""


def build_stages(
    model: Model,
    dt: float,
    substeps: int = 1,
    beyond: np.ndarray | None = None,
    terminal_scale: float | None = None,
) -> Stages:
    """Build the stage expressions.

    Where a cost-to-go matrix `beyond` `[nx, nx]` about rest at the targets is given, half its
    quadratic form stands instead of the model's own terminal cost.
    """
    num_targets = len(model.goal)
    x, u = ca.SX.sym("x", model.num_states), ca.SX.sym("u", model.num_inputs)
    targets = ca.SX.sym("target", num_targets)
    discs = ca.SX.sym("disc", model.num_obstacles, 3)
    p = ca.vertcat(targets, ca.reshape(discs.T, -1, 1))
    scale = model.terminal_scale if terminal_scale is None else terminal_scale
    last = model.residual(x, targets) * np.sqrt(scale)
    last_cost = ca.SX(0.0)
    if beyond is not None:
        last = ca.SX(0, 1)
        step = x - model.rest(targets)
        last_cost = 0.5 * ca.bilin(ca.DM(beyond), step, step)
    soft = ca.SX(0, 1) if model.soft is None else model.soft(x, u, targets, discs)
    needs_input = [ca.depends_on(soft[i], u) for i in range(soft.numel())]
    last_soft = ca.vertcat(*[-1.0 if needs_input[i] else soft[i] for i in range(soft.numel())])
    return Stages(
        x=x,
        u=u,
        p=p,
        following=integrate(model, x, u, dt, substeps),
        residual=ca.vertcat(model.residual(x, targets), model.effort(u, targets)),
        last_residual=last,
        last_cost=last_cost,
        soft=soft,
        last_soft=ca.SX(last_soft) if soft.numel() else ca.SX(0, 1),
    )


def integrate(model: Model, x: ca.SX, u: ca.SX, dt: float, substeps: int) -> ca.SX:
    """Return the state after `dt` seconds under a constant input, by Runge-Kutta 4."""
    h = dt / substeps
    for _ in range(substeps):
        k1 = model.rates(x, u)
        k2 = model.rates(x + 0.5 * h * k1, u)
        k3 = model.rates(x + 0.5 * h * k2, u)
        k4 = model.rates(x + h * k3, u)
        x = x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return x


def stage_functions(stages: Stages) -> list[ca.Function]:
    """Return the functions "stage", "terminal", "value" and "last_value" that kernels call.

    What each writes is told in `simrl_controllers.nonlinear.kernels.linearise`.
    """
    s = stages
    cost = 0.5 * ca.sumsqr(s.residual)
    by_x, by_u = ca.jacobian(s.residual, s.x), ca.jacobian(s.residual, s.u)
    last_by_x = ca.jacobian(s.last_residual, s.x)
    last_cost = 0.5 * ca.sumsqr(s.last_residual) + s.last_cost
    last_hessian = ca.mtimes(last_by_x.T, last_by_x) + ca.hessian(s.last_cost, s.x)[0]
    last_gradient = ca.mtimes(last_by_x.T, s.last_residual) + ca.gradient(s.last_cost, s.x)
    inputs = [s.x, s.u, s.p]
    stage = [
        s.following,
        ca.jacobian(s.following, s.x),
        ca.jacobian(s.following, s.u),
        ca.mtimes(by_x.T, s.residual),
        ca.mtimes(by_u.T, s.residual),
        ca.mtimes(by_x.T, by_x),
        ca.mtimes(by_u.T, by_x),
        ca.mtimes(by_u.T, by_u),
        s.soft,
        ca.jacobian(s.soft, s.x),
        ca.jacobian(s.soft, s.u),
        cost,
    ]
    terminal = [last_gradient, last_hessian, s.last_soft, ca.jacobian(s.last_soft, s.x), last_cost]
    return [
        ca.Function("stage", inputs, stage),
        ca.Function("terminal", inputs, terminal),
        ca.Function("value", inputs, [s.following, s.soft, cost]),
        ca.Function("last_value", inputs, [s.last_soft, last_cost]),
    ]
