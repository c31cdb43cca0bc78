"""The options of simulated sensors and of the filter that reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal


@dataclass(frozen=True)
class EstimatorConfig:
    """Set how noisy the sensors are, and what the filter takes for granted.

    Densities of white noise are per square root of a hertz: a sample every dt seconds has the
    standard deviation density / sqrt(dt).  The defaults are those of a cheap IMU that shakes, and
    of motors with 14-bit encoders.
    """

    seed: int = 0
    """Seed of the sensors' noise.  Each episode draws its own from this and its first state."""
    noise_scale: float = 1.0
    """Factor on all noise and biases of the sensors; the filter expects them unscaled."""
    gyro_noise: float = 1e-3
    """Noise density of the gyroscope [rad/s per sqrt(Hz)]."""
    gyro_bias: float = 0.02
    """Standard deviation of the gyroscope's bias at the start [rad/s]."""
    gyro_walk: float = 2e-4
    """Density of the walk of that bias [rad/s^2 per sqrt(Hz)]."""
    accelerometer_noise: float = 1e-2
    """Noise density of the accelerometer [m/s^2 per sqrt(Hz)]."""
    accelerometer_bias: float = 0.1
    """Standard deviation of the accelerometer's bias at the start [m/s^2]."""
    accelerometer_walk: float = 2e-3
    """Density of the walk of that bias [m/s^3 per sqrt(Hz)]."""
    encoder_noise: float = 5e-4
    """Standard deviation of a joint's angle [rad]."""
    encoder_step: float = 2.0 * math.pi / 2**14
    """Resolution of a joint's angle [rad]; 0 does not round."""
    speed_noise: float = 0.05
    """Standard deviation of a joint's speed [rad/s]."""
    force_noise: float = 2.0
    """Standard deviation of a foot's force [N]."""
    force_step: float = 1.0
    """Resolution of a foot's force [N]; 0 does not round."""
    contact: Literal["force", "torque"] = "force"
    """What tells contacts: the feet's force sensors, or the motors' torques."""
    touch: float = 0.08
    """Force from which on a foot stands, as a share of the robot's weight."""
    leave: float = 0.03
    """Force below which a foot no longer stands, as a share of the robot's weight."""
    start_tilt: float = 0.02
    """Standard deviation of the attitude that is known at the start [rad], about each axis."""
    start_speed: float = 0.2
    """Standard deviation of the velocity at the start, when the filter expects rest [m/s]."""
    slip_speed: float = 0.2
    """How far a standing foot's point may move, as white noise of its velocity [m/s]."""
    foot_walk: float = 0.02
    """Density of the walk of a standing foot's place [m/s per sqrt(Hz)]."""
    kinematic_noise: float = 5e-3
    """Error of a foot's place by kinematics beyond that of the encoders [m]."""
    firm: float = 0.15
    """Force from which on a standing foot is trusted, as a share of the robot's weight; below, its
    noise grows in proportion."""
    gate: float = 9.0
    """Squared normalised innovation from which on a measurement's noise is raised to explain it;
    slipping feet are not believed."""
    floating_seconds: float = 0.3
    """After this time without a standing foot [s] the velocity is pulled to zero, loosely."""

    def __post_init__(self) -> None:
        if self.contact not in ("force", "torque"):
            raise ValueError(f"contact is {self.contact!r}; it is one of force, torque")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float | int) and not 0.0 <= value < math.inf:
                raise ValueError(f"{field.name} must be at least 0, got {value}")
        for name in ("touch", "firm", "gate", "floating_seconds"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.leave > self.touch:
            raise ValueError(f"leave ({self.leave}) must not be above touch ({self.touch})")
