"""Terms of legged robots: commanded velocity, feet, gait, falls and rough ground.

The rewards are the usual ones of the field (Rudin et al. 2022, "Learning to Walk in Minutes Using
Massively Parallel Deep Reinforcement Learning"), with torques and forces as shares of the robot's
own limits and weight, so that one set of weights serves robots of 12 and of 120 kg.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from simrl.core.spec import Column
from simrl_envs.robot.models import RobotModel
from simrl_envs.robot.robot import Robot
from simrl_envs.robot.rows import View
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.terms.ground import ground_height
from simrl_envs.robot.terms.levels import add_way, command_share
from simrl_envs.robot.terms.machine import joint_offsets
from simrl_envs.robot.terms.registry import (
    measure,
    observation,
    reference,
    reward,
    start,
    termination,
    update,
)
from simrl_envs.robot.terrain import HALF_WIDTH, patch_middle
from simrl_envs.robot.turns import euler, in_heading, lengths, to_body

Names = tuple[str, ...]
TOUCH = 1.0
"""Contact force from which on something counts as touching [N]."""
MOVING = 0.1
"""Commanded speed below which the robot shall stand [m/s, rad/s]."""
SPREAD = 0.6 * HALF_WIDTH
"""How far from the middle of uneven ground episodes start at most, along x and y [m]."""


def read_sensors(view: View, *names: str) -> np.ndarray:
    """Return sensors of three numbers each, `[M, len(names), 3]`; the term needs "sensordata"."""
    return view.field("sensordata")[:, view.robot.triples_of(*names)]


def foot_forces(view: View, feet: Names) -> np.ndarray:
    """Return the size of the contact force of each foot [N] `[M, feet]`."""
    force = read_sensors(view, *_force_sensors(feet))
    return lengths(force.reshape(-1, 3)).reshape(force.shape[:2])


# Starts and commands


@start("standing")
def standing(
    view: View,
    draw: Draw,
    *,
    built: RobotModel,
    joint_noise: float = 0.1,
    speed_noise: float = 0.1,
    spread: float = SPREAD,
    command_x: tuple[float, float] = (0.0, 0.0),
    command_y: tuple[float, float] = (0.0, 0.0),
    command_yaw: tuple[float, float] = (0.0, 0.0),
    still: float = 0.0,
    levels: int = 0,
    first_commands: float = 1.0,
) -> None:
    """Stand near the nominal pose, facing anywhere, with a command.

    On uneven ground it is `spread` [m] along x and y from the middle at most, that of the robot's
    own patch where there are `levels`; commands grow by level from `first_commands` of their
    ranges on the first.  Noise is uniform: `joint_noise` [rad], `speed_noise` [m/s, rad/s].
    """
    count = len(built.qpos)
    view.qpos[:] = built.home
    view.qpos[:, built.qpos] += draw.between("joints", -joint_noise, joint_noise, count)
    view.qvel[:] = draw.between("speeds", -speed_noise, speed_noise, view.qvel.shape[1])
    _place(view, draw, built, spread, levels)
    half = np.pi * draw.uniform("yaw", 1)[:, 0]
    view.qpos[:, 3], view.qpos[:, 4:6], view.qpos[:, 6] = np.cos(half), 0.0, np.sin(half)
    view.action[:] = built.model.actuator_ctrlrange.mean(axis=1)
    share = command_share(view, levels, first_commands)
    _command(view, draw, (command_x, command_y, command_yaw), still, share)


@start("fallen")
def fallen(
    view: View,
    draw: Draw,
    *,
    built: RobotModel,
    joint_noise: float = 0.8,
    spread: float = SPREAD,
) -> None:
    """Fall from a little above the ground, turned any way, the joints anywhere near the pose.

    On uneven ground it is `spread` [m] along x and y from the middle at most.
    """
    count = len(built.qpos)
    view.qpos[:] = built.home
    angles = built.pose + draw.between("joints", -joint_noise, joint_noise, count)
    ranges = built.joint_range
    view.qpos[:, built.qpos] = np.clip(angles, ranges[:, 0], ranges[:, 1])
    _place(view, draw, built, spread)
    view.qpos[:, 2] += built.height
    quaternion = draw.normal("turn", 4)
    view.qpos[:, 3:7] = quaternion / np.maximum(lengths(quaternion), 1e-9)[:, None]
    view.action[:] = built.model.actuator_ctrlrange.mean(axis=1)


@update("walking")
def walking(
    view: View,
    draw: Draw,
    *,
    feet: Names,
    step_seconds: float,
    resample: float = 0.0,
    command_x: tuple[float, float] = (0.0, 0.0),
    command_y: tuple[float, float] = (0.0, 0.0),
    command_yaw: tuple[float, float] = (0.0, 0.0),
    still: float = 0.0,
    levels: int = 0,
    first_commands: float = 1.0,
) -> None:
    """Count each foot's time in the air, and draw a new command every `resample` seconds.

    With `levels` the robot's way is counted, too; commands grow as those of `standing` do.
    """
    in_air = foot_forces(view, feet) < TOUCH
    air = view.memory["air_time"]
    air[:] = np.where(in_air, air + step_seconds, 0.0)
    if levels:
        add_way(view, step_seconds)
    if resample > 0:
        every = max(1, round(resample / step_seconds))
        due = view.steps % every == 0
        if due.any():
            before = view.command.copy()
            share = command_share(view, levels, first_commands)
            _command(view, draw, (command_x, command_y, command_yaw), still, share)
            view.command[:] = np.where(due[:, None], view.command, before)


def _command(
    view: View,
    draw: Draw,
    ranges: tuple[tuple[float, float], ...],
    still: float,
    share: np.ndarray | float,
) -> None:
    """Draw vx [m/s], vy [m/s] and yaw rate [rad/s] from `share` of `ranges`; some are zero."""
    low, high = (np.array(side) for side in zip(*ranges, strict=True))
    command = share * draw.between("command", low, high, 3)
    stand = draw.uniform("still", 1) < still
    view.command[:] = np.where(stand, 0.0, command)


def _place(view: View, draw: Draw, built: RobotModel, spread: float, levels: int = 0) -> None:
    """Choose a place on uneven ground and stand above the highest point under the robot."""
    if not view.robot.model.nhfield:
        return
    place = draw.between("place", -spread, spread, 2)
    if levels:
        place[:, 0] += patch_middle(view.memory["level"][:, 0], levels)
    reach = np.linspace(-1.2, 1.2, 7) * built.height
    x = place[:, 0, None] + np.repeat(reach, 7)
    y = place[:, 1, None] + np.tile(reach, 7)
    view.qpos[:, :2] = place
    view.qpos[:, 2] += ground_height(view.robot, x, y).max(axis=1)


def _columns(robot: Robot) -> tuple[Column, ...]:
    return (
        Column("vx", -3.0, 3.0, "m/s"),
        Column("vy", -3.0, 3.0, "m/s"),
        Column("yaw_rate", -4.0, 4.0, "rad/s"),
    )


@reference("velocity_command", columns=_columns)
def velocity_command(command: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Ask for the present command at all times."""
    return np.repeat(command[:, None, :], time.shape[1], axis=1)


