"""Terms of the object that the mobile manipulator carries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simrl.core.spec import Column
from simrl_envs.robot.amr_model import AmrModel
from simrl_envs.robot.robot import Robot
from simrl_envs.robot.rows import View
from simrl_envs.robot.terms.amr import (
    grips,
    hand_pose,
    in_base,
    last_hand,
    length,
    place_columns,
    seen_from_base,
)
from simrl_envs.robot.terms.registry import measure, observation, reward, shape, termination
from simrl_envs.robot.turns import rotation

PLACE, HEIGHT, UPRIGHT, SLOW = 0.05, 0.02, 0.95, 0.05
"""How near the object has to be to its goal in the plane and in height [m], how upright (cosine of
its tilt), and how slow [m/s]."""
FLOOR = 0.2
"""Height below which the object has fallen [m]."""
BOX, CYLINDER = 0, 1
"""Kinds of objects, in the row's part "object"."""

_SHAPED = (
    "geom_type",
    "geom_size",
    "geom_rbound",
    "geom_aabb",
    "bvh_aabb",
    "geom_friction",
    "body_mass",
    "body_inertia",
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
)


@shape("object", needs=_SHAPED)
def shape_object(
    view: View, fields: Mapping[str, np.ndarray], rows: np.ndarray, *, built: AmrModel
) -> None:
    """Give the object the kind, size, mass and friction that the row's part "object" names.

    What the compiler derives of them is derived here: bounds, inertia and its inverse.
    """
    import mujoco

    model = built.model
    body, geom = model.body("object").id, model.geom("object").id
    ghost, dof = model.geom("goal").id, int(model.joint("object").dofadr[0])
    kind, size = view.memory["object"][:, 0], view.memory["object"][:, 1:4]
    mass, friction = view.memory["object"][:, 4], view.memory["object"][:, 5]
    round_ = kind == CYLINDER
    box, cylinder = int(mujoco.mjtGeom.mjGEOM_BOX), int(mujoco.mjtGeom.mjGEOM_CYLINDER)
    radius, half = size[:, 0], size[:, 2]
    sizes = np.where(round_[:, None], np.stack([radius, half, 0.0 * half], 1), size)
    reach = np.where(round_[:, None], np.stack([radius, radius, half], 1), size)
    bound = np.where(round_, np.sqrt(radius**2 + half**2), np.sqrt((size[:, 0:3] ** 2).sum(axis=1)))
    for index in (geom, ghost):
        fields["geom_type"][rows, index] = np.where(round_, cylinder, box)
        fields["geom_size"][rows, index] = sizes
        fields["geom_rbound"][rows, index] = bound
        fields["geom_aabb"][rows, index, 3:] = reach
    for index in (body, model.body("goal").id):
        fields["bvh_aabb"][rows, int(model.body_bvhadr[index]), 3:] = reach
    fields["geom_friction"][rows, geom, 0] = friction
    x, y, z = (size[:, axis] ** 2 for axis in range(3))
    across = np.where(round_, (3.0 * x + 4.0 * z) / 12.0, (y + z) / 3.0)
    other = np.where(round_, across, (x + z) / 3.0)
    upright = np.where(round_, 0.5 * x, (x + y) / 3.0)
    inertia = mass[:, None] * np.stack([across, other, upright], axis=1)
    turning = (1.0 / inertia).mean(axis=1)
    fields["body_mass"][rows, body] = mass
    fields["body_subtreemass"][rows, body] = mass
    fields["body_inertia"][rows, body] = inertia
    fields["body_invweight0"][rows, body] = np.stack([1.0 / mass, turning], axis=1)
    fields["dof_invweight0"][rows, dof : dof + 3] = (1.0 / mass)[:, None]
    fields["dof_invweight0"][rows, dof + 3 : dof + 6] = turning[:, None]


