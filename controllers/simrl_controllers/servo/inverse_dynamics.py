"""Make every joint a unit mass by the equations of motion: computed-torque control.

Source: "Robot Dynamics and Control" textbooks; first in "On-line computational scheme for
mechanical manipulators" (Luh, Walker and Paul 1980).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from simrl.core import EnvSpec, PolicyState
from simrl_controllers.servo.servo import ServoPolicy
from simrl_controllers.servo.targets import JointTargets, TargetConfig
from simrl_controllers.servo.terms import RobotTerms


@dataclass(frozen=True)
class InverseDynamicsConfig(TargetConfig):
    """Set how stiffly the joints follow their targets."""

    frequency: float = 15.0
    """Natural frequency of each joint about its target [rad/s]."""
    damping_ratio: float = 1.0
    """Damping of each joint; 1 is critical."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("frequency", "damping_ratio"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


class InverseDynamicsLaw:
    """Torque = M (frequency^2 x angle error + 2 ratio frequency x speed error) + bias."""

    def __init__(self, spec: EnvSpec, terms: RobotTerms, config: InverseDynamicsConfig) -> None:
        self._terms = terms
        self._targets = JointTargets(spec, terms, config)
        self._stiffness = config.frequency**2
        self._damping = 2.0 * config.damping_ratio * config.frequency

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory of the targets."""
        return self._targets.initial_state(num_rows)

    def torque(
        self, rows: Tensor, qpos: np.ndarray, qvel: np.ndarray, memory: PolicyState
    ) -> tuple[np.ndarray, PolicyState]:
        """Return torques `[n, nu]` and the memory of the targets."""
        angle, speed = self._terms.driven(qpos, qvel)
        target, memory = self._targets(rows, angle, memory)
        wanted = self._stiffness * (target.angle - angle) + self._damping * (target.speed - speed)
        forces = self._terms.forces(qpos, qvel)
        torque = (forces.mass @ wanted[..., None])[..., 0] + forces.bias + target.torque
        return torque, memory


def make_inverse_dynamics(spec: EnvSpec, config: InverseDynamicsConfig) -> ServoPolicy:
    """Build computed-torque control for the robot of `spec`."""
    terms = RobotTerms(spec)
    return ServoPolicy(spec, terms, InverseDynamicsLaw(spec, terms, config))
