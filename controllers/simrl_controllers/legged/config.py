"""Set the options of the legged controller."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from simrl.core.plugins import make_config
from simrl_controllers.legged.estimator.config import EstimatorConfig
from simrl_controllers.legged.gaits import find_gait
from simrl_controllers.legged.recovery import GetUpConfig

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class LeggedConfig:
    """Set gait, planner, footholds and whole-body control.

    Lengths and times that are 0 are chosen by the robot's size.
    """

    gait: str = "trot"
    """Gait: stand, walk, trot, pace, bound, gallop or pronk."""
    fast_gait: str = ""
    """Gait for fast commands; "" keeps the one gait."""
    fast_speed: float = 1.5
    """Commanded speed from which on the fast gait is taken [m/s]."""
    period: float = 0.0
    """Length of a cycle [s]; 0: the gait's, scaled to the robot's height."""
    duty: float = 0.0
    """Share of the cycle in which a foot stands; 0: the gait's."""
    transition_seconds: float = 0.6
    """Time in which one gait becomes another [s]."""
    command: tuple[float, ...] = ()
    """Constant command vx, vy [m/s], yaw rate [rad/s], instead of the task's."""
    acceleration: Triple = (1.5, 1.5, 4.0)
    """How fast the command is followed [m/s^2, m/s^2, rad/s^2]."""
    height: float = 0.0
    """Height of the base above the ground [m]; 0: that of the nominal pose."""
    step_height: float = 0.0
    """Height of a swing [m]; 0: 0.28 of the base's."""
    landing: float = 0.0
    """Speed at which feet meet the ground, and go on below it [m/s]; 0: 0.3 of a Go2, scaled to the
    root of the robot's height."""
    raibert: float = 0.02
    """Foothold's shift for the velocity's error, beyond half a stance's way [s]."""
    capture: float = 0.0
    """Share of the shift to the capture point that is added."""
    integral: float = 0.0
    """Foothold's shift for the velocity error's integral."""
    sidestep: float = 0.0
    """Foothold's shift for the distance from the wanted path."""
    hurry: float = 0.8
    """Share by which the gait quickens for each m/s of the velocity's error to the side [s/m]."""
    sway: float = 0.05
    """Difference from the mean velocity that is the gait's own sway and moves no foothold [m/s]."""
    swing_stiffness: float = 500.0
    """Swinging foot's acceleration for its distance from its way [1/s^2]."""
    swing_damping: float = 30.0
    """Swinging foot's acceleration for its speed's error [1/s]."""
    stance_damping: float = 20.0
    """Standing foot's deceleration for its speed [1/s]."""
    mpc_seconds: float = 0.024
    """Time from plan to plan [s]; the change of a contact makes one at once."""
    horizon: int = 10
    """Steps of the planner."""
    mpc_dt: float = 0.03
    """Length of a planning step [s]."""
    rpy_weight: Triple = (50.0, 50.0, 20.0)
    """Planner's weight of roll, pitch and yaw [1/rad^2]."""
    position_weight: Triple = (30.0, 30.0, 100.0)
    """Planner's weight of the place [1/m^2]."""
    omega_weight: Triple = (0.5, 0.5, 0.5)
    """Planner's weight of the angular velocity [s^2/rad^2]."""
    velocity_weight: Triple = (4.0, 4.0, 2.0)
    """Planner's weight of the velocity [s^2/m^2]."""
    force_weight: float = 0.05
    """Planner's weight of a foot's force as a share of the robot's weight, squared."""
    friction: float = 0.6
    """Friction that feet count on."""
    cone: str = "pyramid"
    """Friction cone of planner and whole-body control: pyramid, or the inner "cone"."""
    base_stiffness: Triple = (0.0, 0.0, 50.0)
    """Base's acceleration for its distance from the plan: level, vertical, rotation [1/s^2]."""
    base_damping: Triple = (15.0, 15.0, 15.0)
    """Likewise for its speed's error [1/s]."""
    base_weight: Triple = (3.0, 3.0, 0.1)
    """Weight of the base's acceleration in whole-body control: level, vertical, rotation."""
    foot_weight: float = 0.07
    """Weight of a swinging foot's acceleration there."""
    force_share: float = 1.0
    """Weight of planned forces there, as shares of the robot's weight, squared."""

    dry_friction: float = 1.0
    """Share of the joints' dry friction that is made up for."""

    estimate: bool = False
    """Know only what simulated sensors tell, instead of the true state."""
    sensors: EstimatorConfig = field(default_factory=EstimatorConfig)
    """Noise of these sensors, and the filter that reads them; also a mapping of its options."""
    delay: float = 0.0
    """Time by which torques act late, made up for by prediction [s]."""
    payload: bool = True
    """Weigh what the robot carries by the forces on its feet, and carry it."""
    payload_seconds: float = 0.4
    """Time constant of the load's mass [s]; its place takes five times as long."""
    deadline: float = 0.0
    """Time that one solve may take [s]; a later one is thrown away, and what was planned before
    goes on.  0 waits for all; else the same seed need not give the same bits."""

    get_up: bool = True
    """Help a robot that lies back on its feet."""
    recovery: GetUpConfig = field(default_factory=GetUpConfig)
    """How; also a mapping of its options."""

    def __post_init__(self) -> None:
        if isinstance(self.recovery, Mapping):
            recovery = make_config(GetUpConfig, self.recovery, "mpc-wbc: recovery")
            object.__setattr__(self, "recovery", recovery)
        if isinstance(self.sensors, Mapping):
            sensors = make_config(EstimatorConfig, self.sensors, "mpc-wbc: sensors")
            object.__setattr__(self, "sensors", sensors)
        find_gait(self.gait)
        if self.fast_gait:
            find_gait(self.fast_gait)
        if len(self.command) not in (0, 3) or not all(map(math.isfinite, self.command)):
            raise ValueError(f"command must be vx, vy, yaw rate, got {self.command}")
        if not 0.0 <= self.duty <= 1.0:
            raise ValueError(f"duty must be between 0 and 1, got {self.duty}")
        for name in ("transition_seconds", "mpc_seconds", "mpc_dt", "fast_speed", "friction"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not self.payload_seconds > 0.0:
            raise ValueError(f"payload_seconds must be above 0, got {self.payload_seconds}")
        for name in ("period", "height", "step_height", "landing", "delay", "deadline"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, got {self.horizon}")
        if self.cone not in ("pyramid", "cone"):
            raise ValueError(f"cone is {self.cone!r}; the cones are pyramid, cone")
