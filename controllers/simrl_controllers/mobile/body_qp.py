"""Move base and arm together: tasks of hand, base and posture within all limits, by one QP a row.

    minimise  sum of weight |J qacc + drift - wanted|^2  over tasks
    subject to  speeds, positions, accelerations: bounds on qacc
                torques: -limit <= M qacc + bias <= limit
                gaps: d'' + 2 k d' + k^2 (d - clearance) >= 0, softly
                a base on two wheels does not slide sideways

The arm's tasks are those of a reference that its stiff servos follow, so loads that the model does
not know do not pull the hand away; the base's are those of the base itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl_controllers.mobile.clearance import Clearance, Gaps
from simrl_controllers.mobile.config import WholeBodyConfig
from simrl_controllers.mobile.robot import MobileRobot, Motion
from simrl_controllers.servo.pose import rotation_error
from simrl_controllers.wbc import LinearLimit, RobotDynamics, Task, WbcConfig, WeightedWbc

Array = np.ndarray
BRAKE = 0.8
"""Share of a joint's acceleration that its braking before a limit counts on."""
SLIDE_RATE = 5.0
"""How fast what slides sideways is stopped [1/s]."""


@dataclass
class Wish:
    """Say what n rows shall do in this step."""

    hand: Array
    """Where the hand shall be `[n, 3]` [m]."""
    turn: Array
    """How it shall be turned `[n, 4]`, w first."""
    twist: Array
    """How fast that pose moves, linear and angular `[n, 6]` [m/s, rad/s]."""
    hand_weight: Array
    """Weight of the hand's pose `[n]`; 0 leaves it free."""
    posture: Array
    """Where the arm's joints shall be besides `[n, a]` [rad]."""
    posture_weight: Array
    """Weight of that `[n]`."""
    base: Array
    """Wanted acceleration of the base `[n, 3]` [m/s^2, rad/s^2], in the world."""
    base_weight: Array
    """Weight of that `[n]`."""
    max_speed: Array
    """Fastest approach of the hand `[n]` [m/s]."""
    held: Array
    """Whether an object is in the hand and has to keep clear of things `[n]` bool."""


@dataclass(frozen=True)
class Step:
    """Hold how n rows move on."""

    acceleration: Array
    """Accelerations of base and arm `[n, k]`."""
    force: Array
    """Forces and torques that they take `[n, k]`."""
    inertial: Array
    """The part of them that accelerates, without gravity and the like `[n, k]`."""
    mass: Array
    """Joint-space inertia `[n, k, k]`."""
    status: Array
    """0 where the QP was solved, 1 where the rows brake instead `[n]`."""
    gap: Array
    """Smallest gap `[n]` [m]; infinite where nothing is near."""
    error: Array
    """Distance and angle of the hand from its pose `[n, 2]` [m, rad]."""


