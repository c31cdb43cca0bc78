"""The scripted policy of the mobile manipulator: stand still with the arm tucked in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl_envs.robot.amr_model import ARM, DAMPING, HOME, STIFFNESS

if TYPE_CHECKING:
    from simrl_envs.robot.amr_model import AmrModel

OPENING = 0.04
"""How far the gripper stays open [m]."""


class StillPolicy:
    """Hold the home pose as the joints' position servos do, whatever the actions mean.

    With torques the arm's own weight makes it sag a little, since nothing compensates it.
    """

    def __init__(self, built: AmrModel) -> None:
        self._torque = built.config.control == "torque"
        self.reads: frozenset[str] = frozenset({"state"} if self._torque else ())
        self._drives, self._size = len(built.drives), int(built.model.nu)
        self._angles = torch.from_numpy(built.qpos(*ARM))
        self._speeds = torch.from_numpy(built.qvel(*ARM)) + int(built.model.nq)
        self._stiffness, self._damping, self._home = (
            torch.tensor(values, dtype=torch.float64) for values in (STIFFNESS, DAMPING, HOME)
        )
        self._limit = torch.from_numpy(built.torque.copy())

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
        if not self._torque:
            return self._home.float()
        rows = obs["state"]
        torque = self._stiffness * (self._home - rows[:, self._angles])
        torque -= self._damping * rows[:, self._speeds]
        return torque.clamp(-self._limit, self._limit).float()
