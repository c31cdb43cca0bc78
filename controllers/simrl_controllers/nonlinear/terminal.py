# ruff: noqa: N806 (matrices are named as in the papers)
"""Costs of the last state: a Riccati matrix of the linear model, or a terminal value's model."""

from __future__ import annotations

import casadi as ca
import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec
from simrl_controllers.coordinates import Coordinates
from simrl_controllers.nonlinear.model import Model, part_columns
from simrl_controllers.nonlinear.plan import Beyond
from simrl_controllers.nonlinear.transcription import integrate
from simrl_controllers.terminal_value import TerminalValue

MAX_SWEEPS = 10_000


def riccati_cost(model: Model, dt: float, substeps: int) -> np.ndarray:
    """Return the cost-to-go P `[nx, nx]` of the model linearised at rest at its goal.

    The Riccati recursion is repeated until it stands still, not solved algebraically: a unit
    quaternion's length cannot be controlled, which a DARE solver refuses.

    Raises:
        ValueError: the recursion does not converge, so the goal cannot be held.
    """
    x, u = ca.SX.sym("x", model.num_states), ca.SX.sym("u", model.num_inputs)
    targets = ca.SX(ca.DM(model.goal))
    following = integrate(model, x, u, dt, substeps)
    residual = ca.vertcat(model.residual(x, targets), model.effort(u, targets))
    parts = [ca.jacobian(following, x), ca.jacobian(following, u)]
    parts += [ca.jacobian(residual, x), ca.jacobian(residual, u)]
    values = ca.Function("parts", [x, u], parts)(model.rest(targets), model.nominal)
    A, B, by_x, by_u = (np.array(ca.evalf(value)) for value in values)
    Q, S, R = by_x.T @ by_x, by_u.T @ by_x, by_u.T @ by_u
    P = Q.copy()
    for _ in range(MAX_SWEEPS):
        gain = np.linalg.solve(R + B.T @ P @ B, S + B.T @ P @ A)
        after = Q + A.T @ P @ A - (S + B.T @ P @ A).T @ gain
        after = 0.5 * (after + after.T)
        if np.abs(after - P).max() <= 1e-12 * max(np.abs(after).max(), 1.0):
            return after
        P = after
    raise ValueError(f"nmpc: the Riccati cost of {model.name} at its goal does not converge")


class TerminalModel:
    """Model a terminal value about a plan's last state, in the optimiser's own states."""

    def __init__(self, spec: EnvSpec, model: Model, value: TerminalValue) -> None:
        self._value, self._model = value, model
        self._coordinates = Coordinates(spec)
        if list(model.columns) != list(part_columns(spec, "qpos", "qvel")):
            raise ValueError(
                f"a terminal value needs a model whose states are qpos and qvel; {model.name}'s "
                f"are {', '.join(model.states)}"
            )

    def about(self, row: Tensor, last: np.ndarray) -> Beyond:
        """Return the convex quadratic cost about the state `last` `[nx]` of the row `[1, S]`."""
        z = last.copy()
        turns = self._jacobian(z)
        state = self._coordinates.write(row, torch.from_numpy(z)[None])
        local = self._value.quadratic(state, self._coordinates)
        gradient, hessian = (part[0].numpy() for part in local.convex_cost())
        return Beyond(z, turns.T @ gradient, turns.T @ hessian @ turns)

    def _jacobian(self, z: np.ndarray) -> np.ndarray:
        """Return how steps `[n]` follow from states `[nx]`; makes a quaternion in z a unit one."""
        if self._coordinates.flat:
            return np.eye(len(z))
        q = z[3:7] = z[3:7] / np.linalg.norm(z[3:7])
        turns = np.zeros((self._coordinates.size, len(z)))
        turns[:3, :3] = np.eye(3)
        turns[6:, 7:] = np.eye(len(z) - 7)
        w, a, b, c = q
        turns[3:6, 3:7] = 2.0 * np.array([[-a, w, c, -b], [-b, -c, w, a], [-c, b, -a, w]])
        return turns
