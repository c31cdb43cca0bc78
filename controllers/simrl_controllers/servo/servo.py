"""Say what the servos have in common: rows in, motor commands within their limits out."""

from __future__ import annotations

import time
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec, Obs, PolicyOutput, PolicyState
from simrl_controllers.servo.carrier import Carrier
from simrl_controllers.servo.terms import RobotTerms


class TorqueLaw(Protocol):
    """Tell the torques of n rows."""

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory at the start of an episode."""
        ...

    def torque(
        self, rows: Tensor, qpos: np.ndarray, qvel: np.ndarray, memory: PolicyState
    ) -> tuple[np.ndarray, PolicyState]:
        """Return torques `[n, nu]` for states `[n, S]` (and their parts), and the new memory."""
        ...


class ServoPolicy:
    """Apply a torque law through the gears and within the limits of the motors.

    Extras, each `[rows]`: "solve_time" [s], the call's wall time shared among its rows, and
    "saturated", the share of motors at their limit.
    """

    reads = frozenset({"state"})

    def __init__(self, spec: EnvSpec, terms: RobotTerms, law: TorqueLaw) -> None:
        """Drive the motors of `spec` by `law`."""
        self._terms, self._law = terms, law
        self._ends = np.array([spec.actions.low, spec.actions.high])  # type: ignore[union-attr]
        self._low, self._high = self._ends[:, terms.motors]
        self._carrier = Carrier(spec) if "base_qpos" in spec.physics else None

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory of the law."""
        return self._law.initial_state(num_rows)

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the motors' commands; nothing is drawn."""
        start = time.perf_counter()
        rows = obs["state"]
        qpos, qvel = self._terms.split(rows)
        torque, memory = self._law.torque(rows, qpos, qvel, state)
        wanted = torque / self._terms.gear
        action = np.clip(wanted, self._low, self._high)
        saturated = (wanted != action).mean(axis=1).astype(np.float32)
        if self._carrier is not None:
            action = self._with_base(self._carrier(rows.numpy()), action)
        seconds = (time.perf_counter() - start) / max(1, len(rows))
        extras = {
            "solve_time": torch.full((len(rows),), seconds),
            "saturated": torch.from_numpy(saturated),
        }
        return PolicyOutput(torch.from_numpy(action.astype(np.float32)), memory, extras)

    def _with_base(self, base: np.ndarray, arm: np.ndarray) -> np.ndarray:
        """Return whole actions `[n, size]` of a mobile arm; what is left, the gripper, is shut."""
        action = np.zeros((len(arm), self._ends.shape[1]))
        action[:, : base.shape[1]] = base
        action[:, self._terms.motors] = arm
        return np.clip(action, *self._ends)


def per_motor(name: str, given: tuple[float, ...], terms: RobotTerms, spec: EnvSpec) -> np.ndarray:
    """Spread one number, one for each motor of a limb, or one for each motor over all `[nu]`."""
    if not given or terms.size % len(given) or not all(np.isfinite(given)) or min(given) < 0.0:
        raise ValueError(
            f"{spec.id}: {name} needs numbers from 0 on, 1 or {terms.size} of them (or one for "
            f"each joint of a limb), got {given}"
        )
    return np.tile(np.array(given, np.float64), terms.size // len(given))
