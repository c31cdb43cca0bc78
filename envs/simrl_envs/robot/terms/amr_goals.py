"""Terms of what the mobile manipulator is asked for: where the base, the hand, ... shall be.

The command is a pose of the base (x, y, yaw), one of the hand (x, y, z, quaternion), a place of the
object (x, y, z, then the headings that look at where it goes and where it comes from), or an
opening of the drawer [m].  An episode ends when its goal has been held for a while.
"""

from __future__ import annotations

import numpy as np

from simrl.core.spec import Column
from simrl_envs.robot.amr_model import AmrModel
from simrl_envs.robot.amr_room import Room
from simrl_envs.robot.amr_start import write_obstacles
from simrl_envs.robot.kinematics import angle_between, product, rotated
from simrl_envs.robot.robot import Robot
from simrl_envs.robot.rows import View
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.terms.amr import (
    WIDTH,
    base_speed,
    hand_pose,
    last_hand,
    length,
    place_columns,
    seen_from_base,
)
from simrl_envs.robot.terms.amr_drawer import drawer_opening
from simrl_envs.robot.terms.amr_object import object_placed
from simrl_envs.robot.terms.general import wrapped
from simrl_envs.robot.terms.registry import (
    measure,
    observation,
    reference,
    reward,
    termination,
    update,
)

BASE_PLACE, BASE_TURN, BASE_SLOW = 0.10, 0.10, 0.08
"""How near the base has to be [m], [rad], and how slow [m/s]."""
HAND_PLACE, HAND_TURN = 0.02, 0.10
"""How near the hand has to be [m], [rad]."""


def base_distance(view: View, qpos: np.ndarray | None = None) -> np.ndarray:
    """Return how far the base is from its goal `[M]` [m]; `qpos`: as it was at another time."""
    gap = (view.qpos if qpos is None else qpos)[:, :2] - view.command[:, :2]
    return length(gap)


def base_turn(view: View, qpos: np.ndarray | None = None) -> np.ndarray:
    """Return the angle between the base's heading and its goal's `[M]` [rad]."""
    heading = (view.qpos if qpos is None else qpos)[:, 2]
    return np.abs(np.asarray(wrapped(heading - view.command[:, 2])))


def achieved(view: View, built: AmrModel) -> np.ndarray:
    """Tell where the goal is met now `[M]` bool."""
    goal = built.config.goal
    if goal == "base":
        speed = base_speed(view)
        slow = length(speed[:, :2]) < BASE_SLOW
        return (base_distance(view) < BASE_PLACE) & (base_turn(view) < BASE_TURN) & slow
    if goal == "hand":
        return (hand_distance(view) < HAND_PLACE) & (hand_turn(view) < HAND_TURN)
    if goal == "object":
        return object_placed(view, built)
    return drawer_opening(view, built) >= view.command[:, 0]


@update("keep_amr")
def keep_amr(view: View, draw: Draw, *, built: AmrModel, room: Room) -> None:
    """Renew where obstacles are, and for how long the goal has been met."""
    write_obstacles(view, room)
    held = view.memory["held"]
    held[:, 0] = np.where(achieved(view, built), held[:, 0] + view.step_seconds, 0.0)


def _finished(view: View, built: AmrModel, hold: float) -> np.ndarray:
    long_enough = view.memory["held"][:, 0] + view.step_seconds >= hold - 1e-9
    return achieved(view, built) & long_enough


@termination("finished", needs=("sensordata",))
def finished(view: View, *, built: AmrModel, hold: float) -> np.ndarray:
    """End where the goal has been met for `hold` seconds."""
    return _finished(view, built, hold)


@reward("finished", needs=("sensordata",))
@measure("finished", needs=("sensordata",))
def is_finished(view: View, *, built: AmrModel, hold: float) -> np.ndarray:
    """Tell whether the goal has been met for `hold` seconds, 0 or 1."""
    return _finished(view, built, hold).astype(np.float64)


@measure("base_distance")
def measure_base_distance(view: View) -> np.ndarray:
    """Measure the distance of the base from its goal [m]."""
    return base_distance(view)


@measure("base_turn")
def measure_base_turn(view: View) -> np.ndarray:
    """Measure the angle between the base and its goal [rad]."""
    return base_turn(view)


@reward("base_progress")
def base_progress(view: View) -> np.ndarray:
    """Return by how much the base came nearer to its goal [m]."""
    return base_distance(view, view.last_qpos) - base_distance(view)


@reward("base_turn_progress")
def base_turn_progress(view: View, *, within: float) -> np.ndarray:
    """Return by how much the base turned towards its goal [rad], near it (`within` [m]) alone."""
    near = np.maximum(1.0 - base_distance(view) / within, 0.0)
    return near * (base_turn(view, view.last_qpos) - base_turn(view))


def _base_goal_columns(robot: Robot) -> tuple[Column, ...]:
    places = tuple(Column(f"goal {axis}", -WIDTH, WIDTH, "m") for axis in ("ahead", "left"))
    return (*places, Column("sine of goal's yaw"), Column("cosine of goal's yaw"))


