"""Hold joints at their targets against constant loads: PID control."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec, PolicyState
from simrl_controllers.servo.pd import PdConfig, gains
from simrl_controllers.servo.servo import ServoPolicy
from simrl_controllers.servo.targets import JointTargets
from simrl_controllers.servo.terms import RobotTerms


@dataclass(frozen=True)
class PidConfig(PdConfig):
    """Set the gains of PID control."""

    compensate_gravity: bool = False
    """Add the torques that hold the robot still; without them the integral finds them."""
    integral_seconds: float = 0.5
    """Time in which the integral makes up for as much as the spring does; longer is slower."""
    filter_seconds: float = 0.0
    """Time constant of the low-pass filter on the speed error; 0 filters nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.integral_seconds > 0.0:
            raise ValueError(f"integral_seconds must be above 0, got {self.integral_seconds}")
        if not self.filter_seconds >= 0.0:
            raise ValueError(f"filter_seconds must be at least 0, got {self.filter_seconds}")


class PidLaw:
    """PD control with an integral that stops at the motors' limits and a filtered derivative.

    Memory: "integral" [N m] and "slope" (the filtered speed error) `[rows, nu]`, and that of the
    targets.  The integral stands still in motors that are at their limit, unless it would lead them
    away from it (conditional integration, an anti-windup).
    """

    def __init__(self, spec: EnvSpec, terms: RobotTerms, config: PidConfig) -> None:
        self._terms, self._config = terms, config
        self._targets = JointTargets(spec, terms, config)
        self.stiffness, self.damping = gains(spec, terms, config)
        self._dt = spec.step_seconds or 0.02
        # Exact for a held input; 0 passes everything at once.
        lag = config.filter_seconds
        self._keep = math.exp(-self._dt / lag) if lag else 0.0
        ends = np.array([spec.actions.low, spec.actions.high])  # type: ignore[union-attr]
        ends = ends[:, terms.motors] * terms.gear
        self._low, self._high = ends.min(axis=0), ends.max(axis=0)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return empty integrals and slopes."""
        zero = torch.zeros(num_rows, self._terms.size, dtype=torch.float64)
        return {
            "integral": zero,
            "slope": zero.clone(),
            **self._targets.initial_state(num_rows),
        }

    def torque(
        self, rows: Tensor, qpos: np.ndarray, qvel: np.ndarray, memory: PolicyState
    ) -> tuple[np.ndarray, PolicyState]:
        """Return torques `[n, nu]` and the memory."""
        angle, speed = self._terms.driven(qpos, qvel)
        target, kept = self._targets(rows, angle, memory)
        error = target.angle - angle
        slope = self._keep * memory["slope"].numpy()
        slope = slope + (1.0 - self._keep) * (target.speed - speed)
        torque = target.torque + self.stiffness * error + self.damping * slope
        if self._config.compensate_gravity:
            torque = torque + self._terms.gravity(qpos)
        before = memory["integral"].numpy()
        more = self.stiffness * error * (self._dt / self._config.integral_seconds)
        total = torque + before + more
        winds_up = ((total > self._high) & (more > 0)) | ((total < self._low) & (more < 0))
        integral = np.where(winds_up, before, before + more)
        state = {"integral": torch.from_numpy(integral), "slope": torch.from_numpy(slope), **kept}
        return torque + integral, state


def make_pid(spec: EnvSpec, config: PidConfig) -> ServoPolicy:
    """Build PID control for the robot of `spec`."""
    terms = RobotTerms(spec)
    return ServoPolicy(spec, terms, PidLaw(spec, terms, config))
