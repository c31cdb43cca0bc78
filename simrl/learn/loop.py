"""The training loop: collect, learn, keep score, save.

    while there is time:  buffer = engine.collect(...); metrics = learner.update(buffer)

Between the two, a learned reward may take the place of the environment's (`Relabel`).

Whatever else happens (a league that freezes opponents, evaluation games, a display) is a hook.
`Loop` counts, logs and saves whatever one turn does; `TrainingLoop` is that of a batch learner.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from simrl.learn.checkpoint import Checkpoints
from simrl.learn.metrics import MetricsWriter
from simrl.learn.ppo import PPOLearner
from simrl.rollout.buffer import RolloutBuffer
from simrl.rollout.engine import RolloutEngine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoopConfig:
    """Say how long to train and how often to save."""

    unroll: int = 16
    """Steps of each environment between two updates; the length of a recurrent sequence."""
    steps: int | None = None
    """Stop after this many agent-steps."""
    minutes: float | None = None
    """Stop after this many minutes of training [min]."""
    checkpoint_minutes: float = 2.0
    """Minutes between checkpoints [min]."""
    checkpoint_updates: int | None = None
    """Updates between checkpoints; replaces the time between them where given."""
    keep_checkpoints: int = 2
    """Newest checkpoints to keep; the best by evaluation is kept beside them."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.unroll < 1:
            raise ValueError(f"unroll must be at least 1, got {self.unroll}")
        if self.steps is None and self.minutes is None:
            raise ValueError("give steps or minutes: training has to end at some point")
        for name in ("steps", "minutes", "checkpoint_minutes", "checkpoint_updates"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")


@dataclass
class Progress:
    """Count what a run has done so far; saved in every checkpoint."""

    updates: int = 0
    """Learner updates."""
    steps: int = 0
    """Agent-steps that the learner trained on."""
    seconds: float = 0.0
    """Seconds of training, resumed parts added up [s]."""


class Hook(Protocol):
    """Do something after each update; what it returns is logged."""

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Act on the state after an update and return figures to log."""
        ...


class Relabel(Protocol):
    """Change the rewards of a batch before the learner sees it."""

    def __call__(self, buffer: RolloutBuffer) -> Mapping[str, float] | None:
        """Change `buffer.reward` (and `buffer.reward_terms`) in place; return figures to log.

        None says that there is no reward yet: nothing is learned from this batch.
        """
        ...


class Stateful(Protocol):
    """Whatever a checkpoint must hold."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return all state as nested dicts of tensors and plain values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        ...


class Loop(ABC):
    """Own the order of one turn after another and the run's counters; `turn` says what one does."""

    def __init__(
        self,
        config: LoopConfig,
        parts: Mapping[str, Stateful],
        *,
        hooks: Sequence[Hook] = (),
        writer: MetricsWriter | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Save and restore `parts` in their order."""
        self.config = config
        self.parts: dict[str, Stateful] = dict(parts)
        self.hooks = list(hooks)
        self.writer = writer
        self.checkpoints = checkpoints
        self.progress = Progress()
        self.ended = False
        """Whether something, such as a hook, has asked to end the run after this update."""
        self.stop: Callable[[], bool] = lambda: False
        """Whether the run is to end after this update; a hook that waits looks at it."""
        self._saved_seconds = 0.0

    @abstractmethod
    def turn(self) -> tuple[int, dict[str, float]]:
        """Play and learn once; return the agent-steps that were played, and figures to log."""

    @property
    def fraction_done(self) -> float:
        """Part of the run that is behind us, 0 to 1; schedules follow it."""
        shares = []
        if self.config.steps is not None:
            shares.append(self.progress.steps / self.config.steps)
        if self.config.minutes is not None:
            shares.append(self.progress.seconds / (60.0 * self.config.minutes))
        return min(1.0, max(shares))

    def run(self, stop: Callable[[], bool] = lambda: False) -> Progress:
        """Train until the configured end, or until `stop()` or `ended` says so after an update."""
        self.stop = stop
        while self.fraction_done < 1.0 and not self.ended and not stop():
            self.update()
        if self.checkpoints is not None:
            self.save()
        return self.progress

    def update(self) -> dict[str, float]:
        """Do one turn, count it, log, and save if it is time."""
        started = time.perf_counter()
        num_steps, metrics = self.turn()
        total = time.perf_counter() - started
        self.progress.updates += 1
        self.progress.steps += num_steps
        self.progress.seconds += total
        metrics |= {
            "time/steps_per_s": num_steps / total,
            "time/minutes": self.progress.seconds / 60.0,
            "time/updates": self.progress.updates,
            "time/fraction_done": self.fraction_done,
        }
        for hook in self.hooks:
            metrics |= hook.after_update(self.progress, metrics)
        if self.writer is not None:
            self.writer.write(self.progress.steps, metrics)
        if self._checkpoint_is_due():
            self.save()
        return metrics

    def save(self) -> None:
        """Write a checkpoint of everything."""
        if self.checkpoints is None:
            raise ValueError("this loop was built without checkpoints")
        self.checkpoints.save(self.progress.steps, self.state_dict())
        self._saved_seconds = self.progress.seconds

    def save_best(self) -> None:
        """Write the best checkpoint, beside the newest ones."""
        if self.checkpoints is not None:
            self.checkpoints.save_best(self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every part and the counters."""
        return {
            "progress": vars(self.progress).copy(),
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        missing = sorted(set(self.parts) ^ set(state["parts"]))
        if missing:
            raise ValueError(f"checkpoint and run differ in their parts: {', '.join(missing)}")
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        self.progress = Progress(**state["progress"])
        self._saved_seconds = self.progress.seconds

    def _checkpoint_is_due(self) -> bool:
        if self.checkpoints is None:
            return False
        if self.config.checkpoint_updates is not None:
            return self.progress.updates % self.config.checkpoint_updates == 0
        return self.progress.seconds - self._saved_seconds > 60.0 * self.config.checkpoint_minutes


class TrainingLoop(Loop):
    """Collect a batch from the engine and let a learner have it, turn after turn."""

    def __init__(
        self,
        engine: RolloutEngine,
        learner: PPOLearner,
        config: LoopConfig,
        *,
        parts: Mapping[str, Stateful] | None = None,
        hooks: Sequence[Hook] = (),
        writer: MetricsWriter | None = None,
        checkpoints: Checkpoints | None = None,
        relabel: Relabel | None = None,
    ) -> None:
        # The engine last: restoring seats needs the league's policies to be there.
        every = {"learner": learner, **(parts or {}), "engine": engine}
        super().__init__(config, every, hooks=hooks, writer=writer, checkpoints=checkpoints)
        self.engine = engine
        self.learner = learner
        self.relabel = relabel

    def turn(self) -> tuple[int, dict[str, float]]:
        """Collect one batch, have its rewards changed if so wished, and learn from it."""
        started = time.perf_counter()
        before = self.engine.timing.env_s, self.engine.timing.act_s
        buffer = self.engine.collect(self.config.unroll)
        collected = time.perf_counter()
        relabelled = {} if self.relabel is None else self.relabel(buffer)
        rewarded = time.perf_counter()
        metrics: dict[str, float] = {}
        if relabelled is not None:
            metrics |= relabelled
            metrics |= self.learner.update(buffer, self.fraction_done)
        learned = time.perf_counter()
        total = learned - started
        metrics |= {
            "time/env_share": (self.engine.timing.env_s - before[0]) / total,
            "time/act_share": (self.engine.timing.act_s - before[1]) / total,
            "time/learn_share": (learned - rewarded) / total,
        }
        if self.relabel is not None:
            metrics["time/relabel_share"] = (rewarded - collected) / total
        return buffer.num_steps, metrics
