"""Terms of the mobile manipulator, whatever its task: base, arm, hand, obstacles, collisions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from simrl.core.spec import Column
from simrl_envs.robot.amr_facts import amr_facts
from simrl_envs.robot.amr_model import ARM, FINGERS, JOINT_SPEED, AmrModel
from simrl_envs.robot.amr_room import Room
from simrl_envs.robot.robot import Robot
from simrl_envs.robot.rows import View
from simrl_envs.robot.terms.registry import facts, measure, observation, reward

SIDES = ("left", "right")
WIDTH, TALL = 7.0, 2.0
"""Bounds of distances in the room, and of heights [m]."""


@lru_cache(maxsize=256)
def sensor_slice(robot: Robot, name: str) -> slice:
    """Return where a sensor's numbers stand in `sensordata`."""
    index = int(robot.find("sensor", name)[0])
    start = int(robot.model.sensor_adr[index])
    return slice(start, start + int(robot.model.sensor_dim[index]))


def sensor(view: View, name: str) -> np.ndarray:
    """Return a sensor's numbers `[M, dim]`."""
    return view.field("sensordata")[:, sensor_slice(view.robot, name)]


@lru_cache(maxsize=64)
def _counters(robot: Robot) -> tuple[np.ndarray, np.ndarray]:
    """Return where contacts that count, and those with the handle, stand in `sensordata`."""
    hits = [sensor_slice(robot, name).start for name in _hits(robot)]
    handle = "drawer" in robot.names("joint")
    grips = [sensor_slice(robot, f"grip_{side}").start for side in SIDES if handle]
    return np.array(hits, np.int64), np.array(grips, np.int64)


def place_columns(what: str) -> tuple[Column, ...]:
    """Describe a place or an offset in the base's frame: forward, left, up."""
    bounds = zip("xyz", (WIDTH, WIDTH, TALL), strict=True)
    return tuple(Column(f"{what} {axis}", -bound, bound, "m") for axis, bound in bounds)


def in_base(view: View, vector: np.ndarray) -> np.ndarray:
    """Turn world vectors `[M, 2 or 3]` into the base's frame; heights stay."""
    yaw = view.qpos[:, 2]
    cosine, sine = np.cos(yaw), np.sin(yaw)
    out = vector.copy()
    out[:, 0] = cosine * vector[:, 0] + sine * vector[:, 1]
    out[:, 1] = -sine * vector[:, 0] + cosine * vector[:, 1]
    return out


def seen_from_base(view: View, points: np.ndarray) -> np.ndarray:
    """Return places `[M, 2 or 3]` of the world as seen from the base; heights from the floor."""
    offset = points.copy()
    offset[:, :2] -= view.qpos[:, :2]
    return in_base(view, offset)


def length(vector: np.ndarray) -> np.ndarray:
    """Return the lengths of vectors `[M, n]`, `[M]`."""
    result: np.ndarray = np.sqrt((vector * vector).sum(axis=1))
    return result


def base_speed(view: View) -> np.ndarray:
    """Return the base's velocity in its own frame `[M, 3]` [m/s], [m/s], [rad/s]."""
    out = np.empty((view.num_rows, 3))
    out[:, :2] = in_base(view, view.qvel[:, :2])
    out[:, 2] = view.qvel[:, 2]
    return out


def collisions(view: View) -> np.ndarray:
    """Count contacts of the robot with the room, obstacles, the floor and itself `[M]`.

    Fingers on the object or on the handle of the drawer do not count.
    """
    hits, handle = _counters(view.robot)
    data = view.field("sensordata")
    total = data[:, hits].sum(axis=1)
    return np.asarray(total - data[:, handle].sum(axis=1))


def _hits(robot: Robot) -> list[str]:
    return [name for name in robot.names("sensor") if name.startswith("hit_")]


