"""Make plug-ins from task files without importing MuJoCo before one is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simrl.core.dynamics import Dynamics
from simrl.core.env import VecEnv
from simrl.core.plugins import EnvPlugin
from simrl.core.replay import Replay
from simrl_envs.robot.config import RobotConfig
from simrl_envs.robot.row_ranges import ROW_OPTIONS, joint_config

if TYPE_CHECKING:
    from simrl_envs.robot.task import Task

TASKS = Path(__file__).parent / "tasks"


def require_mujoco() -> None:
    """Raise ImportError with one clear line if MuJoCo is missing."""
    try:
        import mujoco.batch  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "the robot environments need mujoco 4: pip install 'simrl[robots]'"
        ) from error


def task_plugin(name: str, summary: str, config: type = RobotConfig) -> EnvPlugin:
    """Register the task of the file `tasks/NAME.toml`."""

    def compiled(options: Any) -> Task:
        return _load(name)

    return robot_plugin(summary, config, compiled)


def gymnasium_plugin(name: str) -> EnvPlugin:
    """Register one of gymnasium's MuJoCo tasks, such as HalfCheetah-v5."""
    full = f"gymnasium/{name}"
    return robot_plugin(
        f"gymnasium's {name} on batch stepping, equal step by step",
        RobotConfig,
        lambda options: _load(full),
    )


def robot_plugin(summary: str, config: type, task: Callable[[Any], Task]) -> EnvPlugin:
    """Register what `task(config)` compiles; it is called only after MuJoCo was found."""

    def compiled(options: Any) -> Task:
        require_mujoco()
        return task(options)

    def make(options: Any, num_envs: int) -> VecEnv:
        built = compiled(options)
        from simrl_envs.robot.env import RobotEnv

        return RobotEnv(built, options, num_envs)

    def make_rows(options: Sequence[Any]) -> VecEnv:
        shared = joint_config(options)
        built = compiled(shared)
        from simrl_envs.robot.env import RobotEnv

        return RobotEnv(built, shared, len(options), options)

    def dynamics(options: Any) -> Dynamics:
        built = compiled(options)
        from simrl_envs.robot.dynamics import RobotDynamics

        return RobotDynamics(built, options)

    def frames(replay: Replay, every: int = 1) -> Iterable[np.ndarray]:
        """Draw the start and what each action led to, or each `every`-th of these."""
        import torch

        known = {field.name for field in dataclasses.fields(config)}
        env = make(config(**{key: v for key, v in replay.config.items() if key in known}), 1)
        # The environment itself, since its model may be randomised, delayed and pushed.
        env.request({"state"})
        env.restore(torch.frombuffer(bytearray(replay.snapshot), dtype=torch.float64)[None])
        yield env.render(0)
        for count, action in enumerate(replay.actions, start=1):
            timestep = env.step(torch.from_numpy(action)[None])
            if bool(timestep.done[0]):  # the row shows the next episode already
                env.restore(timestep.final_obs["state"].clone())
            if count % every == 0:
                yield env.render(0)

    return EnvPlugin(
        summary,
        config,
        make,
        dynamics,
        frames=frames,
        row_options=ROW_OPTIONS,
        make_rows=make_rows,
    )


@lru_cache(maxsize=16)
def _load(name: str) -> Task:
    from simrl_envs.robot.task import load_task

    return load_task(TASKS / f"{name}.toml", name)
