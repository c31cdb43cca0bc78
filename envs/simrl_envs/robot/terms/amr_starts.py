"""Starts of the mobile manipulator's tasks; each goal can be reached, and nothing touches."""

from __future__ import annotations

import numpy as np

from simrl_envs.robot.amr_model import ARM, HOME
from simrl_envs.robot.amr_room import Room
from simrl_envs.robot.amr_start import (
    CANDIDATES,
    draw_pose,
    draw_sweep,
    first,
    place_mover,
    place_obstacles,
    place_robot,
    to_sweep,
    write_obstacles,
)
from simrl_envs.robot.kinematics import about, product, rotated, site_poses
from simrl_envs.robot.rows import View
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.terms.amr_object import BOX, CYLINDER
from simrl_envs.robot.terms.registry import start

STAND = 0.62
"""Distance of the robot's middle from the front of the furniture that it works at [m]."""
HANDLE_STAND = 0.97
"""Distance of the robot's middle from the handle, which leaves room to pull it [m]."""
DEPTH = (0.09, 0.13)
"""How far behind the front edge the middle of an object stands [m]."""
NEAR = np.array([0.06, 0.06, 0.1])
"""How far the robot is from there at most if it starts near: x, y [m], heading [rad]."""
KINDS = {"box": (BOX,), "cylinder": (CYLINDER,), "any": (BOX, CYLINDER)}
"""Kinds of objects by the name of the option."""
Z = np.array([0.0, 0.0, 1.0])


def _finish(
    view: View,
    draw: Draw,
    room: Room,
    pose: np.ndarray,
    sweep: np.ndarray,
    keep: np.ndarray,
    avoid: np.ndarray | None = None,
) -> None:
    """Put obstacles off the robot at `pose`, the places to `keep` for it and those to `avoid`."""
    places = np.concatenate([pose[:, None, :2], keep], axis=1)
    place_mover(view, draw, room, sweep)
    place_obstacles(view, draw, room, sweep, places, avoid)
    write_obstacles(view, room)


def _show_goal(view: View, room: Room, place: np.ndarray, turn: np.ndarray) -> None:
    """Put the ghost at the goal: places `[M, 3]`, quaternions wxyz `[M, 4]`."""
    model = room.built.model
    index = int(model.body_mocapid[model.body("goal").id])
    places, turns = view.mocap()
    places[:, index], turns[:, index] = place, turn


@start("amr_drive")
def drive(view: View, draw: Draw, *, room: Room, joint_noise: float, least: float) -> None:
    """Start anywhere, and ask for a pose of the base at least `least` [m] away."""
    sweep = draw_sweep(draw, room)
    goal = draw_pose(draw, "goal", room, sweep)
    pose = draw_pose(draw, "base", room, sweep, goal[:, :2], least)
    place_robot(view, draw, room, pose, joint_noise)
    view.command[:] = goal
    _finish(view, draw, room, pose, sweep, goal[:, None, :2])
    place = np.concatenate([goal[:, :2], np.zeros((len(goal), 1))], axis=1)
    _show_goal(view, room, place, about(Z, goal[:, 2]))


@start("amr_reach")
def reach(
    view: View,
    draw: Draw,
    *,
    room: Room,
    joint_noise: float,
    target_noise: float,
    lowest: float,
    clearance: float,
) -> None:
    """Start anywhere, and ask for a pose of the hand that it has somewhere else in the room.

    target_noise: how far the arm's joints are from home there [rad].  lowest: least height of the
    hand [m].  clearance: least distance of hand, wrist and elbow from walls and furniture [m].
    """
    sweep = draw_sweep(draw, room)
    stand = draw_pose(draw, "goal", room, sweep)
    pose = draw_pose(draw, "base", room, sweep)
    angles = draw_arm(draw, room, stand, sweep, target_noise, lowest, clearance)
    points, turn = arm_points(room, stand, angles)
    place_robot(view, draw, room, pose, joint_noise)
    view.command[:, :3], view.command[:, 3:7] = points[:, -1], turn
    _finish(view, draw, room, pose, sweep, stand[:, None, :2], points[:, :, :2])
    _show_goal(view, room, points[:, -1], turn)


