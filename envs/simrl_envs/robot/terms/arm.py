"""Terms of arms: reach a pose, or follow one that moves.

A command is nine to thirteen numbers, so that both tasks share the terms: `reach` holds the pose
itself, `figure` the parameters of a figure of eight.  `target` turns either into the pose asked for
at a time.
"""

from __future__ import annotations

import numpy as np

from simrl.core.spec import Column
from simrl_envs.robot.kinematics import about, angle_between, product, rotated, site_poses
from simrl_envs.robot.models import RobotModel
from simrl_envs.robot.robot import Robot
from simrl_envs.robot.rows import View
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.terms.registry import (
    measure,
    observation,
    reference,
    reward,
    start,
)

CANDIDATES = 8
"""Poses that are drawn for one to be fit to be reached."""
TWIST = 0.4
"""How far the figure turns the end effector about its own axis [rad]."""
Z = np.array([0.0, 0.0, 1.0])


@start("reach")
def reach(
    view: View,
    draw: Draw,
    *,
    built: RobotModel,
    joint_noise: float,
    target_noise: float,
    lowest: float,
) -> None:
    """Start near the nominal pose and ask for the pose of other joint angles, which is reachable.

    joint_noise, target_noise: how far they are from the nominal pose [rad].  lowest: least height
    of the target [m].
    """
    _begin(view, draw, built, joint_noise)
    count, rows = len(built.qpos), view.num_rows
    spread = draw.between("target", -target_noise, target_noise, CANDIDATES * count)
    angles = built.pose + spread.reshape(rows * CANDIDATES, count)
    # Off the limits, where a controller has no room, by a tenth of the range.
    low, high = built.joint_range[:, 0], built.joint_range[:, 1]
    margin = 0.1 * np.minimum(high - low, 2.0 * np.pi)
    angles = np.clip(angles, low + margin, high - margin)
    qpos = np.tile(built.home, (rows * CANDIDATES, 1))
    qpos[:, built.qpos] = angles
    model = view.robot.model
    place, turn = site_poses(model, built.parts.end_effector, qpos)
    poses = np.concatenate([place, turn], axis=1).reshape(rows, CANDIDATES, 7)
    high_enough = poses[:, :, 2] >= lowest
    chosen = np.argmax(high_enough, axis=1)
    home = np.concatenate(
        site_poses(view.robot.model, built.parts.end_effector, built.home[None]), 1
    )
    found = np.asarray(high_enough.any(axis=1))
    picked = poses[np.arange(rows), chosen]
    view.command[:] = np.where(found[:, None], picked, home)


@start("figure")
def figure(
    view: View,
    draw: Draw,
    *,
    built: RobotModel,
    joint_noise: float,
    shift: tuple[float, ...],
    size: tuple[float, float],
    period: tuple[float, float],
) -> None:
    """Start near the nominal pose and ask for a figure of eight around the end effector.

    shift: how far the figure's middle may be from the nominal place [m].  size: its half width
    [m].  period: seconds for one round.
    """
    _begin(view, draw, built, joint_noise)
    model, site = view.robot.model, built.parts.end_effector
    place, turn = site_poses(model, site, built.home[None])
    away = np.asarray(shift)
    command = view.command
    command[:, 0:3] = place + draw.between("middle", -away, away, 3)
    command[:, 3:7] = turn
    command[:, 7] = draw.between("size", *size, 1)[:, 0]
    command[:, 8] = draw.between("plane", 0.0, np.pi, 1)[:, 0]
    command[:, 9] = 2.0 * np.pi / draw.between("period", *period, 1)[:, 0]
    command[:, 10] = draw.between("phase", 0.0, 2.0 * np.pi, 1)[:, 0]


def _begin(view: View, draw: Draw, built: RobotModel, joint_noise: float) -> None:
    count = len(built.qpos)
    angles = built.pose + draw.between("joints", -joint_noise, joint_noise, count)
    view.qpos[:] = built.home
    view.qpos[:, built.qpos] = np.clip(angles, built.joint_range[:, 0], built.joint_range[:, 1])
    view.action[:] = built.model.actuator_ctrlrange.mean(axis=1)


