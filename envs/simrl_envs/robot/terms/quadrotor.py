"""Terms of the quadrotor: following a path given by the command, or hovering at it.

Paths are functions of the command and the time, so `spec.reference` and the rewards agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simrl.core.spec import Column
from simrl_envs.robot.robot import Robot
from simrl_envs.robot.rows import View
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.terms.general import wrapped
from simrl_envs.robot.terms.registry import (
    facts,
    measure,
    observation,
    reference,
    reward,
    start,
    termination,
)
from simrl_envs.robot.turns import euler, rotation, to_body


def hover_path(command: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return x y z vx vy vz yaw `[M, H, 7]` at rest at the command (x, y, z, yaw) `[M, 4]`."""
    out = np.zeros((*time.shape, 7))
    out[:, :, :3] = command[:, None, :3]
    out[:, :, 6] = command[:, None, 3]
    return out


def figure_eight_path(command: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return x y z vx vy vz yaw `[M, H, 7]` of a lemniscate of Gerono at times `[M, H]`.

    command: length, width and height [m], period [s] and phase [rad], `[M, 5]`.  With
    s = 2 pi t / period + phase: x = length sin s, y = width sin s cos s, z = height, yaw 0.
    """
    length, width, height, period, phase = (command[:, i, None] for i in range(5))
    rate = 2.0 * np.pi / period
    angle = rate * time + phase
    sine, cosine = np.sin(angle), np.cos(angle)
    out = np.zeros((*time.shape, 7))
    out[:, :, 0] = length * sine
    out[:, :, 1] = width * sine * cosine
    out[:, :, 2] = height
    out[:, :, 3] = length * rate * cosine
    out[:, :, 4] = width * rate * (cosine * cosine - sine * sine)
    return out


PATHS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "hover": hover_path,
    "figure-8": figure_eight_path,
}


def _path(name: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    if name not in PATHS:
        raise ValueError(f"unknown path {name!r}; the paths are {', '.join(PATHS)}")
    return PATHS[name]


def _target(view: View, path: str, ahead: tuple[float, ...] = (0.0,)) -> np.ndarray:
    return _path(path)(view.command, view.time[:, None] + np.array(ahead))


def _columns(robot: Robot, *, path: str) -> tuple[Column, ...]:
    _path(path)
    place = tuple(Column(axis, -5.0, 5.0, "m") for axis in "xyz")
    speed = tuple(Column(f"v{axis}", -10.0, 10.0, "m/s") for axis in "xyz")
    return (*place, *speed, Column("yaw", -np.pi, np.pi, "rad"))


@reference("quadrotor_path", columns=_columns)
def quadrotor_path(command: np.ndarray, time: np.ndarray, *, path: str) -> np.ndarray:
    """Ask for the position, velocity and yaw of a path."""
    return _path(path)(command, time)


@start("quadrotor")
def begin(
    view: View,
    draw: Draw,
    *,
    path: str,
    low: tuple[float, ...],
    high: tuple[float, ...],
    place: float,
    tilt: float,
    speed: float,
    turn: float,
) -> None:
    """Draw the command between `low` and `high`; start near where its path begins.

    Position is off by up to `place` [m] on each axis, the body turned by up to `tilt` [rad] about
    each of two axes and by up to `turn` about the vertical, velocity off by up to `speed` [m/s].
    """
    view.command[:] = draw.between("command", np.array(low), np.array(high), len(low))
    target = _path(path)(view.command, np.zeros((view.num_rows, 1)))[:, 0]
    unit = draw.between("start", -1.0, 1.0, 12)
    view.qpos[:, :3] = target[:, :3] + place * unit[:, :3]
    half = 0.5 * np.concatenate([tilt * unit[:, 3:5], turn * unit[:, 5:6]], axis=1)
    view.qpos[:, 3] = 1.0
    view.qpos[:, 4:7] = half
    norm = np.sqrt((view.qpos[:, 3:7] ** 2).sum(axis=1, keepdims=True))
    view.qpos[:, 3:7] /= norm
    view.qvel[:, :3] = target[:, 3:6] + speed * unit[:, 6:9]
    view.qvel[:, 3:6] = speed * unit[:, 9:12]


def _error_columns(robot: Robot, *, path: str, ahead: tuple[float, ...]) -> tuple[Column, ...]:
    _path(path)
    return tuple(Column(f"d{axis} in {t:g} s", -3.0, 3.0, "m") for t in ahead for axis in "xyz")


@observation("path_ahead", columns=_error_columns)
def path_ahead(view: View, *, path: str, ahead: tuple[float, ...]) -> np.ndarray:
    """Show where the path will be, relative to the body and in the body frame."""
    place = _target(view, path, ahead)[:, :, :3] - view.qpos[:, None, :3]
    turn = rotation(view.qpos[:, 3:7])
    out = (turn[:, None] * place[:, :, :, None]).sum(axis=2)
    return out.reshape(view.num_rows, -1)


def _velocity_columns(robot: Robot, *, path: str) -> tuple[Column, ...]:
    _path(path)
    return tuple(Column(f"dv{axis}", -10.0, 10.0, "m/s") for axis in "xyz")


@observation("path_velocity", columns=_velocity_columns)
def path_velocity(view: View, *, path: str) -> np.ndarray:
    """Show the path's velocity less the body's, in the body frame."""
    lag = _target(view, path)[:, 0, 3:6] - view.qvel[:, :3]
    return to_body(view.qpos[:, 3:7], lag)


def _heading_columns(robot: Robot, *, path: str) -> tuple[Column, ...]:
    _path(path)
    return (Column("heading error", -np.pi, np.pi, "rad"),)


@observation("heading_error", columns=_heading_columns)
def heading_error(view: View, *, path: str) -> np.ndarray:
    """Show the path's yaw less the body's [rad]."""
    yaw = euler(view.qpos[:, 3:7])[2]
    return np.asarray(wrapped(_target(view, path)[:, 0, 6] - yaw))[:, None]


@measure("position_error")
@reward("position_error")
def position_error(view: View, *, path: str) -> np.ndarray:
    """Return the distance from the path's point [m]."""
    error = view.qpos[:, :3] - _target(view, path)[:, 0, :3]
    return np.sqrt((error * error).sum(axis=1))


@reward("near_path")
def near_path(view: View, *, path: str, width: float) -> np.ndarray:
    """Return exp(-(distance / width)^2), 1 on the path."""
    return np.exp(-((position_error(view, path=path) / width) ** 2))


@reward("velocity_error")
def velocity_error(view: View, *, path: str, most: float) -> np.ndarray:
    """Return the squared velocity error [m^2/s^2], at most `most`."""
    error = view.qvel[:, :3] - _target(view, path)[:, 0, 3:6]
    return np.minimum((error * error).sum(axis=1), most)


@reward("yaw_error")
def yaw_error(view: View, *, path: str) -> np.ndarray:
    """Return the squared heading error [rad^2]."""
    return heading_error(view, path=path)[:, 0] ** 2


@reward("base_spin")
def base_spin(view: View, *, most: float) -> np.ndarray:
    """Return the squared angular velocity [rad^2/s^2], at most `most`."""
    return np.minimum((view.qvel[:, 3:6] ** 2).sum(axis=1), most)


@reward("thrust_change")
def thrust_change(view: View) -> np.ndarray:
    """Return the mean square deviation of the thrusts from hovering, over the largest thrust."""
    model = view.robot.model
    hover = -model.opt.gravity[2] * model.body_mass[1:].sum() / model.nu
    change = (view.action - hover) / model.actuator_ctrlrange[:, 1]
    return (change**2).sum(axis=1) / change.shape[1]


@termination("quadrotor_crash")
def crash(view: View, *, path: str, away: float, floor: float) -> np.ndarray:
    """End at the ground, `away` [m] from the path, or upside down."""
    x, y = view.qpos[:, 4], view.qpos[:, 5]
    upside_down = 1.0 - 2.0 * (x * x + y * y) < 0.0
    return upside_down | (view.qpos[:, 2] < floor) | (position_error(view, path=path) > away)


@facts("quadrotor")
def quadrotor_facts(robot: Robot) -> dict[str, Any]:
    """Tell mass [kg], inertia [kg m^2], rotor places [m] and drag torque per thrust [m].

    "rotor_spin" is the sign of the torque about the body's z axis that a rotor's thrust brings.
    """
    model = robot.model
    body = int(robot.find("body", "quadrotor")[0])
    sites = model.actuator_trnid[:, 0]
    yaw = model.actuator_gear[:, 5]
    return {
        "mass": float(model.body_mass[body]),
        "inertia": tuple(float(value) for value in model.body_inertia[body]),
        "gravity": float(-model.opt.gravity[2]),
        "rotors": tuple(tuple(float(value) for value in model.site_pos[site]) for site in sites),
        "rotor_spin": tuple(float(np.sign(value)) for value in yaw),
        "moment_constant": float(np.abs(yaw[0])),
        "max_thrust": float(model.actuator_ctrlrange[0, 1]),
        "floor": 0.1,
    }
