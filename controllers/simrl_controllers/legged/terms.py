"""Evaluate what whole-body control needs of a robot on legs, for many rows at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl_controllers.legged.kernels.dynamics import evaluate_rows
from simrl_controllers.legged.tree import Tree

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class LeggedDynamics:
    """Hold the equations of motion of n rows; MuJoCo's velocities, world axes elsewhere.

    M qacc + bias = (0, motors) + sum of jacobian' force.
    """

    mass: Array
    """Inertia M `[n, nv, nv]`."""
    bias: Array
    """Coriolis, centrifugal, gravity and damping forces `[n, nv]`."""
    feet: Array
    """Tracked point of each foot [m] `[n, 4, 3]`."""
    speed: Array
    """Its velocity [m/s] `[n, 4, 3]`."""
    jacobian: Array
    """Its Jacobian `[n, 4, 3, nv]`."""
    drift: Array
    """Its acceleration where qacc = 0 [m/s^2] `[n, 4, 3]`."""
    rotation: Array
    """Base to world `[n, 3, 3]`."""


def empty_dynamics(tree: Tree, count: int) -> LeggedDynamics:
    """Return room for `count` rows."""
    nv, legs = len(tree.damping), len(tree.foot_body)
    return LeggedDynamics(
        mass=np.zeros((count, nv, nv)),
        bias=np.zeros((count, nv)),
        feet=np.zeros((count, legs, 3)),
        speed=np.zeros((count, legs, 3)),
        jacobian=np.zeros((count, legs, 3, nv)),
        drift=np.zeros((count, legs, 3)),
        rotation=np.zeros((count, 3, 3)),
    )


def evaluate(tree: Tree, qpos: Array, qvel: Array, point: Array | None = None) -> LeggedDynamics:
    """Evaluate rows `qpos` `[n, nq]`, `qvel` `[n, nv]` in double precision.

    point: offset of the tracked point from each foot's centre, world axes [m] `[n, 4, 3]`;
    default: the centre itself.
    """
    result = empty_dynamics(tree, len(qpos))
    if point is None:
        point = np.zeros_like(result.feet)
    evaluate_rows(
        tree,
        np.ascontiguousarray(qpos),
        np.ascontiguousarray(qvel),
        point,
        result.mass,
        result.bias,
        result.feet,
        result.speed,
        result.jacobian,
        result.drift,
        result.rotation,
    )
    return result
