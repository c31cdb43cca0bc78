"""Read where the hand of a robot shall be, now and soon, from the task's reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec
from simrl_controllers.servo.pose import quat_conjugate, quat_log, quat_multiply

POSITION = ("x", "y", "z")
QUATERNION = ("qw", "qx", "qy", "qz")


@dataclass(frozen=True)
class PoseTarget:
    """Hold the pose that n rows shall have, and how it moves, in the world frame."""

    position: np.ndarray
    """Position `[n, 3]` [m]."""
    quaternion: np.ndarray | None
    """Orientation `[n, 4]`, w first; None if any will do."""
    twist: np.ndarray
    """Linear and angular velocity `[n, 6]` [m/s, rad/s]."""
    acceleration: np.ndarray
    """Linear and angular acceleration `[n, 6]` [m/s^2, rad/s^2]."""


class PoseReference:
    """Turn the columns x y z, and qw qx qy qz if there are any, into poses and their rates.

    Rates are differences over one time step to either side of it: where the reference looks ahead.
    """

    def __init__(self, spec: EnvSpec, *, dt: float = 0.02) -> None:
        """Read `spec.reference`; ValueError says which columns are missing."""
        columns = tuple(spec.physics.get("reference", ()))
        if spec.reference is None or not set(POSITION) <= set(columns):
            raise ValueError(
                f"{spec.id}: there is no pose to follow: the reference needs columns x, y, z, and "
                f"it has {', '.join(columns) or 'none'}"
            )
        self._reference = spec.reference
        self._position = [columns.index(name) for name in POSITION]
        turns = set(QUATERNION) <= set(columns)
        self._turn = [columns.index(name) for name in QUATERNION] if turns else None
        self._dt = spec.step_seconds or dt
        self._ahead = torch.tensor([0.0, self._dt, 2.0 * self._dt], dtype=torch.float64)

    def __call__(self, state: Tensor) -> PoseTarget:
        """Return the targets of states `[n, S]`."""
        rows = self._reference(state, self._ahead).numpy().astype(np.float64)
        position = rows[:, :, self._position]
        speed = np.diff(position, axis=1) / self._dt
        turn, spin = None, np.zeros_like(speed)
        if self._turn is not None:
            q = rows[:, :, self._turn]
            q = q / np.linalg.norm(q, axis=-1, keepdims=True)
            spin = quat_log(quat_multiply(q[:, 1:], quat_conjugate(q[:, :-1]))) / self._dt
            turn = q[:, 0]
        rates = np.concatenate([speed, spin], axis=2)
        change = (rates[:, 1] - rates[:, 0]) / self._dt
        # The differences stand half a step ahead; go back to now.
        return PoseTarget(position[:, 0], turn, rates[:, 0] - 0.5 * self._dt * change, change)
