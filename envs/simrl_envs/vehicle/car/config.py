"""Options of the lane task, and the published figures of its car."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

Model = Literal["kinematic", "dynamic"]
Tyre = Literal["linear", "pacejka"]
Observations = Literal["state", "camera"]
RewardKind = Literal["lane", "distance"]


@dataclass(frozen=True)
class CarFigures:
    """Give the dimensions and limits of a mid-size car.

    Source: CommonRoad vehicle models, vehicle 2 (BMW 320i), 2017 onwards.
    """

    length: float = 4.508
    """Length of the body [m]."""
    width: float = 1.610
    """Width of the body [m]."""
    front: float = 1.1561957064
    """From the centre of mass forward to the front axle [m]."""
    rear: float = 1.4227170936
    """From the centre of mass back to the rear axle [m]."""
    mass: float = 1093.2952334674046
    """Mass [kg]."""
    yaw_inertia: float = 1791.5994994
    """Inertia about the vertical axis [kg m^2]."""
    mass_height: float = 0.5577
    """Height of the centre of mass above ground [m]."""
    friction: float = 1.0489
    """Friction coefficient of tyre on road."""
    stiffness: float = 20.89
    """Cornering stiffness for each newton of friction-limited load [1/rad]."""
    shape: float = 1.3507
    """Shape factor C of the Pacejka curve."""
    max_steer: float = 1.066
    """Largest steering angle of the wheels [rad]."""
    max_steer_rate: float = 0.4
    """Largest rate of the steering angle [rad/s]."""

    @property
    def wheelbase(self) -> float:
        """Distance between the axles [m]."""
        return self.front + self.rear


CAR = CarFigures()


@dataclass(frozen=True)
class CarLaneConfig:
    """Set up the lane task; every episode has its own road and its own obstacles."""

    model: Model = "kinematic"
    """Motion of the car: kinematic (no slip) or dynamic (single track, tyre forces)."""
    tyre: Tyre = "pacejka"
    """Lateral force of the dynamic model's tyres: linear in the slip angle, or Pacejka's curve."""
    observations: Observations = "state"
    """What the agent sees: numbers in the car's frame, or a grey forward camera image."""
    reward: RewardKind = "lane"
    """What is paid: lane keeping and progress, or only the distance until takeover [m]."""
    num_obstacles: int = 4
    """Discs to pass; 0 for an empty road."""
    moving_share: float = 0.5
    """Probability that an obstacle drives along the road instead of standing."""
    half_width: float = 4.5
    """From the centre line to the edge of the road [m]."""
    max_curvature: float = 0.03
    """Largest curvature of the centre line [1/m]."""
    target_speed: float = 10.0
    """Speed that the reference asks for [m/s]."""
    max_speed: float = 15.0
    """Speed that the car does not exceed [m/s]."""
    max_lateral: float = 3.0
    """Lateral acceleration up to which the reference takes curves at target speed [m/s^2]."""
    max_brake: float = 6.0
    """Largest deceleration [m/s^2]."""
    max_throttle: float = 3.0
    """Largest acceleration [m/s^2]."""
    required_progress: float = 0.6
    """Share of target_speed times the episode's length that counts as success."""
    step_seconds: float = 0.05
    """Time between actions [s]."""
    max_steps: int = 400
    """Steps after which an episode is truncated."""

    def __post_init__(self) -> None:
        choices = {
            "model": ("kinematic", "dynamic"),
            "tyre": ("linear", "pacejka"),
            "observations": ("state", "camera"),
            "reward": ("lane", "distance"),
        }
        for name, valid in choices.items():
            if getattr(self, name) not in valid:
                raise ValueError(
                    f"car-lane: {name} {getattr(self, name)!r} is unknown; "
                    f"the choices are {', '.join(valid)}"
                )
        if self.num_obstacles < 0:
            raise ValueError(f"car-lane: num_obstacles must be 0 or more, got {self.num_obstacles}")
        if self.max_steps < 1:
            raise ValueError(f"car-lane: max_steps must be at least 1, got {self.max_steps}")
        for name in ("target_speed", "max_speed", "max_lateral", "max_brake", "max_throttle"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"car-lane: {name} must be positive, got {getattr(self, name)}")
        for name, low, high in (
            ("moving_share", 0.0, 1.0),
            ("half_width", 3.5, 20.0),
            ("max_curvature", 0.0, 0.1),
            ("step_seconds", 0.001, 0.2),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"car-lane: {name} must lie in {low} to {high}, got {getattr(self, name)}"
                )

    @property
    def num_knots(self) -> int:
        """Number of knots of the centre line: as far as the car can get, and what it sees ahead."""
        reach = self.max_speed * self.step_seconds * self.max_steps
        return int(np.ceil((reach + SIGHT) / KNOT_SPACING)) + 2

    def numbers(self) -> np.ndarray:
        """Return what the kernels read `[len(FIELDS)]` float64, in the order of `FIELDS`."""
        values = {**asdict(CAR), **asdict(self)}
        values["dynamic"] = float(self.model == "dynamic")
        values["pacejka"] = float(self.tyre == "pacejka")
        values["num_knots"] = float(self.num_knots)
        return np.array([float(values[name]) for name in FIELDS])


SIGHT = 80.0
"""How far the car sees along the road [m]."""
KNOT_SPACING = 5.0
"""Arc length between knots of the centre line [m]."""
FIELDS = (
    "step_seconds",
    "dynamic",
    "pacejka",
    "num_obstacles",
    "num_knots",
    "half_width",
    "max_speed",
    "max_brake",
    "max_throttle",
    "target_speed",
    "max_lateral",
    "moving_share",
    "max_curvature",
    "length",
    "width",
    "front",
    "rear",
    "mass",
    "yaw_inertia",
    "mass_height",
    "friction",
    "stiffness",
    "shape",
    "max_steer",
    "max_steer_rate",
)
"""Order of the numbers that are handed to the kernels."""
(
    STEP_SECONDS,
    DYNAMIC,
    PACEJKA,
    NUM_OBSTACLES,
    NUM_KNOTS,
    HALF_WIDTH,
    MAX_SPEED,
    MAX_BRAKE,
    MAX_THROTTLE,
    TARGET_SPEED,
    MAX_LATERAL,
    MOVING_SHARE,
    MAX_CURVATURE,
    LENGTH,
    WIDTH,
    FRONT,
    REAR,
    MASS,
    YAW_INERTIA,
    MASS_HEIGHT,
    FRICTION,
    STIFFNESS,
    SHAPE,
    MAX_STEER,
    MAX_STEER_RATE,
) = range(len(FIELDS))
