"""Take an object from one place and put it on another: the phases, and the plan behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl_controllers.mobile import moves
from simrl_controllers.mobile.machine import Phase
from simrl_controllers.mobile.orders import Orders, Scene
from simrl_controllers.mobile.plans import (
    PITCHES,
    Grip,
    Stance,
    around,
    find_stance,
)
from simrl_controllers.mobile.robot import MobileRobot
from simrl_controllers.mobile.stances import HandPose, Stances

Array = np.ndarray
UP = np.array([0.0, 0.0, 1.0])
BEFORE, LIFT, BACK = 0.12, 0.06, 0.22
"""How far before the object the hand begins, how far it lifts it and draws it back [m]."""
GRIP_HEIGHT = 0.25
"""Where objects are gripped above their middle, as a share of their half height."""
LOST = 0.06
"""Distance between object and hand at which it is not held any more [m]."""
OPEN, SHUT = 0.08, 0.0
"""Openings of the gripper [m]."""
THIN = 0.01
"""Opening below which the gripper has closed on nothing [m]."""
WAIT = 1.0
"""Time between two attempts to plan [s]."""
PLACED = 0.04
"""Distance from its goal at which an object counts as put there [m]."""
CARRY = tuple((x, 0.0, z) for z in (0.85, 0.95, 0.75, 1.05) for x in (0.45, 0.5, 0.55))
"""Where the hand may be while it carries, in the base's frame [m]."""


@dataclass(frozen=True)
class PickPlan:
    """Hold how one object is taken and put down."""

    grip: Grip
    """How the hand takes it."""
    release: Grip
    """How it lets go."""
    take: Stance
    """From where it is taken: angles at the object, before it, lifted, drawn back."""
    put: Stance
    """From where it is put: angles at the goal, above it, drawn back above it, drawn back."""
    carry: Array
    """Angles while it is carried `[a]` [rad]."""


