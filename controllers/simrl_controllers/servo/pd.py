"""Hold joints at their targets like a damped spring, with feed-forward: PD control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from simrl.core import EnvSpec, PolicyState
from simrl_controllers.servo.servo import ServoPolicy, per_motor
from simrl_controllers.servo.targets import JointTargets, TargetConfig
from simrl_controllers.servo.terms import RobotTerms


@dataclass(frozen=True)
class PdConfig(TargetConfig):
    """Set the gains of PD control; unless they are given, they follow from the frequency."""

    frequency: float = 20.0
    """Natural frequency of each joint about its target [rad/s], for the inertia at home."""
    damping_ratio: float = 1.0
    """Damping of each joint; 1 is critical."""
    stiffness: tuple[float, ...] = ()
    """Stiffness [N m/rad], instead of the frequency's: one number for all motors or one each."""
    damping: tuple[float, ...] = ()
    """Damping [N m s/rad], instead of the damping ratio's: one number or one for each motor."""
    compensate_gravity: bool = True
    """Add the torques that hold the robot still; off for robots that stand on legs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("frequency", "damping_ratio"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


class PdLaw:
    """Torque = feed-forward + stiffness (angle error) + damping (speed error) [+ gravity].

    The speed of the target is fed forward through the damping, its torque directly.
    """

    def __init__(self, spec: EnvSpec, terms: RobotTerms, config: PdConfig) -> None:
        self._terms, self._config = terms, config
        self._targets = JointTargets(spec, terms, config)
        self.stiffness, self.damping = gains(spec, terms, config)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory of the targets."""
        return self._targets.initial_state(num_rows)

    def torque(
        self, rows: Tensor, qpos: np.ndarray, qvel: np.ndarray, memory: PolicyState
    ) -> tuple[np.ndarray, PolicyState]:
        """Return torques `[n, nu]` and the memory of the targets."""
        angle, speed = self._terms.driven(qpos, qvel)
        target, memory = self._targets(rows, angle, memory)
        torque = target.torque + self.stiffness * (target.angle - angle)
        torque = torque + self.damping * (target.speed - speed)
        if self._config.compensate_gravity:
            torque = torque + self._terms.gravity(qpos)
        return torque, memory


def gains(spec: EnvSpec, terms: RobotTerms, config: PdConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return stiffness and damping of each motor `[nu]`."""
    inertia = terms.home_inertia()
    stiffness = config.frequency**2 * inertia
    if config.stiffness:
        stiffness = per_motor("stiffness", config.stiffness, terms, spec)
    damping = 2.0 * config.damping_ratio * np.sqrt(stiffness * inertia)
    if config.damping:
        damping = per_motor("damping", config.damping, terms, spec)
    return stiffness, damping


def make_pd(spec: EnvSpec, config: PdConfig) -> ServoPolicy:
    """Build PD control for the robot of `spec`."""
    terms = RobotTerms(spec)
    return ServoPolicy(spec, terms, PdLaw(spec, terms, config))
