"""Make a run whose network acts as any policy does: cloning first, then DAgger."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from simrl.core.policy import Policy
from simrl.learn.cloning import CloningConfig, CloningLearner
from simrl.learn.dagger import DaggerConfig, dagger
from simrl.learn.loop import LoopConfig
from simrl.runs.config import TrainConfig
from simrl.runs.policies import named_policy
from simrl.runs.training import Run, start_run


def imitate(
    config: TrainConfig,
    expert_name: str,
    folder: Path | str,
    shown: DaggerConfig,
    cloning: CloningConfig,
    *,
    after_round: Callable[[int, Mapping[str, float]], None] = lambda number, metrics: None,
) -> tuple[Run, Policy]:
    """Teach the network of `config` in its environments and leave a run in a new folder.

    Args:
        config: The clone's run; its length is that of what it is shown.
        expert_name: Policy to imitate: any name that `simrl evaluate` takes.
        folder: Where the run is left.
        shown: How much the expert shows, and how soon the clone acts.
        cloning: How the clone learns from it.
        after_round: Called with the number and the figures of each round, which are in the run's
            metrics, too.

    Returns:
        The run, saved, and the expert.

    Raises:
        ValueError: As `start_run`.
    """
    per_round = config.num_envs * shown.steps
    config = replace(
        config,
        base="",  # a clone acts alone, also where the preset corrects a controller
        base_command=(),
        loop=LoopConfig(steps=per_round * shown.rounds),
        curriculum=None,
    )
    run = start_run(config, folder)
    expert = named_policy(expert_name, run.env.spec, config.env_options)
    learner = CloningLearner(run.net, cloning, seed=config.seed)
    progress, started = run.loop.progress, time.perf_counter()

    def told(number: int, metrics: Mapping[str, float]) -> None:
        progress.updates, progress.steps = number + 1, per_round * (number + 1)
        progress.seconds = time.perf_counter() - started
        if run.loop.writer is not None:
            run.loop.writer.write(
                progress.steps, {**metrics, "time/minutes": progress.seconds / 60.0}
            )
        after_round(number, metrics)

    dagger(run.env, expert, learner, shown, seed=config.seed, after_round=told)
    run.loop.save()
    return run, expert
