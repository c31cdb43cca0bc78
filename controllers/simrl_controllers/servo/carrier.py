"""Bring the base of a mobile arm to where its hand has room: what servos of arms do besides."""

from __future__ import annotations

import numpy as np
import torch

from simrl.core import EnvSpec
from simrl_controllers.servo.reference import POSITION, PoseReference

Array = np.ndarray
NEAR, FAR = 0.45, 0.7
"""Distances of the hand's target from the base's middle between which the base stands still [m]."""
RATE = 1.5
"""Speed for each metre or radian that is missing [1/s]."""


class Carrier:
    """Tell the actions of a mobile arm's base; it sees no obstacles.

    The base turns to the pose that the task asks of the hand, and comes as near as the arm needs.
    Without such a pose it stands.
    """

    def __init__(self, spec: EnvSpec) -> None:
        """Read the base's facts of `spec.physics`."""
        physics = spec.physics
        columns = set(physics.get("reference", ()))
        self._pose = PoseReference(spec) if set(POSITION) <= columns else None
        self._holonomic = physics["drive"] == "holonomic"
        self._half = 0.0 if self._holonomic else 0.5 * float(physics["track"])
        self._place = physics["state"]["qpos"].start + np.asarray(physics["base_qpos"])

    def __call__(self, rows: Array) -> Array:
        """Return actions of the base `[n, 3]`, or of two wheels `[n, 2]`, in states `[n, S]`."""
        base = rows[:, self._place]
        speed = np.zeros((len(rows), 3))
        if self._pose is not None:
            line = self._pose(torch.from_numpy(rows)).position[:, :2] - base[:, :2]
            away = np.hypot(*line.T)
            off = np.arctan2(line[:, 1], line[:, 0]) - base[:, 2]
            off = np.arctan2(np.sin(off), np.cos(off))
            rest = RATE * (away - np.clip(away, NEAR, FAR))
            speed[:, 0] = rest * np.cos(off)
            speed[:, 1] = rest * np.sin(off)
            # Turning has no sense where the hand is nearly above the base.
            speed[:, 2] = np.where(away > 0.5 * NEAR, RATE * off, 0.0)
        if self._holonomic:
            return speed
        turn = self._half * speed[:, 2]
        return np.stack([speed[:, 0] - turn, speed[:, 0] + turn], axis=1)
