"""Drive the hand of an arm as a mass on a damped spring: operational-space control.

Source: "A unified approach for motion and force control of robot manipulators: The operational
space formulation" (Khatib 1987).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from simrl.core import EnvSpec, PolicyState
from simrl_controllers.servo.reference import PoseReference
from simrl_controllers.servo.servo import ServoPolicy
from simrl_controllers.servo.targets import pose_error
from simrl_controllers.servo.terms import RobotTerms, effector_site

Array = np.ndarray


@dataclass(frozen=True)
class OscConfig:
    """Set how stiffly the hand follows its pose, and what the arm does besides."""

    site: str = ""
    """Site of the robot that follows the pose; "" is its end effector."""
    frequency: float = 12.0
    """Natural frequency of the hand about its pose [rad/s]."""
    damping_ratio: float = 1.0
    """Damping of the hand; 1 is critical."""
    max_speed: float = 1.0
    """Speed at which the hand approaches a far target [m/s]."""
    max_spin: float = 2.5
    """Angular speed at which the hand approaches a far orientation [rad/s]."""
    posture_frequency: float = 4.0
    """Natural frequency of the arm about its nominal pose [rad/s], by motions that leave the hand
    as it is."""
    regularisation: float = 1e-3
    """Added to the inverse of the task-space inertia [1/kg], so that singular poses stay tame."""

    def __post_init__(self) -> None:
        for name in ("frequency", "damping_ratio", "max_speed", "max_spin", "regularisation"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not self.posture_frequency >= 0.0:
            raise ValueError(f"posture_frequency must be at least 0, got {self.posture_frequency}")


class OscLaw:
    """Torque = J' L a + M N p + bias, with the task-space inertia L = (J M^-1 J')^-1.

    a is the wanted acceleration of the hand: its reference's, plus spring and damper on the errors
    of pose (the rotation as a quaternion's logarithm) and velocity.  p are accelerations of the
    joints towards the nominal posture, and N = I - M^-1 J' L J (the dynamically consistent
    nullspace) keeps them from moving the hand.
    """

    def __init__(self, spec: EnvSpec, terms: RobotTerms, config: OscConfig) -> None:
        self._terms, self._config = terms, config
        self._pose = PoseReference(spec)
        self._site = effector_site(spec, config.site)
        terms.site_id(self._site)
        self._stiffness = config.frequency**2
        self._damping = 2.0 * config.damping_ratio * config.frequency

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def torque(
        self, rows: Tensor, qpos: Array, qvel: Array, memory: PolicyState
    ) -> tuple[Array, PolicyState]:
        """Return torques `[n, nu]`."""
        angle, speed = self._terms.driven(qpos, qvel)
        pose = self._pose(rows)
        site = self._terms.site(qpos, self._site)
        error, jacobian = pose_error(site, pose)
        size = error.shape[1]
        velocity = (jacobian @ speed[..., None])[..., 0]
        pull = self._limit(self._stiffness * error)
        wanted = pull + self._damping * (pose.twist[:, :size] - velocity)
        wanted += pose.acceleration[:, :size]
        forces = self._terms.forces(qpos, qvel)
        torque = self._decoupled(forces.mass, jacobian, wanted, self._posture(angle, speed))
        return torque + forces.bias, {}

    def _limit(self, pull: Array) -> Array:
        """Bound the spring so that it and the damper balance at the greatest speed."""
        config = self._config
        for part, fastest in ((slice(0, 3), config.max_speed), (slice(3, 6), config.max_spin)):
            length = np.linalg.norm(pull[:, part], axis=1, keepdims=True)
            pull[:, part] /= np.maximum(length / (self._damping * fastest), 1.0)
        return pull

    def _posture(self, angle: Array, speed: Array) -> Array:
        """Return the accelerations that lead the joints home `[n, nu]`."""
        frequency = self._config.posture_frequency
        return frequency**2 * (self._terms.home - angle) - 2.0 * frequency * speed

    def _decoupled(self, mass: Array, jacobian: Array, wanted: Array, posture: Array) -> Array:
        """Return J' L wanted + (M - J' L J) posture."""
        transposed = np.swapaxes(jacobian, 1, 2)
        inverse = jacobian @ np.linalg.solve(mass, transposed)
        inverse += self._config.regularisation * np.eye(jacobian.shape[1])
        rest = wanted[..., None] - jacobian @ posture[..., None]
        force = np.linalg.solve(inverse, rest)
        result: Array = (transposed @ force + mass @ posture[..., None])[..., 0]
        return result


def make_osc(spec: EnvSpec, config: OscConfig) -> ServoPolicy:
    """Build operational-space control for the arm of `spec`."""
    terms = RobotTerms(spec)
    return ServoPolicy(spec, terms, OscLaw(spec, terms, config))
