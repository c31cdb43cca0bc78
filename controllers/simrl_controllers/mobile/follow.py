"""Follow the pose that a task asks of the hand with base and arm at once, without a plan."""

from __future__ import annotations

import numpy as np
import torch

from simrl.core import EnvSpec
from simrl_controllers.mobile.machine import Phase
from simrl_controllers.mobile.orders import Orders, Scene
from simrl_controllers.mobile.robot import MobileRobot
from simrl_controllers.servo.reference import PoseReference

Array = np.ndarray
NEAR, FAR = 0.45, 0.75
"""Distances from the base's middle at which the hand has room: nearer or farther ones move the
base [m]."""
DRIVE = 0.5
"""Distance from its goal from which on the base is planned by nonlinear MPC [m]."""


class FollowScript:
    """Keep the hand at the task's reference; the base comes along where the arm is too short."""

    phases: tuple[Phase, ...] = (Phase("follow"),)
    fields: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __init__(self, spec: EnvSpec, robot: MobileRobot) -> None:
        self._pose, self._robot = PoseReference(spec), robot

    def run(self, name: str, scene: Scene, memory: Array, orders: Orders) -> tuple[Array, Array]:
        """Run the only phase, which never ends; see `Script.run`."""
        pose = self._pose(torch.from_numpy(scene.rows))
        never = np.zeros(len(scene.base), bool)
        line = pose.position[:, :2] - scene.base[:, :2]
        away = np.maximum(np.hypot(*line.T), 1e-6)
        heading = np.arctan2(line[:, 1], line[:, 0])
        keep = np.clip(away, NEAR, FAR)
        orders.base[:, :2] = pose.position[:, :2] - line * (keep / away)[:, None]
        # Turning has no sense where the hand is nearly above the base.
        orders.base[:, 2] = np.where(away > 0.5 * NEAR, heading, scene.base[:, 2])
        orders.drive[:] = np.abs(away - keep) > DRIVE
        orders.posture[:] = self._robot.facts.home
        orders.follow[:] = ~orders.drive
        orders.hand[:], orders.speed[:] = pose.position, 0.5
        if pose.quaternion is not None:
            orders.turn[:] = pose.quaternion
        orders.twist[:] = pose.twist
        return never, never.copy()
