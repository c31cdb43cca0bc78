"""Learn a reward while a policy trains on it: play → segments → questions → answers → reward.

`PreferenceLoop` is the relabelling step of a training loop.  The recorder that it owns is an
observer of the engine: what is played becomes segments; some pairs become questions; the answers
that have come in teach the reward model; the model's reward replaces that of the batch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from simrl.core.env import VecEnv
from simrl.core.seeding import torch_generator
from simrl.preferences.dataset import PreferenceData, is_held_out
from simrl.preferences.pool import SegmentPool
from simrl.preferences.questions import AnswerSource, Recording
from simrl.preferences.relabel import RelabelByReward
from simrl.preferences.reward_model import RewardEnsemble
from simrl.preferences.reward_training import RewardTrainer
from simrl.preferences.segment import Origins, SegmentBatch, cut_segments
from simrl.preferences.selection import (
    Candidates,
    SelectionKind,
    segment_features,
    select,
    selector,
)
from simrl.rollout.buffer import RolloutBuffer
from simrl.rollout.recorder import Trajectory, TrajectoryRecorder

Schedule = Literal["constant", "hyperbolic"]


@dataclass(frozen=True)
class QueryConfig:
    """Say what is asked, how much, when, and about which segments."""

    labels: int = 400
    """Questions in all; those that are skipped count as spent, as in B-Pref."""
    first: int = 40
    """Questions of the first round, chosen at random."""
    per_round: int = 20
    """Questions of a later round, after each of which the reward model is fitted again."""
    start: float = 0.0
    """Share of the training run before the first question; nothing is learned until then.
    Games that all start at once have nothing to tell apart in their first minutes."""
    until: float = 0.8
    """Share of the training run after which no more is asked."""
    schedule: Schedule = "hyperbolic"
    """How rounds are spread over that time: "constant", or "hyperbolic", which asks more early."""
    segment: int = 50
    """Steps of a segment."""
    recording: int = 4
    """Segments that one stretch of recorded play holds at most."""
    rows: int | None = None
    """Environments that are recorded; all by default."""
    pool: int = 4096
    """Newest segments that questions are chosen from."""
    selection: SelectionKind = "disagreement"
    """How questions are chosen among candidates."""
    candidates: int = 10
    """Candidate pairs for each question."""
    refit: int = 10
    """New answers after which the reward model is fitted again where people answer."""
    open: int = 20
    """Questions that may wait for people at a time, after the first round."""
    wait: int = 0
    """Answers without which nothing is learned, as long as there are questions left to ask."""
    held_out: float = 0.0
    """Share of the trajectories that is kept from the reward model to judge it by."""

    def __post_init__(self) -> None:
        """Check the ranges and names."""
        counts = ("labels", "first", "per_round", "segment", "recording", "pool", "candidates")
        for name in (*counts, "refit", "open"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.rows is not None and self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}")
        needed = 2 * max(self.first, self.per_round) + 2  # for rounds at random
        if self.pool < needed:
            raise ValueError(
                f"pool must hold at least {needed} segments for rounds of "
                f"{max(self.first, self.per_round)} questions, got {self.pool}"
            )
        if not 0.0 < self.until <= 1.0:
            raise ValueError(f"until must be above 0 and at most 1, got {self.until}")
        if not 0.0 <= self.start < self.until:
            raise ValueError(f"start must be at least 0 and below until, got {self.start}")
        if not 0 <= self.wait <= self.labels:
            raise ValueError(
                f"wait must be from 0 to the number of labels, {self.labels}, got {self.wait}"
            )
        if self.schedule not in ("constant", "hyperbolic"):
            raise ValueError(
                f"unknown schedule {self.schedule!r}; the schedules are constant, hyperbolic"
            )
        selector(self.selection)

    @property
    def needed_segments(self) -> int:
        """Segments of which the candidate pairs of any round can be formed."""
        return 2 * max(self.first, self.per_round * self.candidates) + 2

    def due(self, fraction: float) -> int:
        """Return how many questions should have been asked after this fraction of the run.

        The hyperbolic schedule asks at a rate of 1 / (1 + 9 x), ten times as fast at the start as
        at the end (x = 1).
        """
        if fraction < self.start:
            return 0
        x = min(1.0, (fraction - self.start) / (self.until - self.start))
        share = x if self.schedule == "constant" else math.log1p(9.0 * x) / math.log(10.0)
        first = min(self.first, self.labels)
        return first + round((self.labels - first) * share)


class PreferenceLoop:
    """Own segments, questions, answers and the reward model of a run; relabel its batches.

    Attributes:
        recorder: Observer to give to the engine.
        pool: Newest segments of play.
        data: All answers that compare two segments.
        fraction: How much of the run is behind us, 0 to 1; whoever owns the run sets it.
        judged: Seats whose play is asked about `[N, A]` bool; None for all of them.
    """

    def __init__(
        self,
        env: VecEnv,
        trainer: RewardTrainer,
        relabel: RelabelByReward,
        source: AnswerSource,
        config: QueryConfig | None = None,
        *,
        seed: int,
    ) -> None:
        """Learn the reward of `trainer`'s ensemble from the answers of `source`.

        Args:
            env: Environment of the engine.
            trainer: Fits the reward model.
            relabel: Writes its rewards into batches.
            source: Who answers.
            config: What is asked.
            seed: Makes the choice of questions.
        """
        self.config = config or QueryConfig()
        self.trainer, self.relabel, self.source = trainer, relabel, source
        self.seed = seed
        rows = min(self.config.rows or env.num_envs, env.num_envs)
        self.recorder = TrajectoryRecorder(
            env, self.config.segment * self.config.recording, self._take, rows=range(rows)
        )
        self.pool = SegmentPool(self.config.pool)
        self.data = PreferenceData()
        self.fraction: Callable[[], float] = lambda: 0.0
        self.judged: Tensor | None = None
        self._generator = torch_generator(seed, "queries")
        self._open_episodes = np.full(rows, -1, np.int64)
        self._next_episode = 0
        self._asked_features = torch.zeros(0, 0)
        self._unfitted = 0
        self._figures: dict[str, float] = {}

    @property
    def ready(self) -> bool:
        """Whether there is a learned reward."""
        return self.trainer.fits > 0

    def __call__(self, buffer: RolloutBuffer) -> Mapping[str, float] | None:
        """Ask what is due, learn from what has come in, and relabel; None before the first fit."""
        while self._due() and self.ask():
            self.learn()
        self.learn()
        if not self.ready:
            return None
        return {**self._figures, **self.relabel(buffer)}

    def ask(self) -> bool:
        """Ask the questions of one round; False if there is too little play to ask about."""
        config = self.config
        count = self._round()
        # What is drawn is uniform already.
        as_drawn = not self.ready or config.selection == "uniform"
        first, second = self._pairs(count if as_drawn else count * config.candidates)
        if len(first) < count:
            return False
        if as_drawn:
            index = torch.arange(count)
        else:
            candidates = self._candidates(first, second)
            index = select(config.selection, candidates, count, self._generator)
        self._remember(first[index], second[index])
        self.source.ask(first[index], second[index], self.pool)
        return True

    @property
    def waits(self) -> bool:
        """Whether questions are open without whose answers there is too little to learn from."""
        return self.source.open > 0 and self._lacks

    def learn(self) -> bool:
        """Take in what has been answered; fit the reward model if that is enough; say whether."""
        news = self.source.poll()
        if news.withdrawn is not None:
            self._unfitted += self.data.remove(news.withdrawn)
        if news.answered is not None:
            part = news.answered
            self.data.add(part.first, part.second, part.label, key=part.key)
            self._unfitted += len(part.label)
        if not len(self.data) or self._lacks or not self._unfitted:
            return False
        at_once = self.source.open == 0 or not self.ready
        if not at_once and self._unfitted < self.config.refit:
            return False
        self.fit()
        return True

    def fit(self) -> None:
        """Fit the reward model to all answers."""
        learn, held = self.data, None
        if self.config.held_out > 0:
            learn, held = self.data.split(self.config.held_out, self.seed)
        if not bool((learn.label != 0.5).any()):
            return  # ties alone tell nothing, and their noise would be scaled up to a reward
        self._figures = dict(self.trainer.fit(learn, held))
        self._unfitted = 0

    def figures(self) -> dict[str, float]:
        """Return the counts of questions and answers."""
        return {
            "prefs/asked": float(self.source.asked),
            "prefs/answered": float(self.source.answered),
            "prefs/open": float(self.source.open),
            "prefs/pairs": float(len(self.data)),
            "prefs/segments": float(self.pool.added),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the rest of the run depends on."""
        return {
            "trainer": self.trainer.state_dict(),
            "source": dict(self.source.state_dict()),
            "pool": self.pool.state_dict(),
            "data": self.data.state_dict(),
            "recorder": self.recorder.state_dict(),
            "generator": self._generator.get_state(),
            "open_episodes": torch.from_numpy(self._open_episodes.copy()),
            "next_episode": self._next_episode,
            "asked_features": self._asked_features,
            "unfitted": self._unfitted,
            "figures": dict(self._figures),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken, bit for bit where a script answers."""
        self.trainer.load_state_dict(state["trainer"])
        self.source.load_state_dict(state["source"])
        self.pool.load_state_dict(state["pool"])
        self.data.load_state_dict(state["data"])
        self.recorder.load_state_dict(state["recorder"])
        self._generator.set_state(state["generator"].cpu())
        self._open_episodes = state["open_episodes"].numpy().copy()
        self._next_episode = int(state["next_episode"])
        self._asked_features = state["asked_features"]
        self._unfitted = int(state["unfitted"])
        self._figures = dict(state["figures"])

    def _take(self, trajectory: Trajectory) -> None:
        """Cut a recording into segments and put them into the pool."""
        segments, origins = cut_segments(
            trajectory,
            self.config.segment,
            first_episode=self._next_episode,
            open_episodes=self._open_episodes,
        )
        self._open_episodes = origins.open_episodes
        self._next_episode = origins.next_episode
        if self.judged is not None:
            rows = torch.from_numpy(trajectory.rows[origins.row])
            keep = self.judged[rows, torch.from_numpy(origins.seat)]
            segments, origins = segments.select(keep), _kept(origins, keep.numpy())
        if not len(segments):
            return
        ids = self.pool.add(segments)
        self.source.observe(Recording(trajectory, origins, segments, ids))

    @property
    def _lacks(self) -> bool:
        """Whether there are fewer answers than `wait` says, and more can come."""
        more = self.source.open > 0 or self.source.asked < self.config.labels
        return more and len(self.data) < self.config.wait

    def _round(self) -> int:
        """Return how many questions the next round has."""
        config, asked = self.config, self.source.asked
        size = config.first if asked == 0 else config.per_round
        return min(size, config.labels - asked)

    def _due(self) -> bool:
        """Tell whether a whole round is due (or the last one, however short)."""
        size = self._round()
        if size < 1 or self.source.open >= self.config.open:
            return False
        if self.source.asked and not self.source.open and self._lacks:
            return True  # however early: nothing is learned before
        return self.config.due(self.fraction()) - self.source.asked >= size

    def _pairs(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw up to `count` pairs of different segments, by their ids.

        Where trajectories are held out, both segments of a pair are on one side.
        """
        ids = self.source.candidates(self.pool, 2 * count + 2, self._generator)
        sides = [ids]
        if self.config.held_out > 0 and len(ids):
            episodes = self.source.episodes(ids, self.pool)
            held = is_held_out(episodes, self.config.held_out, self.seed)
            sides = [ids[~held], ids[held]]
        pairs = [side[: len(side) // 2 * 2].view(2, -1) for side in sides]
        first, second = torch.cat(pairs, 1)
        order = torch.randperm(len(first), generator=self._generator)[:count]
        return first[order], second[order]

    def _candidates(self, first: Tensor, second: Tensor) -> Candidates:
        """Work out what the ensemble thinks of the pairs, and where they lie."""
        ensemble = self.trainer.ensemble
        one, two = self.pool.get(first), self.pool.get(second)
        returns = _returns(ensemble, one), _returns(ensemble, two)
        features = _pair_features(one, two)
        # Distances are taken in units of the candidates' own spread.
        scale = features.std(0, correction=0).clamp_min(1e-6)
        asked = self._asked_features
        asked = asked / scale if len(asked) else features.new_zeros(0, features.shape[1])
        logit = returns[0] - returns[1]
        return Candidates(returns[0], returns[1], logit, features / scale, asked)

    def _remember(self, first: Tensor, second: Tensor) -> None:
        """Keep where the asked pairs lie, if the choice of questions looks at it."""
        if not self.config.selection.startswith("k-centre"):
            return
        features = _pair_features(self.pool.get(first), self.pool.get(second))
        known = [self._asked_features] if len(self._asked_features) else []
        self._asked_features = torch.cat([*known, features])


def _kept(origins: Origins, keep: np.ndarray) -> Origins:
    """Return where the segments `keep` `[M]` bool lie."""
    return dataclasses.replace(
        origins, row=origins.row[keep], t=origins.t[keep], seat=origins.seat[keep]
    )


@torch.no_grad()
def _returns(ensemble: RewardEnsemble, segments: SegmentBatch) -> Tensor:
    """Return what the members think of segments `[E, M]`, a few at a time."""
    device = next(ensemble.parameters()).device
    parts = [segments.select(index).to(device) for index in torch.arange(len(segments)).split(64)]
    return torch.cat([ensemble.segment_returns(part) for part in parts], 1).cpu()


def _pair_features(first: SegmentBatch, second: SegmentBatch) -> Tensor:
    """Return where pairs lie `[P, F]`, the first segment's numbers and then the second's."""
    return torch.cat([segment_features(first), segment_features(second)], -1)