class WholeBody:
    """Solve the quadratic programs of many rows."""

    def __init__(
        self, robot: MobileRobot, clearance: Clearance | None, config: WholeBodyConfig
    ) -> None:
        self.robot, self.config, self._clearance = robot, config, clearance
        facts = robot.facts
        self._site = robot.model.site(facts.effector).id
        arm, base = config.joint_acceleration, config.base_acceleration
        self._most = np.array([base[0], base[0], base[1], *([arm] * facts.num_arm)])
        self.speed = config.speed_share * facts.speed
        endless = np.full(3, np.inf)
        self._low = np.concatenate([-endless, facts.low + config.joint_margin])
        self._high = np.concatenate([endless, facts.high - config.joint_margin])
        self._solver = WeightedWbc(
            WbcConfig(slack_weight=config.gap_price),
            robot.size,
            np.arange(robot.size),
            config.torque_share * facts.force,
        )

    def step(self, qpos: Array, qvel: Array, rows: Array, wish: Wish) -> Step:
        """Return the accelerations of configurations `[n, nq]`, `[n, nv]` in states `[n, S]`."""
        motion = self.robot.evaluate(qpos, qvel)
        hand, error = self._hand(motion, wish)
        gaps = self._gaps(qpos, rows, motion, wish)
        low, high = self._bounds(qpos, motion.speed)
        tasks = [hand, *self._rest(qpos, motion, wish)]
        limits = [self._each("joints", low, high), self._apart(gaps, motion.speed)]
        if not self.robot.facts.holonomic:
            limits.append(self._no_slide(qpos, motion.speed))
        result = self._solver.solve(RobotDynamics(motion.mass, motion.bias), tasks, limits=limits)
        failed = result.status != 0
        brake = np.clip(-motion.speed / self.robot.facts.step, low, high)
        acceleration = np.where(failed[:, None], brake, result.acceleration)
        inertial = (motion.mass @ acceleration[..., None])[..., 0]
        nearest = gaps.distance.min(axis=1, initial=np.inf)
        status = failed.astype(np.int64)
        force = inertial + motion.bias
        return Step(acceleration, force, inertial, motion.mass, status, nearest, error)

    def _hand(self, motion: Motion, wish: Wish) -> tuple[Task, Array]:
        """Return the hand's task, and how far it is from its pose `[n, 2]`."""
        config = self.config
        jacobian, drift = self.robot.site_jacobian(motion, self._site)
        place, turn = motion.sites[:, self._site], motion.turns[:, self._site]
        error = np.concatenate([wish.hand - place, rotation_error(wish.turn, turn)], axis=1)
        far = np.linalg.norm(error.reshape(-1, 2, 3), axis=2)
        velocity = (jacobian @ motion.speed[..., None])[..., 0]
        damping = 2.0 * config.hand_frequency
        pull = _limited(config.hand_frequency**2 * error, wish.max_speed, config.max_spin, damping)
        target = pull + damping * (wish.twist - velocity) - drift
        parts = np.array([1.0, 1.0, 1.0, *([config.turn_weight] * 3)])
        return Task("hand", jacobian, target, wish.hand_weight[:, None] * parts), far

    def _rest(self, qpos: Array, motion: Motion, wish: Wish) -> list[Task]:
        """Return the tasks of base and posture."""
        count, size = len(qpos), self.robot.size
        eye = np.broadcast_to(np.eye(size), (count, size, size))
        arm, speed = qpos[:, self.robot.qpos[3:]], motion.speed[:, 3:]
        frequency = self.config.posture_frequency
        damping = 2.0 * frequency
        fast = damping * self.speed[3:]
        home = np.clip(frequency**2 * (wish.posture - arm), -fast, fast) - damping * speed
        weight = wish.posture_weight[:, None] * np.ones(size - 3)
        return [
            Task("base", eye[:, :3], wish.base, wish.base_weight[:, None] * np.ones(3)),
            Task("posture", eye[:, 3:], home, weight),
        ]

    def _gaps(self, qpos: Array, rows: Array, motion: Motion, wish: Wish) -> Gaps:
        config = self.config
        if self._clearance is None or not config.pairs:
            empty = np.zeros((len(qpos), 0))
            return Gaps(empty, np.zeros((len(qpos), 0, self.robot.size)), empty.astype(np.int64))
        return self._clearance.gaps(
            qpos,
            rows,
            motion,
            near=config.near,
            most=config.pairs,
            held=wish.held,
            base_near=config.base_near,
        )

    def _apart(self, gaps: Gaps, speed: Array) -> LinearLimit:
        """Let gaps close no faster than a critically damped motion to the clearance would."""
        rate = self.config.gap_rate
        closing = (gaps.jacobian @ speed[..., None])[..., 0]
        least = -2.0 * rate * closing - rate**2 * (gaps.distance - self.config.clearance)
        least[~np.isfinite(least)] = -np.inf
        return LinearLimit("gaps", gaps.jacobian, least, np.full(least.shape, np.inf))

    def _each(self, name: str, low: Array, high: Array) -> LinearLimit:
        size = self.robot.size
        return LinearLimit(name, np.broadcast_to(np.eye(size), (len(low), size, size)), low, high)

    def _bounds(self, qpos: Array, speed: Array) -> tuple[Array, Array]:
        """Return bounds on the accelerations `[n, k]` by speed, position and acceleration.

        A joint may go as fast as it can still brake before its limit.
        """
        dt, most = self.robot.facts.step, self._most
        place = qpos[:, self.robot.qpos]
        room = np.maximum(self._high - place, 0.0)
        fastest = np.minimum(self.speed, np.sqrt(2.0 * BRAKE * most * room))
        room = np.maximum(place - self._low, 0.0)
        slowest = -np.minimum(self.speed, np.sqrt(2.0 * BRAKE * most * room))
        high = np.clip((fastest - speed) / dt, -most, most)
        low = np.clip((slowest - speed) / dt, -most, most)
        return np.minimum(low, high), high

    def _no_slide(self, qpos: Array, speed: Array) -> LinearLimit:
        """Hold the sideways acceleration of wheels to what turning brings, and stop slides."""
        yaw = qpos[:, self.robot.qpos[2]]
        cos, sin = np.cos(yaw), np.sin(yaw)
        jacobian = np.zeros((len(qpos), 1, self.robot.size))
        jacobian[:, 0, 0], jacobian[:, 0, 1] = -sin, cos
        ahead = cos * speed[:, 0] + sin * speed[:, 1]
        aside = -sin * speed[:, 0] + cos * speed[:, 1]
        value = (speed[:, 2] * ahead - SLIDE_RATE * aside)[:, None]
        return LinearLimit("wheels", jacobian, value, value)


def _limited(pull: Array, fastest: Array, spin: float, damping: float) -> Array:
    """Bound a spring `[n, 6]` so that it and the damper balance at the greatest speeds."""
    for part, limit in ((slice(0, 3), fastest), (slice(3, 6), np.full(len(pull), spin))):
        length = np.linalg.norm(pull[:, part], axis=1)
        pull[:, part] /= np.maximum(length / (damping * limit), 1.0)[:, None]
    return pull
