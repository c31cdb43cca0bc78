"""The scripted policy of robots: hold the nominal pose, the floor of every comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState

if TYPE_CHECKING:
    from simrl_envs.robot.models import RobotModel


class PosePolicy:
    """Hold the nominal pose as the joints' position servo does, whatever the actions mean."""

    def __init__(self, built: RobotModel) -> None:
        self._servo = built.control == "torque"
        self.reads: frozenset[str] = frozenset({"state"} if self._servo else ())
        num_qpos = int(built.model.nq)
        self._angles = torch.from_numpy(built.qpos)
        self._speeds = torch.from_numpy(built.qvel) + num_qpos
        self._hold = torch.from_numpy(built.hold)
        self._stiffness = torch.from_numpy(built.stiffness)
        self._damping = torch.from_numpy(built.damping)
        self._torque = torch.from_numpy(built.torque)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return torques [N m], or the targets [rad] that hold the pose, `[rows, nu]`."""
        if not self._servo:
            rows = len(obs["seat"])
            return PolicyOutput(self._hold.float().expand(rows, -1).contiguous(), state)
        rows_state = obs["state"]
        offset = self._hold - rows_state[:, self._angles]
        torque = self._stiffness * offset - self._damping * rows_state[:, self._speeds]
        return PolicyOutput(torque.clamp(-self._torque, self._torque).float(), state)
