"""Legged robots: convex model-predictive control over a whole-body quadratic program."""

from __future__ import annotations

from simrl.core.plugins import ControllerPlugin
from simrl_controllers.legged.config import LeggedConfig
from simrl_controllers.legged.gaits import GAITS, Gait
from simrl_controllers.legged.policy import LeggedPolicy, make_legged
from simrl_controllers.legged.robot import LeggedRobot, legged_robot

mpc_wbc = ControllerPlugin(
    "walk on four legs: convex MPC of foot forces, whole-body control, at a commanded velocity",
    LeggedConfig,
    make_legged,
)

__all__ = [
    "GAITS",
    "Gait",
    "LeggedConfig",
    "LeggedPolicy",
    "LeggedRobot",
    "legged_robot",
    "make_legged",
    "mpc_wbc",
]
