"""The cart-pole: a cart on a track and a pole on a hinge, angle 0 upright."""

from __future__ import annotations

from collections.abc import Mapping

import casadi as ca
import numpy as np

from simrl.core import EnvSpec
from simrl_controllers.nonlinear.model import (
    Model,
    fact,
    input_limits,
    part_columns,
    weighted,
    weights_of,
)

WEIGHTS = {"x": 1.0, "angle": 4.0, "x_velocity": 0.05, "angle_velocity": 0.05, "force": 0.005}
"""Weights of the squared residuals; the angle's is that of sin^2 + (1 - cos)^2."""
MARGIN = 0.1
"""Room that is left to the end of the track [m]."""


def build_cartpole(spec: EnvSpec, weights: Mapping[str, float]) -> Model:
    """Build the model from masses, lengths and limits in `spec.physics`."""
    w = weights_of("cartpole", WEIGHTS, weights)
    cart, pole = float(fact(spec, "cart_mass")), float(fact(spec, "pole_mass"))
    length, inertia = float(fact(spec, "pole_com")), float(fact(spec, "pole_inertia"))
    gravity, limit = float(fact(spec, "gravity")), float(fact(spec, "x_limit")) - MARGIN
    drag = float(spec.physics.get("cart_damping", 0.0))
    friction = float(spec.physics.get("pole_damping", 0.0))
    low, high = input_limits(spec, 1)

    def rates(x: ca.SX, u: ca.SX) -> ca.SX:
        sin, cos, spin = ca.sin(x[1]), ca.cos(x[1]), x[3]
        push = u[0] + pole * length * sin * spin**2 - drag * x[2]
        turn = pole * gravity * length * sin - friction * spin
        total, coupling = cart + pole, pole * length * cos
        own = inertia + pole * length**2
        determinant = total * own - coupling**2
        return ca.vertcat(
            x[2],
            x[3],
            (own * push - coupling * turn) / determinant,
            (total * turn - coupling * push) / determinant,
        )

    def residual(x: ca.SX, target: ca.SX) -> ca.SX:
        # The Gauss-Newton Hessian of sin and 1 - cos together is 1 everywhere, also where the pole
        # hangs and that of half the angle's sine would vanish.
        error = x[1] - target[1]
        values = [
            x[0] - target[0],
            ca.sin(error),
            1.0 - ca.cos(error),
            x[2] - target[2],
            x[3] - target[3],
        ]
        scale = [w["x"], w["angle"], w["angle"], w["x_velocity"], w["angle_velocity"]]
        return weighted(values, scale)

    def guess(first: np.ndarray, targets: np.ndarray) -> np.ndarray:
        # A straight swing to the nearest upright: not the hanging rest, which is stationary.
        turns = 2.0 * np.pi * np.round((first[1] - targets[:, 1]) / (2.0 * np.pi))
        goal = np.stack([targets[:, 0], targets[:, 1] + turns, targets[:, 2], targets[:, 3]], 1)
        share = np.linspace(0.0, 1.0, len(targets))[:, None]
        return first + share * (goal - first)

    return Model(
        name="cartpole",
        states=("x", "angle", "x_velocity", "angle_velocity"),
        columns=part_columns(spec, "qpos", "qvel"),
        rates=rates,
        residual=residual,
        effort=lambda u, target: weighted([u[0]], [w["force"]]),
        low=low,
        high=high,
        nominal=np.zeros(1),
        goal=np.zeros(4),
        guess=guess,
        rest=lambda target: target,
        soft=lambda x, u, target, discs: ca.vertcat(x[0] - limit, -x[0] - limit),
        terminal_scale=20.0,
        horizon=50,
        dt=0.04,
    )
