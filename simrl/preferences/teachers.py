"""Answer questions as B-Pref's scripted teachers do, to run whole studies without people.

Lee et al. 2021, "B-Pref: Benchmarking Preference-Based Reinforcement Learning".  A teacher knows
the true reward and compares two segments by it, each in its own imperfect way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from simrl.core.seeding import torch_generator
from simrl.core.spec import EnvSpec
from simrl.preferences.segment import SegmentBatch


@dataclass(frozen=True)
class TeacherConfig:
    """Say in what ways a scripted teacher is imperfect; the defaults are perfect."""

    beta: float = -1.0
    """Rationality: the better segment is named with the probability that a Bradley-Terry model of
    `beta` times the true returns gives it; 0 or less is always."""
    gamma: float = 1.0
    """Weight of a step relative to the next one; below 1 the teacher is swayed by the end."""
    mistake: float = 0.0
    """Probability of naming the other segment."""
    skip: float = 0.0
    """Refuse to compare two segments whose returns are both at most this share of the margin."""
    equal: float = 0.0
    """Call two segments equal whose returns differ by less than this share of the margin."""
    tie: float = 0.5
    """Label of two segments of exactly the same return; B-Pref itself names the first (1)."""
    terms: Mapping[str, float] = field(default_factory=dict)
    """Weights of the reward terms that this teacher judges by; empty: the task's own reward."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("gamma", "mistake", "tie"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be within 0 and 1, got {getattr(self, name)}")
        for name in ("skip", "equal"):
            if getattr(self, name) < 0.0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


TEACHERS: dict[str, Callable[[], TeacherConfig]] = {
    "oracle": TeacherConfig,
    "mistake": lambda: TeacherConfig(mistake=0.1),
    "noisy": lambda: TeacherConfig(beta=1.0),
    "skip": lambda: TeacherConfig(skip=0.1),
    "myopic": lambda: TeacherConfig(gamma=0.9),
    "equal": lambda: TeacherConfig(equal=0.1),
}
"""B-Pref's six teachers, with its constants."""


def teacher_config(name: str) -> TeacherConfig:
    """Return the constants of a teacher; ValueError lists the valid names."""
    if name not in TEACHERS:
        raise ValueError(f"unknown teacher {name!r}; the teachers are {', '.join(TEACHERS)}")
    return TEACHERS[name]()


class ScriptedTeacher:
    """Compare pairs of segments by their true return, and count what was asked and answered.

    The order of application is B-Pref's: skip, equal, weights of early steps, label, mistake; then
    what was found equal (by the sums without weights) overrides the label.

    The skip and equal thresholds are shares of a running margin, the typical return of a segment.
    Where that is negative no pair is skipped or equal, as in B-Pref, whose tasks pay at least 0.
    """

    def __init__(self, config: TeacherConfig, spec: EnvSpec, *, seed: int = 0) -> None:
        """Build a teacher for an environment; ValueError names a reward term that it has not."""
        self.config = config
        unknown = [name for name in config.terms if name not in spec.reward_terms]
        if unknown:
            raise ValueError(
                f"{spec.id} has no reward term {unknown[0]!r}; "
                f"its terms are {', '.join(spec.reward_terms) or 'none'}"
            )
        weights = [config.terms.get(name, 0.0) for name in spec.reward_terms]
        self._weights = torch.tensor(weights, dtype=torch.float32) if config.terms else None
        self._generator = torch_generator(seed, "teacher")
        self.margin = 0.0
        """Typical return of a segment."""
        self.asked = 0
        """Pairs that were ever asked."""
        self.answered = 0
        """Pairs of these that got a label; B-Pref counts the skipped ones as spent, too."""

    def reward(self, segments: SegmentBatch) -> Tensor:
        """Return the reward that this teacher judges by `[M, L]`, 0 where nothing happened."""
        if self._weights is None:
            return segments.reward * segments.mask
        return (segments.reward_terms @ self._weights) * segments.mask

    def observe(self, segments: SegmentBatch) -> None:
        """Take the margin from recent segments: their mean reward a step, times L steps.

        B-Pref takes the mean return of the last ten episodes times L over their length, which is
        the same figure where all episodes have one length.
        """
        if len(segments):
            steps = int(segments.length.sum())
            self.margin = float(self.reward(segments).sum()) / steps * segments.num_steps

    def answer(self, first: SegmentBatch, second: SegmentBatch) -> Tensor:
        """Return the probability that the first segment is better `[P]`; NaN where skipped.

        ValueError if the numbers of first and second segments differ.
        """
        if len(first) != len(second):
            raise ValueError(f"{len(first)} first segments, but {len(second)} second ones")
        config = self.config
        rewards = self.reward(first), self.reward(second)
        sums = rewards[0].sum(-1), rewards[1].sum(-1)
        threshold = config.skip * self.margin
        skipped = torch.zeros_like(sums[0], dtype=torch.bool)
        if threshold > 0:
            skipped = torch.maximum(*sums) <= threshold
        equal = (sums[0] - sums[1]).abs() < config.equal * self.margin
        gap = self._weighted(rewards[0], first) - self._weighted(rewards[1], second)
        if config.beta > 0:
            draw = torch.rand(gap.shape, generator=self._generator)
            label = (draw < torch.sigmoid(config.beta * gap)).float()
        else:
            label = (gap > 0).float().masked_fill(gap == 0, config.tie)
        slip = torch.rand(gap.shape, generator=self._generator) < config.mistake
        label = torch.where(slip, 1 - label, label)
        label = label.masked_fill(equal, 0.5).masked_fill(skipped, torch.nan)
        self.asked += len(label)
        self.answered += int((~skipped).sum())
        return label

    def state_dict(self) -> dict[str, Any]:
        """Return the generator, the margin and the counters."""
        return {
            "generator": self._generator.get_state(),
            "margin": self.margin,
            "asked": self.asked,
            "answered": self.answered,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self._generator.set_state(state["generator"].cpu())
        self.margin = float(state["margin"])
        self.asked, self.answered = int(state["asked"]), int(state["answered"])

    def _weighted(self, reward: Tensor, segments: SegmentBatch) -> Tensor:
        """Sum the rewards `[M, L]` with weight gamma^k for the step k before the last one.

        The steps of the absorbing state count as steps; a segment that a time limit cut is judged
        by the steps that it has.
        """
        if self.config.gamma == 1.0:
            return reward.sum(-1)
        last = torch.where(segments.terminated, segments.num_steps, segments.length) - 1
        before = (last[:, None] - torch.arange(segments.num_steps)).clamp_min(0)
        return (reward * self.config.gamma**before).sum(-1)
