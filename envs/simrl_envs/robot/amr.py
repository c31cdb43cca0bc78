"""Tasks of a mobile manipulator: drive to a pose, reach, pick and place, open a drawer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from simrl.core.plugins import EnvPlugin
from simrl.core.policy import Policy
from simrl_envs.robot.amr_model import AmrModel, AmrModelConfig, build_amr
from simrl_envs.robot.amr_scene import Goal
from simrl_envs.robot.config import Range, RobotConfig
from simrl_envs.robot.plugin import TASKS, require_mujoco, robot_plugin

if TYPE_CHECKING:
    from simrl_envs.robot.amr_room import Room
    from simrl_envs.robot.task import Task

OBJECTS = ("any", "box", "cylinder")


@dataclass(frozen=True)
class AmrConfig(RobotConfig):
    """Choose how the robot moves, what its actions mean, and what stands in its way."""

    drive: Literal["holonomic", "differential"] = "holonomic"
    """How the base moves: any way, with actions drive_x, drive_y [m/s] and drive_yaw [rad/s] in its
    own frame, or on two wheels, with the speeds of their rims [m/s]."""
    control: Literal["position", "velocity", "torque"] = "position"
    """What the arm's actions are: angles [rad] or speeds [rad/s] for servos that carry the arm's
    weight, or torques [N m]."""
    control_step: float = 0.02
    """Seconds between actions, a whole number of physics steps."""
    physics_step: float = 0.002
    """Step of the physics [s]."""
    planning_step: float = 0.004
    """Longest physics step of the planners' model [s]; coarser than the simulator's is faster."""
    cone: Literal["pyramidal", "elliptic"] = "elliptic"
    """Friction cone; with elliptic ones objects creep less between the fingers."""
    obstacles: int = 4
    """Number of obstacles that stand on the floor, 0 to 8; some are left away where they would
    leave no way."""
    moving: int = 0
    """1 adds an obstacle that goes to and fro through the middle of the room."""
    hold: float = 0.5
    """Seconds for which the goal must be met, which ends the episode with success."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("control_step", "planning_step"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not (math.isfinite(self.hold) and self.hold >= 0):
            raise ValueError(f"hold must be at least 0, got {self.hold}")
        model_config(self, "base")


@dataclass(frozen=True)
class AmrDriveConfig(AmrConfig):
    """Choose what stands in the way of driving."""

    moving: int = 1
    """1 adds an obstacle that goes to and fro through the middle of the room."""


