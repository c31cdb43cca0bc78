"""Tasks of four-legged robots: walk at a commanded velocity, stand, and get up."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from simrl_envs.robot.config import Range
from simrl_envs.robot.machines import (
    MachineConfig,
    build_machine,
    machine_plugin,
    machine_task,
    robot_entry,
)
from simrl_envs.robot.scenery import Scenery
from simrl_envs.robot.terrain import HALF_WIDTH, LEVEL_SPREAD, RUN, STEP_CELL, TERRAINS, Terrain

if TYPE_CHECKING:
    from simrl_envs.robot.models import RobotModel
    from simrl_envs.robot.task import Task

MAX_LEVELS = 20
"""Most patches of ground: each is 66 thousand heights."""
WALK_SECONDS = 20.0
"""Length of an episode of walking [s], unless told otherwise."""


@dataclass(frozen=True)
class QuadrupedConfig(MachineConfig):
    """Choose the robot, the ground, and what randomly differs between episodes."""

    terrain: Terrain = "flat"
    """Ground.  Rough is a random height field, on which episodes start at random places.  The
    others surround a flat middle, in which episodes start: slope and stairs go up, on a level and
    down again, and steps are square tiles of random heights."""
    terrain_height: float = 0.12
    """Height between the lowest and highest point of rough ground [m]."""
    terrain_seed: int = 0
    """Seed of rough ground and of steps."""
    terrain_slope: float = 0.2
    """Angle of slopes [rad]."""
    stair_height: float = 0.05
    """Height of each stair, and of the highest of the steps [m]."""
    stair_depth: float = 0.3
    """Depth of each stair, and side of each step [m]; rounded to 0.05 m."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.terrain not in TERRAINS:
            valid = ", ".join(TERRAINS)
            raise ValueError(f"terrain is {self.terrain!r}; it is one of {valid}")
        for name in ("terrain_height", "stair_height"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0.0 < self.terrain_slope < math.pi / 3:
            raise ValueError(
                f"terrain_slope must be above 0 and below pi/3 [rad], got {self.terrain_slope}"
            )
        if not 2 * STEP_CELL <= self.stair_depth <= RUN:
            raise ValueError(
                f"stair_depth must be from {2 * STEP_CELL} to {RUN} m, got {self.stair_depth}"
            )


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
    levels: int = 0
    """Patches of rough ground side by side, each a level, rougher than the one before: from
    terrain_height / levels to terrain_height.  0 is one ground, all as rough."""
    climb: bool = False
    """Whether each robot goes up and down the levels by how far it walked of what was commanded;
    who masters the last goes on at a random one.  Otherwise every episode is on `first_level`."""
    first_level: int | None = None
    """Level of the first episode, from 0; none draws one (for each episode without `climb`)."""
    first_commands: float = 1.0
    """Share of the commands' ranges on the first level; it grows by level to all on the last."""

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
        self._check_levels()

    def _check_levels(self) -> None:
        if not self.levels:
            chosen = {
                "climb": self.climb,
                "first_level": self.first_level is not None,
                "first_commands": self.first_commands != 1.0,
            }
            for name in (name for name, given in chosen.items() if given):
                raise ValueError(f"{name} has a meaning only with levels, and levels is 0")
            return
        if not 2 <= self.levels <= MAX_LEVELS:
            raise ValueError(f"levels must be 0 or from 2 to {MAX_LEVELS}, got {self.levels}")
        if self.terrain != "rough":
            raise ValueError(f"levels are of terrain=rough, and terrain is {self.terrain!r}")
        if self.first_level is not None and not 0 <= self.first_level < self.levels:
            raise ValueError(
                f"first_level must be none or from 0 to {self.levels - 1}, got {self.first_level}"
            )
        if not 0.0 < self.first_commands <= 1.0:
            raise ValueError(
                f"first_commands must be above 0 and at most 1, got {self.first_commands}"
            )


def quadruped(config: QuadrupedConfig) -> RobotModel:
    """Compile the robot and its ground, or return those compiled before."""
    return _build(config, _scenery(config))


def walker(config: VelocityConfig) -> RobotModel:
    """Do as `quadruped`, with the patches of ground that are levels."""
    return _build(config, replace(_scenery(config), levels=config.levels))


def _build(config: QuadrupedConfig, scenery: Scenery) -> RobotModel:
    return build_machine(config, robot_entry(config, "quadruped", "quadruped"), scenery)


def _scenery(config: QuadrupedConfig) -> Scenery:
    """Return the ground; options that do not matter for it keep their defaults."""
    if config.terrain == "rough":
        return Scenery(config.terrain_height, config.terrain_seed)
    if config.terrain == "slope":
        return Scenery(terrain="slope", terrain_slope=config.terrain_slope)
    if config.terrain in ("stairs", "steps"):
        return Scenery(
            terrain_seed=config.terrain_seed if config.terrain == "steps" else 0,
            terrain=config.terrain,
            stair_height=config.stair_height,
            stair_depth=config.stair_depth,
        )
    return Scenery()


def _task(name: str, config: QuadrupedConfig, built: RobotModel, **variables: Any) -> Task:
    """Compile a task; episodes start anywhere on rough ground, else in the middle."""
    spread = 0.6 * HALF_WIDTH if config.terrain == "rough" else 0.0
    return machine_task(name, config, built, {"spread": spread, **variables})


def velocity_task(config: VelocityConfig, built: RobotModel) -> Task:
    """Compile the task of walking at a commanded velocity."""
    commands = {
        "command_x": tuple(config.command_x),
        "command_y": tuple(config.command_y),
        "command_yaw": tuple(config.command_yaw),
        "still": config.still,
        "resample": config.resample,
        "first_commands": config.first_commands,
    }
    levels = {
        "levels": config.levels,
        "levelled": config.levels > 0,
        "climb": config.climb,
        "first_level": config.first_level,
        "num_level": int(config.levels > 0),
        "num_way": 2 * config.climb,
        **({"spread": LEVEL_SPREAD} if config.levels else {}),
    }
    feet = {"feet": built.parts.feet, "num_feet": len(built.parts.feet)}
    seconds = config.seconds or WALK_SECONDS
    return _task("quadruped-velocity", config, built, seconds=seconds, **feet, **commands, **levels)


velocity = machine_plugin(
    "walk at a commanded velocity on four legs (robot=..., terrain=flat|rough|slope|...)",
    VelocityConfig,
    walker,
    velocity_task,
)
stand = machine_plugin(
    "stand on four legs, however pushed",
    QuadrupedConfig,
    quadruped,
    lambda config, built: _task("quadruped-stand", config, built),
)
recover = machine_plugin(
    "get up on four legs from any fall",
    QuadrupedConfig,
    quadruped,
    lambda config, built: _task("quadruped-recover", config, built),
)
