"""The room of the mobile manipulator: what stands where, where there is room, and for what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from simrl_envs.robot.amr_model import AmrModel

ROBOT_RADIUS = 0.44
"""Radius of a disc that holds the robot with its arm tucked in [m]."""
MOVER_RADIUS = 0.2
"""Radius of the moving obstacle [m]."""
CELL = 0.1
"""Side of the cells by which it is found out what can be reached [m]."""
AWAY = 1000.0
"""Where obstacles are that are not in the room, in the row's part "obstacles" [m]."""


@dataclass(frozen=True)
class Place:
    """Describe the front edge of something that objects may stand on."""

    name: str
    """What it belongs to and which board: "shelf_a low"."""
    x: float
    """Middle of the front edge in the world [m]."""
    y: float
    """The same."""
    top: float
    """Height of the surface [m]."""
    face: float
    """Heading of a robot that looks straight at it [rad]."""
    half: float
    """Half the length of the edge that is used [m]."""

    @property
    def owner(self) -> str:
        """Name of the piece of furniture."""
        return self.name.split()[0]


class Room:
    """Find free places in the room of a model.

    Attributes:
        inner: Half length and half width of the room between its walls [m].
        names: Pieces of furniture.
        boxes: Their footprints and heights, x, y, half x, half y, top `[B, 5]` [m].
        places: Where objects may stand.
        radii: Radius of the circle around each obstacle that stands still `[K]` [m].
    """

    def __init__(self, built: AmrModel) -> None:
        import mujoco

        self.built, model = built, built.model
        data = mujoco.MjData(model)
        data.qpos[:] = built.home
        mujoco.mj_forward(model, data)
        room = model.body("room").id
        owners = [b for b in range(model.nbody) if model.body_parentid[b] == room and b != room]
        self.names = tuple(model.body(b).name for b in owners)
        self.boxes = np.array([_footprint(model, data, b) for b in owners])
        east, north = model.geom("wall_east"), model.geom("wall_north")
        self.inner = (
            float(east.pos[0] - east.size[0]),
            float(north.pos[1] - north.size[1]),
        )
        self.places = tuple(_places(model, data))
        self.radii = np.array([_radius(model, name) for name in built.obstacles])

    @cached_property
    def free(self) -> np.ndarray:
        """Which cells a robot's middle may be in, obstacles aside, `[nx, ny]` bool."""
        return self.clear(self.cells.reshape(-1, 2), ROBOT_RADIUS).reshape(self.cells.shape[:2])

    @cached_property
    def cells(self) -> np.ndarray:
        """Middles of the cells `[nx, ny, 2]` [m]."""
        axes = [np.arange(-side + 0.5 * CELL, side, CELL) for side in self.inner]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)

    @cached_property
    def handle(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the handle of the shut drawer is, and where it goes, both `[3]` [m]."""
        import mujoco

        model = self.built.model
        data = mujoco.MjData(model)
        data.qpos[:] = self.built.home
        mujoco.mj_forward(model, data)
        cabinet = data.body("cabinet").xmat.reshape(3, 3)
        return data.site("handle").xpos.copy(), -cabinet[:, 0]

    def clear(self, points: np.ndarray, radius: np.ndarray | float) -> np.ndarray:
        """Tell which discs `[..., 2]` touch neither walls nor furniture `[...]`."""
        inside = (np.abs(points) + np.asarray(radius)[..., None] <= np.array(self.inner)).all(-1)
        return inside & (self.distance(points) >= radius)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Return distances [m] of points `[..., 2]` from the nearest piece of furniture."""
        offset = np.abs(points[..., None, :] - self.boxes[:, :2]) - self.boxes[:, 2:4]
        outside = np.maximum(offset, 0.0)
        result: np.ndarray = np.sqrt((outside * outside).sum(-1)).min(-1)
        return result

    def reachable(self, begin: np.ndarray, discs: np.ndarray) -> np.ndarray:
        """Return which cells can be driven to `[M, nx, ny]` from `begin` `[M, 2]` [m].

        discs: obstacles x, y, radius `[M, K, 3]`; those not in the room have radius 0.
        """
        free = np.repeat(self.free[None], len(begin), axis=0)
        for index in range(discs.shape[1]):
            disc = discs[:, index]
            gap = self.cells[None] - disc[:, None, None, :2]
            near = (gap * gap).sum(-1) < (disc[:, 2] + ROBOT_RADIUS)[:, None, None] ** 2
            free &= ~(near & (disc[:, 2] > 0)[:, None, None])
        found = np.zeros_like(free)
        rows = np.arange(len(begin))
        found[rows, *self.cell(begin).T] = True
        found &= free
        while True:
            grown = found.copy()
            grown[:, 1:] |= found[:, :-1]
            grown[:, :-1] |= found[:, 1:]
            grown[:, :, 1:] |= found[:, :, :-1]
            grown[:, :, :-1] |= found[:, :, 1:]
            grown &= free
            if np.array_equal(grown, found):
                return found
            found = grown

    def cell(self, points: np.ndarray) -> np.ndarray:
        """Return the indices of the cells that points `[..., 2]` lie in `[..., 2]`."""
        index = np.floor((points + np.array(self.inner)) / CELL).astype(np.int64)
        return np.clip(index, 0, np.array(self.cells.shape[:2]) - 1)

    def stand(self, place: Place, along: np.ndarray, away: float) -> np.ndarray:
        """Return where a robot stands before a place `[M, 3]`: x, y, heading.

        along: how far from the middle of the edge `[M]` [m]; away: distance from the edge [m].
        """
        cosine, sine = np.cos(place.face), np.sin(place.face)
        out = np.empty((len(along), 3))
        out[:, 0] = place.x - away * cosine - along * sine
        out[:, 1] = place.y - away * sine + along * cosine
        out[:, 2] = place.face
        return out


def _footprint(model: Any, data: Any, body: int) -> list[float]:
    """Return middle, half sides and top of the box around a body's geoms."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for geom in range(model.ngeom):
        if model.geom_bodyid[geom] != body:
            continue
        turn = data.geom_xmat[geom].reshape(3, 3)
        reach = np.abs(turn) @ model.geom_size[geom]
        low = np.minimum(low, data.geom_xpos[geom] - reach)
        high = np.maximum(high, data.geom_xpos[geom] + reach)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    return [middle[0], middle[1], half[0], half[1], high[2]]


def _places(model: Any, data: Any) -> list[Place]:
    found = []
    for site in range(model.nsite):
        name = model.site(site).name
        if not name.startswith("place "):
            continue
        x, y, top = (float(value) for value in data.site_xpos[site])
        turn = data.site_xmat[site].reshape(3, 3)
        face = float(np.arctan2(turn[1, 0], turn[0, 0]))
        half = float(model.site_size[site, 1])
        found.append(Place(name.removeprefix("place "), x, y, top, face, half))
    return found


def _radius(model: Any, body: str) -> float:
    import mujoco

    geom = int(model.body(body).geomadr[0])
    size = model.geom_size[geom]
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CYLINDER:
        return float(size[0])
    return float(np.hypot(size[0], size[1]))
