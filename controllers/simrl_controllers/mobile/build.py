"""Put a mobile manipulator's controller together for the task at hand."""

from __future__ import annotations

import numpy as np

from simrl.core import EnvSpec
from simrl_controllers.mobile.clearance import Clearance
from simrl_controllers.mobile.config import WholeBodyConfig
from simrl_controllers.mobile.drawer import DrawerScript
from simrl_controllers.mobile.follow import FollowScript
from simrl_controllers.mobile.machine import Script
from simrl_controllers.mobile.pick import PickScript
from simrl_controllers.mobile.policy import MobilePolicy
from simrl_controllers.mobile.robot import MobileRobot
from simrl_controllers.mobile.simple import DriveScript, ReachScript
from simrl_controllers.mobile.stances import Stances

HANDLE = ("handle", "handle_left", "handle_right")
"""Geoms that the fingers may touch."""
TASKS = "drive to x, y, yaw; reach a pose; put an object at x, y, z; open a drawer"
"""What the machine of phases knows to do."""


def build_follower(spec: EnvSpec, config: WholeBodyConfig) -> MobilePolicy:
    """Build the policy that follows a pose; ValueError says what the task lacks."""
    robot = MobileRobot(spec)
    script = FollowScript(spec, robot)
    return MobilePolicy(spec, robot, script, _clearance(robot), config)


def build_worker(spec: EnvSpec, config: WholeBodyConfig) -> MobilePolicy:
    """Build the policy that works phase by phase; ValueError says what it knows to do."""
    robot = MobileRobot(spec)
    clearance = _clearance(robot)
    script = _script(spec, robot, Stances(robot, clearance))
    return MobilePolicy(spec, robot, script, clearance, config)


def _clearance(robot: MobileRobot) -> Clearance:
    names = {robot.model.geom(index).name for index in range(robot.model.ngeom)}
    touched = [name for name in HANDLE if name in names] if robot.has_joint("drawer") else []
    return Clearance(robot, ignore=touched)


def _script(spec: EnvSpec, robot: MobileRobot, stances: Stances) -> Script:
    """Choose the script by what the task tells of itself."""
    physics = spec.physics
    command = tuple(str(name).split(" ")[0] for name in physics.get("command", ()))
    if "object_qpos" in physics and command[:4] == ("x", "y", "z", "face"):
        return PickScript(robot, stances, np.asarray(physics["object_qpos"], np.int64))
    if "drawer_qpos" in physics and command[:1] == ("opening",):
        return DrawerScript(
            robot, stances, str(physics["handle_site"]), int(physics["drawer_qpos"][0])
        )
    if command == ("x", "y", "z", "qw", "qx", "qy", "qz"):
        return ReachScript(robot, stances)
    if command == ("x", "y", "yaw"):
        return DriveScript(robot)
    raise ValueError(
        f"{spec.id}: there is no script for a task whose command is "
        f"{', '.join(command) or 'empty'}; the scripts are: {TASKS}"
    )
