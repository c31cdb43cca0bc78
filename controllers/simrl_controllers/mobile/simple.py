"""Tasks of one or two moves: drive the base to a pose, and bring the hand to one."""

from __future__ import annotations

import numpy as np

from simrl_controllers.mobile import moves
from simrl_controllers.mobile.machine import Phase
from simrl_controllers.mobile.orders import Orders, Scene
from simrl_controllers.mobile.plans import Stance, around, find_stance
from simrl_controllers.mobile.robot import MobileRobot
from simrl_controllers.mobile.stances import HandPose, Stances

Array = np.ndarray
ALL_ROUND = tuple(np.linspace(-np.pi, np.pi, 12, endpoint=False))
"""Directions from which a pose of the hand is tried to be reached [rad]."""
REACHES = (0.40, 0.52, 0.64)
"""Distances of the hand from the arm's first axis [m]."""
WAIT = 1.0
"""Time between two attempts to plan [s]."""


class DriveScript:
    """Drive the base to the pose that the task asks for, the arm at home."""

    phases: tuple[Phase, ...] = (Phase("drive"),)
    fields: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __init__(self, robot: MobileRobot) -> None:
        self._robot = robot

    def run(self, name: str, scene: Scene, memory: Array, orders: Orders) -> tuple[Array, Array]:
        """Run the only phase, which never ends; see `Script.run`."""
        moves.drive(scene, orders, scene.command[:, :3], self._robot.facts.holonomic)
        never = np.zeros(len(scene.base), bool)
        return never, never.copy()


class ReachScript:
    """Drive to where the hand can be brought to the pose that the task asks for, and bring it."""

    phases: tuple[Phase, ...] = (
        Phase("plan", failed="wait"),
        Phase("drive", seconds=15.0, late="plan"),
        Phase("unfold", seconds=3.0),
        Phase("reach", seconds=6.0),
        Phase("fold", after="plan", seconds=3.0, late="plan"),
        Phase("wait", after="plan"),
    )
    fields: tuple[tuple[str, tuple[int, ...]], ...] = (
        ("base", (3,)),
        ("angles", (7,)),
        ("found", ()),
    )

    def __init__(self, robot: MobileRobot, stances: Stances) -> None:
        self._robot, self._stances = robot, stances
        self._mount = float(robot.model.body("arm").pos[0])

    def run(self, name: str, scene: Scene, memory: Array, orders: Orders) -> tuple[Array, Array]:
        """Run one phase; see `Script.run`."""
        count = len(scene.base)
        none = np.zeros(count, bool)
        orders.posture[:] = self._robot.facts.home
        if name == "plan":
            # Once for a whole phase, and each robot's search ends where its own does.
            for row in range(count):
                self._plan(scene.take(np.array([row])), memory[row : row + 1])
            found = memory["found"] > 0.5
            return found, ~found
        if name == "wait":
            return memory["time"] > WAIT, none
        orders.base[:] = memory["base"]
        if name == "drive":
            return moves.drive(scene, orders, memory["base"], self._robot.facts.holonomic), none
        if name == "fold":
            there = moves.pose(scene, orders, orders.posture.copy(), near=0.2)
            return there, none
        if name == "unfold":
            return moves.pose(scene, orders, memory["angles"]), none
        orders.posture[:] = memory["angles"]
        place, turn = scene.command[:, :3], scene.command[:, 3:7]
        there = moves.move_hand(scene, orders, place, turn, 0.3, near=(0.015, 0.08))
        # What is there has all the time that it wants.
        memory["time"][there] = 0.0
        return none, none.copy()

    def _plan(self, scene: Scene, memory: Array) -> None:
        stance = self.plan(scene, int(memory["tries"][0]))
        memory["found"] = float(stance is not None)
        if stance is not None:
            memory["base"][0], memory["angles"][0] = stance.base, stance.angles[0]

    def plan(self, scene: Scene, tries: int) -> Stance | None:
        """Plan for one row: from where, and with which angles, the pose is reached."""
        place, turn = scene.command[0, :3], scene.command[0, 3:7]
        discs = self._robot.facts.discs(scene.rows)[0]
        headings = np.array(ALL_ROUND) + 0.1 * tries
        bases = around(place, headings, self._mount, REACHES, aside=(0.0,), turned=(0.0, 0.6, -0.6))
        return find_stance(
            self._stances,
            scene.qpos[0],
            scene.rows[0],
            discs,
            bases,
            HandPose(place[None], turn[None]),
        )