def target(command: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return place [m], quaternion wxyz and velocity [m/s] `[M, H, 10]` at `time` `[M, H]` [s].

    command: `[M, 7]` a pose, or `[M, 11]` a figure of eight: middle, quaternion, half width [m],
    direction of its width in the horizontal plane [rad], angular frequency [rad/s], phase [rad].
    """
    out = np.zeros((*time.shape, 10))
    out[..., :7] = command[:, None, :7]
    if command.shape[1] == 7:
        return out
    size, plane, rate, phase = (command[:, index, None] for index in range(7, 11))
    angle = rate * time + phase
    width, height = size * np.sin(angle), 0.5 * size * np.sin(2.0 * angle)
    out[..., 0] += width * np.cos(plane)
    out[..., 1] += width * np.sin(plane)
    out[..., 2] += height
    out[..., 3:7] = product(out[..., 3:7], about(Z, TWIST * np.sin(angle)))
    out[..., 7] = size * rate * np.cos(angle) * np.cos(plane)
    out[..., 8] = size * rate * np.cos(angle) * np.sin(plane)
    out[..., 9] = size * rate * np.cos(2.0 * angle)
    return out


def _target_columns(robot: Robot) -> tuple[Column, ...]:
    places = tuple(Column(axis, -2.0, 2.0, "m") for axis in "xyz")
    turns = tuple(Column(f"q{part}", -1.0, 1.0) for part in "wxyz")
    return (*places, *turns, *(Column(f"v{axis}", -3.0, 3.0, "m/s") for axis in "xyz"))


@reference("pose", columns=_target_columns)
def pose(command: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Ask the end effector for a place, an orientation and a velocity in the world."""
    return target(command, time)


@observation("target_pose", columns=_target_columns)
def target_pose(view: View) -> np.ndarray:
    """Show the pose and velocity asked for now."""
    return _asked(view)


def _effector_columns(robot: Robot) -> tuple[Column, ...]:
    places = tuple(Column(axis, -2.0, 2.0, "m") for axis in "xyz")
    return (*places, *(Column(f"q{part}", -1.0, 1.0) for part in "wxyz"))


@observation("effector_pose", needs=("sensordata",), columns=_effector_columns)
def effector_pose(view: View) -> np.ndarray:
    """Show the end effector's place [m] and quaternion wxyz in the world."""
    return np.concatenate(_pose(view), axis=1)


def _error_columns(robot: Robot) -> tuple[Column, ...]:
    places = tuple(Column(f"error {axis}", -1.0, 1.0, "m") for axis in "xyz")
    return (*places, *(Column(f"turn {axis}", -1.0, 1.0) for axis in "xyz"))


@observation("pose_error", needs=("sensordata",), columns=_error_columns)
def pose_error(view: View) -> np.ndarray:
    """Show what lies between the end effector and its target, in the effector's frame.

    The turn is the vector part of the quaternion from one to the other.
    """
    place, turn = _pose(view)
    wanted = _asked(view)
    back = turn * np.array([1.0, -1.0, -1.0, -1.0])
    between = product(back, wanted[:, 3:7])
    between *= np.where(between[:, :1] < 0.0, -1.0, 1.0)
    return np.concatenate([rotated(back, wanted[:, :3] - place), between[:, 1:]], axis=1)


@measure("place_error", needs=("sensordata",))
def place_error(view: View) -> np.ndarray:
    """Measure the distance of the end effector from its target [m]."""
    offset = _pose(view)[0] - _asked(view)[:, :3]
    return np.sqrt((offset * offset).sum(axis=1))


@measure("turn_error", needs=("sensordata",))
def turn_error(view: View) -> np.ndarray:
    """Measure the angle between the end effector and its target [rad]."""
    return angle_between(_pose(view)[1], _asked(view)[:, 3:7])


@reward("near_place", needs=("sensordata",))
def near_place(view: View, *, sigma: float) -> np.ndarray:
    """Return exp(-(e / sigma)^2) of the place's error e [m]."""
    return np.exp(-((place_error(view) / sigma) ** 2))


@reward("far_place", needs=("sensordata",))
def far_place(view: View) -> np.ndarray:
    """Return the place's error [m]."""
    return place_error(view)


@reward("near_turn", needs=("sensordata",))
def near_turn(view: View, *, sigma: float) -> np.ndarray:
    """Return exp(-(e / sigma)^2) of the orientation's error e [rad]."""
    return np.exp(-((turn_error(view) / sigma) ** 2))


@reward("joint_speed")
def joint_speed(view: View) -> np.ndarray:
    """Return the mean square of the joints' velocities [rad2/s2]."""
    return (view.qvel * view.qvel).sum(axis=1) / view.qvel.shape[1]


def _pose(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return the end effector's place `[M, 3]` and quaternion wxyz `[M, 4]` by its sensors."""
    robot, data = view.robot, view.field("sensordata")
    place, turn = robot.model.sensor_adr[
        robot.find("sensor", "end_effector_pos", "end_effector_quat")
    ]
    return data[:, place : place + 3], data[:, turn : turn + 4]


def _asked(view: View) -> np.ndarray:
    return target(view.command, view.time[:, None])[:, 0]
