"""Open a drawer by its handle: the phases, and the plan behind them."""

from __future__ import annotations

import numpy as np

from simrl_controllers.mobile import moves
from simrl_controllers.mobile.machine import Phase
from simrl_controllers.mobile.orders import Orders, Scene
from simrl_controllers.mobile.plans import Grip, Stance, around, find_stance
from simrl_controllers.mobile.robot import MobileRobot
from simrl_controllers.mobile.stances import HandPose, Stances

Array = np.ndarray
BEFORE = 0.12
"""How far before the handle the hand begins [m]."""
MORE = 0.03
"""How much further than asked for the drawer is opened [m]."""
PULL_SPEED = 0.15
"""Speed of pulling [m/s]."""
BASE_SHARE = 0.6
"""Share of the pull that the base does by driving back."""
OPEN, SHUT = 0.08, 0.0
"""Openings of the gripper [m]."""
THIN = 0.01
"""Opening below which the gripper has closed on nothing [m]."""
WAIT = 1.0
"""Time between two attempts to plan [s]."""
PITCHES = (0.0, 0.3, -0.2)
"""How far the hand points down [rad]."""


class DrawerScript:
    """Grip the handle and pull, base and arm together."""

    phases: tuple[Phase, ...] = (
        Phase("plan", failed="wait"),
        Phase("drive", seconds=15.0, late="plan"),
        Phase("before", seconds=4.0),
        Phase("approach", seconds=4.0, late="give_up"),
        Phase("close", seconds=1.2),
        Phase("check", failed="give_up"),
        Phase("pull", failed="give_up", seconds=6.0, late="give_up"),
        Phase("hold", failed="give_up"),
        Phase("give_up"),
        Phase("back_off", after="plan", seconds=2.5, late="plan"),
        Phase("wait", after="plan"),
    )
    fields: tuple[tuple[str, tuple[int, ...]], ...] = (
        ("base", (3,)),
        ("turn", (4,)),
        ("before", (7,)),
        ("ahead", (3,)),
        ("found", ()),
        ("mark", (3,)),
        ("pulled", ()),
    )

    def __init__(self, robot: MobileRobot, stances: Stances, handle: str, drawer_qpos: int) -> None:
        self._robot, self._stances, self._drawer = robot, stances, drawer_qpos
        model = robot.model
        self._mount = float(model.body("arm").pos[0])
        self._site = model.site(handle).id
        joint = int(np.flatnonzero(model.jnt_qposadr == drawer_qpos)[0])
        self._joint = joint

    def run(self, name: str, scene: Scene, memory: Array, orders: Orders) -> tuple[Array, Array]:
        """Run one phase; see `Script.run`."""
        orders.begin(memory["base"], self._robot.facts.home, OPEN)
        none = np.zeros(len(scene.base), bool)
        done, failed = getattr(self, f"_{name}")(scene, memory, orders, none)
        return done, failed

    def _handle(self, scene: Scene) -> tuple[Array, Array]:
        """Return where the handle is `[n, 3]`, and the direction in which it opens `[n, 3]`."""
        motion = self._robot.evaluate(scene.qpos)
        return motion.sites[:, self._site], self._robot.axis(len(scene.qpos), self._joint)

    def _plan(
        self, scene: Scene, memory: Array, orders: Orders, none: Array
    ) -> tuple[Array, Array]:
        orders.base[:] = scene.base
        place, out = self._handle(scene)
        # Planning is once for a whole phase, and each robot's search ends where its own does.
        for row in range(len(none)):
            single = scene.take(np.array([row]))
            found = self.plan(single, place[row], out[row])
            memory["found"][row] = float(found is not None)
            if found is not None:
                grip, stance = found
                memory["base"][row], memory["turn"][row] = stance.base, grip.turn
                memory["before"][row], memory["ahead"][row] = stance.angles[1], grip.approach
        memory["pulled"] = 0.0
        ready = memory["found"] > 0.5
        return ready, ~ready

    def _drive(
        self, scene: Scene, memory: Array, orders: Orders, none: Array
    ) -> tuple[Array, Array]:
        return moves.drive(scene, orders, memory["base"], self._robot.facts.holonomic), none

    def _before(
        self, scene: Scene, memory: Array, orders: Orders, none: Array
    ) -> tuple[Array, Array]:
        return moves.pose(scene, orders, memory["before"]), none

    def _approach(
        self, scene: Scene, memory: Array, orders: Orders, none: Array
    ) -> tuple[Array, Array]:
        orders.posture[:] = memory["before"]
        place, _ = self._handle(scene)
        memory["mark"] = place
        return moves.move_hand(scene, orders, place, memory["turn"], 0.2), none

    def _keep(self, scene: Scene, memory: Array, orders: Orders) -> None:
        """Keep the hand at its mark, drawn back as far as has been pulled; base and arm share."""
        _, out = self._handle(scene)
        way = memory["pulled"][:, None] * out
        orders.posture[:], orders.opening[:] = memory["before"], SHUT
        orders.base[:, :2] += BASE_SHARE * way[:, :2]
        moves.move_hand(scene, orders, memory["mark"] + way, memory["turn"], 0.3)

    def _close(
        self, scene: Scene, memory: Array, orders: Orders, none: Array
    ) -> tuple[Array, Array]:
        self._keep(scene, memory, orders)
        return memory["time"] > 0.9, none

    def _check(
        self, scene: Scene, memory: Array, orders: Orders, none: Array
    ) -> tuple[Array, Array]:
        self._keep(scene, memory, orders)
        good = (scene.opening > THIN) & ~self._slipped(scene)
        return good, ~good

    def _slipped(self, scene: Scene) -> Array:
        place, _ = self._handle(scene)
        result: Array = np.linalg.norm(place - scene.hand, axis=1) > 0.04
        return result

    def _pull(
        self, scene: Scene, memory: Array, orders: Orders, none: Array
    ) -> tuple[Array, Array]:
        wanted = scene.command[:, 0] + MORE
        step = PULL_SPEED * self._robot.facts.step
        memory["pulled"] = np.minimum(memory["pulled"] + step, wanted)
        self._keep(scene, memory, orders)
        done = scene.qpos[:, self._drawer] > scene.command[:, 0] + 0.5 * MORE
        return done, self._slipped(scene) & ~done

    def _hold(
        self, scene: Scene, memory: Array, orders: Orders, none: Array
    ) -> tuple[Array, Array]:
        self._keep(scene, memory, orders)
        return none, self._slipped(scene) & (scene.qpos[:, self._drawer] < scene.command[:, 0])

    def _give_up(
        self, scene: Scene, memory: Array, orders: Orders, none: Array
    ) -> tuple[Array, Array]:
        orders.posture[:] = scene.arm
        return memory["time"] > 0.4, none

    def _back_off(
        self, scene: Scene, memory: Array, orders: Orders, none: Array
    ) -> tuple[Array, Array]:
        return moves.pose(scene, orders, memory["before"]), none

    def _wait(
        self, scene: Scene, memory: Array, orders: Orders, none: Array
    ) -> tuple[Array, Array]:
        orders.base[:] = scene.base
        return memory["time"] > WAIT, none

    def plan(self, scene: Scene, place: Array, out: Array) -> tuple[Grip, Stance] | None:
        """Plan for one row: a stance from which the handle is reached, shut and opened."""
        discs = self._robot.facts.discs(scene.rows)[0]
        heading = float(np.arctan2(-out[1], -out[0]))
        rest = float(scene.command[0, 0]) + MORE - float(scene.qpos[0, self._drawer])
        bases = around(place, np.array([heading]), self._mount)
        back = BASE_SHARE * rest * np.array([out[0], out[1], 0.0])
        best: tuple[Grip, Stance] | None = None
        for pitch in PITCHES:
            for flip in (False, True):
                grip = Grip(heading, pitch, flip, vertical=True)
                # In the order at the handle, before it, and where it is when the drawer is open.
                points = np.stack([place, place - BEFORE * grip.approach, place + rest * out])
                stance = find_stance(
                    self._stances,
                    scene.qpos[0],
                    scene.rows[0],
                    discs,
                    bases,
                    HandPose(points, np.repeat(grip.turn[None], 3, axis=0)),
                    moves=np.stack([0.0 * back, 0.0 * back, back]),
                )
                if stance is not None and (best is None or stance.cost < best[1].cost):
                    best = grip, stance
            if best is not None:
                return best
        return best
