"""Whole-body control: tasks, contacts and limits turned into torques.

A `Task` is an error and a Jacobian.  `WeightedWbc` weighs all tasks in one quadratic program a row;
`HierarchicalWbc` serves them by strict rank, each level in the nullspace of those above it.
Contacts are optional, so that legged robots, arms and mobile manipulators use the same code.
"""

from simrl_controllers.wbc.config import WbcConfig
from simrl_controllers.wbc.hierarchical import HierarchicalWbc
from simrl_controllers.wbc.inputs import WbcInputs
from simrl_controllers.wbc.result import WbcResult
from simrl_controllers.wbc.task import Contacts, LinearLimit, RobotDynamics, Task
from simrl_controllers.wbc.weighted import WeightedWbc

__all__ = [
    "Contacts",
    "HierarchicalWbc",
    "LinearLimit",
    "RobotDynamics",
    "Task",
    "WbcConfig",
    "WbcInputs",
    "WbcResult",
    "WeightedWbc",
]