def object_pose(view: View, qpos: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the object's place `[M, 3]` and quaternion wxyz `[M, 4]`; `qpos`: at another time."""
    start = int(view.robot.qpos_of("object")[0])
    where = view.qpos if qpos is None else qpos
    return where[:, start : start + 3], where[:, start + 3 : start + 7]


def object_error(view: View, qpos: np.ndarray | None = None) -> np.ndarray:
    """Return how far the object is from its goal `[M]` [m]."""
    return length(object_pose(view, qpos)[0] - view.command[:, :3])


def object_placed(view: View, built: AmrModel) -> np.ndarray:
    """Tell where the object stands at its goal, still, and nothing holds it `[M]` bool."""
    place, turn = object_pose(view)
    gap = place - view.command[:, :3]
    start = int(view.robot.qvel_of("object")[0])
    still = length(view.qvel[:, start : start + 3]) < SLOW
    upright = 1.0 - 2.0 * (turn[:, 1] ** 2 + turn[:, 2] ** 2) > UPRIGHT
    there = (length(gap[:, :2]) < PLACE) & (np.abs(gap[:, 2]) < HEIGHT)
    free = grips(view).sum(axis=1) == 0
    return np.asarray(there & still & upright & free)


def _to_object(view: View) -> np.ndarray:
    return object_pose(view)[0] - hand_pose(view)[0]


@measure("object_error")
def measure_object_error(view: View) -> np.ndarray:
    """Measure the distance of the object from its goal [m]."""
    return object_error(view)


@measure("object_height")
def object_height(view: View) -> np.ndarray:
    """Measure the height of the object's middle [m]."""
    return object_pose(view)[0][:, 2]


@termination("object_fell")
def object_fell(view: View) -> np.ndarray:
    """End where the object lies on the floor."""
    return np.asarray(object_pose(view)[0][:, 2] < FLOOR)


@reward("approach_object", needs=("sensordata",))
def approach_object(view: View) -> np.ndarray:
    """Return by how much the hand came nearer to the object [m], until that is at its goal."""
    hand = last_hand(view)
    before = length(object_pose(view, view.last_qpos)[0] - hand)
    away = object_error(view) > 2.0 * PLACE
    return (before - length(_to_object(view))) * away


@reward("carry_object")
def carry_object(view: View) -> np.ndarray:
    """Return by how much the object came nearer to its goal [m]."""
    return object_error(view, view.last_qpos) - object_error(view)


@reward("grasp", needs=("sensordata",))
def grasp(view: View) -> np.ndarray:
    """Tell whether both fingers hold the object while it is away from its goal, 0 or 1."""
    return np.asarray((grips(view).sum(axis=1) == 2) & (object_error(view) > 2.0 * PLACE))


def _object_columns(robot: Robot, *, built: AmrModel) -> tuple[Column, ...]:
    return (
        *place_columns("object"),
        *(Column(f"hand to object {axis}", -1.0, 1.0, "m") for axis in "xyz"),
        *place_columns("object to goal"),
        *(Column(f"object up {axis}") for axis in "xyz"),
        *(Column(f"object front {axis}") for axis in "xyz"),
        *(Column(f"object half {axis}", 0.0, 0.1, "m") for axis in "xyz"),
        Column("object round", 0.0, 1.0),
        *(
            Column(f"{part} of look at {end}")
            for end in ("goal", "start")
            for part in ("sin", "cos")
        ),
        *(Column(f"{side} finger touches", 0.0, 1.0) for side in ("left", "right")),
    )


@observation("object_and_goal", needs=("sensordata",), columns=_object_columns)
def object_and_goal(view: View, *, built: AmrModel) -> np.ndarray:
    """Show the object, its goal, and how they lie to the hand, in the base's frame.

    "look at" are the headings, as seen from the base, that look at where the object goes and where
    it came from.
    """
    place, turn = object_pose(view)
    matrix = rotation(turn)
    looks = view.command[:, 3:5] - view.qpos[:, 2:3]
    return np.concatenate(
        [
            seen_from_base(view, place),
            in_base(view, _to_object(view)),
            in_base(view, view.command[:, :3] - place),
            in_base(view, matrix[:, :, 2]),
            in_base(view, matrix[:, :, 0]),
            view.memory["object"][:, 1:4],
            view.memory["object"][:, 0:1],
            np.stack([np.sin(looks), np.cos(looks)], axis=2).reshape(len(looks), 4),
            grips(view),
        ],
        axis=1,
    )


def _object_truth_columns(robot: Robot) -> tuple[Column, ...]:
    return (
        Column("object mass", 0.0, 5.0, "kg"),
        Column("object friction", 0.0, 3.0),
        *(Column(f"object v{axis}", -2.0, 2.0, "m/s") for axis in "xyz"),
        *(Column(f"object w{axis}", -10.0, 10.0, "rad/s") for axis in "xyz"),
    )


@observation("object_truth", columns=_object_truth_columns)
def object_truth(view: View) -> np.ndarray:
    """Show what cannot be seen of the object: mass, friction and velocity (linear in the world)."""
    start = int(view.robot.qvel_of("object")[0])
    motion = view.qvel[:, start : start + 6]
    return np.concatenate([view.memory["object"][:, 4:6], motion], axis=1)
