"""Options of the mobile manipulator's controllers."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class WholeBodyConfig:
    """Set how base and arm follow hand, base and posture together, and within which limits."""

    hand_frequency: float = 7.0
    """Natural frequency of the hand about its pose [rad/s]."""
    base_frequency: float = 2.5
    """Natural frequency of the base about its pose [rad/s]."""
    posture_frequency: float = 5.0
    """Natural frequency of the arm about its posture [rad/s]."""
    max_speed: float = 0.5
    """Speed at which the hand approaches a far place [m/s]."""
    max_spin: float = 1.5
    """Angular speed at which the hand approaches a far orientation [rad/s]."""
    joint_acceleration: float = 8.0
    """Greatest acceleration of a joint of the arm [rad/s^2]."""
    base_acceleration: tuple[float, float] = (2.5, 5.0)
    """Greatest acceleration of the base: linear [m/s^2] and angular [rad/s^2]."""
    base_ahead: float = 0.0
    """How far the base's commands look ahead [s]; 0: half a step.  A command for the next moment is
    nearly the speed at hand, so who imitates it learns to go on as he goes, and noise adds up.  One
    for 1 / (2 `base_frequency`) ahead is what the base's pose asks for, whatever its speed."""
    speed_share: float = 0.9
    """Share of the joints' speed limits that is used."""
    torque_share: float = 0.9
    """Share of the motors' torque limits that is used."""
    joint_margin: float = 0.05
    """Room that is left before a joint's limit [rad]."""
    clearance: float = 0.02
    """Gap that is kept between the robot's parts and from them to the room [m]."""
    near: float = 0.15
    """Gap from which on a pair of a part of the arm is looked at [m]."""
    base_near: float = 0.4
    """Gap from which on a pair of the base is looked at [m]: it is fast and brakes slowly."""
    pairs: int = 16
    """Nearest pairs that become rows of the quadratic program."""
    gap_rate: float = 3.0
    """How fast a gap may close, for each metre that it is above the clearance [1/s]."""
    hand_weight: float = 10.0
    """Weight of the hand's squared error of acceleration."""
    turn_weight: float = 1.0
    """Weight of the hand's angular part [m^2], beside `hand_weight`."""
    base_weight: float = 1.0
    """Weight of the base's."""
    posture_weight: float = 0.02
    """Weight of the posture's while the hand follows a pose."""
    gap_price: float = 1e5
    """Price of a squared violation of a gap's row."""
    lead: float = 0.15
    """Greatest distance of the arm's reference from the arm [rad]: what it touches it pushes at
    with the servo's stiffness times this."""

    drive_horizon: int = 25
    """Stages of the base's nonlinear MPC."""
    drive_dt: float = 0.1
    """Length of a stage [s]."""
    drive_every: int = 2
    """Steps from one plan of the base to the next."""

    def __post_init__(self) -> None:
        for name in (
            "hand_frequency",
            "base_frequency",
            "posture_frequency",
            "max_speed",
            "max_spin",
            "joint_acceleration",
            "drive_dt",
            "near",
            "base_near",
            "gap_rate",
            "gap_price",
            "lead",
            "hand_weight",
            "turn_weight",
            "base_weight",
            "posture_weight",
        ):
            _above(name, getattr(self, name))
        for name in ("speed_share", "torque_share"):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                raise ValueError(f"{name} must be above 0 and at most 1, got {value}")
        for name in ("joint_margin", "clearance", "base_ahead"):
            value = getattr(self, name)
            if not (value >= 0.0 and math.isfinite(value)):
                raise ValueError(f"{name} must be 0 or more, got {value}")
        if len(self.base_acceleration) != 2:
            raise ValueError(
                "base_acceleration needs 2 numbers, linear and angular, got "
                f"{self.base_acceleration}"
            )
        for value in self.base_acceleration:
            _above("base_acceleration", value)
        for name in ("drive_horizon", "drive_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.pairs < 0:
            raise ValueError(f"pairs must be 0 or more, got {self.pairs}")


def _above(name: str, value: float) -> None:
    if not (value > 0.0 and math.isfinite(value)):
        raise ValueError(f"{name} must be above 0, got {value}")