@observation("base_goal", columns=_base_goal_columns)
def base_goal(view: View) -> np.ndarray:
    """Show the base's goal in its frame."""
    turn = (view.command[:, 2] - view.qpos[:, 2])[:, None]
    place = seen_from_base(view, view.command[:, :2].copy())
    return np.concatenate([place, np.sin(turn), np.cos(turn)], axis=1)


def hand_distance(view: View) -> np.ndarray:
    """Return how far the hand is from its goal `[M]` [m]."""
    gap = hand_pose(view)[0] - view.command[:, :3]
    return length(gap)


def hand_turn(view: View) -> np.ndarray:
    """Return the angle between the hand and its goal `[M]` [rad]."""
    return angle_between(hand_pose(view)[1], view.command[:, 3:7])


@measure("hand_distance", needs=("sensordata",))
def measure_hand_distance(view: View) -> np.ndarray:
    """Measure the distance of the hand from its goal [m]."""
    return hand_distance(view)


@measure("hand_turn", needs=("sensordata",))
def measure_hand_turn(view: View) -> np.ndarray:
    """Measure the angle between the hand and its goal [rad]."""
    return hand_turn(view)


@reward("hand_progress", needs=("sensordata",))
def hand_progress(view: View) -> np.ndarray:
    """Return by how much the hand came nearer to its goal [m]."""
    before = last_hand(view) - view.command[:, :3]
    return length(before) - hand_distance(view)


@reward("hand_near", needs=("sensordata",))
def hand_near(view: View, *, sigma: float) -> np.ndarray:
    """Return exp(-(d / sigma)^2) of the hand's distance d [m] from its goal."""
    return np.exp(-((hand_distance(view) / sigma) ** 2))


@reward("hand_aligned", needs=("sensordata",))
def hand_aligned(view: View, *, sigma: float, within: float) -> np.ndarray:
    """Return exp(-(a / sigma)^2) of the hand's angle a [rad], within `within` [m] of its goal."""
    near = np.exp(-((hand_distance(view) / within) ** 2))
    return near * np.exp(-((hand_turn(view) / sigma) ** 2))


def _hand_goal_columns(robot: Robot) -> tuple[Column, ...]:
    places = place_columns("goal")
    offsets = tuple(Column(f"to goal {axis}", -1.0, 1.0, "m") for axis in "xyz")
    return (*places, *offsets, *(Column(f"turn to goal {axis}") for axis in "xyz"))


@observation("hand_goal", needs=("sensordata",), columns=_hand_goal_columns)
def hand_goal(view: View) -> np.ndarray:
    """Show the hand's goal in the base's frame, then the way there in the hand's frame.

    The turn is the vector part of the quaternion from one to the other.
    """
    place, turn = hand_pose(view)
    back = turn * np.array([1.0, -1.0, -1.0, -1.0])
    between = product(back, view.command[:, 3:7])
    between = between * np.where(between[:, :1] < 0.0, -1.0, 1.0)
    offset = rotated(back, view.command[:, :3] - place)
    seen = seen_from_base(view, view.command[:, :3].copy())
    return np.concatenate([seen, offset, between[:, 1:]], axis=1)


def _pose_columns(robot: Robot) -> tuple[Column, ...]:
    places = tuple(Column(axis, -3.2, 3.2, "m") for axis in "xyz")
    turns = tuple(Column(f"q{part}", -1.0, 1.0) for part in "wxyz")
    return (*places, *turns, *(Column(f"v{axis}", -1.0, 1.0, "m/s") for axis in "xyz"))


@reference("hand_pose", columns=_pose_columns)
def hand_reference(command: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Ask the hand for a place, an orientation and no velocity, in the world."""
    out = np.zeros((*time.shape, 10))
    out[..., :7] = command[:, None, :7]
    return out


def _base_reference_columns(robot: Robot) -> tuple[Column, ...]:
    return (*(Column(axis, -3.2, 3.2, "m") for axis in "xy"), Column("yaw", -np.pi, np.pi, "rad"))


@reference("base_pose", columns=_base_reference_columns)
def base_reference(command: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Ask the base for a pose."""
    return np.repeat(command[:, None, :3], time.shape[1], axis=1)


def _place_columns(robot: Robot) -> tuple[Column, ...]:
    return tuple(Column(axis, -3.2, 3.2, "m") for axis in "xyz")


@reference("object_place", columns=_place_columns)
def object_reference(command: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Ask for the object's place."""
    return np.repeat(command[:, None, :3], time.shape[1], axis=1)


def _opening_columns(robot: Robot) -> tuple[Column, ...]:
    return (Column("opening", 0.0, 0.35, "m"),)


@reference("opening", columns=_opening_columns)
def opening_reference(command: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Ask for the drawer's opening."""
    return np.repeat(command[:, None, :1], time.shape[1], axis=1)
