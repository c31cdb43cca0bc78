"""Make a run whose network acts as any policy does: cloning first, then DAgger."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from simrl.core.policy import Policy
from simrl.learn.cloning import CloningConfig, CloningLearner
from simrl.learn.dagger import DaggerConfig, dagger
from simrl.learn.loop import LoopConfig
from simrl.runs.config import TrainConfig
from simrl.runs.policies import named_policy
from simrl.runs.training import Run, start_run


@dataclass(frozen=True)
class ImitationConfig:
    """Choose whom to imitate, and how long."""

    expert: str
    """Policy to imitate: any name that `simrl evaluate` takes."""
    num_envs: int = 32
    """Environments side by side."""
    dagger: DaggerConfig = field(default_factory=DaggerConfig)
    """How much the expert shows, and how soon the clone acts."""
    cloning: CloningConfig = field(default_factory=CloningConfig)
    """How the clone learns from it."""


def imitate(
    config: TrainConfig,
    plan: ImitationConfig,
    folder: Path | str,
    *,
    after_round: Callable[[int, Mapping[str, float]], None] = lambda number, metrics: None,
) -> tuple[Run, Policy]:
    """Teach the network of `config` in its environment and leave a run in a new folder.

    Returns the run, saved, and the expert.  The figures of each round are in the run's metrics;
    `after_round(number, metrics)` is called after each.  ValueError as `start_run`.
    """
    per_round = plan.num_envs * plan.dagger.steps
    config = replace(
        config,
        num_envs=plan.num_envs,
        base="",  # a clone acts alone, also where the preset corrects a controller
        base_command=(),
        loop=LoopConfig(steps=per_round * plan.dagger.rounds),
        curriculum=None,
    )
    run = start_run(config, folder)
    expert = named_policy(plan.expert, run.env.spec, config.env_options)
    learner = CloningLearner(run.net, plan.cloning, seed=config.seed)
    progress, started = run.loop.progress, time.perf_counter()

    def told(number: int, metrics: Mapping[str, float]) -> None:
        progress.updates, progress.steps = number + 1, per_round * (number + 1)
        progress.seconds = time.perf_counter() - started
        if run.loop.writer is not None:
            run.loop.writer.write(
                progress.steps, {**metrics, "time/minutes": progress.seconds / 60.0}
            )
        after_round(number, metrics)

    dagger(run.env, expert, learner, plan.dagger, seed=config.seed, after_round=told)
    run.loop.save()
    return run, expert
