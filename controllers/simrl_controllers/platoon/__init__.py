"""Distributed model-predictive control of a platoon with delays."""

from __future__ import annotations

from simrl.core.plugins import ControllerPlugin
from simrl_controllers.platoon.config import PlatoonMpcConfig
from simrl_controllers.platoon.policy import PlatoonMpc

platoon_mpc = ControllerPlugin(
    summary="distributed MPC of a platoon: each car on its predecessor's aged plan",
    config=PlatoonMpcConfig,
    make=PlatoonMpc,
)

__all__ = ["PlatoonMpc", "PlatoonMpcConfig", "platoon_mpc"]
