"""Where answers come from: a scripted teacher at once, or people whenever they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from simrl.preferences.pool import SegmentPool
from simrl.preferences.segment import Origins, SegmentBatch
from simrl.preferences.teachers import ScriptedTeacher
from simrl.rollout.recorder import Trajectory


@dataclass(frozen=True)
class Answered:
    """Hold Q answers about pairs of segments."""

    first: SegmentBatch
    """First segment of every pair."""
    second: SegmentBatch
    """Second segment of every pair."""
    label: Tensor
    """Probability that the first is better `[Q]`."""
    key: Tensor
    """Number of each answer `[Q]` int64, under which it can be taken back."""


@dataclass(frozen=True)
class News:
    """Say what came in since the last look."""

    answered: Answered | None = None
    """New answers; None if there are none."""
    withdrawn: Tensor | None = None
    """Keys of answers that were taken back or changed `[K]` int64; None if there are none."""


@dataclass(frozen=True)
class Recording:
    """Hold one recorded stretch of play and the segments that were cut from it."""

    trajectory: Trajectory
    """What was recorded."""
    origins: Origins
    """Where each segment starts in it."""
    segments: SegmentBatch
    """The segments `[M]`."""
    ids: Tensor
    """Their ids in the pool `[M]` int64, ascending without gaps."""


class AnswerSource(Protocol):
    """Take questions about pairs of segments and hand out the answers as they come."""

    @property
    def asked(self) -> int:
        """Questions asked so far."""
        ...

    @property
    def answered(self) -> int:
        """Answers so far that compare the two segments."""
        ...

    @property
    def open(self) -> int:
        """Questions that still wait for an answer."""
        ...

    def observe(self, recording: Recording) -> None:
        """See what was played, just after it went into the pool."""
        ...

    def candidates(self, pool: SegmentPool, count: int, generator: torch.Generator) -> Tensor:
        """Return ids `[K]` of up to `count` segments that questions can be asked about."""
        ...

    def episodes(self, ids: Tensor, pool: SegmentPool) -> Tensor:
        """Return the episode numbers `[M]` that segments of these ids will have in answers."""
        ...

    def ask(self, first: Tensor, second: Tensor, pool: SegmentPool) -> None:
        """Ask which of two segments is better, by their ids `[Q]` in the pool."""
        ...

    def poll(self) -> News:
        """Return what came in since the last call; never waits."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """Return all that is not kept elsewhere."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        ...


class ScriptedAnswers:
    """Ask a scripted teacher, who answers at once or not at all."""

    def __init__(self, teacher: ScriptedTeacher) -> None:
        self.teacher = teacher
        self._pending: list[Answered] = []

    @property
    def asked(self) -> int:
        """Questions asked so far, those that were skipped included."""
        return self.teacher.asked

    @property
    def answered(self) -> int:
        """Questions that got a label."""
        return self.teacher.answered

    @property
    def open(self) -> int:
        """Nothing ever waits."""
        return 0

    def observe(self, recording: Recording) -> None:
        """Let the teacher learn what a typical segment is worth."""
        self.teacher.observe(recording.segments)

    def candidates(self, pool: SegmentPool, count: int, generator: torch.Generator) -> Tensor:
        """Return any segments of the pool."""
        return pool.sample(count, generator)

    def episodes(self, ids: Tensor, pool: SegmentPool) -> Tensor:
        """Return the numbers that the pool knows the segments' episodes by."""
        return pool.get(ids).episode

    def ask(self, first: Tensor, second: Tensor, pool: SegmentPool) -> None:
        """Get the teacher's labels; `poll` hands them out."""
        start = self.teacher.asked
        one, two = pool.get(first), pool.get(second)
        label = self.teacher.answer(one, two)
        given = (~torch.isnan(label)).nonzero().flatten()
        if len(given):
            self._pending.append(
                Answered(one.select(given), two.select(given), label[given], start + given)
            )

    def poll(self) -> News:
        """Return the labels of what was asked since the last call."""
        pending, self._pending = self._pending, []
        if not pending:
            return News()
        return News(
            Answered(
                SegmentBatch.cat([part.first for part in pending]),
                SegmentBatch.cat([part.second for part in pending]),
                torch.cat([part.label for part in pending]),
                torch.cat([part.key for part in pending]),
            )
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the teacher's state; whoever asks also polls before anything is saved."""
        return {"teacher": self.teacher.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.teacher.load_state_dict(state["teacher"])
        self._pending = []
