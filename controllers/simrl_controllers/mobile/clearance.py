"""Distances between the robot's parts, and from them to the room, with how the joints change them.

The model is the controllers' own copy.  A cheap test by bounding boxes drops the pairs that are far
apart; MuJoCo's `mj_geomDistance` tells the others exactly, with the nearest points of both shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from simrl_controllers.mobile.chain import point_jacobian
from simrl_controllers.mobile.robot import MobileRobot, Motion

Array = np.ndarray
ROBOT_MASK = 1
"""Bit of `geom_conaffinity` that says that a shape of the room can be touched by the robot."""
APART = 3
"""Links with fewer joints between them than this cannot be steered apart and are no pair."""


@dataclass(frozen=True)
class Gaps:
    """Hold the nearest pairs of n rows, padded to m; a missing one has infinite distance."""

    distance: Array
    """Distance `[n, m]` [m]; negative where shapes overlap."""
    jacobian: Array
    """How the joints of base and arm change it `[n, m, k]`."""
    pair: Array
    """Index into `Clearance.pairs` `[n, m]`, -1 where there is none."""


class Clearance:
    """Measure the gaps of a mobile manipulator.

    Attributes:
        pairs: Geoms of each pair `[p, 2]`; the first is the robot's, or what it holds.
        num_free: Number of pairs without what it holds; those come first.
    """

    def __init__(self, robot: MobileRobot, *, ignore: Sequence[str] = ()) -> None:
        """Choose the pairs; `ignore` names geoms of the room that may be touched."""
        import mujoco

        self._robot, model = robot, robot.model
        self._data = mujoco.MjData(model)
        self.pairs = np.array(_robot_pairs(robot) + _room_pairs(robot, ignore), np.int64)
        self._held = np.array(_held_pairs(robot, ignore), np.int64).reshape(-1, 2)
        self.pairs = np.concatenate([self.pairs, self._held])
        self.num_free = len(self.pairs) - len(self._held)
        self._mocap = robot.facts.state.get("mocap_pos"), robot.facts.state.get("mocap_quat")
        site = model.site(robot.facts.effector).id
        self._hand = robot.moved[model.site_bodyid[site]]
        self._base = robot.moved[model.geom_bodyid[self.pairs[:, 0]]]
        self._other = robot.moved[model.geom_bodyid[self.pairs[:, 1]]]
        self._base[self.num_free :] = self._hand
        self._own_base = ~self._base[:, 3:].any(axis=1)

    def names(self, pair: int) -> tuple[str, str]:
        """Return the names of a pair's geoms."""
        first, second = self.pairs[pair]
        return self._robot.model.geom(int(first)).name, self._robot.model.geom(int(second)).name

    def gaps(
        self,
        qpos: Array,
        rows: Array,
        motion: Motion,
        *,
        near: float,
        most: int,
        held: Array | None = None,
        base_near: float = 0.0,
    ) -> Gaps:
        """Return the nearest `most` pairs that are less than `near` [m] apart.

        Args:
            qpos: Configurations `[n, nq]` to measure at; `motion` is theirs.
            rows: States `[n, S]`, which say where obstacles stand.
            motion: Axes and anchors of the joints.
            near: Greatest distance that counts [m].
            most: Number of pairs m to keep.
            held: In which rows the object is in the hand and moves with it `[n]` bool.
            base_near: Greatest distance that counts for the base's own shapes [m], if above `near`.
        """
        count, size = len(qpos), self._robot.size
        distance = np.full((count, most), np.inf)
        jacobian = np.zeros((count, most, size))
        index = np.full((count, most), -1, np.int64)
        # MuJoCo measures distances in one configuration at a time; pairs far apart are left out.
        for row in range(count):
            carries = held is not None and bool(held[row])
            found = self._measure(qpos[row], rows[row], near, carries, base_near)
            for place, (gap, pair, ends) in enumerate(found[:most]):
                distance[row, place], index[row, place] = gap, pair
                self._change(motion, row, pair, gap, ends, jacobian[row, place])
        return Gaps(distance, jacobian, index)

    def smallest(
        self, qpos: Array, rows: Array, near: float, held: bool = False, skip_base: bool = False
    ) -> Array:
        """Return the smallest gap `[n]` [m] of configurations, at most `near`.

        skip_base: Leave out what the arm does not change.
        """
        result = np.full(len(qpos), near)
        for row in range(len(qpos)):  # one at a time, as in `gaps`
            for gap, pair, _ in self._measure(qpos[row], rows[row], near, held)[:8]:
                if not (skip_base and not self._base[pair, 3:].any()):
                    result[row] = min(result[row], gap)
                    break
        return result

    def _measure(
        self, qpos: Array, state: Array, near: float, carries: bool, base_near: float = 0.0
    ) -> list[tuple[float, int, Array]]:
        """Return distance, pair and nearest points of the pairs that are near, nearest first."""
        import mujoco

        model, data = self._robot.model, self._data
        data.qpos[:] = qpos
        place, turn = self._mocap
        if place is not None and turn is not None and model.nmocap:
            data.mocap_pos[:] = state[place].reshape(-1, 3)
            data.mocap_quat[:] = state[turn].reshape(-1, 4)
        if carries:
            self._shape(state)
        mujoco.mj_kinematics(model, data)
        count = len(self.pairs) if carries else self.num_free
        reach = np.where(self._own_base[:count], max(near, base_near), near)
        close = _near_pairs(
            self.pairs[:count],
            data.geom_xpos,
            data.geom_xmat,
            model.geom_aabb,
            model.geom_rbound,
            reach,
        )
        result = []
        for pair in close:
            first, second = self.pairs[pair]
            ends = np.empty(6)
            most = float(reach[pair])
            gap = mujoco.mj_geomDistance(model, data, int(first), int(second), most, ends)
            if gap < most:
                result.append((gap, int(pair), ends))
        result.sort(key=lambda item: (item[0], item[1]))
        return result

    def _shape(self, state: Array) -> None:
        """Give the object the kind and size that the state tells `[S]`."""
        import mujoco

        part = self._robot.facts.state.get("object")
        if part is None or not len(self._held):
            return
        model, geom, told = self._robot.model, int(self._held[0, 0]), state[part]
        kinds = mujoco.mjtGeom
        model.geom_type[geom] = int(kinds.mjGEOM_CYLINDER if told[0] else kinds.mjGEOM_BOX)
        model.geom_size[geom] = (told[1], told[3], 0.0) if told[0] else told[1:4]
        model.geom_rbound[geom] = float(np.linalg.norm(told[1:4]))

    def _change(
        self, motion: Motion, row: int, pair: int, gap: float, ends: Array, out: Array
    ) -> None:
        """Write how the joints change the distance of a pair `[k]`."""
        robot, both = self._robot, np.empty((2, 6, self._robot.size))
        axes, anchors = motion.axes[row], motion.anchors[row]
        point_jacobian(ends[:3], self._base[pair], robot.hinge, axes, anchors, both[0])
        point_jacobian(ends[3:], self._other[pair], robot.hinge, axes, anchors, both[1])
        line = ends[3:] - ends[:3]
        length = float(np.linalg.norm(line))
        if length < 1e-9:
            return
        # Where shapes overlap the nearest points have passed each other.
        normal = line / length if gap >= 0.0 else -line / length
        out[:] = normal @ (both[1, :3] - both[0, :3])


