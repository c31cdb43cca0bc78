"""Tasks of a seven-joint arm: reach a pose, and follow one that moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from simrl_envs.robot.machines import (
    MachineConfig,
    build_machine,
    machine_plugin,
    machine_task,
    robot_entry,
)

if TYPE_CHECKING:
    from simrl_envs.robot.models import RobotModel
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


def arm(config: ArmConfig) -> RobotModel:
    """Compile the arm, or return the one compiled before."""
    return build_machine(config, robot_entry(config, "arm", "arm"))


def _task(name: str) -> Callable[[ArmConfig, RobotModel], Task]:
    def compiled(config: ArmConfig, built: RobotModel) -> Task:
        model = built.model
        hand = model.body(int(model.site_bodyid[model.site(built.parts.end_effector).id])).name
        return machine_task(name, config, built, {"hand": hand})

    return compiled


reach = machine_plugin(
    "bring an arm's end effector to a pose, by torques", ArmConfig, arm, _task("arm-reach")
)
track = machine_plugin(
    "follow a moving pose with an arm, by torques", ArmConfig, arm, _task("arm-track")
)