# Observations


@observation("velocity_command", columns=_columns)
def show_command(view: View) -> np.ndarray:
    """Show the commanded vx, vy [m/s] in the body's frame and yaw rate [rad/s]."""
    return view.command


def _force_columns(robot: Robot, *, built: RobotModel) -> tuple[Column, ...]:
    feet = built.parts.feet
    return tuple(Column(f"{foot} force", 0.0, 5.0, "weights") for foot in feet)


@observation("foot_forces", needs=("sensordata",), columns=_force_columns)
def show_forces(view: View, *, built: RobotModel) -> np.ndarray:
    """Show the contact force of each foot, 1 being the robot's weight."""
    return foot_forces(view, built.parts.feet) / (9.81 * built.mass)


def _clearance_columns(robot: Robot, *, built: RobotModel) -> tuple[Column, ...]:
    return tuple(Column(f"{foot} clearance", -1.0, 2.0, "m") for foot in built.parts.feet)


@observation("foot_clearances", needs=("sensordata",), columns=_clearance_columns)
def foot_clearances(view: View, *, built: RobotModel) -> np.ndarray:
    """Show the height of each foot's centre above the ground."""
    place = read_sensors(view, *(f"{foot}_pos" for foot in built.parts.feet))
    return place[:, :, 2] - ground_height(view.robot, place[:, :, 0], place[:, :, 1])


