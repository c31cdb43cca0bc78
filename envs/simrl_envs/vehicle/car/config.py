"""Options of the lane task, and the published figures of its car."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

Model = Literal["kinematic", "dynamic"]
Tyre = Literal["linear", "pacejka"]
Observations = Literal["state", "camera"]
RewardKind = Literal["lane", "distance"]
Control = Literal["rates", "setpoints"]


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
    control: Control = "rates"
    """What an action says: acceleration and steering rate, or the speed and the steering angle that
    the car is to take."""
    takeover: float = 0.0
    """Distance from the middle of the road at which someone takes over and the episode ends [m]; 0:
    no sooner than at the road's edge."""
    lap: float = 0.0
    """Length of a closed road [m], a multiple of 50; 0: a road that does not come back."""
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
            "control": ("rates", "setpoints"),
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
        if self.takeover and not START_OFFSET < self.takeover <= self.half_width:
            raise ValueError(
                f"car-lane: takeover must be 0 or lie above {START_OFFSET} (where the car may "
                f"start) and up to half_width, got {self.takeover}"
            )
        if self.lap:
            self._check_lap()

    def _check_lap(self) -> None:
        """Raise ValueError unless a closed road of this length can be laid and holds its discs."""
        bend = max(1.0 / max(self.max_curvature, 1e-9), self.half_width + 5.0)
        least = max(2.0 * np.pi * bend, OBSTACLE_SPACING * self.num_obstacles + 20.0)
        if self.lap % LAP_STEP or self.lap < least:
            raise ValueError(
                f"car-lane: lap must be 0 or a multiple of {LAP_STEP:g} m, at least {least:.0f} m "
                f"with this max_curvature, half_width and num_obstacles, got {self.lap}"
            )

    @property
    def room(self) -> float:
        """Distance from the middle of the road beyond which the episode ends [m]."""
        edge = self.half_width - 0.5 * CAR.width
        return min(edge, self.takeover) if self.takeover else edge

    @property
    def num_knots(self) -> int:
        """Number of knots of the centre line: once around, or as far as the car gets and sees."""
        if self.lap:
            return round(self.lap / KNOT_SPACING)
        reach = self.max_speed * self.step_seconds * self.max_steps
        return int(np.ceil((reach + SIGHT) / KNOT_SPACING)) + 2

    def numbers(self) -> np.ndarray:
        """Return what the kernels read `[len(FIELDS)]` float64, in the order of `FIELDS`."""
        values = {**asdict(CAR), **asdict(self)}
        values["dynamic"] = float(self.model == "dynamic")
        values["pacejka"] = float(self.tyre == "pacejka")
        values["setpoints"] = float(self.control == "setpoints")
        values["num_knots"] = float(self.num_knots)
        values["room"] = self.room
        return np.array([float(values[name]) for name in FIELDS])


SIGHT = 80.0
"""How far the car sees along the road [m]."""
KNOT_SPACING = 5.0
"""Arc length between knots of the centre line [m]."""
LAP_STEP = 50.0
"""Closed roads are multiples of this long [m]: two equal halves of whole bends."""
START_OFFSET = 0.8
"""Largest distance from the middle of the road at the start [m]."""
OBSTACLE_SPACING = 40.0  # [m]
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
    "setpoints",
    "takeover",
    "room",
    "lap",
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
    SETPOINTS,
    TAKEOVER,
    ROOM,
    LAP,
) = range(len(FIELDS))