@dataclass(frozen=True)
class AmrPickConfig(AmrConfig):
    """Choose the object that is to be carried; ranges are drawn from in each episode."""

    object_kind: Literal["any", "box", "cylinder"] = "any"
    """Shape of the object."""
    object_width: Range = (0.04, 0.055)
    """Widths of a box, or the diameter of a cylinder [m]; the gripper opens 0.08 m."""
    object_height: Range = (0.10, 0.16)
    """Height of the object [m]."""
    object_mass: Range = (0.2, 0.8)
    """Mass of the object [kg]."""
    object_friction: Range = (0.8, 1.2)
    """Sliding friction of the object; the fingers' is 0.7, and the larger one counts."""
    object_turn: float = 0.3
    """How far the object is turned from facing the front of its shelf, at most [rad]."""
    near: bool = False
    """Start before the object instead of anywhere."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.object_kind not in OBJECTS:
            raise ValueError(
                f"object_kind is {self.object_kind!r}; its values are {', '.join(OBJECTS)}"
            )
        for name in ("object_width", "object_height", "object_mass", "object_friction"):
            low, high = (float(value) for value in getattr(self, name))
            object.__setattr__(self, name, (low, high))
            if not (0 < low <= high and math.isfinite(high)):
                raise ValueError(f"{name} must satisfy 0 < low <= high, got {(low, high)}")
        if self.object_width[1] > 0.075:
            raise ValueError(
                f"object_width may be 0.075 m at most, since the gripper opens 0.08 m, "
                f"got {self.object_width}"
            )
        if not 0 <= self.object_turn <= math.pi:
            raise ValueError(f"object_turn must be between 0 and pi, got {self.object_turn}")


@dataclass(frozen=True)
class AmrDrawerConfig(AmrConfig):
    """Choose how far the drawer is to be opened."""

    opening: Range = (0.2, 0.3)
    """Opening that is asked for [m]; the drawer opens 0.35 m."""
    near: bool = False
    """Start before the drawer instead of anywhere."""

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = (float(value) for value in self.opening)
        object.__setattr__(self, "opening", (low, high))
        if not 0 < low <= high <= 0.34:
            raise ValueError(f"opening must satisfy 0 < low <= high <= 0.34, got {(low, high)}")


def model_config(config: AmrConfig, goal: Goal) -> AmrModelConfig:
    """Return how the model of a task is built; ValueError names an option that is wrong."""
    return AmrModelConfig(
        drive=config.drive,
        control=config.control,
        timestep=config.physics_step,
        cone=config.cone,
        goal=goal,
        obstacles=config.obstacles,
        moving=config.moving,
    )


@lru_cache(maxsize=16)
def _room(built: AmrModel) -> Room:
    from simrl_envs.robot.amr_room import Room

    return Room(built)


def _task(
    name: str, goal: Goal, more: Callable[[Any], Mapping[str, Any]]
) -> Callable[[AmrConfig], Task]:
    def compiled(config: AmrConfig) -> Task:
        from simrl_envs.robot.robot import Robot
        from simrl_envs.robot.task import load_task

        built = build_amr(model_config(config, goal))
        variables = {
            "built": built,
            "room": _room(built),
            "step_seconds": config.control_step,
            "planning_timestep": _planning_timestep(config),
            "obstacle_numbers": 5 * (config.obstacles + config.moving),
            "hold": config.hold,
            **more(config),
        }
        robot = Robot(built.model, built.xml, "the mobile manipulator")
        return load_task(TASKS / f"{name}.toml", name, robot=robot, variables=variables)

    return compiled


def _planning_timestep(config: AmrConfig) -> float:
    """Return the longest step allowed that divides a control step, or the simulator's."""
    count = max(1, math.ceil(config.control_step / config.planning_step - 1e-9))
    return max(config.control_step / count, config.physics_step)


def _plugin(
    name: str,
    goal: Goal,
    summary: str,
    config: type,
    more: Callable[[Any], Mapping[str, Any]] = lambda config: {},
) -> EnvPlugin:
    def still(options: AmrConfig) -> Policy:
        require_mujoco()
        from simrl_envs.robot.amr_hold import StillPolicy

        return StillPolicy(build_amr(model_config(options, goal)))

    plugin = robot_plugin(summary, config, _task(name, goal, more))
    return replace(plugin, policies={"still": still})


def _object_variables(config: AmrPickConfig) -> dict[str, Any]:
    return {
        "object_kind": config.object_kind,
        "object_width": config.object_width,
        "object_height": config.object_height,
        "object_mass": config.object_mass,
        "object_friction": config.object_friction,
        "object_turn": config.object_turn,
        "near": config.near,
    }


drive = _plugin(
    "amr-drive",
    "base",
    "drive a mobile manipulator to a pose among obstacles",
    AmrDriveConfig,
)
reach = _plugin(
    "amr-reach", "hand", "bring a mobile manipulator's hand to a pose anywhere", AmrConfig
)
pick = _plugin(
    "amr-pick",
    "object",
    "take an object from a shelf and put it on another",
    AmrPickConfig,
    _object_variables,
)
drawer = _plugin(
    "amr-drawer",
    "drawer",
    "open a drawer by its handle",
    AmrDrawerConfig,
    lambda config: {"opening": config.opening, "near": config.near},
)
