"""Train one agent on a learned reward or on the true one, and keep its curve of true returns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from simrl.core.plugins import make_env
from simrl.core.seeding import child_seed
from simrl.learn.loop import Progress
from simrl.learn.policy import NetworkPolicy
from simrl.rollout.evaluate import evaluate
from simrl.runs.config import TrainConfig
from simrl.runs.preferences import PreferenceConfig, build_preferences
from simrl.runs.training import Run, build_run

FINAL_GAMES = 50
"""Episodes from which the final return is taken."""


@dataclass
class Outcome:
    """Say how one run went."""

    seed: int
    """Its seed."""
    final: float
    """Mean true return of the trained policy, most probable actions."""
    seconds: float
    """Processor time of training, on one thread and so the same as wall time on a core of its own;
    reward model and questions included, measuring left out [s]."""
    curve: list[tuple[int, float]]
    """Agent-steps and mean true return of ten episodes, as in B-Pref."""
    figures: dict[str, float] = field(default_factory=dict)
    """Last figures of the reward model and the questions."""


class Curve:
    """Play a few episodes now and then, outside of the training's time; a hook of the loop."""

    def __init__(self, config: TrainConfig, points: int, episodes: int = 10) -> None:
        self.config, self.episodes = config, episodes
        self.every = (config.loop.steps or 0) // points
        self.policy: NetworkPolicy | None = None
        self.points: list[tuple[int, float]] = []
        self.seconds = 0.0
        self.figures: dict[str, float] = {}

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Measure if it is time; logs nothing."""
        self.figures |= {k: v for k, v in metrics.items() if k.startswith(("prefs/", "reward/"))}
        if progress.steps >= self.every * (len(self.points) + 1):
            self.points.append((progress.steps, self.mean_return(self.episodes)))
        return {}

    def mean_return(self, episodes: int) -> float:
        """Return the mean true return over fresh episodes."""
        begin = time.process_time()
        env = make_env(self.config.env, episodes, **self.config.env_options)
        if self.policy is None:
            raise ValueError("the curve has no policy to measure")
        seed = child_seed(self.config.seed, "curve")
        result = evaluate(env, self.policy, games=episodes, seed=seed, deterministic=True)
        self.seconds += time.process_time() - begin
        return result.score().mean_return


def learned(config: PreferenceConfig, seed: int, *, points: int = 10) -> Outcome:
    """Train on the reward that the config's teacher makes the reward model learn."""
    train = replace(config.train, seed=seed)
    return _outcome(build_preferences(replace(config, train=train)).run, points)


def true(config: PreferenceConfig, seed: int, *, points: int = 10) -> Outcome:
    """Train the same learner on the task's own reward."""
    return _outcome(build_run(replace(config.train, seed=seed)), points)


def _outcome(run: Run, points: int) -> Outcome:
    # The run's own evaluation would only take time.
    curve = Curve(run.config, points)
    curve.policy = NetworkPolicy(run.net, values=False)
    run.loop.hooks = [hook for hook in run.loop.hooks if hook is not run.evaluation]
    run.loop.hooks.append(curve)
    begin = time.process_time()
    run.loop.run()
    seconds = time.process_time() - begin - curve.seconds
    final = curve.mean_return(FINAL_GAMES)
    return Outcome(run.config.seed, final, seconds, curve.points, curve.figures)
