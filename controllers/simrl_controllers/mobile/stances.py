"""Choose where the base stands and how the arm reaches: inverse kinematics of many candidates.

A stance is a pose of the base and angles of the arm that bring the hand to a pose.  Candidates are
solved side by side by damped least squares with the joints' limits in mind, ranked by how far the
arm is from its nominal pose and the base from where it is, and the best whose gaps are wide enough
is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl_controllers.mobile.clearance import Clearance
from simrl_controllers.mobile.inverse import read_chain, solve_arm
from simrl_controllers.mobile.robot import MobileRobot
from simrl_controllers.servo.pose import quat_of_matrix

Array = np.ndarray
STEPS = 40
"""Iterations of the inverse kinematics."""
CLOSE = 2e-3
"""Error of a solved pose, distance [m] plus a tenth of the angle [rad]."""
MARGIN = 0.08
"""Room that a stance leaves before the joints' limits [rad]."""


@dataclass(frozen=True)
class HandPose:
    """Hold poses of the hand of m candidates."""

    place: Array
    """Where it is `[m, 3]` [m]."""
    turn: Array
    """How it is turned `[m, 4]`, w first."""


def hand_turns(heading: Array, pitch: Array, flip: Array, vertical: bool = False) -> Array:
    """Return orientations `[m, 4]` of a hand that points to a heading and down by a pitch [rad].

    The fingers open sideways, or with `vertical` up and down; `flip` `[m]` bool turns the hand half
    round about its approach.
    """
    cos, sin, down, ahead = np.cos(heading), np.sin(heading), np.sin(pitch), np.cos(pitch)
    zero = np.zeros_like(cos)
    approach = np.stack([cos * ahead, sin * ahead, -down], axis=1)
    aside = np.stack([-sin, cos, zero], axis=1)
    opening = np.cross(approach, aside) if vertical else aside
    opening = np.where(np.asarray(flip)[:, None], -opening, opening)
    matrix = np.stack([np.cross(opening, approach), opening, approach], axis=2)
    return quat_of_matrix(matrix)


def _matrix(turn: Array) -> Array:
    """Return the rotation matrix of a quaternion `[4]`, w first."""
    w, x, y, z = turn
    return np.array(
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
            [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
            [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
        ]
    )


class Stances:
    """Solve and judge stances on the controllers' own model.

    Attributes:
        home: Nominal angles of the arm `[a]` [rad].
        close: Error below which a pose counts as reached.
    """

    def __init__(self, robot: MobileRobot, clearance: Clearance) -> None:
        self._robot, self._clearance = robot, clearance
        facts = robot.facts
        model, site = robot.model, robot.model.site(facts.effector).id
        self._chain = read_chain(
            model,
            facts.joint_ids[3:],
            int(model.jnt_bodyid[facts.joint_ids[2]]),
            int(site),
            facts.low + MARGIN,
            facts.high - MARGIN,
            facts.home,
        )
        boxes = facts.boxes
        self.home = facts.home
        self.close = CLOSE
        self._boxes = np.array([box[:4] for box in boxes.values()], np.float64).reshape(-1, 4)

    def base(self, qpos: Array) -> Array:
        """Return the pose of the base `[3]` in a configuration `[nq]`."""
        place: Array = qpos[self._robot.qpos[:3]]
        return place

    def angles(self, base: Array, pose: HandPose, start: Array) -> tuple[Array, Array]:
        """Return angles `[m, a]` of the arm that bring the hand to poses, and their errors `[m]`.

        Args:
            base: Poses of the base `[m, 3]`.
            pose: Poses of the hand.
            start: Angles to begin with `[m, a]`.
        """
        turns = np.array([_matrix(turn) for turn in pose.turn])
        bases, places = np.ascontiguousarray(base), np.ascontiguousarray(pose.place)
        angles, missing = solve_arm(
            self._chain, bases, places, turns, np.ascontiguousarray(start), STEPS, CLOSE
        )
        return angles, missing

    def open_floor(self, base: Array, discs: Array, room: float, holding: float = 0.0) -> Array:
        """Tell which poses of the base `[m, 3]` are clear of furniture and discs `[K, 5]`.

        The base is covered by three discs, as the base's nonlinear MPC covers it.  holding: further
        room [m].
        """
        half_length, half_width = self._robot.facts.footprint
        reach = half_length / 3.0
        radius = float(np.hypot(reach, half_width)) + room + holding
        good = np.ones(len(base), bool)
        standing = discs[(discs[:, 4] > 0.0) & (np.abs(discs[:, 2:4]).sum(axis=1) < 1e-6)]
        for at in (-2.0 * reach, 0.0, 2.0 * reach):
            x = base[:, 0] + at * np.cos(base[:, 2])
            y = base[:, 1] + at * np.sin(base[:, 2])
            for bx, by, half_x, half_y in self._boxes:
                over_x = np.maximum(np.abs(x - bx) - half_x, 0.0)
                over_y = np.maximum(np.abs(y - by) - half_y, 0.0)
                good &= np.hypot(over_x, over_y) > radius
            for disc in standing:
                good &= np.hypot(x - disc[0], y - disc[1]) > radius + disc[4]
        return good

    def clear(
        self, qpos: Array, state: Array, base: Array, angles: Array, least: float, held: bool
    ) -> bool:
        """Tell whether base `[3]` or `[p, 3]` and angles `[p, a]` keep their gaps all the way."""
        rows = np.repeat(qpos[None], len(angles), axis=0)
        rows[:, self._robot.qpos[:3]] = base
        rows[:, self._robot.qpos[3:]] = angles
        states = np.repeat(state[None], len(angles), axis=0)
        return bool((self._clearance.smallest(rows, states, least + 0.01, held) >= least).all())