@numba.njit(cache=True, nogil=True)
def _near_pairs(
    pairs: Array, place: Array, turn: Array, boxes: Array, radius: Array, near: Array
) -> Array:
    """Return the pairs whose bounding sphere and box are less than `near` apart."""
    result, count = np.empty(len(pairs), np.int64), 0
    for index in range(len(pairs)):
        first, second = pairs[index, 0], pairs[index, 1]
        square = 0.0
        for axis in range(3):
            along = 0.0
            for i in range(3):
                along += turn[second, 3 * i + axis] * (place[first, i] - place[second, i])
            over = abs(along - boxes[second, axis]) - boxes[second, 3 + axis]
            if over > 0.0:
                square += over * over
        reach = near[index] + radius[first]
        if square < reach * reach:
            result[count] = index
            count += 1
    return result[:count]


def _robot_geoms(robot: MobileRobot) -> list[int]:
    """List the shapes of base and arm that can touch something."""
    model = robot.model
    return [
        geom
        for geom in range(model.ngeom)
        if robot.moved[model.geom_bodyid[geom]].any() and int(model.geom_contype[geom]) & ROBOT_MASK
    ]


def _room_geoms(robot: MobileRobot, ignore: Sequence[str]) -> list[int]:
    import mujoco

    model = robot.model
    known = {model.geom(geom).name for geom in range(model.ngeom)}
    for name in ignore:
        if name not in known:
            raise ValueError(
                f"{robot.facts.spec_id}: the model has no geom {name!r}; its geoms are "
                f"{', '.join(sorted(name for name in known if name))}"
            )
    return [
        geom
        for geom in range(model.ngeom)
        if not robot.moved[model.geom_bodyid[geom]].any()
        and int(model.geom_conaffinity[geom]) & ROBOT_MASK
        and int(model.geom_type[geom]) != int(mujoco.mjtGeom.mjGEOM_PLANE)
        and model.geom(geom).name not in ignore
        and not int(model.geom_contype[geom])
    ]


def _room_pairs(robot: MobileRobot, ignore: Sequence[str]) -> list[tuple[int, int]]:
    room = _room_geoms(robot, ignore)
    return [(first, second) for first in _robot_geoms(robot) for second in room]


def _held_pairs(robot: MobileRobot, ignore: Sequence[str]) -> list[tuple[int, int]]:
    """Pair what may be held with the room and with the base."""
    model = robot.model
    held = [geom for geom in range(model.ngeom) if model.geom(geom).name == "object"]
    base = [g for g in _robot_geoms(robot) if not robot.moved[model.geom_bodyid[g]][3:].any()]
    return [(first, second) for first in held for second in [*_room_geoms(robot, ignore), *base]]


def _robot_pairs(robot: MobileRobot) -> list[tuple[int, int]]:
    """Pair links that have enough joints between them."""
    model, geoms, result = robot.model, _robot_geoms(robot), []
    joints = robot.moved[model.geom_bodyid].sum(axis=1)
    for first in geoms:
        for second in geoms:
            if joints[first] - joints[second] >= APART:
                result.append((first, second))
    return result
