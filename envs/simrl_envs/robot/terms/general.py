"""Terms that fit any robot: joints, a free base, actions, commands and limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from simrl.core.spec import Column
from simrl_envs.robot.robot import Robot
from simrl_envs.robot.rows import View
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.terms.registry import (
    measure,
    observation,
    reward,
    start,
    termination,
)
from simrl_envs.robot.turns import rotation, to_body

Names = tuple[str, ...]


def _position_columns(
    robot: Robot, *, joints: Names, limit: float = 0.0, unit: str = "rad"
) -> tuple[Column, ...]:
    model = robot.model
    columns = []
    for name, index in zip(joints, robot.find("joint", *joints), strict=True):
        low, high = (float(value) for value in model.jnt_range[index])
        if limit or not model.jnt_limited[index]:
            if not limit:
                raise ValueError(f"joint {name!r} has no range, so the argument 'limit' is needed")
            low, high = -limit, limit
        columns.append(Column(f"{name} position", low, high, unit))
    return tuple(columns)


def _velocity_columns(
    robot: Robot, *, joints: Names, limit: float, unit: str = "rad/s"
) -> tuple[Column, ...]:
    robot.find("joint", *joints)
    return tuple(Column(f"{name} velocity", -limit, limit, unit) for name in joints)


@observation("joint_positions", columns=_position_columns)
def joint_positions(
    view: View, *, joints: Names, limit: float = 0.0, unit: str = "rad"
) -> np.ndarray:
    """Show positions of hinges and slides, clipped to `limit` (default: the joint's range)."""
    return view.qpos[:, view.robot.qpos_of(*joints)]


@observation("joint_velocities", columns=_velocity_columns)
def joint_velocities(view: View, *, joints: Names, limit: float, unit: str = "rad/s") -> np.ndarray:
    """Show velocities of hinges and slides, clipped to plus or minus `limit`."""
    return view.qvel[:, view.robot.qvel_of(*joints)]


def _angle_columns(robot: Robot, *, joints: Names) -> tuple[Column, ...]:
    robot.find("joint", *joints)
    return tuple(Column(f"{part} of {name}") for part in ("sine", "cosine") for name in joints)


@observation("joint_angles", columns=_angle_columns)
def joint_angles(view: View, *, joints: Names) -> np.ndarray:
    """Show sine, then cosine of hinges that turn all the way round."""
    angle = view.qpos[:, view.robot.qpos_of(*joints)]
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def _action_columns(robot: Robot) -> tuple[Column, ...]:
    ranges = robot.model.actuator_ctrlrange
    return tuple(
        Column(f"action of {robot.model.actuator(i).name or i}", float(low), float(high))
        for i, (low, high) in enumerate(ranges)
    )


@observation("last_action", columns=_action_columns)
def last_action(view: View) -> np.ndarray:
    """Show the latest action, in its own units."""
    return view.action


def _base_columns(robot: Robot, *, limit: float) -> tuple[Column, ...]:
    return tuple(Column(axis, -limit, limit, "m") for axis in "xyz")


@observation("base_position", columns=_base_columns)
def base_position(view: View, *, limit: float) -> np.ndarray:
    """Show the position of the free joint in the world, clipped to plus or minus `limit`."""
    return view.qpos[:, :3]


def _rotation_columns(robot: Robot) -> tuple[Column, ...]:
    return tuple(Column(f"rotation {row}{column}") for row in "xyz" for column in "xyz")


@observation("base_rotation", columns=_rotation_columns)
def base_rotation(view: View) -> np.ndarray:
    """Show the free joint's rotation matrix (body to world) row by row."""
    return rotation(view.qpos[:, 3:7]).reshape(-1, 9)


def _linear_columns(robot: Robot, *, limit: float) -> tuple[Column, ...]:
    return tuple(Column(f"v{axis}", -limit, limit, "m/s") for axis in "xyz")


@observation("base_velocity", columns=_linear_columns)
def base_velocity(view: View, *, limit: float) -> np.ndarray:
    """Show the free joint's linear velocity in the world frame."""
    return view.qvel[:, :3]


@observation("base_velocity_body", columns=_linear_columns)
def base_velocity_body(view: View, *, limit: float) -> np.ndarray:
    """Show the free joint's linear velocity in its own frame."""
    return to_body(view.qpos[:, 3:7], view.qvel[:, :3])


def _angular_columns(robot: Robot, *, limit: float) -> tuple[Column, ...]:
    return tuple(Column(f"w{axis}", -limit, limit, "rad/s") for axis in "xyz")


@observation("base_angular_velocity", columns=_angular_columns)
def base_angular_velocity(view: View, *, limit: float) -> np.ndarray:
    """Show the free joint's angular velocity in its own frame."""
    return view.qvel[:, 3:6]


def _gravity_columns(robot: Robot) -> tuple[Column, ...]:
    return tuple(Column(f"down {axis}") for axis in "xyz")


@observation("projected_gravity", columns=_gravity_columns)
def projected_gravity(view: View) -> np.ndarray:
    """Show the direction of gravity in the frame of the free joint's body."""
    return -rotation(view.qpos[:, 3:7])[:, 2, :]


def _sensor_columns(robot: Robot, *, limit: float, unit: str = "") -> tuple[Column, ...]:
    count = robot.model.nsensordata
    return tuple(Column(f"sensor {index}", -limit, limit, unit) for index in range(count))


@observation("sensors", needs=("sensordata",), columns=_sensor_columns)
def sensors(view: View, *, limit: float, unit: str = "") -> np.ndarray:
    """Show all sensors of the model, clipped to plus or minus `limit`."""
    return view.field("sensordata")


@reward("effort")
def effort(view: View) -> np.ndarray:
    """Return the mean square of the action over its range, 0 (centre) to 1 (at a limit)."""
    ranges = view.robot.model.actuator_ctrlrange
    middle, half = ranges.mean(axis=1), 0.5 * (ranges[:, 1] - ranges[:, 0])
    return (((view.action - middle) / half) ** 2).sum(axis=1) / len(half)


@reward("action_rate")
def action_rate(view: View) -> np.ndarray:
    """Return the mean square change of the action over its range."""
    ranges = view.robot.model.actuator_ctrlrange
    change = (view.action - view.last_action) / (ranges[:, 1] - ranges[:, 0])
    return (change**2).sum(axis=1) / change.shape[1]


@reward("alive")
def alive(view: View) -> np.ndarray:
    """Return 1 in every step."""
    return np.ones(view.num_rows)


@termination("joint_beyond")
def joint_beyond(view: View, *, joint: str, limit: float) -> np.ndarray:
    """End where a joint is beyond plus or minus `limit`."""
    return np.abs(view.qpos[:, view.robot.qpos_of(joint)[0]]) > limit


@measure("action_saturation")
def action_saturation(view: View) -> np.ndarray:
    """Measure the share of actions at a limit."""
    ranges = view.robot.model.actuator_ctrlrange
    at = (view.action <= ranges[:, 0]) | (view.action >= ranges[:, 1])
    return at.sum(axis=1) / at.shape[1]


@start("around")
def around(view: View, draw: Draw, *, position: float = 0.0, velocity: float = 0.0) -> None:
    """Start at the model's reference pose with uniform noise; quaternions keep length 1."""
    view.qpos[:] += draw.between("position", -position, position, view.qpos.shape[1])
    view.qvel[:] += draw.between("velocity", -velocity, velocity, view.qvel.shape[1])
    normalise_quaternions(view)


def normalise_quaternions(view: View) -> None:
    """Give the quaternions of free and ball joints length 1."""
    model = view.robot.model
    for kind, offset in ((0, 3), (1, 0)):
        for first in model.jnt_qposadr[model.jnt_type == kind]:
            part = view.qpos[:, first + offset : first + offset + 4]
            part /= np.sqrt((part * part).sum(axis=1, keepdims=True))


def wrapped(angle: Any) -> Any:
    """Return angles [rad] as between -pi and pi."""
    return np.arctan2(np.sin(angle), np.cos(angle))
