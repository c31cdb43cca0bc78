"""Drive the base to poses that phases ask for, by the nonlinear MPC of the task of driving."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec, PolicyState
from simrl_controllers.mobile.config import WholeBodyConfig
from simrl_controllers.mobile.robot import MobileRobot
from simrl_controllers.nonlinear.config import NmpcConfig
from simrl_controllers.nonlinear.policy import NmpcPolicy

Array = np.ndarray


class BaseDrive:
    """Plan the base of rows that drive; the memory is each row's plan and the speeds in force.

    The states handed to nonlinear MPC have three numbers more: the pose that is asked for.
    """

    def __init__(self, spec: EnvSpec, robot: MobileRobot, config: WholeBodyConfig) -> None:
        size = spec.state_size
        view = replace(
            spec,
            state_size=size + 3,
            physics={**spec.physics, "control": "position", "reference": ("x", "y", "yaw")},
            reference=lambda state, ahead: state[:, None, size:].expand(-1, len(ahead), -1),
        )
        self._every = config.drive_every
        plans = NmpcConfig(
            horizon=config.drive_horizon,
            dt=config.drive_dt,
            period=config.drive_every * spec.step_seconds,
        )
        self._nmpc = NmpcPolicy(view, plans)
        self._nmpc.model = replace(self._nmpc.model, embed=None)
        self._holonomic = robot.facts.holonomic

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return empty plans, no speeds and steps since the last plan."""
        return {
            **self._nmpc.initial_state(num_rows),
            "speed": torch.zeros(num_rows, 3, dtype=torch.float64),
            "age": torch.zeros(num_rows, dtype=torch.int64),
        }

    def step(
        self, rows: Tensor, goal: Array, drive: Array, memory: PolicyState
    ) -> tuple[Array, PolicyState]:
        """Return speeds `[n, 3]` in the base's frame where `drive` `[n]` bool, 0 elsewhere.

        Rows that do not drive forget their plans.
        """
        kept = {name: value.clone() for name, value in memory.items()}
        idle = torch.from_numpy(~drive)
        kept["failures"][idle], kept["age"][idle], kept["speed"][idle] = -1, 0, 0.0
        due = torch.from_numpy(drive) & (kept["age"] % self._every == 0)
        where = due.nonzero().squeeze(1)
        if len(where):
            wanted = torch.from_numpy(goal)[where].to(rows.dtype)
            seen = {"state": torch.cat([rows[where], wanted], dim=1)}
            plans = {name: kept[name][where] for name in ("plan_x", "plan_u", "failures")}
            output = self._nmpc.act(seen, plans, torch.Generator())
            for name, value in output.state.items():
                kept[name][where] = value
            speed = output.action.to(torch.float64)
            if not self._holonomic:
                speed = torch.stack([speed[:, 0], torch.zeros(len(where)), speed[:, 1]], dim=1)
            kept["speed"][where] = speed
        kept["age"] = torch.where(idle, kept["age"], kept["age"] + 1)
        return kept["speed"].numpy().copy(), kept
