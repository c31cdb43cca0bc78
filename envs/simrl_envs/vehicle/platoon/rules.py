"""Join the platoon's kernels into rules: spec, start, step, look, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import torch

from simrl.core.actions import ContinuousActions
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl_envs.vehicle.base import VehicleDynamics
from simrl_envs.vehicle.platoon import config as c
from simrl_envs.vehicle.platoon.config import PlatoonConfig, platoon_parts
from simrl_envs.vehicle.platoon.draw import draw_platoon
from simrl_envs.vehicle.platoon.task import (
    TERMS,
    advance_rows,
    observe_rows,
    start_rows,
    unroll_rows,
)
from simrl_envs.vehicle.streams import STEPS

MAX_PLAN = 12.0
"""Largest acceleration in a broadcast plan [m/s^2]."""


class PlatoonRules:
    """Follow the car ahead at the gap d0 + h v, on aged plans and delayed brakes.

    An agent's action is its command u and its plan: the accelerations that it expects 1, 2, ...
    steps from now.  Its follower receives the plan after the communication delay.
    """

    def __init__(self, config: PlatoonConfig) -> None:
        self.config = config
        self.numbers = config.numbers()
        self.parts = platoon_parts(config)
        agents, horizon = config.num_agents, config.horizon
        plan_names = tuple(f"plan_{k + 1} [m/s^2]" for k in range(horizon))
        self.spec = EnvSpec(
            id="platoon",
            num_agents=agents,
            observations={"policy": platoon_layout(config)},
            actions=ContinuousActions(
                (-config.max_brake, *(-MAX_PLAN for _ in range(horizon))),
                (config.max_throttle, *(MAX_PLAN for _ in range(horizon))),
                names=("command [m/s^2]", *plan_names),
            ),
            reward_terms=TERMS,
            reward_weights=(-0.1, -0.02, -0.005, -10.0),
            reward_groups=("tracking", "tracking", "effort", "collision"),
            teams=(0,) * agents,
            state_size=self.parts["plans"].stop,
            state_dtype=torch.float64,
            step_seconds=config.step_seconds,
            max_steps=config.max_steps,
            metrics=("success", "rmse", "error_norm", "min_gap", "collision"),
            agent_names=tuple(f"car_{index + 1}" for index in range(agents)),
            physics={
                "model": "platoon",
                "state": self.parts,
                "cars": ("position", "speed", "acceleration"),
                **{name: value for name, value in asdict(config).items() if name != "profile"},
                "delay_steps": config.delay_steps,
                "min_age": config.min_age,
                "max_age": config.max_age,
                "max_plan": MAX_PLAN,
            },
            dynamics=lambda: VehicleDynamics(self),
        )

    def start(self, rows: np.ndarray) -> None:
        """Draw the leader's drive and put the cars near their gaps."""
        start_rows(rows, self.numbers)

    def advance(self, rows: np.ndarray, action: np.ndarray, terms: np.ndarray) -> None:
        """Drive for one step; the episode ends when two cars touch."""
        advance_rows(rows, action, self.numbers, terms)

    def unroll(
        self, rows: np.ndarray, actions: np.ndarray, states: np.ndarray, terms: np.ndarray
    ) -> None:
        """Drive copies of `rows` through whole action sequences."""
        unroll_rows(rows, actions, self.numbers, states, terms)

    def observe(self, rows: np.ndarray, out: Mapping[str, np.ndarray]) -> None:
        """Show each agent its own car, the gap ahead and its predecessor's message."""
        for value in out.values():
            observe_rows(rows, self.numbers, value)

    def metrics(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Report each car's success, spacing error (mean square and norm), least gap, collision."""
        steps = np.maximum(rows[:, STEPS], 1.0)[:, None]
        squares = rows[:, self.parts["squared_errors"]]
        rmse = np.sqrt(squares / steps)
        collision = np.repeat(rows[:, c.HIT, None], self.spec.num_agents, axis=1)
        return {
            "success": ((rmse <= self.config.max_rmse) & (collision == 0.0)).astype(np.float64),
            "rmse": rmse,
            "error_norm": np.sqrt(squares * self.config.step_seconds),
            "min_gap": rows[:, self.parts["min_gaps"]].copy(),
            "collision": collision,
        }

    def draw(self, row: np.ndarray) -> np.ndarray:
        """Draw the cars on their road, their gaps and their speeds."""
        return draw_platoon(row, self.config, self.parts)


def platoon_layout(config: PlatoonConfig) -> Layout:
    """Name what an agent sees: its car, its pending commands and its predecessor's message."""
    speed, plan = config.max_speed, MAX_PLAN
    acceleration = max(config.max_brake, config.max_throttle, 1.0)
    blocks = [
        vector(
            "car",
            Column("speed", 0.0, speed, "m/s"),
            Column("acceleration", -acceleration, acceleration, "m/s^2"),
            Column("gap", -50.0, 500.0, "m"),
            Column("relative_speed", -speed, speed, "m/s"),
            Column("spacing_error", -500.0, 500.0, "m"),
        )
    ]
    if config.delay_steps:
        bounds = (-config.max_brake, config.max_throttle, "m/s^2")
        columns = (Column(f"sent_{k}", *bounds) for k in range(config.delay_steps, 0, -1))
        blocks.append(vector("sent", *columns))
    message = [Column(f"plan_{k + 1}", -plan, plan, "m/s^2") for k in range(config.horizon)]
    longest = config.comm_delay + config.comm_jitter
    blocks.append(vector("message", Column("age", 0.0, longest, "s"), *message))
    return Layout(tuple(blocks))