def grips(view: View) -> np.ndarray:
    """Tell which fingers touch the object or the handle: left, right `[M, 2]` 0 or 1."""
    both = [sensor(view, f"grip_{side}") for side in SIDES]
    return np.asarray(np.concatenate(both, axis=1) > 0).astype(np.float64)


def _base_columns(robot: Robot, *, built: AmrModel) -> tuple[Column, ...]:
    places = tuple(Column(axis, -3.2, 3.2, "m") for axis in "xy")
    turns = (Column("sine of yaw"), Column("cosine of yaw"))
    speeds = tuple(Column(f"v{axis}", -2.0, 2.0, "m/s") for axis in ("forward", "left"))
    return (*places, *turns, *speeds, Column("yaw rate", -4.0, 4.0, "rad/s"))


@observation("planar_base", columns=_base_columns)
def planar_base(view: View, *, built: AmrModel) -> np.ndarray:
    """Show the base's pose in the room, and its velocity in its own frame."""
    yaw = view.qpos[:, 2:3]
    return np.concatenate([view.qpos[:, :2], np.sin(yaw), np.cos(yaw), base_speed(view)], axis=1)


def _arm_columns(robot: Robot, *, built: AmrModel) -> tuple[Column, ...]:
    ranges = built.joint_range
    places = tuple(
        Column(name, float(low), float(high), "rad")
        for name, (low, high) in zip(ARM, ranges, strict=True)
    )
    speeds = tuple(Column(f"{name} velocity", -8.0, 8.0, "rad/s") for name in ARM)
    return (
        *places,
        *speeds,
        Column("opening", 0.0, 0.08, "m"),
        Column("opening velocity", -0.5, 0.5, "m/s"),
    )


@observation("arm_and_gripper", columns=_arm_columns)
def arm_and_gripper(view: View, *, built: AmrModel) -> np.ndarray:
    """Show the joints of the arm, then how far the gripper is open."""
    qpos, qvel = view.qpos, view.qvel
    left, right = built.qpos(*FINGERS)
    slow, fast = built.qvel(*FINGERS)
    opening = np.stack([qpos[:, left] + qpos[:, right], qvel[:, slow] + qvel[:, fast]], axis=1)
    return np.concatenate([qpos[:, built.qpos(*ARM)], qvel[:, built.qvel(*ARM)], opening], axis=1)


def hand_pose(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return the hand's place `[M, 3]` and quaternion wxyz `[M, 4]` in the world."""
    return sensor(view, "end_effector_pos"), sensor(view, "end_effector_quat")


def last_hand(view: View) -> np.ndarray:
    """Return where the hand was before this step `[M, 3]`."""
    where = sensor_slice(view.robot, "end_effector_pos")
    return view.last_field("sensordata")[:, where]


def hand_axis(view: View, axis: int) -> np.ndarray:
    """Return an axis of the hand's frame in the world `[M, 3]`: 1 opens, 2 points out."""
    w, x, y, z = sensor(view, "end_effector_quat").T
    if axis == 1:
        parts = (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x))
    else:
        parts = (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y))
    return np.stack(parts, axis=1)


def _hand_columns(robot: Robot) -> tuple[Column, ...]:
    places = tuple(Column(f"hand {axis}", -1.5, 2.0, "m") for axis in "xyz")
    out = tuple(Column(f"hand points {axis}") for axis in "xyz")
    return (*places, *out, *(Column(f"hand opens {axis}") for axis in "xyz"))


@observation("hand_in_base", needs=("sensordata",), columns=_hand_columns)
def hand_in_base(view: View) -> np.ndarray:
    """Show the hand's place and axes in the base's frame; heights count from the floor."""
    place = seen_from_base(view, hand_pose(view)[0])
    axes = [in_base(view, hand_axis(view, axis)) for axis in (2, 1)]
    return np.concatenate([place, *axes], axis=1)


