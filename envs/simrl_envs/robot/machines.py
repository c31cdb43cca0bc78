"""What tasks of real robots share: the robot that is asked for, and how its model is built."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from simrl.core.plugins import EnvPlugin
from simrl.core.policy import Policy
from simrl_envs.robot.catalogue import RobotEntry, find_entry, robot_names
from simrl_envs.robot.config import RobotConfig
from simrl_envs.robot.plugin import TASKS, require_mujoco, robot_plugin
from simrl_envs.robot.scenery import Scenery

if TYPE_CHECKING:
    from simrl_envs.robot.models import RobotModel
    from simrl_envs.robot.task import Task


@dataclass(frozen=True)
class MachineConfig(RobotConfig):
    """Choose a robot, what its actions mean, and the steps of time."""

    robot: str = ""
    """Name in the catalogue, PATH.xml, PATH.toml:NAME or a menagerie name; "" is our own one."""
    control: Literal["position", "torque"] = "position"
    """What actions are: targets of the joints' servos [rad], or torques [N m]."""
    control_step: float = 0.02
    """Seconds between actions, a whole number of physics steps."""
    physics_step: float = 0.004
    """Step of the physics [s]."""
    planning_step: float = 0.01
    """Longest physics step of the planners' model [s]; coarser than the simulator's is faster."""
    reach: float = 0.8
    """How far a servo's target may be from the one that holds the nominal pose [rad]."""
    cone: Literal["pyramidal", "elliptic"] = "pyramidal"
    """Friction cone; pyramidal is about three times as fast."""
    base: str = ""
    """Body of the base of a robot of your own, if convention does not find it."""
    joints: tuple[str, ...] = ()
    """Joints with a motor of a robot of your own, in the order of the action."""
    feet: tuple[str, ...] = ()
    """Geoms or bodies of the feet: front left, front right, rear left, rear right."""
    end_effector: str = ""
    """Site or body that an arm of your own moves."""
    torque: tuple[float, ...] = ()
    """Limits of the motors [N m] where the model has none: one, one a leg joint, or one a joint."""


def machine_plugin(
    summary: str,
    config: type,
    machine: Callable[[Any], RobotModel],
    task: Callable[[Any, RobotModel], Task],
) -> EnvPlugin:
    """Register the task of a robot: `task(config, machine(config))`."""
    plugin = robot_plugin(summary, config, lambda options: task(options, machine(options)))

    def pose(options: Any) -> Policy:
        require_mujoco()
        from simrl_envs.robot.hold import PosePolicy

        return PosePolicy(machine(options))

    return replace(plugin, policies={"pose": pose}, listing=lambda: {"robots": robot_names()})


def robot_entry(config: MachineConfig, default: str, kind: str) -> RobotEntry:
    """Return the catalogue's entry with the options' names in it; ValueError if of another kind."""
    entry = find_entry(config.robot or default)
    if entry.kind not in ("", kind):
        raise ValueError(f"robot {entry.name!r} is of kind {entry.kind!r}, the task needs {kind!r}")
    return replace(
        entry,
        kind=kind,
        base=config.base or entry.base,
        joints=tuple(config.joints) or entry.joints,
        feet=tuple(config.feet) or entry.feet,
        end_effector=config.end_effector or entry.end_effector,
        torque=tuple(config.torque) or entry.torque,
    )


def build_machine(
    config: MachineConfig, entry: RobotEntry, scenery: Scenery | None = None
) -> RobotModel:
    """Compile the robot for a task, or return the one compiled before; default ground: flat."""
    from simrl_envs.robot.models import ModelConfig, build_robot

    return build_robot(
        entry,
        ModelConfig(
            control=config.control,
            reach=config.reach,
            timestep=config.physics_step,
            cone=config.cone,
            scenery=scenery or Scenery(),
        ),
    )


def machine_task(
    name: str,
    config: MachineConfig,
    built: RobotModel,
    variables: Mapping[str, Any] | None = None,
) -> Task:
    """Compile the task file `tasks/NAME.toml` for a robot."""
    from simrl_envs.robot.robot import Robot
    from simrl_envs.robot.task import load_task

    common = {
        "built": built,
        "base": built.parts.base,
        "joints": built.parts.joints,
        "step_seconds": config.control_step,
        "planning_timestep": _planning_timestep(config),
    }
    robot = Robot(built.model, built.xml, built.name)
    return load_task(
        TASKS / f"{name}.toml", name, robot=robot, variables={**common, **(variables or {})}
    )


def _planning_timestep(config: MachineConfig) -> float:
    """Return the longest step allowed that divides a control step, or the simulator's."""
    if not config.planning_step > 0:
        raise ValueError(f"planning_step must be above 0, got {config.planning_step}")
    count = max(1, math.ceil(config.control_step / config.planning_step - 1e-9))
    step = config.control_step / count
    return step if step > config.physics_step else config.physics_step
