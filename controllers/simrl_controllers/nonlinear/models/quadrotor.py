"""The quadrotor: a rigid body with a unit quaternion, moved by four rotor thrusts."""

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

WEIGHTS = {
    "position": 10.0,
    "velocity": 1.0,
    "tilt": 0.1,
    "yaw": 1.0,
    "spin": 0.05,
    "thrust": 0.05,
}
"""Weights of the squared residuals; tilt and yaw count twice the error quaternion's vector part."""


def build_quadrotor(spec: EnvSpec, weights: Mapping[str, float]) -> Model:
    """Build the model from mass, inertia and rotors in `spec.physics`."""
    w = weights_of("quadrotor", WEIGHTS, weights)
    mass = float(fact(spec, "mass"))
    inertia = np.asarray(fact(spec, "inertia"), np.float64)
    rotors = np.asarray(fact(spec, "rotors"), np.float64)
    spin_signs = np.asarray(fact(spec, "rotor_spin"), np.float64)
    moment = float(fact(spec, "moment_constant"))
    gravity = float(spec.physics.get("gravity", 9.81))
    low, high = input_limits(spec, 4)
    mixing = ca.DM(np.stack([rotors[:, 1], -rotors[:, 0], moment * spin_signs]))
    hover = np.full(4, mass * gravity / 4.0)

    def rates(x: ca.SX, u: ca.SX) -> ca.SX:
        w0, x0, y0, z0 = (x[3 + i] for i in range(4))
        spin = x[10:13]
        lift = ca.sum1(u) / mass
        acceleration = ca.vertcat(
            2.0 * (x0 * z0 + w0 * y0) * lift,
            2.0 * (y0 * z0 - w0 * x0) * lift,
            (1.0 - 2.0 * (x0**2 + y0**2)) * lift - gravity,
        )
        turn = 0.5 * quaternion_product(x[3:7], ca.vertcat(0.0, spin))
        momentum = ca.DM(inertia) * spin
        angular = (ca.mtimes(mixing, u) - ca.cross(spin, momentum)) / ca.DM(inertia)
        return ca.vertcat(x[7:10], turn, acceleration, angular)

    def residual(x: ca.SX, target: ca.SX) -> ca.SX:
        half = 0.5 * target[6]
        back = ca.vertcat(ca.cos(half), 0.0, 0.0, -ca.sin(half))
        error = quaternion_product(back, x[3:7])
        sign = ca.if_else(error[0] < 0.0, -1.0, 1.0)
        values = [x[i] - target[i] for i in range(3)]
        values += [x[7 + i] - target[3 + i] for i in range(3)]
        values += [2.0 * sign * error[1 + i] for i in range(3)]
        values += [x[10 + i] for i in range(3)]
        scale = [w["position"]] * 3 + [w["velocity"]] * 3
        scale += [w["tilt"]] * 2 + [w["yaw"]] + [w["spin"]] * 3
        return weighted(values, scale)

    def guess(first: np.ndarray, targets: np.ndarray) -> np.ndarray:
        share = np.linspace(0.0, 1.0, len(targets))[:, None]
        plan = np.tile(first, (len(targets), 1))
        plan[:, :3] += share * (targets[:, :3] - first[:3])
        plan[:, 7:10] += share * (targets[:, 3:6] - first[7:10])
        plan[:, 10:] *= 1.0 - share
        return plan

    return Model(
        name="quadrotor",
        states=("x", "y", "z", "qw", "qx", "qy", "qz", "vx", "vy", "vz", "p", "q", "r"),
        columns=part_columns(spec, "qpos", "qvel"),
        rates=rates,
        residual=residual,
        effort=lambda u, target: weighted([u[i] - hover[i] for i in range(4)], [w["thrust"]] * 4),
        low=low,
        high=high,
        nominal=hover,
        goal=np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
        guess=guess,
        rest=lambda target: ca.vertcat(
            target[:3], ca.cos(0.5 * target[6]), 0, 0, ca.sin(0.5 * target[6]), target[3:6], 0, 0, 0
        ),
        terminal_scale=5.0,
        horizon=20,
        dt=0.05,
    )


def quaternion_product(a: ca.SX, b: ca.SX) -> ca.SX:
    """Multiply quaternions `[4]`, scalar first."""
    return ca.vertcat(
        a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
        a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
        a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
        a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
    )