def _obstacle_columns(robot: Robot, *, built: AmrModel) -> tuple[Column, ...]:
    columns: list[Column] = []
    for name in (*built.obstacles, *built.movers):
        columns += [Column(f"{name} {axis}", -WIDTH, WIDTH, "m") for axis in ("ahead", "left")]
        columns += [Column(f"{name} v {axis}", -1.0, 1.0, "m/s") for axis in ("ahead", "left")]
        columns += [Column(f"{name} radius", 0.0, 0.5, "m"), Column(f"{name} present", 0.0, 1.0)]
    return tuple(columns)


@observation("obstacles_in_base", columns=_obstacle_columns)
def obstacles_in_base(view: View, *, built: AmrModel) -> np.ndarray:
    """Show place, velocity and radius of each obstacle in the base's frame, zero if not there."""
    discs = view.memory["obstacles"].reshape(view.num_rows, -1, 5)
    there = discs[:, :, 4] > 0
    yaw = view.qpos[:, 2:3]
    cosine, sine = np.cos(yaw), np.sin(yaw)
    out = np.zeros((*discs.shape[:2], 6))
    for first, origin in ((0, view.qpos[:, None, :2]), (2, 0.0)):
        offset = discs[:, :, first : first + 2] - origin
        out[:, :, first] = cosine * offset[:, :, 0] + sine * offset[:, :, 1]
        out[:, :, first + 1] = cosine * offset[:, :, 1] - sine * offset[:, :, 0]
    out[:, :, 4], out[:, :, 5] = discs[:, :, 4], 1.0
    out *= there[:, :, None]
    return out.reshape(view.num_rows, -1)


def _touch_columns(robot: Robot) -> tuple[Column, ...]:
    return tuple(Column(f"contacts {name.removeprefix('hit_')}", 0.0, 8.0) for name in _hits(robot))


@observation("contacts", needs=("sensordata",), columns=_touch_columns)
def contacts(view: View) -> np.ndarray:
    """Show the number of the robot's contacts with each thing."""
    return np.concatenate([sensor(view, name) for name in _hits(view.robot)], axis=1)


def _clock_columns(robot: Robot, *, seconds: float) -> tuple[Column, ...]:
    return (Column("share of time", 0.0, 1.0),)


@observation("clock", columns=_clock_columns)
def clock(view: View, *, seconds: float) -> np.ndarray:
    """Show how much of `seconds` has passed."""
    return view.time[:, None] / seconds


@reward("colliding", needs=("sensordata",))
@measure("colliding", needs=("sensordata",))
def colliding(view: View) -> np.ndarray:
    """Tell whether the robot touches what it should not, 0 or 1."""
    return np.asarray(collisions(view) > 0).astype(np.float64)


@reward("mechanical_energy", needs=("qfrc_actuator",))
@measure("mechanical_energy", needs=("qfrc_actuator",))
def mechanical_energy(view: View) -> np.ndarray:
    """Measure the work of all drives in this step, brakes counted as effort [J]."""
    power = view.field("qfrc_actuator") * view.qvel
    base = np.abs(power[:, 0] + power[:, 1])
    return (base + np.abs(power[:, 2:]).sum(axis=1)) * view.step_seconds


@reward("overspeed")
@measure("overspeed")
def overspeed(view: View, *, built: AmrModel) -> np.ndarray:
    """Tell whether a joint of the arm is faster than its maker allows, 0 or 1."""
    speed = np.abs(view.qvel[:, built.qvel(*ARM)])
    return np.asarray((speed > np.array(JOINT_SPEED)).any(axis=1)).astype(np.float64)


@measure("elapsed")
def elapsed(view: View) -> np.ndarray:
    """Measure the time since the episode began [s]."""
    return view.time


@facts("amr")
def facts_of_amr(robot: Robot, *, built: AmrModel, room: Room) -> dict[str, Any]:
    """Tell the robot's parts and limits, and what stands in the room."""
    return amr_facts(built, room)
