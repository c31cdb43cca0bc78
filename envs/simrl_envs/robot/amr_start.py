"""Draw starts of the mobile manipulator: free places, and obstacles that leave a way."""

from __future__ import annotations

import numpy as np

from simrl_envs.robot.amr_model import ARM, FINGERS
from simrl_envs.robot.amr_room import AWAY, MOVER_RADIUS, ROBOT_RADIUS, Room
from simrl_envs.robot.rows import View
from simrl_envs.robot.streams import Draw

CANDIDATES = 48
"""Places that are drawn for one to be fit."""
GAP = 1.0
"""Least distance between two obstacles, wide enough for the robot to pass [m]."""
SPACE = 0.2
"""Least distance of obstacles from where the robot has to be [m]."""
SWEEP, SLENDER = (0.77, 1.43), 0.7
"""How far the moving obstacle goes along the room [m], and by which factor less across it."""
PARKED = -5.0
"""Height of obstacles that are not in the room [m]."""


def first(fit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first candidate that is fit, and whether there is one, from `[M, C]`."""
    return np.argmax(fit, axis=1), np.asarray(fit.any(axis=1))


def draw_points(draw: Draw, purpose: str, room: Room, count: int = CANDIDATES) -> np.ndarray:
    """Draw points of the room `[M, count, 2]`."""
    unit = draw.uniform(purpose, 2 * count).reshape(len(draw), count, 2)
    return (2.0 * unit - 1.0) * np.array(room.inner)


def draw_pose(
    draw: Draw,
    purpose: str,
    room: Room,
    sweep: np.ndarray,
    away_from: np.ndarray | None = None,
    least: float = 0.0,
) -> np.ndarray:
    """Draw free poses of the base `[M, 3]`: x, y [m], yaw [rad].

    sweep: where the moving obstacle turns `[M, 2]`; zero without one.  away_from: points `[M, 2]`
    from which to stay at least `least` [m] away.
    """
    points = draw_points(draw, purpose, room)
    fit = room.clear(points, ROBOT_RADIUS + 0.08)
    fit &= to_sweep(points, sweep) >= ROBOT_RADIUS + SPACE
    if away_from is not None:
        gap = points - away_from[:, None]
        far = np.sqrt((gap * gap).sum(-1))
        # Where no candidate is far enough, the farthest one is taken.
        enough = fit & (far >= least)
        best = np.where(fit, far, -1.0) >= np.where(fit, far, -1.0).max(1, keepdims=True)
        fit = np.where(enough.any(1, keepdims=True), enough, fit & best)
    chosen, found = first(fit)
    out = np.empty((len(draw), 3))
    out[:, :2] = points[np.arange(len(draw)), chosen]
    out[~found, :2] = _spare(room)
    out[:, 2] = draw.between(f"{purpose} yaw", -np.pi, np.pi, 1)[:, 0]
    return out


def _spare(room: Room) -> np.ndarray:
    """Return a free point off the moving obstacle's ways, for rows in which none was drawn."""
    cells = room.cells[room.clear(room.cells, ROBOT_RADIUS + 0.08)]
    spare: np.ndarray = cells[np.argmax((cells * cells).sum(-1))]
    return spare


def to_sweep(points: np.ndarray, sweep: np.ndarray) -> np.ndarray:
    """Return distances [m] of points `[M, C, 2]` from the moving obstacle's way `[M, C]`.

    sweep: where it turns `[M, 2]`: it goes to and fro between there and the opposite point.
    """
    length = np.sqrt((sweep * sweep).sum(-1))
    unit = sweep / np.maximum(length, 1e-9)[:, None]
    along = (points * unit[:, None]).sum(-1)
    along = np.clip(along, -length[:, None], length[:, None])
    gap = points - along[..., None] * unit[:, None]
    far = np.sqrt((gap * gap).sum(-1)) - MOVER_RADIUS
    return np.where(length[:, None] > 0, far, np.inf)


def draw_sweep(draw: Draw, room: Room, keep: np.ndarray | None = None) -> np.ndarray:
    """Draw where the moving obstacle turns `[M, 2]` [m]; zero if the room has none.

    keep: where the robot will have to be `[M, P, 2]`, off its way.
    """
    rows = len(draw)
    if not room.built.movers:
        return np.zeros((rows, 2))
    size = draw.between("sweep size", *SWEEP, CANDIDATES)
    angle = draw.between("sweep angle", 0.0, 2.0 * np.pi, CANDIDATES)
    sweeps = np.stack([size * np.cos(angle), SLENDER * size * np.sin(angle)], axis=2)
    if keep is None:
        return sweeps[:, 0]
    count = keep.shape[1]
    points = np.repeat(keep, CANDIDATES, axis=0)
    far = to_sweep(points, sweeps.reshape(-1, 2)) >= ROBOT_RADIUS + SPACE
    fit = np.asarray(far.reshape(rows, CANDIDATES, count).all(axis=-1))
    chosen, found = first(fit)
    # It hardly moves where it would be in the way wherever it went.
    return np.where(found[:, None], sweeps[np.arange(rows), chosen], 0.01)


def place_robot(view: View, draw: Draw, room: Room, pose: np.ndarray, joint_noise: float) -> None:
    """Put the base at `pose` `[M, 3]`, the arm near its home, the fingers half open."""
    built = room.built
    view.qpos[:] = built.home
    view.qpos[:, :3] = pose
    noise = draw.between("joints", -joint_noise, joint_noise, len(ARM))
    limits = built.joint_range
    where = built.qpos(*ARM)
    view.qpos[:, where] = np.clip(built.home[where] + noise, limits[:, 0], limits[:, 1])
    view.qpos[:, built.qpos(*FINGERS)] = 0.02
    view.action[:] = 0.0
    view.action[:, -1] = 0.04
    if built.config.control == "position":
        drives = len(built.drives)
        view.action[:, drives : drives + len(ARM)] = view.qpos[:, where]


def place_mover(view: View, draw: Draw, room: Room, sweep: np.ndarray) -> None:
    """Put the moving obstacle somewhere on its way, at the speed that it has there.

    Springs swing it: the way is a straight line through the middle of the room.
    """
    built = room.built
    if not built.movers:
        return
    joint = built.model.joint("mover_x")
    rate = float(np.sqrt(built.model.jnt_stiffness[joint.id] / built.model.body("mover").mass[0]))
    phase = draw.between("sweep phase", 0.0, 2.0 * np.pi, 1)
    view.qpos[:, built.qpos("mover_x", "mover_y")] = sweep * np.sin(phase)
    view.qvel[:, built.qvel("mover_x", "mover_y")] = sweep * rate * np.cos(phase)


def place_obstacles(
    view: View,
    draw: Draw,
    room: Room,
    sweep: np.ndarray,
    keep: np.ndarray,
    avoid: np.ndarray | None = None,
) -> None:
    """Put obstacles where they leave the robot a way from the first of its places to the others.

    keep: where the robot will have to be `[M, P, 2]`.  avoid: where its arm will be `[M, Q, 2]`.
    Obstacles for which there is no room are left away.
    """
    count, rows = len(room.radii), view.num_rows
    discs = np.zeros((rows, count, 3))
    for index, radius in enumerate(room.radii):
        points = draw_points(draw, f"obstacle {index}", room)
        fit = room.clear(points, radius + 0.02)
        fit &= to_sweep(points, sweep) >= radius + SPACE
        gap = points[:, :, None] - keep[:, None]
        fit &= (np.sqrt((gap * gap).sum(-1)) >= radius + ROBOT_RADIUS + SPACE).all(-1)
        if avoid is not None:
            gap = points[:, :, None] - avoid[:, None]
            fit &= (np.sqrt((gap * gap).sum(-1)) >= radius + SPACE).all(-1)
        gap = points[:, :, None] - discs[:, None, :index, :2]
        wide = np.sqrt((gap * gap).sum(-1)) - radius - discs[:, None, :index, 2]
        fit &= ((wide >= GAP) | (discs[:, None, :index, 2] == 0)).all(-1)
        chosen, found = first(fit)
        discs[:, index, :2] = points[np.arange(rows), chosen]
        discs[:, index, 2] = np.where(found, radius, 0.0)
    _open_ways(room, discs, keep)
    _put_discs(view, draw, discs)


def _open_ways(room: Room, discs: np.ndarray, keep: np.ndarray) -> None:
    """Leave obstacles away, the last first, until all places can be reached."""
    cells = room.cell(keep)
    for index in reversed(range(-1, discs.shape[1])):
        lost = np.flatnonzero(discs[:, :, 2].any(1))
        if len(lost):
            reached = room.reachable(keep[lost, 0], discs[lost])
            ids = np.arange(len(lost))[:, None]
            there = reached[ids, cells[lost, :, 0], cells[lost, :, 1]].all(1)
            lost = lost[~there]
        if not len(lost) or index < 0:
            return
        discs[lost, index, 2] = 0.0


def _put_discs(view: View, draw: Draw, discs: np.ndarray) -> None:
    """Write the bodies of obstacles; those with radius 0 lie under the floor."""
    count = discs.shape[1]
    if not count:
        return
    place, turn = view.mocap()
    there = discs[:, :, 2] > 0
    place[:, :count, :2] = np.where(there[:, :, None], discs[:, :, :2], 0.0)
    place[:, :count, 2] = np.where(there, 0.0, PARKED)
    half = draw.between("obstacle yaw", 0.0, np.pi, count) / 2.0
    turn[:, :count] = 0.0
    turn[:, :count, 0], turn[:, :count, 3] = np.cos(half), np.sin(half)


def write_obstacles(view: View, room: Room) -> None:
    """Renew the row's part "obstacles" `[M, 5 K]`: x, y, vx, vy, radius of each disc."""
    built = room.built
    out = view.memory["obstacles"].reshape(view.num_rows, -1, 5)
    still = len(room.radii)
    if still:
        place = view.mocap()[0][:, :still]
        there = place[:, :, 2] > 0.5 * PARKED
        out[:, :still, :2] = np.where(there[:, :, None], place[:, :, :2], AWAY)
        out[:, :still, 2:4] = 0.0
        out[:, :still, 4] = np.where(there, room.radii, 0.0)
    for index in range(len(built.movers)):
        out[:, still + index, :2] = view.qpos[:, built.qpos("mover_x", "mover_y")]
        out[:, still + index, 2:4] = view.qvel[:, built.qvel("mover_x", "mover_y")]
        out[:, still + index, 4] = MOVER_RADIUS
    view.memory["obstacles"][:] = out.reshape(view.num_rows, -1)
