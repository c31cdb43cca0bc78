"""The double integrator: a mass on a line, pushed by a force."""

from __future__ import annotations

from collections.abc import Mapping

import casadi as ca
import numpy as np

from simrl.core import EnvSpec
from simrl_controllers.nonlinear.model import (
    Model,
    input_limits,
    part_columns,
    weighted,
    weights_of,
)

WEIGHTS = {"position": 1.0, "velocity": 0.1, "force": 0.1}
"""Weights of the squared residuals."""


def build_double_integrator(spec: EnvSpec, weights: Mapping[str, float]) -> Model:
    """Build the model; `spec.physics` may tell "mass" [kg], 1 by default."""
    w = weights_of("double-integrator", WEIGHTS, weights)
    mass = float(spec.physics.get("mass", 1.0))
    low, high = input_limits(spec, 1)

    def guess(first: np.ndarray, targets: np.ndarray) -> np.ndarray:
        share = np.linspace(0.0, 1.0, len(targets))[:, None]
        return first + share * (targets - first)

    return Model(
        name="double-integrator",
        states=("position", "velocity"),
        columns=part_columns(spec, "qpos", "qvel"),
        rates=lambda x, u: ca.vertcat(x[1], u[0] / mass),
        residual=lambda x, target: weighted(
            [x[0] - target[0], x[1] - target[1]], [w["position"], w["velocity"]]
        ),
        effort=lambda u, target: weighted([u[0]], [w["force"]]),
        low=low,
        high=high,
        nominal=np.zeros(1),
        goal=np.zeros(2),
        guess=guess,
        rest=lambda target: target,
        horizon=20,
        dt=spec.step_seconds or 0.1,
    )
