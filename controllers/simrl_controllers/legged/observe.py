"""Say what the controller takes for the state of its robot: the true one or an estimate, and when.

Two things stand between a row of the environment and the controller.  With `estimate`, all that it
knows comes from simulated sensors.  With a `delay`, it knows the state in which its next torques
will act (see `simrl_controllers.legged.delay`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from simrl.core import EnvSpec, PolicyState
from simrl_controllers.legged.config import LeggedConfig
from simrl_controllers.legged.delay import look_ahead, queue_up, steps_late
from simrl_controllers.legged.estimator import Estimator
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.robot import LeggedRobot

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Seen:
    """Hold what is known of n rows."""

    qpos: Array
    """Configurations `[n, nq]`."""
    qvel: Array
    """Velocities `[n, nv]`."""
    force: Array
    """What each foot exerts on the ground [N] `[n, 4, 3]`; zero where it does not stand."""
    known: bool
    """Whether these are measured."""


class Observer:
    """Turn rows into what is known of them.

    Memory, where it is needed: "estimate" `[rows, size]`, the estimator's; "queue" `[rows, d, nv]`,
    accelerations of the torques on their way.

    Args:
        spec: The task.
        robot: Its robot.
        config: The options.
        dt: Time between two calls [s].
    """

    def __init__(self, spec: EnvSpec, robot: LeggedRobot, config: LeggedConfig, dt: float) -> None:
        self._id, self._robot, self._dt = spec.id, robot, dt
        self.estimator = Estimator(spec, robot, config.sensors) if config.estimate else None
        self.late = steps_late(config.delay, dt)
        where = robot.foot_force
        self._where = None if where is None else (where[:, None] + np.arange(3)).ravel()

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory at the start of an episode."""
        memory = {}
        if self.estimator is not None:
            memory["estimate"] = torch.zeros(num_rows, self.estimator.size, dtype=torch.float64)
        if self.late:
            size = len(self._robot.tree.damping)
            memory["queue"] = torch.zeros(num_rows, self.late, size, dtype=torch.float64)
        return memory

    def keep(self, state: PolicyState) -> PolicyState:
        """Copy this part of the memory, to be changed by `see` and `sent`."""
        return {name: state[name].clone() for name in ("estimate", "queue") if name in state}

    def see(self, rows: Array, memory: PolicyState) -> Seen:
        """Look at states `[n, S]`; `memory` is changed in place.

        Raises:
            ValueError: A state is not finite; its row is named.
        """
        if self.estimator is None:
            seen = self._truth(rows)
        else:
            found = self.estimator.update(rows, memory["estimate"].numpy())
            force = np.zeros((len(rows), 4, 3))
            force[:, :, 2] = -found.force * found.contact
            seen = Seen(found.qpos, found.qvel, force, True)
        self._check(seen)
        if self.late:
            look_ahead(memory["queue"].numpy(), self._dt, seen.qpos, seen.qvel)
        return seen

    def sent(self, acceleration: Array, memory: PolicyState) -> None:
        """Remember the accelerations `[n, nv]` of the torques that are sent now."""
        if self.late:
            queue_up(memory["queue"].numpy(), acceleration)

    def _truth(self, rows: Array) -> Seen:
        robot, count = self._robot, len(rows)
        qpos = rows[:, robot.qpos].copy()
        qvel = rows[:, robot.qvel].copy()
        if self._where is None:
            return Seen(qpos, qvel, np.zeros((count, 4, 3)), False)
        return Seen(qpos, qvel, rows.take(self._where, axis=1).reshape(count, 4, 3), True)

    def _check(self, seen: Seen) -> None:
        if all_finite(seen.qpos, seen.qvel):
            return
        good = np.isfinite(seen.qpos).all(axis=1) & np.isfinite(seen.qvel).all(axis=1)
        raise ValueError(f"{self._id}: row {np.flatnonzero(~good)[0]} of the state is not finite")


@kernel
def all_finite(qpos: Array, qvel: Array) -> bool:
    """Tell whether all numbers are finite."""
    total = 0.0
    for value in qpos.flat:
        total += 0.0 * value
    for value in qvel.flat:
        total += 0.0 * value
    return bool(total == 0.0)
