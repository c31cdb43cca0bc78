"""Join the lane task's kernels into rules: spec, start, step, look, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import ContinuousActions
from simrl.core.spec import EnvSpec
from simrl_envs.vehicle.base import VehicleDynamics
from simrl_envs.vehicle.car import row as r
from simrl_envs.vehicle.car.camera import camera_layout, film_rows
from simrl_envs.vehicle.car.command import STEER_REACH
from simrl_envs.vehicle.car.config import CAR, CarLaneConfig
from simrl_envs.vehicle.car.draw import draw_lane
from simrl_envs.vehicle.car.observe import observe_rows, state_layout
from simrl_envs.vehicle.car.task import (
    TERMS,
    advance_rows,
    reference_rows,
    start_rows,
    unroll_rows,
)
from simrl_envs.vehicle.streams import STEPS

WEIGHTS = {
    "lane": (0.1, -0.1, -0.1, -0.05, -10.0),
    "distance": (1.0, 0.0, 0.0, 0.0, 0.0),
}
"""Weights of the reward terms for each kind of reward; "distance" is the distance until takeover,
as in "Learning to drive in a day" (Kendall et al. 2019)."""


class CarLaneRules:
    """Follow a curved road at speed and pass what stands or drives on it."""

    def __init__(self, config: CarLaneConfig) -> None:
        self.config = config
        self.numbers = config.numbers()
        parts = r.car_parts(config.num_obstacles, config.num_knots)
        groups = {"policy": state_layout(config)}
        if config.observations == "camera":
            groups = {"policy": camera_layout(config), "critic": state_layout(config)}
        metrics = ("success", "rmse", "distance", "mean_speed", "collision", "off_road")
        self.spec = EnvSpec(
            id="car-lane",
            num_agents=1,
            observations=groups,
            actions=_actions(config),
            reward_terms=TERMS,
            reward_weights=WEIGHTS[config.reward],
            reward_groups=("progress", "tracking", "tracking", "effort", "failure"),
            state_size=parts["knots"].stop,
            state_dtype=torch.float64,
            step_seconds=config.step_seconds,
            max_steps=config.max_steps,
            metrics=(*metrics, "lap_done") if config.lap else metrics,
            agent_names=("car",),
            physics={
                "model": "car",
                "state": parts,
                "reference": ("x", "y", "heading", "speed"),
                "car": ("x", "y", "heading", "speed", "steer", "lateral_speed", "yaw_rate"),
                "obstacles": ("x", "y", "vx", "vy", "radius"),
                **asdict(CAR),
                "wheelbase": CAR.wheelbase,
                "motion": config.model,
                "tyre": config.tyre,
                "control": config.control,
                "lap": config.lap,
                "num_obstacles": config.num_obstacles,
                "half_width": config.half_width,
                "target_speed": config.target_speed,
                "max_speed": config.max_speed,
                "max_brake": config.max_brake,
                "max_throttle": config.max_throttle,
                "max_lateral": config.max_lateral,
            },
            dynamics=lambda: VehicleDynamics(self),
            reference=self.reference,
        )

    def start(self, rows: np.ndarray) -> None:
        """Draw a road, its obstacles and where the car stands."""
        start_rows(rows, self.numbers)

    def advance(self, rows: np.ndarray, action: np.ndarray, terms: np.ndarray) -> None:
        """Drive for one step; the episode ends off the road, at a takeover or at a collision."""
        advance_rows(rows, action, self.numbers, terms)

    def unroll(
        self, rows: np.ndarray, actions: np.ndarray, states: np.ndarray, terms: np.ndarray
    ) -> None:
        """Drive copies of `rows` through whole action sequences."""
        unroll_rows(rows, actions, self.numbers, states, terms)

    def observe(self, rows: np.ndarray, out: Mapping[str, np.ndarray]) -> None:
        """Show the state in the car's frame, or the camera's image."""
        camera = self.config.observations == "camera"
        for name, value in out.items():
            kernel = film_rows if camera and name == "policy" else observe_rows
            kernel(rows, self.numbers, value)

    def metrics(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Report success, the offset's root mean square [m], distance [m], speed and failures.

        On a closed road "lap_done" says whether the car came around once.
        """
        config, steps = self.config, np.maximum(rows[:, STEPS], 1.0)
        distance = rows[:, r.S] - rows[:, r.START_S]
        wanted = config.target_speed * config.step_seconds * config.max_steps
        failed = (rows[:, r.HIT] != 0.0) | (rows[:, r.OFF_ROAD] != 0.0)
        late = rows[:, STEPS] >= config.max_steps
        success = late & ~failed & (distance >= config.required_progress * wanted)
        figures = {
            "success": success[:, None].astype(np.float64),
            "rmse": np.sqrt(rows[:, r.SQUARED_OFFSET] / steps)[:, None],
            "distance": distance[:, None],
            "mean_speed": (rows[:, r.SPEED_SUM] / steps)[:, None],
            "collision": rows[:, r.HIT, None].copy(),
            "off_road": rows[:, r.OFF_ROAD, None].copy(),
        }
        if config.lap:
            figures["lap_done"] = (distance >= config.lap)[:, None].astype(np.float64)
        return figures

    def reference(self, state: Tensor, ahead: Tensor) -> Tensor:
        """Return x, y, heading, speed `[B, H, 4]` of the rear axle at times `ahead` `[H]` [s].

        The centre line at the wanted speed, from beside the car on; obstacles are not heeded.
        """
        if state.ndim != 2 or state.shape[1] != self.spec.state_size:
            raise ValueError(
                f"car-lane: expected state [B, {self.spec.state_size}], got {tuple(state.shape)}"
            )
        if ahead.ndim != 1 or bool((ahead.diff() < 0).any()):
            raise ValueError(f"car-lane: ahead must be rising seconds [H], got {ahead}")
        out = np.empty((len(state), len(ahead), 4))
        seconds = ahead.to(torch.float64).contiguous().numpy()
        reference_rows(state.contiguous().numpy(), seconds, self.numbers, out)
        return torch.from_numpy(out)

    def draw(self, row: np.ndarray) -> np.ndarray:
        """Draw road, obstacles, trail and car from above, and what the camera sees."""
        camera = self.config.observations == "camera"
        return draw_lane(row, self.numbers, self.spec.physics["state"], camera=camera)


def _actions(config: CarLaneConfig) -> ContinuousActions:
    """Return what an action says, and its bounds."""
    if config.control == "setpoints":
        return ContinuousActions(
            (0.0, -STEER_REACH),
            (config.max_speed, STEER_REACH),
            names=("speed [m/s]", "steering angle [rad]"),
        )
    return ContinuousActions(
        (-config.max_brake, -CAR.max_steer_rate),
        (config.max_throttle, CAR.max_steer_rate),
        names=("acceleration [m/s^2]", "steering rate [rad/s]"),
    )
