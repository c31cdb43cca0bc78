"""Let a person drive: the arrows steer, speed up and brake."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simrl.core.controls import PersonInput
from simrl.core.env import VecEnv
from simrl.core.timestep import Obs
from simrl_envs.vehicle.car.config import CAR, CarLaneConfig
from simrl_envs.vehicle.car.row import car_parts

CENTRING = 0.2
"""Time in which the wheels turn back when no key steers [s]."""
STEER = 4
"""Column of the steering angle among the car's state."""


class CarControls:
    """Drive the car of car-lane; the wheels turn back to the middle by themselves."""

    reads = frozenset({"state"})
    keys: tuple[tuple[str, str], ...] = (
        ("arrowup w", "speed up"),
        ("arrowdown s", "brake"),
        ("arrowleft a", "steer left"),
        ("arrowright d", "steer right"),
    )

    def __init__(self, config: CarLaneConfig) -> None:
        self._throttle, self._brake = config.max_throttle, config.max_brake
        self._steer = car_parts(config.num_obstacles, config.num_knots)["car"].start + STEER

    def reset(self) -> None:
        """Forget nothing."""

    def picture(self, env: VecEnv, seat: int) -> np.ndarray:
        """Draw the road around the car."""
        return env.render(0)

    def action(self, obs: Obs, seat: int, given: PersonInput) -> Tensor | None:
        """Return acceleration [m/s^2] and steering rate [rad/s], `[2]`."""
        held = given.held
        faster, slower = bool(held & {"arrowup", "w"}), bool(held & {"arrowdown", "s"})
        left, right = bool(held & {"arrowleft", "a"}), bool(held & {"arrowright", "d"})
        acceleration = self._throttle * (faster and not slower) - self._brake * slower
        rate = CAR.max_steer_rate
        turn = rate * (int(left) - int(right))  # the wheels' angle grows to the left
        if left == right:
            back = -float(obs["state"][self._steer]) / CENTRING
            turn = min(max(back, -rate), rate)
        return torch.tensor([acceleration, turn])


def make_controls(config: CarLaneConfig) -> CarControls:
    """Build the controls of the driver's seat."""
    return CarControls(config)
