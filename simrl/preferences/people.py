"""Ask people: segments become clips, pairs become questions in a store, answers come whenever."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from simrl.preferences.clips.cut import ClipSource, cut_clip
from simrl.preferences.clips.library import ClipLibrary, episode_number
from simrl.preferences.dataset import PreferenceData
from simrl.preferences.pool import SegmentPool
from simrl.preferences.questions import Answered, News, Recording
from simrl.preferences.store import Answer, LabelStore, NewQuestion, Question, clip_provenance
from simrl.preferences.store.planning import CheckRates, add_with_checks

LABELS = {"first": 1.0, "second": 0.0, "tie": 0.5}
"""Probability that the first clip is better, by the choice; "incomparable" says nothing."""


class PeopleAnswers:
    """Turn pairs of segments into questions of a label store, and its answers into labels.

    Only play of the newest recordings can be asked about, since a clip needs the simulator's state.
    The store is the truth about questions and answers: a run that is killed loses none.

    Attributes:
        policies: Name of who sits at each seat of a row now; whoever owns the engine sets it.
        submit: Told the ids of new clips, to have them drawn.
    """

    def __init__(
        self,
        store: LabelStore,
        library: ClipLibrary,
        clips: ClipSource,
        *,
        segment: int,
        batch: str,
        prompt: str = "",
        overlap: int = 1,
        checks: CheckRates | None = None,
        keep: int = 512,
        poll_seconds: float = 1.0,
    ) -> None:
        """Ask through `store` about clips in `library`.

        Args:
            store: Questions and answers.
            library: Where the clips go.
            clips: What is the same for all clips of this run.
            segment: Steps of a segment.
            batch: Name of this run's questions in the store.
            prompt: What the page says above the clips; empty: its own words.
            overlap: People who are asked each question.
            checks: How many questions measure the people; default: a repeat for every 20 and a
                clip beside itself for every 50 questions.  They are not counted or learned from.
            keep: Newest segments that can be asked about; what they were recorded in is kept.
            poll_seconds: Time between two looks into the store [s].
        """
        self.store, self.library, self.clips = store, library, clips
        self.segment, self.batch, self.prompt = segment, batch, prompt
        self.overlap, self.poll_seconds = overlap, poll_seconds
        self.checks = checks or CheckRates(gold=0.0, people=overlap)
        self.policies: Callable[[int], Sequence[str]] = lambda row: (
            ("policy",) * (clips.spec.num_agents)
        )
        self.submit: Callable[[Sequence[str]], object] = lambda ids: None
        self._recordings: deque[Recording] = deque()
        self._keep = keep
        self._change = 0
        self._standing: set[int] = set()
        self._looked = float("-inf")
        self._find_questions()

    @property
    def asked(self) -> int:
        """Questions that were ever asked in this run."""
        return len(self._questions)

    @property
    def answered(self) -> int:
        """Answers that stand and say which clip is better, or that both are alike."""
        return len(self._standing)

    @property
    def open(self) -> int:
        """Questions that wait for people, as of the last look.

        Those that somebody skipped are not waited for, since nobody else may be there to answer
        them; an answer that comes all the same is taken in.
        """
        return len(self._waiting)

    def observe(self, recording: Recording) -> None:
        """Keep what was played, so that clips can be cut from it."""
        self._recordings.append(recording)
        held = sum(len(part.ids) for part in self._recordings)
        while held - len(self._recordings[0].ids) >= self._keep:
            held -= len(self._recordings.popleft().ids)

    def candidates(self, pool: SegmentPool, count: int, generator: torch.Generator) -> Tensor:
        """Return the ids of up to `count` segments of the newest recordings."""
        ids = torch.cat([torch.zeros(0, dtype=torch.int64), *(r.ids for r in self._recordings)])
        ids = ids[ids >= pool.oldest]
        return ids[torch.randperm(len(ids), generator=generator)[:count]]

    def episodes(self, ids: Tensor, pool: SegmentPool) -> Tensor:
        """Return the numbers that the library makes of the episodes' names."""
        names = [self._episode(*self._find(segment)) for segment in ids.tolist()]
        return torch.tensor([episode_number(name) for name in names], dtype=torch.int64)

    def ask(self, first: Tensor, second: Tensor, pool: SegmentPool) -> None:
        """Cut the clips and put the questions into the store, all or none."""
        pairs = [
            (self._clip(int(one)), self._clip(int(two)))
            for one, two in zip(first, second, strict=True)
        ]
        asked = add_with_checks(
            self.store,
            [
                NewQuestion(
                    kind="compare",
                    clips=pair,
                    prompt=self.prompt,
                    overlap=self.overlap,
                    batch=self.batch,
                    provenance=clip_provenance([self.library.meta(clip) for clip in pair]),
                )
                for pair in pairs
            ],
            self.checks,
            seed=len(self._questions),
        )
        self._questions |= set(asked)
        self._waiting |= set(asked)
        self.submit([clip for pair in pairs for clip in pair])

    def poll(self) -> News:
        """Return the answers that came, changed or were taken back; looks now and then only."""
        if time.monotonic() - self._looked < self.poll_seconds:
            return News()
        self._looked = time.monotonic()
        self._find_waiting()  # first: what is not waited for any more is among the answers
        changes = self.store.answers(after=self._change, kind="compare")
        if not changes:
            return News()
        self._change = max(answer.change for answer in changes)
        mine = [answer for answer in changes if answer.question in self._questions]
        withdrawn = [answer.id for answer in mine if answer.id in self._standing]
        said = [(answer, _label(answer)) for answer in mine]
        new = [(answer, label) for answer, label in said if label is not None]
        self._standing -= set(withdrawn)
        self._standing |= {answer.id for answer, _ in new}
        return News(
            self._answered(new) if new else None,
            torch.tensor(withdrawn, dtype=torch.int64) if withdrawn else None,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return how far the store has been read; questions and answers are in the store.

        The name of the questions is in it too: a run's folder may be moved.
        """
        standing = torch.tensor(sorted(self._standing), dtype=torch.int64)
        return {"batch": self.batch, "change": self._change, "standing": standing}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on reading the store where `state_dict` was taken."""
        self.batch = str(state["batch"])
        self._find_questions()
        self._change = int(state["change"])
        self._standing = set(state["standing"].tolist())
        self._looked = float("-inf")

    def _find_questions(self) -> None:
        """Look up the questions of this run, and which of them wait."""
        self._questions = {question.id for question in self._of_this_run()}
        self._find_waiting()

    def _find_waiting(self) -> None:
        waiting = {question.id for question in self._of_this_run("open")}
        self._waiting = waiting - self.store.skipped() if waiting else waiting

    def _of_this_run(self, state: str | None = None) -> list[Question]:
        found = self.store.questions("compare", state)
        return [q for q in found if q.batch == self.batch and not q.for_quality]

    def _answered(self, answers: Sequence[tuple[Answer, float]]) -> Answered:
        segments = [
            self.library.segments([answer.clips[side] for answer, _ in answers], self.segment)
            for side in (0, 1)
        ]
        return Answered(
            segments[0],
            segments[1],
            torch.tensor([label for _, label in answers]),
            torch.tensor([answer.id for answer, _ in answers], dtype=torch.int64),
        )

    def _find(self, segment: int) -> tuple[Recording, int]:
        """Return the recording that holds a segment, and the segment's place in it."""
        for recording in self._recordings:
            place = segment - int(recording.ids[0])
            if 0 <= place < len(recording.ids):
                return recording, place
        raise ValueError(f"segment {segment} is not in the newest recordings any more")

    def _clip(self, segment: int) -> str:
        """Cut a segment's clip and add it to the library."""
        recording, place = self._find(segment)
        trajectory, origins = recording.trajectory, recording.origins
        # A learned reward may have been played for as a further term, which the clips do not hold.
        own = len(self.clips.spec.reward_terms)
        trajectory = replace(trajectory, reward_terms=trajectory.reward_terms[..., :own])
        row = int(origins.row[place])
        clip = cut_clip(
            trajectory,
            row,
            int(origins.t[place]),
            int(recording.segments.length[place]),
            int(origins.seat[place]),
            source=self.clips,
            policies=tuple(self.policies(int(trajectory.rows[row]))),
            episode=self._episode(recording, place),
        )
        return self.library.add(clip)

    def _episode(self, recording: Recording, place: int) -> str:
        return f"{self.batch}/{int(recording.segments.episode[place])}"


def answered_pairs(store: LabelStore, library: ClipLibrary, env: str) -> PreferenceData:
    """Return every comparison that stands, of clips of the environment `env`.

    Segments are as long as the longest clip, the key of a pair is its answer's number.  ValueError
    if nobody has compared such clips yet.
    """
    said = [(answer, _label(answer)) for answer in store.answers(kind="compare")]
    metas = {clip: library.meta(clip) for answer, label in said for clip in answer.clips}
    pairs = [
        (answer, label)
        for answer, label in said
        if label is not None and all(metas[clip]["env"] == env for clip in answer.clips)
    ]
    if not pairs:
        raise ValueError(f"{store.url} holds no answer that compares clips of {env}")
    answers, labels = [answer for answer, _ in pairs], [label for _, label in pairs]
    length = max(int(metas[clip]["steps"]) for answer in answers for clip in answer.clips)
    first, second = (
        library.segments([answer.clips[side] for answer in answers], length) for side in (0, 1)
    )
    data = PreferenceData()
    data.add(first, second, torch.tensor(labels), key=torch.tensor([each.id for each in answers]))
    return data


def _label(answer: Answer) -> float | None:
    return None if answer.value is None else LABELS.get(str(answer.value["choice"]))
