"""Let a person drive: the arrows steer, speed up and brake."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simrl.core.controls import PersonInput
from simrl.core.env import VecEnv
from simrl.core.timestep import Obs
from simrl_envs.vehicle.car.command import as_action
from simrl_envs.vehicle.car.config import CAR, CarLaneConfig
from simrl_envs.vehicle.car.row import SPEED, STEER

CENTRING = 0.2
"""Time in which the wheels turn back when no key steers [s]."""


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
        self._config = config

    def reset(self) -> None:
        """Forget nothing."""

    def picture(self, env: VecEnv, seat: int) -> np.ndarray:
        """Draw the road around the car."""
        return env.render(0)

    def action(self, obs: Obs, seat: int, given: PersonInput) -> Tensor | None:
        """Return acceleration [m/s^2] and steering rate [rad/s], or set-points, `[2]`."""
        held, config = given.held, self._config
        speed, steer = float(obs["state"][SPEED]), float(obs["state"][STEER])
        faster, slower = bool(held & {"arrowup", "w"}), bool(held & {"arrowdown", "s"})
        left, right = bool(held & {"arrowleft", "a"}), bool(held & {"arrowright", "d"})
        acceleration = config.max_throttle * (faster and not slower) - config.max_brake * slower
        rate = CAR.max_steer_rate
        turn = rate * (int(left) - int(right))  # the wheels' angle grows to the left
        if left == right:
            turn = min(max(-steer / CENTRING, -rate), rate)
        return torch.tensor(as_action(config, (acceleration, turn), speed, steer))


def make_controls(config: CarLaneConfig) -> CarControls:
    """Build the controls of the driver's seat."""
    return CarControls(config)
