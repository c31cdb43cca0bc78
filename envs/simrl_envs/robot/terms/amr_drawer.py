"""Terms of the drawer that the mobile manipulator opens."""

from __future__ import annotations

import numpy as np

from simrl.core.spec import Column
from simrl_envs.robot.amr_model import AmrModel
from simrl_envs.robot.amr_room import Room
from simrl_envs.robot.robot import Robot
from simrl_envs.robot.rows import View
from simrl_envs.robot.terms.amr import (
    grips,
    hand_axis,
    hand_pose,
    in_base,
    last_hand,
    length,
    place_columns,
    seen_from_base,
)
from simrl_envs.robot.terms.registry import measure, observation, reward


def drawer_opening(view: View, built: AmrModel, qpos: np.ndarray | None = None) -> np.ndarray:
    """Return how far the drawer is open `[M]` [m]; `qpos`: at another time."""
    where = view.qpos if qpos is None else qpos
    return np.asarray(where[:, built.qpos("drawer")[0]])


def handle_place(view: View, room: Room, qpos: np.ndarray | None = None) -> np.ndarray:
    """Return where the handle is in the world `[M, 3]` [m]."""
    closed, direction = room.handle
    return closed + drawer_opening(view, room.built, qpos)[:, None] * direction


@measure("drawer_opening")
def measure_drawer_opening(view: View, *, built: AmrModel) -> np.ndarray:
    """Measure how far the drawer is open [m]."""
    return drawer_opening(view, built)


@reward("opening_progress")
def opening_progress(view: View, *, built: AmrModel) -> np.ndarray:
    """Return by how much the drawer came nearer to being open [m]."""
    wanted = view.command[:, 0]
    before = np.minimum(drawer_opening(view, built, view.last_qpos), wanted)
    return np.minimum(drawer_opening(view, built), wanted) - before


@reward("approach_handle", needs=("sensordata",))
def approach_handle(view: View, *, room: Room) -> np.ndarray:
    """Return by how much the hand came nearer to the handle [m]."""
    hand = last_hand(view)
    before = length(handle_place(view, room, view.last_qpos) - hand)
    return before - length(handle_place(view, room) - hand_pose(view)[0])


@reward("grasp_handle", needs=("sensordata",))
def grasp_handle(view: View) -> np.ndarray:
    """Tell whether both fingers hold the handle, 0 or 1."""
    return np.asarray(grips(view).sum(axis=1) == 2)


def _drawer_columns(robot: Robot, *, built: AmrModel, room: Room) -> tuple[Column, ...]:
    return (
        *place_columns("handle"),
        *(Column(f"hand to handle {axis}", -1.0, 1.0, "m") for axis in "xyz"),
        *(Column(f"drawer opens {axis}") for axis in "xyz"),
        Column("hand opens along bar"),
        Column("opening", 0.0, 0.4, "m"),
        Column("opening velocity", -1.0, 1.0, "m/s"),
        Column("opening wanted", 0.0, 0.4, "m"),
        *(Column(f"{side} finger touches", 0.0, 1.0) for side in ("left", "right")),
    )


@observation("drawer_and_handle", needs=("sensordata",), columns=_drawer_columns)
def drawer_and_handle(view: View, *, built: AmrModel, room: Room) -> np.ndarray:
    """Show the handle as it lies to base and hand, and how far the drawer is open and shall be."""
    handle, opens = handle_place(view, room), room.handle[1]
    direction = np.repeat(opens[None], view.num_rows, axis=0)
    bar = np.array([-opens[1], opens[0], 0.0])
    motion = np.stack(
        [
            (hand_axis(view, 1) * bar).sum(axis=1),
            drawer_opening(view, built),
            view.qvel[:, built.qvel("drawer")[0]],
            view.command[:, 0],
        ],
        axis=1,
    )
    return np.concatenate(
        [
            seen_from_base(view, handle),
            in_base(view, handle - hand_pose(view)[0]),
            in_base(view, direction),
            motion,
            grips(view),
        ],
        axis=1,
    )
