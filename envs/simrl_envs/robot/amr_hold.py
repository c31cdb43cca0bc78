"""The scripted policy of the mobile manipulator: stand still with the arm tucked in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl_envs.robot.amr_model import ARM, HOME, JOINT_SPEED

if TYPE_CHECKING:
    from simrl_envs.robot.amr_model import AmrModel

SPRING = (100.0, 100.0, 80.0, 80.0, 10.0, 10.0, 5.0)
"""What pulls each joint back to home [N m/rad]."""
DAMPER = (10.0, 10.0, 8.0, 8.0, 1.5, 1.5, 0.8)
"""What brakes each joint [N m s/rad]."""
RETURN = 2.0
"""Rate at which speeds bring each joint back to home [1/s]."""
OPENING = 0.04
"""How far the gripper stays open [m]."""


class StillPolicy:
    """Hold the home pose, whatever the actions mean.

    With torques these are a soft spring and damper around those that carry the arm's weight at
    home, soft enough for control steps of 0.02 s; speeds lead back home.
    """

    def __init__(self, built: AmrModel) -> None:
        self._control = built.config.control
        fixed = self._control == "position"
        self.reads: frozenset[str] = frozenset(() if fixed else {"state"})
        self._drives, self._size = len(built.drives), int(built.model.nu)
        self._angles = torch.from_numpy(built.qpos(*ARM))
        self._speeds = torch.from_numpy(built.qvel(*ARM)) + int(built.model.nq)
        self._stiffness, self._damping, self._home = (
            torch.tensor(values, dtype=torch.float64) for values in (SPRING, DAMPER, HOME)
        )
        self._rest = torch.from_numpy(built.rest_torque)
        self._limit = torch.from_numpy(built.torque.copy())
        self._fastest = torch.tensor(JOINT_SPEED, dtype=torch.float64)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the actions `[rows, nu]` that keep base, arm and gripper where they are."""
        action = torch.zeros(len(obs["seat"]), self._size)
        action[:, -1] = OPENING
        action[:, self._drives : self._drives + len(ARM)] = self._arm(obs)
        return PolicyOutput(action, state)

    def _arm(self, obs: Obs) -> Any:
        if self._control == "position":
            return self._home.float()
        rows = obs["state"]
        off = self._home - rows[:, self._angles]
        if self._control == "velocity":
            return (RETURN * off).clamp(-self._fastest, self._fastest).float()
        torque = self._rest + self._stiffness * off
        torque -= self._damping * rows[:, self._speeds]
        return torque.clamp(-self._limit, self._limit).float()