class PickScript:
    """Take the object, carry it, put it down; look at each step whether it worked."""

    phases: tuple[Phase, ...] = (
        Phase("plan", failed="wait"),
        Phase("drive", seconds=15.0, late="plan"),
        Phase("before", seconds=4.0),
        Phase("approach", seconds=4.0, late="give_up"),
        Phase("close", seconds=1.2),
        Phase("check", failed="give_up"),
        Phase("lift", failed="give_up", seconds=2.5),
        Phase("withdraw", failed="give_up", seconds=3.0),
        Phase("stow", failed="give_up", seconds=3.0),
        Phase("carry", failed="give_up", seconds=20.0, late="carry"),
        Phase("before_place", failed="give_up", seconds=4.0),
        Phase("insert", failed="give_up", seconds=4.0),
        Phase("lower", failed="give_up", seconds=2.0),
        Phase("open", seconds=0.6),
        Phase("retreat", seconds=3.0),
        Phase("judge", failed="plan"),
        Phase("give_up"),
        Phase("back_off", after="plan", seconds=2.5, late="plan"),
        Phase("wait", after="plan"),
    )
    fields: tuple[tuple[str, tuple[int, ...]], ...] = (
        ("base", (3,)),
        ("take_turn", (4,)),
        ("take_ahead", (3,)),
        ("before", (7,)),
        ("carry", (7,)),
        ("put_base", (3,)),
        ("put_turn", (4,)),
        ("put_ahead", (3,)),
        ("above", (7,)),
        ("mark", (3,)),
        ("offset", (3,)),
    )

    def __init__(self, robot: MobileRobot, stances: Stances, object_qpos: Array) -> None:
        self._robot, self._stances, self._object = robot, stances, object_qpos
        self._mount = float(robot.model.body("arm").pos[0])

    def run(self, name: str, scene: Scene, memory: Array, orders: Orders) -> tuple[Array, Array]:
        """Run one phase; see `Script.run`."""
        orders.begin(memory["base"], self._robot.facts.home, OPEN)
        failed = np.zeros(len(scene.base), bool)
        done, failed = getattr(self, f"_{name}")(scene, memory, orders, failed)
        return done, failed

    def _place(self, scene: Scene) -> Array:
        return scene.qpos[:, self._object[:3]]

    def _gone(self, scene: Scene) -> Array:
        """Tell which rows have lost the object."""
        gone: Array = np.linalg.norm(self._place(scene) - scene.hand, axis=1) > LOST
        return gone

    def _at_object(self, scene: Scene) -> Array:
        """Return where the hand takes the object `[n, 3]`."""
        half = self._robot.facts.part(scene.rows, "object")[:, 3:4]
        result: Array = self._place(scene) + GRIP_HEIGHT * half * UP
        return result

    def _plan(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        orders.base[:] = scene.base
        done = np.zeros(len(failed), bool)
        at = self._at_object(scene)
        # Planning is once for a whole phase, and each robot's search ends where its own does.
        for row in range(len(failed)):
            plan = self.plan(scene.take(np.array([row])), at[row], int(memory["tries"][row]))
            if plan is None:
                continue
            memory["base"][row] = plan.take.base
            memory["take_turn"][row] = plan.grip.turn
            memory["take_ahead"][row] = plan.grip.approach
            memory["before"][row] = plan.take.angles[1]
            memory["carry"][row] = plan.carry
            memory["put_base"][row] = plan.put.base
            memory["put_turn"][row] = plan.release.turn
            memory["put_ahead"][row] = plan.release.approach
            memory["above"][row] = plan.put.angles[2]
            done[row] = True
        return done, ~done

    def _drive(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        done = moves.drive(scene, orders, memory["base"], self._robot.facts.holonomic)
        return done, failed

    def _before(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        return moves.pose(scene, orders, memory["before"]), failed

    def _approach(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        orders.posture[:] = memory["before"]
        done = moves.move_hand(scene, orders, self._at_object(scene), memory["take_turn"], 0.25)
        memory["mark"][:] = self._at_object(scene)
        return done, failed

    def _close(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        self._hold(scene, memory, orders, memory["mark"])
        return memory["time"] > 0.7, failed

    def _check(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        self._hold(scene, memory, orders, memory["mark"])
        good = ~self._gone(scene) & (scene.opening > THIN)
        return good, ~good

    def _hold(self, scene: Scene, memory: Array, orders: Orders, place: Array) -> Array:
        """Keep the object in the hand, and the hand's turn, at a place `[n, 3]`."""
        orders.posture[:] = memory["before"]
        orders.opening[:] = SHUT
        return moves.move_hand(scene, orders, place, memory["take_turn"], 0.25, near=(0.02, 0.1))

    def _lift(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        done = self._hold(scene, memory, orders, memory["mark"] + LIFT * UP)
        return done, self._gone(scene)

    def _withdraw(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        ahead = memory["take_ahead"] * np.array([1.0, 1.0, 0.0])
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
        done = self._hold(scene, memory, orders, memory["mark"] + LIFT * UP - BACK * ahead)
        orders.held[:] = True
        return done, self._gone(scene)

    def _stow(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        orders.opening[:], orders.held[:] = SHUT, True
        done = moves.pose(scene, orders, memory["carry"], near=0.3)
        memory["base"][done] = memory["put_base"][done]
        return done, self._gone(scene)

    def _carry(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        orders.opening[:], orders.held[:] = SHUT, True
        moves.pose(scene, orders, memory["carry"])
        return moves.drive(scene, orders, memory["base"], self._robot.facts.holonomic), self._gone(
            scene
        )

    def _before_place(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        orders.opening[:], orders.held[:] = SHUT, True
        done = moves.pose(scene, orders, memory["above"])
        self._remember_offset(scene, memory)
        return done, self._gone(scene)

    def _remember_offset(self, scene: Scene, memory: Array) -> None:
        """Remember where the object is in the hand `[n, 3]`, in the hand's frame."""
        back = np.swapaxes(scene.turn, 1, 2)
        memory["offset"][:] = (back @ (self._place(scene) - scene.hand)[..., None])[..., 0]

    def _put(self, scene: Scene, memory: Array, orders: Orders, up: float, speed: float) -> Array:
        """Bring the object over its goal; return which rows are there."""
        orders.posture[:], orders.opening[:] = memory["above"], SHUT
        goal = scene.command[:, :3] + up * UP
        turned = _rotate(memory["put_turn"], memory["offset"])
        return moves.move_hand(scene, orders, goal - turned, memory["put_turn"], speed)

    def _insert(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        done = self._put(scene, memory, orders, 0.04, 0.25)
        return done, self._gone(scene)

    def _lower(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        self._put(scene, memory, orders, -0.003, 0.08)
        height = self._place(scene)[:, 2] - scene.command[:, 2]
        memory["mark"][:] = scene.hand
        return (height < 0.002) & (memory["time"] > 0.2), self._gone(scene)

    def _open(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        orders.posture[:] = memory["above"]
        moves.move_hand(scene, orders, memory["mark"], memory["put_turn"], 0.1)
        return memory["time"] > 0.5, failed

    def _retreat(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        orders.posture[:] = memory["above"]
        place = memory["mark"] - 0.15 * memory["put_ahead"]
        near = (0.02, 0.1)
        return moves.move_hand(scene, orders, place, memory["put_turn"], 0.25, near=near), failed

    def _judge(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        """Stay where the object is at its goal; else try again."""
        moves.pose(scene, orders, memory["above"])
        error = np.linalg.norm(self._place(scene) - scene.command[:, :3], axis=1)
        return np.zeros(len(failed), bool), (error > PLACED) & (memory["time"] > 1.0)

    def _give_up(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        """Open the gripper where it is, whatever went wrong."""
        orders.posture[:] = scene.arm
        return memory["time"] > 0.4, failed

    def _back_off(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        there = moves.pose(scene, orders, memory["before"])
        return there, failed

    def _wait(
        self, scene: Scene, memory: Array, orders: Orders, failed: Array
    ) -> tuple[Array, Array]:
        """Stand still before the next plan, which begins with another pitch."""
        orders.base[:] = scene.base
        return memory["time"] > WAIT, failed

    def plan(self, scene: Scene, at: Array, tries: int) -> PickPlan | None:
        """Plan for one row: stances for the object and for its goal that share a grip."""
        facts = self._robot.facts
        qpos, state = scene.qpos[0], scene.rows[0]
        discs = facts.discs(scene.rows)[0]
        face, from_face = scene.command[0, 3], scene.command[0, 4]
        heading = self._heading(scene, from_face)
        goal = scene.command[0, :3] + (at - self._place(scene)[0])
        pitches = PITCHES[tries % len(PITCHES) :] + PITCHES[: tries % len(PITCHES)]
        for pitch in pitches:
            best: PickPlan | None = None
            for flip in (False, True):
                grip = Grip(heading, pitch, flip)
                take = find_stance(
                    self._stances,
                    qpos,
                    state,
                    discs,
                    around(at, np.array([from_face]), self._mount),
                    _way(grip, at, (0.0, 0.0), (BEFORE, 0.0), (0.0, LIFT), (BACK, LIFT)),
                )
                if take is None:
                    continue
                for turned in (0.0, 0.35, -0.35):
                    release = Grip(face + turned, pitch, flip)
                    put = find_stance(
                        self._stances,
                        qpos,
                        state,
                        discs,
                        around(goal, np.array([face]), self._mount),
                        _way(release, goal, (0.0, 0.0), (0.0, LIFT), (BACK, LIFT), (BACK, 0.0)),
                        here=take.base,
                    )
                    if put is not None:
                        break
                if put is None:
                    continue
                carry = self._carry_angles(qpos, state, take, grip)
                if best is None or take.cost + put.cost < best.take.cost + best.put.cost:
                    best = PickPlan(grip, release, take, put, carry)
            if best is not None:
                return best
        return None

    def _heading(self, scene: Scene, face: float) -> float:
        """Return the hand's direction: along that side of the object that is nearest to `face`."""
        if self._robot.facts.part(scene.rows, "object")[0, 0] > 0.5:
            return face
        w, x, y, z = scene.qpos[0, self._object[3:7]]
        yaw = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        quarter = 0.5 * np.pi
        off = float(moves.wrapped(np.array(yaw - face)))
        return face + off - quarter * round(off / quarter)

    def _carry_angles(self, qpos: Array, state: Array, take: Stance, grip: Grip) -> Array:
        """Return angles that hold the object close to the base, as it is turned when taken."""
        base = np.repeat(take.base[None], len(CARRY), axis=0)
        spots = np.array(CARRY)
        cos, sin = np.cos(take.base[2]), np.sin(take.base[2])
        place = np.stack(
            [
                take.base[0] + cos * spots[:, 0] - sin * spots[:, 1],
                take.base[1] + sin * spots[:, 0] + cos * spots[:, 1],
                spots[:, 2],
            ],
            axis=1,
        )
        ahead = Grip(float(take.base[2]), grip.pitch, grip.flip)
        turn = np.repeat(ahead.turn[None], len(CARRY), axis=0)
        start = np.repeat(take.angles[-1][None], len(CARRY), axis=0)
        angles, error = self._stances.angles(base, HandPose(place, turn), start)
        for index in range(len(CARRY)):
            close = error[index] < self._stances.close
            if close and self._stances.clear(
                qpos, state, take.base, angles[index : index + 1], 0.02, False
            ):
                result: Array = angles[index]
                return result
        result = take.angles[-1]
        return result


def _way(grip: Grip, place: Array, *offsets: tuple[float, float]) -> HandPose:
    """Return poses of the hand drawn back from a place and lifted by offsets [m]."""
    ahead = np.array([np.cos(grip.heading), np.sin(grip.heading), 0.0])
    points = []
    for back, up in offsets:
        # Without a lift the hand goes back as it points; above the board, level.
        line = ahead if up else grip.approach
        points.append(place - back * line + up * UP)
    return HandPose(np.array(points), np.repeat(grip.turn[None], len(points), axis=0))


def _rotate(turn: Array, vector: Array) -> Array:
    """Rotate vectors `[n, 3]` by quaternions `[n, 4]`, w first."""
    w, axis = turn[:, :1], turn[:, 1:]
    cross = np.cross(axis, vector)
    result: Array = vector + 2.0 * (w * cross + np.cross(axis, cross))
    return result
