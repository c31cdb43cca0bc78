"""Tasks of four-legged robots: walk at a commanded velocity, stand, and get up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from simrl_envs.robot.config import Range
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
class QuadrupedConfig(MachineConfig):
    """Choose the robot, the ground, and what randomly differs between episodes."""

    terrain: Literal["flat", "rough"] = "flat"
    """Ground; rough is a random height field, on which episodes start at random places."""
    terrain_height: float = 0.12
    """Height between the lowest and highest point of rough ground [m]."""
    terrain_seed: int = 0
    """Seed of rough ground."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.terrain not in ("flat", "rough"):
            raise ValueError(f"terrain is {self.terrain!r}; it is flat or rough")
        if not self.terrain_height > 0:
            raise ValueError(f"terrain_height must be above 0, got {self.terrain_height}")


@dataclass(frozen=True)
class VelocityConfig(QuadrupedConfig):
    """Choose the commands as well."""

    command_x: Range = (-1.0, 1.0)
    """Commanded forward velocity [m/s]."""
    command_y: Range = (-0.5, 0.5)
    """Commanded velocity to the left [m/s]."""
    command_yaw: Range = (-1.0, 1.0)
    """Commanded yaw rate [rad/s]."""
    still: float = 0.1
    """Share of commands that are to stand."""
    resample: float = 10.0
    """Seconds after which a new command is drawn; 0 keeps one for the whole episode."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("command_x", "command_y", "command_yaw"):
            bounds = tuple(getattr(self, name))
            if len(bounds) != 2 or not all(map(math.isfinite, bounds)) or bounds[0] > bounds[1]:
                raise ValueError(f"{name} must be two numbers low <= high, got {bounds}")
        if not 0.0 <= self.still <= 1.0:
            raise ValueError(f"still must be between 0 and 1, got {self.still}")
        if not self.resample >= 0.0:
            raise ValueError(f"resample must be at least 0, got {self.resample}")


def quadruped(config: QuadrupedConfig) -> RobotModel:
    """Compile the robot and its ground, or return those compiled before."""
    rough = config.terrain == "rough"
    return build_machine(
        config,
        robot_entry(config, "quadruped", "quadruped"),
        terrain_height=config.terrain_height if rough else 0.0,
        terrain_seed=config.terrain_seed if rough else 0,
    )


def velocity_task(config: VelocityConfig, built: RobotModel) -> Task:
    """Compile the task of walking at a commanded velocity."""
    commands = {
        "command_x": tuple(config.command_x),
        "command_y": tuple(config.command_y),
        "command_yaw": tuple(config.command_yaw),
        "still": config.still,
        "resample": config.resample,
    }
    feet = {"feet": built.parts.feet, "num_feet": len(built.parts.feet)}
    return machine_task("quadruped-velocity", config, built, {**feet, **commands})


velocity = machine_plugin(
    "walk at a commanded velocity on four legs (robot=..., terrain=flat|rough)",
    VelocityConfig,
    quadruped,
    velocity_task,
)
stand = machine_plugin(
    "stand on four legs, however pushed",
    QuadrupedConfig,
    quadruped,
    lambda config, built: machine_task("quadruped-stand", config, built),
)
recover = machine_plugin(
    "get up on four legs from any fall",
    QuadrupedConfig,
    quadruped,
    lambda config, built: machine_task("quadruped-recover", config, built),
)
