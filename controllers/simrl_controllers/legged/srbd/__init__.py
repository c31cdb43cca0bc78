"""Convex model-predictive control of a single rigid body on legs.

`SrbdMpc` plans the forces of the standing feet of many bodies at once: a small dense quadratic
program per row, built in compiled code, whose solution is held to its optimality conditions.
"""

from simrl_controllers.legged.srbd.config import SrbdConfig
from simrl_controllers.legged.srbd.mpc import SrbdMpc
from simrl_controllers.legged.srbd.plan import NOT_ASKED, SrbdPlan, SrbdState

__all__ = ["NOT_ASKED", "SrbdConfig", "SrbdMpc", "SrbdPlan", "SrbdState"]