def _scan_columns(robot: Robot, *, rows: int, columns: int, spacing: float) -> tuple[Column, ...]:
    return tuple(
        Column(f"ground {row},{column}", -2.0, 2.0, "m")
        for row in range(rows)
        for column in range(columns)
    )


@observation("height_scan", columns=_scan_columns)
def height_scan(view: View, *, rows: int, columns: int, spacing: float) -> np.ndarray:
    """Show how far the ground lies below the base, on a grid that turns with the robot."""
    yaw = euler(view.qpos[:, 3:7])[2][:, None]
    along = (np.arange(rows) - (rows - 1) / 2) * spacing
    across = (np.arange(columns) - (columns - 1) / 2) * spacing
    dx, dy = np.repeat(along, columns), np.tile(across, rows)
    x = view.qpos[:, 0, None] + np.cos(yaw) * dx - np.sin(yaw) * dy
    y = view.qpos[:, 1, None] + np.sin(yaw) * dx + np.cos(yaw) * dy
    return view.qpos[:, 2, None] - ground_height(view.robot, x, y)


# Rewards


@reward("track_velocity")
def track_velocity(view: View, *, sigma: float = 0.25) -> np.ndarray:
    """Return exp(-e^2 / sigma) of the horizontal velocity's error e [m/s]."""
    return np.exp(-(velocity_error(view) ** 2) / sigma)


@reward("track_yaw_rate")
def track_yaw_rate(view: View, *, sigma: float = 0.25) -> np.ndarray:
    """Return exp(-e^2 / sigma) of the yaw rate's error e [rad/s]."""
    return np.exp(-(yaw_rate_error(view) ** 2) / sigma)


@reward("vertical_velocity")
def vertical_velocity(view: View) -> np.ndarray:
    """Return the squared vertical velocity in the body's frame [m2/s2]."""
    return to_body(view.qpos[:, 3:7], view.qvel[:, :3])[:, 2] ** 2


@reward("rolling")
def rolling(view: View) -> np.ndarray:
    """Return the squared roll and pitch rates [rad2/s2]."""
    return view.qvel[:, 3] ** 2 + view.qvel[:, 4] ** 2


@reward("tilt")
def tilt(view: View) -> np.ndarray:
    """Return the squared sine of the angle between the body's and the world's vertical."""
    return 1.0 - up(view) ** 2


@reward("upright")
def upright(view: View) -> np.ndarray:
    """Return 1 where the body is upright, 0 where it is upside down."""
    return 0.5 * (1.0 + up(view))


@reward("base_height")
def base_height(view: View, *, built: RobotModel, sigma: float = 0.3) -> np.ndarray:
    """Return exp(-(e / sigma)^2) of the height's error e, as a share of the nominal height."""
    return np.exp(-(((height_share(view, built=built) - 1.0) / sigma) ** 2))


@reward("nominal_pose")
def nominal_pose(view: View, *, built: RobotModel, sigma: float = 0.5) -> np.ndarray:
    """Return exp(-mean square of the joints' offsets / sigma^2), while upright."""
    offset = joint_offsets(view, built=built)
    square = (offset * offset).sum(axis=1) / offset.shape[1]
    return np.exp(-square / sigma**2) * np.maximum(up(view), 0.0)


