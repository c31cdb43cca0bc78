"""Tasks of a seven-joint arm: reach a pose, and follow one that moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from simrl_envs.robot.machines import MachineConfig, build_machine, machine_task, robot_entry
from simrl_envs.robot.plugin import robot_plugin

if TYPE_CHECKING:
    from simrl_envs.robot.task import Task


@dataclass(frozen=True)
class ArmConfig(MachineConfig):
    """Choose the arm, and what randomly differs between episodes."""

    control: Literal["position", "torque"] = "torque"
    """What actions are: targets of the joints' servos [rad], or torques [N m]."""
    control_step: float = 0.01
    """Seconds between actions, a whole number of physics steps."""
    physics_step: float = 0.002
    """Step of the physics [s]."""
    reach: float = 1.6
    """How far a servo's target may be from the one that holds the nominal pose [rad]."""


def reach_task(config: ArmConfig) -> Task:
    """Compile the task of reaching a pose."""
    return _task("arm-reach", config)


def track_task(config: ArmConfig) -> Task:
    """Compile the task of following a pose that moves."""
    return _task("arm-track", config)


def _task(name: str, config: ArmConfig) -> Task:
    built = build_machine(config, robot_entry(config, "arm", "arm"))
    model, site = built.model, built.parts.end_effector
    hand = model.body(int(model.site_bodyid[model.site(site).id])).name
    return machine_task(name, config, built, {"site": site, "hand": hand})


reach = robot_plugin("bring an arm's end effector to a pose, by torques", ArmConfig, reach_task)
track = robot_plugin("follow a moving pose with an arm, by torques", ArmConfig, track_task)
