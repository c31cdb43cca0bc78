"""Options of the platoon task, and where everything lies in a row of its state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simrl_envs.vehicle.base import name_parts
from simrl_envs.vehicle.streams import HEADER

Profile = Literal["random", "cruise", "brake", "steps", "sine"]
PROFILES = ("cruise", "brake", "steps", "sine")
"""Speed profiles of the leader; "random" draws one of the last three in each episode."""


@dataclass(frozen=True)
class PlatoonConfig:
    """Set up the platoon: the first car leads, each of the others is an agent."""

    num_cars: int = 10
    """Cars, the leader included."""
    headway: float = 0.6
    """Time headway h of the spacing policy d0 + h v [s]."""
    standstill: float = 3.0
    """Gap d0 of the spacing policy at rest [m]."""
    length: float = 4.508
    """Length of a car [m]."""
    lag: float = 0.3
    """Time constant with which the acceleration follows the command [s]."""
    actuation_delay: float = 0.2
    """Time from a command to its effect [s]; a multiple of step_seconds."""
    comm_delay: float = 0.2
    """Age of the plan that a car receives from its predecessor [s]; a multiple of step_seconds."""
    comm_jitter: float = 0.0
    """How much older a plan may be at times [s]; a multiple of step_seconds."""
    horizon: int = 20
    """Length of a broadcast plan, in steps."""
    profile: Profile = "random"
    """How the leader drives: brakes hard, steps or sine of speed, cruises, or one at random."""
    deceleration: float = 0.0
    """How hard the leader of profile brake brakes [m/s^2]; 0 draws 3 to 6."""
    frequency: float = 0.0
    """Angular frequency of the leader of profile sine [rad/s]; 0 draws 0.2 to 2."""
    spread: float = 0.5
    """Gaps start within this of the spacing policy [m]."""
    max_brake: float = 8.0
    """Largest deceleration that can be commanded [m/s^2]."""
    max_throttle: float = 3.0
    """Largest acceleration that can be commanded [m/s^2]."""
    max_speed: float = 40.0
    """Speed that no car exceeds [m/s]."""
    max_rmse: float = 1.5
    """Root mean square of the spacing error up to which an episode is a success [m]."""
    step_seconds: float = 0.1
    """Time between actions [s]."""
    max_steps: int = 300
    """Steps after which an episode is truncated."""

    def __post_init__(self) -> None:
        if self.num_cars < 2:
            raise ValueError(f"platoon: num_cars must be at least 2, got {self.num_cars}")
        if self.horizon < 1:
            raise ValueError(f"platoon: horizon must be at least 1, got {self.horizon}")
        if self.max_steps < 1:
            raise ValueError(f"platoon: max_steps must be at least 1, got {self.max_steps}")
        if self.profile not in ("random", *PROFILES):
            raise ValueError(
                f"platoon: profile {self.profile!r} is unknown; "
                f"the choices are random, {', '.join(PROFILES)}"
            )
        for name in ("headway", "lag", "length", "max_brake", "max_throttle", "step_seconds"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"platoon: {name} must be positive, got {getattr(self, name)}")
        for name in ("standstill", "deceleration", "frequency", "spread"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"platoon: {name} must be 0 or more, got {getattr(self, name)}")
        for name in ("actuation_delay", "comm_delay", "comm_jitter"):
            self._steps(name)
        if self.min_age < 1:
            raise ValueError(
                f"platoon: comm_delay must be at least one step of {self.step_seconds} s, "
                f"got {self.comm_delay}"
            )
        if self.max_age > self.horizon:
            raise ValueError(
                f"platoon: plans of {self.horizon} steps are over before they arrive "
                f"after {self.max_age} steps; lengthen the horizon"
            )

    @property
    def delay_steps(self) -> int:
        """Steps from a command to its effect."""
        return self._steps("actuation_delay")

    @property
    def min_age(self) -> int:
        """Age of the freshest plan that is received, in steps."""
        return self._steps("comm_delay")

    @property
    def max_age(self) -> int:
        """Age of the oldest plan that is received, in steps."""
        return self.min_age + self._steps("comm_jitter")

    @property
    def num_agents(self) -> int:
        """Number of cars that follow."""
        return self.num_cars - 1

    def numbers(self) -> np.ndarray:
        """Return what the kernels read `[len(FIELDS)]` float64, in the order of `FIELDS`."""
        profile = -1.0 if self.profile == "random" else float(PROFILES.index(self.profile))
        return np.array(
            [profile if name == "profile" else float(getattr(self, name)) for name in FIELDS]
        )

    def _steps(self, name: str) -> int:
        """Return a delay in steps; ValueError if it is not a whole number of them."""
        steps = getattr(self, name) / self.step_seconds
        if not (math.isfinite(steps) and steps >= 0.0) or abs(steps - round(steps)) > 1e-6:
            raise ValueError(
                f"platoon: {name} must be a multiple of step_seconds {self.step_seconds}, "
                f"got {getattr(self, name)}"
            )
        return round(steps)


FIELDS = (
    "step_seconds",
    "num_cars",
    "delay_steps",
    "min_age",
    "max_age",
    "horizon",
    "profile",
    "headway",
    "standstill",
    "length",
    "lag",
    "deceleration",
    "frequency",
    "spread",
    "max_speed",
)
"""Order of the numbers that are handed to the kernels."""
(
    STEP_SECONDS,
    NUM_CARS,
    DELAY_STEPS,
    MIN_AGE,
    MAX_AGE,
    HORIZON,
    PROFILE,
    HEADWAY,
    STANDSTILL,
    LENGTH,
    LAG,
    DECELERATION,
    FREQUENCY,
    SPREAD,
    MAX_SPEED,
) = range(len(FIELDS))

KIND, CRUISE, FIRST, SECOND, THIRD, SEED = range(HEADER, HEADER + 6)
"""The leader's drive: kind of profile, cruising speed [m/s], three numbers of it and its stream."""
HIT = HEADER + 6
"""Whether two cars have collided."""
CARS = HEADER + 7
"""First column of the cars: position of the front [m], speed [m/s], acceleration [m/s^2] each."""


def platoon_parts(config: PlatoonConfig) -> dict[str, slice]:
    """Name the parts of a row, in their order."""
    cars, agents = config.num_cars, config.num_agents
    return name_parts(
        profile=6,
        collided=1,
        cars=3 * cars,
        squared_errors=agents,
        min_gaps=agents,
        ages=agents,
        sent=agents * config.delay_steps,
        plans=cars * config.max_age * config.horizon,
    )