def arm_points(room: Room, base: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return elbow, wrist and hand `[M, 3, 3]` [m] in the world, and the hand's quaternions.

    base: poses of the base `[M, 3]`.  angles: of the arm's joints `[M, 7]` [rad].
    """
    built = room.built
    qpos = np.tile(built.home, (len(angles), 1))
    qpos[:, built.qpos(*ARM)] = angles
    yaw = about(Z, base[:, 2])
    points = np.empty((len(angles), 3, 3))
    for index, site in enumerate(("elbow", "wrist", "end_effector")):
        place, turn = site_poses(built.model, site, qpos)
        points[:, index] = rotated(yaw, place)
    points[:, :, :2] += base[:, None, :2]
    return points, product(yaw, turn)


def draw_arm(
    draw: Draw,
    room: Room,
    base: np.ndarray,
    sweep: np.ndarray,
    spread: float,
    lowest: float,
    clearance: float,
) -> np.ndarray:
    """Draw angles of the arm's joints `[M, 7]` [rad] that are free where the base is at `base`.

    Elbow, wrist and hand keep `clearance` [m] from walls, furniture and the moving obstacle's way,
    and the hand is `lowest` [m] up and not above the base.
    """
    rows = len(base)
    noise = draw.between("target", -spread, spread, CANDIDATES * len(ARM))
    low, high = room.built.joint_range.T
    # Off the limits, where a controller has no room, by a tenth of the range.
    margin = 0.1 * np.minimum(high - low, 2.0 * np.pi)
    angles = np.asarray(HOME) + noise.reshape(rows * CANDIDATES, len(ARM))
    angles = np.clip(angles, low + margin, high - margin)
    points = arm_points(room, np.repeat(base, CANDIDATES, axis=0), angles)[0]
    points = points.reshape(rows, CANDIDATES * 3, 3)
    fit = room.clear(points[:, :, :2], clearance)
    fit &= to_sweep(points[:, :, :2], sweep) >= clearance
    offset = (points - base[:, None, :] * np.array([1.0, 1.0, 0.0])).reshape(rows, -1, 3, 3)
    far = np.sqrt((offset[:, :, 2, :2] ** 2).sum(-1)) > 0.45
    high_enough = (offset[:, :, 2, 2] > lowest) & (offset[:, :, :, 2] > 0.55).all(-1)
    chosen, found = first(fit.reshape(rows, -1, 3).all(-1) & far & high_enough)
    picked = angles.reshape(rows, CANDIDATES, -1)[np.arange(rows), chosen]
    return np.where(found[:, None], picked, np.asarray(HOME))


@start("amr_pick")
def pick(
    view: View,
    draw: Draw,
    *,
    room: Room,
    joint_noise: float,
    kind: str,
    width: tuple[float, float],
    height: tuple[float, float],
    mass: tuple[float, float],
    friction: tuple[float, float],
    turn: float,
    near: bool,
) -> None:
    """Start anywhere, an object on one piece of furniture, its goal on another.

    kind: box, cylinder or any.  width, height: its sizes [m].  turn: how far it may be turned to
    the front [rad].  near: start before the object.
    """
    thing = view.memory["object"]
    _draw_object(draw, thing, kind, width, height, mass, friction)
    ends = [
        _work_place(draw, f"place {end}", room, chosen, thing[:, 3])
        for end, chosen in enumerate(_draw_places(draw, room))
    ]
    spots = np.stack([spot for spot, _ in ends], axis=1)
    sweep = draw_sweep(draw, room, spots[:, :, :2])
    pose = _before(draw, spots[:, 0]) if near else draw_pose(draw, "base", room, sweep)
    place_robot(view, draw, room, pose, joint_noise)
    first_qpos = int(view.robot.qpos_of("object")[0])
    spin = spots[:, 0, 2] + draw.between("object yaw", -turn, turn, 1)[:, 0]
    view.qpos[:, first_qpos : first_qpos + 3] = ends[0][1]
    view.qpos[:, first_qpos + 3 : first_qpos + 7] = about(Z, spin)
    view.command[:, :3] = ends[1][1]
    view.command[:, 3], view.command[:, 4] = spots[:, 1, 2], spots[:, 0, 2]
    _finish(view, draw, room, pose, sweep, spots[:, :, :2])
    _show_goal(view, room, view.command[:, :3], about(Z, view.command[:, 3]))


def _work_place(
    draw: Draw, purpose: str, room: Room, chosen: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw where an object stands on the chosen places `[M]`.

    half: half the object's height `[M]` [m].  Returns the pose of a base that works there `[M, 3]`
    and the object's middle `[M, 3]`.
    """
    unit = draw.uniform(purpose, 2)
    spots, points = np.empty((len(unit), 3)), np.empty((len(unit), 3))
    for index, place in enumerate(room.places):
        here = chosen == index
        along = (2.0 * unit[here, 0] - 1.0) * place.half
        depth = DEPTH[0] + (DEPTH[1] - DEPTH[0]) * unit[here, 1]
        spots[here] = room.stand(place, along, STAND)
        points[here] = _behind(room.stand(place, along, 0.0), depth, place.top + half[here])
    return spots, points


def _before(draw: Draw, spots: np.ndarray) -> np.ndarray:
    """Return poses of the base `[M, 3]` around those at which it stands to work."""
    return spots + draw.between("near", -NEAR, NEAR, 3)


def _draw_object(
    draw: Draw,
    thing: np.ndarray,
    kind: str,
    width: tuple[float, float],
    height: tuple[float, float],
    mass: tuple[float, float],
    friction: tuple[float, float],
) -> None:
    """Write the row's part "object": kind, half sizes [m], mass [kg], friction."""
    kinds = KINDS[kind]
    which = np.floor(draw.uniform("object kind", 1)[:, 0] * len(kinds)).astype(np.int64)
    thing[:, 0] = np.array(kinds)[which]
    thing[:, 1:3] = 0.5 * draw.between("object width", *width, 2)
    thing[:, 2] = np.where(thing[:, 0] == CYLINDER, thing[:, 1], thing[:, 2])
    thing[:, 3] = 0.5 * draw.between("object height", *height, 1)[:, 0]
    thing[:, 4] = draw.between("object mass", *mass, 1)[:, 0]
    thing[:, 5] = draw.between("object friction", *friction, 1)[:, 0]


def _draw_places(draw: Draw, room: Room) -> tuple[np.ndarray, np.ndarray]:
    """Draw two places of different pieces of furniture, each `[M]`."""
    unit = draw.uniform("places", 2)
    owners = [place.owner for place in room.places]
    source = np.floor(unit[:, 0] * len(owners)).astype(np.int64)
    target = np.empty_like(source)
    for index, owner in enumerate(owners):
        others = np.array([i for i, other in enumerate(owners) if other != owner])
        here = source == index
        target[here] = others[np.floor(unit[here, 1] * len(others)).astype(np.int64)]
    return source, target


def _behind(edge: np.ndarray, depth: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Return points `[M, 3]` behind a front edge `[M, 3]` (x, y, heading)."""
    x = edge[:, 0] + depth * np.cos(edge[:, 2])
    y = edge[:, 1] + depth * np.sin(edge[:, 2])
    return np.stack([x, y, height], axis=1)


@start("amr_drawer")
def drawer(
    view: View,
    draw: Draw,
    *,
    room: Room,
    joint_noise: float,
    opening: tuple[float, float],
    near: bool,
) -> None:
    """Start anywhere, or `near` the handle, the drawer shut, and ask for an opening [m]."""
    closed, direction = room.handle
    spot = np.array([*closed[:2], np.arctan2(-direction[1], -direction[0])])
    spot[:2] += HANDLE_STAND * direction[:2]
    spots = np.tile(spot, (view.num_rows, 1))
    sweep = draw_sweep(draw, room, spots[:, None, :2])
    pose = _before(draw, spots) if near else draw_pose(draw, "base", room, sweep)
    place_robot(view, draw, room, pose, joint_noise)
    view.command[:, 0] = draw.between("opening", *opening, 1)[:, 0]
    _finish(view, draw, room, pose, sweep, spots[:, None, :2])
