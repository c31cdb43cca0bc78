"""Plan stances for tasks: which grasp, where the base stands, and how the arm begins.

Every plan is the best of many candidates that `Stances` solves side by side: headings and pitches
of the hand times places of the base in front of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl_controllers.mobile.stances import HandPose, Stances, hand_turns

Array = np.ndarray
REACHES = (0.48, 0.56, 0.64, 0.72)
"""Distances of the hand from the arm's first axis [m]."""
ASIDE = (0.0, 0.15, -0.15, 0.3, -0.3)
"""How far the arm's first axis stands to the left of the hand's approach [m]."""
TURNED = (0.0, 0.4, -0.4)
"""How far the base's heading is from the hand's [rad]."""
PITCHES = (0.35, 0.7, 0.0)
"""How far the hand points down [rad]."""
LEAST_GAP = 0.012
"""Gap that a stance keeps to the room and in itself [m]."""
FLOOR_ROOM = 0.06
"""Room that the base keeps where it stands [m]."""
MOST_TRIED = 14
"""Stances whose gaps are looked at, best first."""
TURN_COST, TRAVEL_COST = 0.3, 0.15
"""Costs of a radian's turn and a metre's way of the base, where a radian of the arm costs 1."""


@dataclass(frozen=True)
class Grip:
    """Hold what a stance is for: poses of the hand that it must reach one after the other."""

    heading: float
    """Direction of the hand in the plane [rad]."""
    pitch: float
    """How far it points down [rad]."""
    flip: bool
    """Whether it is turned half round about its approach."""
    vertical: bool = False
    """Whether the fingers open up and down."""

    @property
    def turn(self) -> Array:
        """Orientation `[4]`, w first."""
        angles = np.array([self.heading]), np.array([self.pitch]), np.array([self.flip])
        result: Array = hand_turns(*angles, vertical=self.vertical)[0]
        return result

    @property
    def approach(self) -> Array:
        """Direction of the hand `[3]`."""
        flat = np.cos(self.pitch)
        return np.array(
            [np.cos(self.heading) * flat, np.sin(self.heading) * flat, -np.sin(self.pitch)]
        )


@dataclass(frozen=True)
class Stance:
    """Hold where the base stands and the arm's angles along the way."""

    base: Array
    """Pose of the base `[3]` [m, rad]."""
    angles: Array
    """Angles at each pose of the way `[p, a]` [rad]."""
    cost: float
    """What it was ranked by."""


def around(
    place: Array,
    headings: Array,
    mount: float,
    reaches: tuple[float, ...] = REACHES,
    aside: tuple[float, ...] = ASIDE,
    turned: tuple[float, ...] = TURNED,
) -> Array:
    """Return poses of the base `[m, 3]` from which a hand at `place` could be reached.

    headings: directions of the approach in the plane [rad].  mount: how far ahead of the base's
    middle the arm stands [m].
    """
    heading, reach, side, turn = (
        grid.ravel() for grid in np.meshgrid(headings, reaches, aside, turned, indexing="ij")
    )
    x = place[0] - reach * np.cos(heading) - side * np.sin(heading)
    y = place[1] - reach * np.sin(heading) + side * np.cos(heading)
    yaw = heading + turn
    return np.stack([x - mount * np.cos(yaw), y - mount * np.sin(yaw), yaw], axis=1)


def find_stance(
    stances: Stances,
    qpos: Array,
    state: Array,
    discs: Array,
    bases: Array,
    way: HandPose,
    *,
    held: bool = False,
    here: Array | None = None,
    moves: Array | None = None,
) -> Stance | None:
    """Return the best stance of candidates that reaches every pose of a way, or None.

    Args:
        stances: Solver and judge.
        qpos: Configuration `[nq]`.
        state: State `[S]`.
        discs: Obstacles `[K, 5]`.
        bases: Poses of the base to try `[m, 3]`.
        way: Poses `[p]` of the hand in the order in which they are solved, the farthest in first.
        held: Whether the object is in the hand.
        here: Pose of the base from which its way is counted `[3]`; None takes its own.
        moves: How far the base has moved on at each pose of the way `[p, 3]`.
    """
    bases = bases[stances.open_floor(bases, discs, FLOOR_ROOM)]
    if not len(bases):
        return None
    home, count = stances.home, len(way.place)
    angles = np.empty((len(bases), count, len(home)))
    start = np.repeat(home[None], len(bases), axis=0)
    good = np.ones(len(bases), bool)
    for index in range(count):
        pose = HandPose(
            np.repeat(way.place[index : index + 1], len(bases), axis=0),
            np.repeat(way.turn[index : index + 1], len(bases), axis=0),
        )
        stand = bases if moves is None else bases + moves[index]
        start, error = stances.angles(stand, pose, start)
        angles[:, index] = start
        good &= error < stances.close
    from_here = stances.base(qpos) if here is None else here
    travel = np.hypot(*(bases[:, :2] - from_here[:2]).T)
    spin = np.abs(np.angle(np.exp(1j * (bases[:, 2] - from_here[2]))))
    bent = np.linalg.norm(angles - home, axis=2).max(axis=1)
    jump = np.abs(np.diff(angles, axis=1)).max(axis=(1, 2), initial=0.0)
    cost = bent + TURN_COST * spin + TRAVEL_COST * travel + jump
    cost[~good] = np.inf
    for pick in np.argsort(cost, kind="stable")[:MOST_TRIED]:
        if not np.isfinite(cost[pick]):
            return None
        stand = bases[pick] if moves is None else bases[pick] + moves
        if stances.clear(qpos, state, stand, angles[pick], LEAST_GAP, held):
            return Stance(bases[pick], angles[pick], float(cost[pick]))
    return None
