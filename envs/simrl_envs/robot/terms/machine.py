"""Terms of any robot of the catalogue, legged or not: its joints, motors and facts."""

from __future__ import annotations

from typing import Any

import numpy as np

from simrl.core.spec import Column
from simrl_envs.robot.models import RobotModel
from simrl_envs.robot.robot import Robot
from simrl_envs.robot.rows import View
from simrl_envs.robot.terms.registry import facts, measure, observation, reward


def _offset_columns(robot: Robot, *, built: RobotModel) -> tuple[Column, ...]:
    return tuple(Column(f"{name} offset", -3.2, 3.2, "rad") for name in built.parts.joints)


@observation("joint_offsets", columns=_offset_columns)
def joint_offsets(view: View, *, built: RobotModel) -> np.ndarray:
    """Show the joints' angles relative to the nominal pose."""
    return view.qpos[:, built.qpos] - built.pose


def _share_columns(robot: Robot) -> tuple[Column, ...]:
    count = robot.model.nu
    return tuple(Column(f"action of {robot.model.actuator(i).name}") for i in range(count))


@observation("action_share", columns=_share_columns)
def action_share(view: View) -> np.ndarray:
    """Show the latest action over its range, from -1 to 1."""
    middle, half = view.robot.action_range()
    return (view.action - middle) / half


@reward("torque_share", needs=("actuator_force",))
def torque_share(view: View, *, built: RobotModel) -> np.ndarray:
    """Return the mean square of the motors' torques over their limits."""
    share = view.field("actuator_force") / built.torque
    return (share * share).sum(axis=1) / share.shape[1]


@measure("power", needs=("actuator_force",))
def power(view: View, *, built: RobotModel) -> np.ndarray:
    """Measure the mechanical power of all motors, brakes counted as effort [W]."""
    return np.abs(view.field("actuator_force") * view.qvel[:, built.qvel]).sum(axis=1)


@facts("machine")
def machine_facts(robot: Robot, *, built: RobotModel) -> dict[str, Any]:
    """Tell the names, limits, gains and nominal pose of the robot."""
    return built.facts()
