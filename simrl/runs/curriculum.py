"""A curriculum: the task grows harder as the policy masters it, and easier again where it fails.

Every stage is a set of environment options: lower stairs before higher ones, slow commands before
fast ones, light randomisation before heavy.  All environments are of one stage; a promotion builds
them anew.  Walking robots can have a level each instead (`simrl_envs.robot.terms.levels`): that is
an option of the environment, and a single stage sets what holds only while a policy trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import tyro

from simrl.core.env import VecEnv
from simrl.learn.loop import Progress
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.episodes import EpisodeTable
from simrl.rollout.observer import Observer


@dataclass(frozen=True)
class CurriculumConfig:
    """Say what the stages are and when to go from one to the next."""

    stages: Annotated[tuple[dict[str, Any], ...], tyro.conf.Suppress]
    """Environment options of each stage that differ from the run's, the easiest first.  The last
    may be {}: the task as it will be measured."""
    metric: str = "success"
    """Metric of the finished episodes that decides; "return" or "length" are possible, too."""
    promote: float = 0.8
    """Mean of the metric from which on the next stage begins."""
    demote: float | None = None
    """Mean of the metric below which the stage before is taken up again; None: never."""
    episodes: int = 200
    """Newest episodes of a stage over which the mean is taken; no stage is shorter."""
    first: int = 0
    """Number of the stage to begin with."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.stages:
            raise ValueError("a curriculum needs at least one stage")
        if not 0 <= self.first < len(self.stages):
            raise ValueError(
                f"curriculum.first must be from 0 to {len(self.stages) - 1}, got {self.first}"
            )
        if self.episodes < 1:
            raise ValueError(f"curriculum.episodes must be at least 1, got {self.episodes}")
        if self.demote is not None and self.demote >= self.promote:
            raise ValueError(
                f"curriculum.demote must be below promote, got {self.demote} and {self.promote}"
            )


class Curriculum(Observer):
    """Watch episodes end, and change the stage between updates; hook, observer and part of a run.

    The policies go on as they are; episodes under way when the stage changes are cut off and
    count for nothing.
    """

    def __init__(
        self, config: CurriculumConfig, make: Callable[[Mapping[str, Any]], VecEnv]
    ) -> None:
        """Prepare; `make(options)` builds the environments of a stage.

        The engine whose environments change is to be set as `engine` before the first update.
        """
        self.config, self._make = config, make
        self.stage = config.first
        """Number of the stage that is played."""
        self.engine: RolloutEngine | None = None
        self._recent: list[float] = []

    def env(self) -> VecEnv:
        """Build the environments of the present stage; ValueError if they lack the metric."""
        env, name = self._make(self.config.stages[self.stage]), self.config.metric
        known = (*env.spec.metrics, "return", "length")
        if name not in known:
            raise ValueError(
                f"{env.spec.id} has no metric {name!r}; the metrics are {', '.join(known)}"
            )
        return env

    def on_episodes(self, table: EpisodeTable) -> None:
        """Keep the metric of the episodes that ended."""
        name = self.config.metric
        if name == "length":
            values = table.length.astype(np.float64)
        else:
            seats = table.trains if table.trains.any() else np.ones_like(table.trains)
            values = table.mean_over_seats("returns" if name == "return" else name, seats)
        self._recent = [*self._recent, *values.tolist()][-self.config.episodes :]

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Change the stage if it is time; return `curriculum/stage`."""
        config, last = self.config, len(self.config.stages) - 1
        if len(self._recent) >= config.episodes:
            mean = float(np.mean(self._recent))
            if mean >= config.promote and self.stage < last:
                self._change(self.stage + 1)
            elif config.demote is not None and mean < config.demote and self.stage > 0:
                self._change(self.stage - 1)
        return {"curriculum/stage": float(self.stage)}

    def state_dict(self) -> dict[str, Any]:
        """Return the stage and the newest episodes."""
        return {"stage": self.stage, "recent": list(self._recent)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; the engine restores its environments after it."""
        if int(state["stage"]) != self.stage:
            self._change(int(state["stage"]))
        self._recent = [float(value) for value in state["recent"]]

    def _change(self, stage: int) -> None:
        if self.engine is None:
            raise ValueError("a curriculum changes the environments of an engine: set it first")
        self.stage, self._recent = stage, []
        self.engine.replace_env(self.env())
