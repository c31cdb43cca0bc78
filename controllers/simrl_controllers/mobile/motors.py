"""Turn accelerations of base and arm into the actions of a mobile manipulator."""

from __future__ import annotations

import numpy as np

from simrl_controllers.mobile.body_qp import Step
from simrl_controllers.mobile.robot import MobileRobot

Array = np.ndarray
TRACK = 12.0
"""Natural frequency with which torques hold the arm at its reference [rad/s], and the rate at which
speeds bring it back there [1/s]."""


class Motors:
    """Command drives, arm and gripper so that the mean force over a step is the one wanted.

    Drives are velocity servos, F = gain (command - speed); the arm's are the same, or springs and
    dampers about a position, or torques.  An action is held for a whole step while the robot moves
    on, so commands are those for the middle of the step; the base's, if wished, for later.
    """

    def __init__(self, robot: MobileRobot, base_ahead: float = 0.0) -> None:
        self._robot, self._base_ahead = robot, base_ahead
        facts = robot.facts
        self._drive_gain, self._damping = facts.damping[:3], facts.damping[3:]
        self._low, self._high = facts.action_low, facts.action_high

    def action(
        self,
        base: Array,
        speed: Array,
        arm: Array,
        step: Step,
        measured: tuple[Array, Array],
        opening: Array,
    ) -> Array:
        """Return actions `[n, size]` float32 within their bounds.

        Args:
            base: Pose of the base `[n, 3]`.
            speed: Speeds of base and reference of the arm `[n, k]`.
            arm: Reference of the arm `[n, a]` [rad].
            step: Accelerations and the forces that they take.
            measured: Angles and speeds of the arm itself, each `[n, a]`.
            opening: Wanted opening of the gripper `[n]` [m].
        """
        facts, half = self._robot.facts, 0.5 * self._robot.facts.step
        middle = speed + half * step.acceleration
        yaw, wanted, force = base[:, 2] + half * speed[:, 2], middle[:, :3], step.force[:, :3]
        if self._base_ahead > 0.0:
            # The servo's lag behind a speed that is far ahead is what brings the base there.
            wanted, force = speed[:, :3] + self._base_ahead * step.acceleration[:, :3], 0.0 * force
        drives = self._drives(yaw, wanted, force)
        place = arm + half * speed[:, 3:]
        if facts.control == "velocity":
            # A speed alone would let the arm drift away from its reference.
            back = TRACK * (arm - measured[0])
            motors = middle[:, 3:] + back + step.inertial[:, 3:] / self._damping
        elif facts.control == "torque":
            # Springs and dampers as stiff as an action held for a step allows.
            pull = TRACK**2 * (arm - measured[0]) + 2.0 * TRACK * (speed[:, 3:] - measured[1])
            motors = step.force[:, 3:] + (step.mass[:, 3:, 3:] @ pull[..., None])[..., 0]
        else:
            # The servos make up for gravity themselves, and their dampers are fed forward.
            motors = (
                place + (step.inertial[:, 3:] + self._damping * middle[:, 3:]) / facts.stiffness
            )
        whole = np.concatenate([drives, motors, opening[:, None]], axis=1)
        return np.clip(whole, self._low, self._high).astype(np.float32)

    def _drives(self, yaw: Array, speed: Array, force: Array) -> Array:
        """Return commands of the drives for speeds and forces in the world."""
        facts, cos, sin = self._robot.facts, np.cos(yaw), np.sin(yaw)
        ahead = cos * speed[:, 0] + sin * speed[:, 1]
        aside = -sin * speed[:, 0] + cos * speed[:, 1]
        push = cos * force[:, 0] + sin * force[:, 1]
        shove = -sin * force[:, 0] + cos * force[:, 1]
        gain = self._drive_gain
        ahead, aside = ahead + push / gain[0], aside + shove / gain[1]
        turn = speed[:, 2] + force[:, 2] / gain[2]
        if facts.holonomic:
            return np.stack([ahead, aside, turn], axis=1)
        half = 0.5 * facts.track
        return np.stack([ahead - half * turn, ahead + half * turn], axis=1)
