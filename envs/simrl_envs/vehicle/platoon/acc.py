"""Follow by linear feedback: adaptive cruise control, alone or cooperative.

Cooperative (CACC): h u' = -u + kp e + kd e' + (what the predecessor announced), after "Design and
experimental evaluation of cooperative adaptive cruise control" (2011).  Plain (ACC), which hears
nothing: u = kp e + kd (relative speed) - ka a; at a short headway its platoon is not string stable.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl_envs.vehicle.platoon.config import PlatoonConfig
from simrl_envs.vehicle.platoon.rules import platoon_layout

SPACING_GAIN = 0.2
"""CACC's command for each metre of spacing error [1/s^2]."""
RATE_GAIN = 0.7
"""CACC's command for each m/s by which the spacing error changes [1/s]."""
ALONE = (0.5, 1.5, 0.3)
"""ACC's gains of spacing error [1/s^2], relative speed [1/s] and own acceleration."""


class CruiseControl:
    """Keep the gap by feedback; announces its command, held, as its plan."""

    reads = frozenset({"policy"})

    def __init__(self, config: PlatoonConfig, *, cooperative: bool) -> None:
        self.config = config
        self.cooperative = cooperative
        self.layout = platoon_layout(config)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the last command of each row [m/s^2]."""
        return {"command": torch.zeros(num_rows)}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the command and the plan `[rows, 1 + horizon]` [m/s^2]."""
        config = self.config
        seen = self.layout.split(obs["policy"])
        acceleration, closing, error = (seen["car"][:, index] for index in (1, 3, 4))
        if self.cooperative:
            rate = closing - config.headway * acceleration
            wanted = SPACING_GAIN * error + RATE_GAIN * rate
            wanted = wanted + announced(seen["message"], config.step_seconds)
            before = state["command"]
            share = config.step_seconds / max(config.headway, config.step_seconds)
            command = before + share * (wanted - before)
        else:
            command = ALONE[0] * error + ALONE[1] * closing - ALONE[2] * acceleration
        command = command.clamp(-config.max_brake, config.max_throttle)
        action = command[:, None].expand(-1, 1 + config.horizon)
        return PolicyOutput(action.contiguous(), {"command": command})


def announced(message: Tensor, step_seconds: float) -> Tensor:
    """Return the acceleration `[rows]` that the predecessor's aged plan has for now [m/s^2].

    message: `[rows, 1 + horizon]`, the age [s] and then the plan.
    """
    index = (message[:, 0] / step_seconds).round().long().clamp(1, message.shape[1] - 1)
    return message.gather(1, index[:, None]).squeeze(1)


def make_acc(config: PlatoonConfig) -> CruiseControl:
    """Build adaptive cruise control, which hears nothing."""
    return CruiseControl(config, cooperative=False)


def make_cacc(config: PlatoonConfig) -> CruiseControl:
    """Build cooperative adaptive cruise control."""
    return CruiseControl(config, cooperative=True)