@reward("joint_acceleration")
def joint_acceleration(view: View, *, built: RobotModel, step_seconds: float) -> np.ndarray:
    """Return the sum of squared joint accelerations [rad2/s4]."""
    change = (view.qvel - view.last_qvel)[:, built.qvel] / step_seconds
    return (change * change).sum(axis=1)


@reward("air_time", needs=("sensordata",))
def air_time(view: View, *, feet: Names, step_seconds: float, least: float) -> np.ndarray:
    """Pay a foot that lands for the seconds in the air beyond `least`, while told to move."""
    landed = foot_forces(view, feet) >= TOUCH
    air = view.memory["air_time"]
    gain = np.where(landed & (air > 0.0), air + step_seconds - least, 0.0).sum(axis=1)
    return gain * (lengths(view.command) > MOVING)


@reward("touching", needs=("sensordata",))
def touching(view: View, *, built: RobotModel) -> np.ndarray:
    """Return how many of base and thighs touch something."""
    force = read_sensors(view, *_force_sensors(("base", *built.thighs)))
    touching = lengths(force.reshape(-1, 3)).reshape(force.shape[:2]) > TOUCH
    return touching.sum(axis=1).astype(np.float64)


@reward("stand_still")
def stand_still(view: View, *, built: RobotModel) -> np.ndarray:
    """Return the sum of the joints' offsets [rad] where the command is to stand."""
    offset = np.abs(view.qpos[:, built.qpos] - built.pose).sum(axis=1)
    return offset * (lengths(view.command) < MOVING)


# Ends and figures


@termination("fell", needs=("sensordata",))
def fell(view: View, *, tilt: float = 1.2) -> np.ndarray:
    """End where the base touches the ground, or leans by more than `tilt` [rad]."""
    touched = lengths(read_sensors(view, "base_force")[:, 0]) > TOUCH
    return touched | (up(view) < np.cos(tilt))


@measure("velocity_error")
def velocity_error(view: View) -> np.ndarray:
    """Measure the error of the horizontal velocity, in the frame of the robot's heading [m/s]."""
    velocity = in_heading(view.qpos[:, 3:7], view.qvel[:, :3])
    return lengths(velocity - view.command[:, :2])


@measure("yaw_rate_error")
def yaw_rate_error(view: View) -> np.ndarray:
    """Measure the error of the body's yaw rate, at least 0 [rad/s]."""
    return np.abs(view.qvel[:, 5] - view.command[:, 2])


@measure("speed")
def speed(view: View) -> np.ndarray:
    """Measure the horizontal speed [m/s]."""
    return np.hypot(view.qvel[:, 0], view.qvel[:, 1])


@measure("height_share")
def height_share(view: View, *, built: RobotModel) -> np.ndarray:
    """Measure the base's height above the ground, 1 in the nominal pose."""
    ground = ground_height(view.robot, view.qpos[:, :1], view.qpos[:, 1:2])[:, 0]
    return (view.qpos[:, 2] - ground) / built.height


@measure("on_its_feet")
def on_its_feet(
    view: View, *, built: RobotModel, tilt: float = 0.4, height: float = 0.75
) -> np.ndarray:
    """Measure 1 where the robot leans less than `tilt` [rad] and stands at `height` or above."""
    tall = height_share(view, built=built) >= height
    return (tall & (up(view) > np.cos(tilt))).astype(np.float64)


def up(view: View) -> np.ndarray:
    """Return the cosine of the angle between the body's z axis and the world's `[M]`."""
    x, y = view.qpos[:, 4], view.qpos[:, 5]
    return 1.0 - 2.0 * (x * x + y * y)


@cache
def _force_sensors(parts: Names) -> Names:
    return tuple(f"{part}_force" for part in parts)
