"""What is measured in every step: the task's own measures, and what state and action add to them.

A signal is a number per row and step.  Environments may show what their metrics measured in the
last step (`measures`); the others follow from the state's named parts and `spec.physics`.  A signal
that a task does not have is absent, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simrl.compare.judge import Judge
from simrl.core.env import VecEnv
from simrl.core.spec import EnvSpec

ERROR = "error"
"""Name of the tracking error's signal."""
POWER, SPEED, TILT, JOINTS, TORQUE = "power", "speed", "tilt", "joint_range", "torque"
FULL = 0.999
"""Share of its limit from which on a motor is at its limit."""

Reader = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""`(state [N, S], action [N, nu]) -> [N]`."""


class Signals:
    """Read the signals of an environment's rows after each step.

    Attributes:
        names: The signals that there are.
        limits: Largest allowed value of those that are watched, the judge's and the robot's own.
        reads_state: Whether some of them need the state.
    """

    def __init__(self, env: VecEnv, judge: Judge) -> None:
        self._env = env
        measures: Mapping[str, Any] = getattr(env, "measures", {})
        readers = {**_body_readers(env.spec), **_joint_readers(env.spec), **_cart(env.spec)}
        self._readers = {k: v for k, v in readers.items() if k not in measures}
        self._measured = tuple(measures)
        self._error = judge.error or ("rmse" if "rmse" in measures else "")
        if not self._error:
            distance = _distance_reader(env.spec)
            if distance is not None:
                self._readers[ERROR] = distance
        elif self._error not in (*measures, *self._readers):
            raise ValueError(
                f"{env.spec.id} has no signal {self._error!r} for the error; "
                f"its signals are {', '.join((*measures, *self._readers)) or 'none'}"
            )
        has_error = bool(self._error) or ERROR in self._readers
        errors = (ERROR,) if has_error and ERROR not in self._readers else ()
        self.names = (*self._measured, *self._readers, *errors)
        self.reads_state = bool(self._readers)
        own = {JOINTS: 0.0, TORQUE: FULL}
        self.limits = {name: limit for name, limit in own.items() if name in self.names}
        for name, limit in judge.limits.items():
            if name not in self.names:
                raise ValueError(
                    f"{env.spec.id} has no signal {name!r} to limit; "
                    f"its signals are {', '.join(self.names) or 'none'}"
                )
            self.limits[name] = float(limit)

    def read(self, state: Tensor | None, action: Tensor) -> dict[str, np.ndarray]:
        """Return every signal `[N]` after a step.

        Args:
            state: `[N, S]`, that before any reset; None if `reads_state` is false.
            action: The joint action `[N, A, nu]` of the step.
        """
        found = {name: np.array(value) for name, value in self._measures().items()}
        if self._readers:
            if state is None:
                raise ValueError("these signals need the state")
            rows, sent = state.numpy().astype(np.float64), action[:, 0].numpy().astype(np.float64)
            found |= {name: reader(rows, sent) for name, reader in self._readers.items()}
        if self._error:
            found[ERROR] = found[self._error]
        return found

    def _measures(self) -> Mapping[str, np.ndarray]:
        measures: Mapping[str, np.ndarray] = getattr(self._env, "measures", {})
        return measures


def place_of(spec: EnvSpec) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the columns of x, y (and z) in a state row and in the reference, if both name them.

    None where the reference is no place, or the state does not say where the body is.
    """
    reference = tuple(spec.physics.get("reference", ()))
    axes = [axis for axis in "xyz" if axis in reference]
    if spec.reference is None or axes[:2] != ["x", "y"]:
        return None
    parts: Mapping[str, slice] = spec.physics.get("state", {})
    for part, where in parts.items():
        columns = spec.physics.get(part, ())
        if part != "command" and isinstance(columns, tuple) and set(axes) <= set(columns):
            own = [where.start + columns.index(axis) for axis in axes]
            return np.array(own), np.array([reference.index(axis) for axis in axes])
    if _floats(spec) and "end_effector" not in spec.physics:
        start = parts["qpos"].start
        return start + np.arange(len(axes)), np.array([reference.index(axis) for axis in axes])
    return None


def targets(spec: EnvSpec, state: np.ndarray) -> np.ndarray:
    """Return what the task asks for now, `[N, n]`."""
    if spec.reference is None:
        raise ValueError(f"{spec.id} tracks nothing")
    return spec.reference(torch.from_numpy(state), torch.zeros(1))[:, 0].numpy()


def _distance_reader(spec: EnvSpec) -> Reader | None:
    place = place_of(spec)
    if place is None:
        return None
    own, asked = place

    def distance(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return the distance from the reference [m]."""
        offset = state[:, own] - targets(spec, state)[:, asked]
        return np.sqrt((offset * offset).sum(axis=1))

    return distance


def _floats(spec: EnvSpec) -> bool:
    """Tell whether the first joint is free: 7 positions for 6 velocities, as in MuJoCo."""
    parts = spec.physics.get("state", {})
    if "qpos" not in parts or "qvel" not in parts:
        return False
    width = {name: parts[name].stop - parts[name].start for name in ("qpos", "qvel")}
    return width["qpos"] == width["qvel"] + 1 and width["qvel"] >= 6


def _body_readers(spec: EnvSpec) -> dict[str, Reader]:
    """Return the tilt [rad] and the horizontal speed [m/s] of a body that moves freely."""
    if not _floats(spec):
        return {}
    parts = spec.physics["state"]
    turn, speed = parts["qpos"].start + 3, parts["qvel"].start

    def tilt(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        x, y = state[:, turn + 1], state[:, turn + 2]
        return np.arccos(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0))

    def going(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        return np.hypot(state[:, speed], state[:, speed + 1])

    return {TILT: tilt, SPEED: going}


def _joint_readers(spec: EnvSpec) -> dict[str, Reader]:
    """Return how far joints are out of range [rad], motors' share of torque, and power [W]."""
    facts = spec.physics
    needed = ("qpos_index", "qvel_index", "joint_range", "torque_limit", "control")
    if not all(name in facts for name in needed):
        return {}
    parts = facts["state"]
    qpos = parts["qpos"].start + np.asarray(facts["qpos_index"])
    qvel = parts["qvel"].start + np.asarray(facts["qvel_index"])
    low, high = np.asarray(facts["joint_range"], np.float64).T
    limit = np.asarray(facts["torque_limit"], np.float64)
    stiffness, damping = np.asarray(facts["stiffness"]), np.asarray(facts["damping"])
    by_torque = facts["control"] == "torque"
    num_joints = len(qpos)

    def wanted(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return the torques that the action asks for [N m]; servos are damped springs."""
        own = action[:, :num_joints]
        if by_torque:
            return own
        return stiffness * (own - state[:, qpos]) - damping * state[:, qvel]

    def beyond(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        angles = state[:, qpos]
        return np.maximum(np.maximum(low - angles, angles - high), 0.0).max(axis=1)

    def share(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        return (np.abs(wanted(state, action)) / limit).max(axis=1)

    def power(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        torque = np.clip(wanted(state, action), -limit, limit)
        return np.abs(torque * state[:, qvel]).sum(axis=1)

    return {JOINTS: beyond, TORQUE: share, POWER: power}


def _cart(spec: EnvSpec) -> dict[str, Reader]:
    """Return the mechanical power of a cart's force [W]."""
    if spec.physics.get("model") != "cartpole" or "qvel" not in spec.physics.get("state", {}):
        return {}
    speed = spec.physics["state"]["qvel"].start

    def power(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        return np.abs(action[:, 0] * state[:, speed])

    return {POWER: power}
