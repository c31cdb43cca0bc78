"""Terms of the cart-pole: the joints "slider" [m] and "hinge" [rad], 0 upright."""

from __future__ import annotations

from typing import Any

import numpy as np

from simrl.core.spec import Column
from simrl_envs.robot.robot import Robot
from simrl_envs.robot.rows import View
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.terms.general import wrapped
from simrl_envs.robot.terms.registry import facts, measure, reference, reward, start


@start("cartpole")
def begin(
    view: View, draw: Draw, *, place: float, angle: float, centre: float, speed: float
) -> None:
    """Start within `place` [m] of the middle and `angle` [rad] of `centre`, at most at `speed`."""
    unit = draw.between("start", -1.0, 1.0, 4)
    view.qpos[:, 0] = place * unit[:, 0]
    view.qpos[:, 1] = centre + angle * unit[:, 1]
    view.qvel[:] = speed * unit[:, 2:]


@reward("pole_upright")
def pole_upright(view: View) -> np.ndarray:
    """Return (1 + cos angle) / 2: 1 upright, 0 hanging."""
    return 0.5 * (1.0 + np.cos(view.qpos[:, 1]))


@reward("cart_offset")
def cart_offset(view: View, *, limit: float) -> np.ndarray:
    """Return the squared distance of the cart from the middle, 1 at `limit`."""
    return (view.qpos[:, 0] / limit) ** 2


@reward("pole_spin")
def pole_spin(view: View) -> np.ndarray:
    """Return the squared angular velocity [rad^2/s^2] where the pole is up, fading to 0 below."""
    return view.qvel[:, 1] ** 2 * np.maximum(np.cos(view.qpos[:, 1]), 0.0)


@measure("angle_error")
def angle_error(view: View) -> np.ndarray:
    """Measure the angle from upright [rad], at least 0."""
    return np.abs(wrapped(view.qpos[:, 1]))


@measure("pole_within")
def pole_within(view: View, *, angle: float) -> np.ndarray:
    """Measure 1 where the pole is within `angle` [rad] of upright."""
    return (angle_error(view) < angle).astype(np.float64)


@measure("cart_distance")
def cart_distance(view: View) -> np.ndarray:
    """Measure the distance of the cart from the middle [m]."""
    return np.abs(view.qpos[:, 0])


def _columns(robot: Robot) -> tuple[Column, ...]:
    return (
        Column("x", -2.0, 2.0, "m"),
        Column("theta", -np.pi, np.pi, "rad"),
        Column("x_velocity", -10.0, 10.0, "m/s"),
        Column("theta_velocity", -20.0, 20.0, "rad/s"),
    )


@reference("upright", columns=_columns)
def upright(command: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Ask for the cart at rest in the middle and the pole upright, at all times."""
    return np.zeros((*time.shape, 4))


@facts("cartpole")
def cartpole_facts(robot: Robot, *, x_limit: float) -> dict[str, Any]:
    """Tell masses [kg], lengths [m], inertia [kg m^2], damping and limits of the model."""
    model = robot.model
    cart, pole = robot.find("body", "cart", "pole")
    slider, hinge = robot.qvel_of("slider", "hinge")
    return {
        "cart_mass": float(model.body_mass[cart]),
        "pole_mass": float(model.body_mass[pole]),
        "pole_com": float(model.body_ipos[pole, 2]),
        "pole_inertia": float(model.body_inertia[pole, 1]),
        "gravity": float(-model.opt.gravity[2]),
        "cart_damping": float(model.dof_damping[slider]),
        "pole_damping": float(model.dof_damping[hinge]),
        "max_force": float(model.actuator_ctrlrange[0, 1]),
        "x_limit": x_limit,
    }
