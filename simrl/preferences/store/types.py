"""What the store holds and hands out: questions, leases, answers, people, and its refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

KINDS = ("compare", "rate", "thumbs", "live", "moment", "correct", "text")
"""The kinds of question; `compare` shows two clips, every other kind one."""

CHOICES = ("first", "second", "tie", "incomparable")
"""Answers of kind `compare`, in the order of the question's own clips, never of the screen."""

ROLES = ("annotator", "admin")
STATES = ("open", "done", "closed")


class RefusedError(ValueError):
    """Something that the store will not do now, and why.

    `reason` is one word for programs: `unknown` (no such thing, or another person's), `lost` (the
    lease ran out and the question needs no further answer), `answered` (this person answered it
    already), `closed` (the question was withdrawn), `key` (the key was used for something else).
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TooManyAttemptsError(ValueError):
    """A login that is refused because of too many failed ones; `retry_after` in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many failed logins; try again in {max(retry_after, 1):.0f} s")
        self.retry_after = retry_after


@dataclass(frozen=True, kw_only=True)
class NewQuestion:
    """A question to be asked."""

    kind: str
    """One of `KINDS`."""

    clips: tuple[str, ...]
    """Ids of the clips that are shown, each 16 hexadecimal digits: two for `compare`, else one."""

    prompt: str = ""
    """What the page says above the clips; empty: the page's own words for this kind."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Details of the kind: `{"low": 1, "high": 7}` is the scale of `rate` (default 1 to 5)."""

    overlap: int = 1
    """How many people are asked."""

    batch: str = ""
    """A name under which questions that belong together are found again."""

    priority: float = 0.0
    """Higher is asked first; among equals the older one."""

    gold: Mapping[str, Any] | None = None
    """The known answer, if this question only measures whether people answer well."""

    repeat_of: int | None = None
    """The question that this one asks again: only of people who answered that one.

    Its sides are the other way round than the person saw them then, or with
    `settings={"sides": "same"}` the same way round.
    """

    attention: bool = False
    """Whether the question only checks that the person looks; `gold` is then its right answer."""

    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where the clips come from; `clip_provenance` makes it from the clips' metadata."""

    @property
    def for_quality(self) -> bool:
        """Whether it is asked to measure the people (gold, attention, repeat), not to learn."""
        return self.gold is not None or self.attention or self.repeat_of is not None


@dataclass(frozen=True, kw_only=True)
class Question(NewQuestion):
    """A question that the store holds."""

    id: int
    state: Literal["open", "done", "closed"]
    """`open`: people are still to be asked; `done`: all have answered; `closed`: withdrawn."""

    created: float
    """When it was added [s since 1970]."""


@dataclass(frozen=True)
class Lease:
    """The right of one person to answer one question until it expires."""

    id: int
    question: Question
    swapped: bool
    """Whether the first clip is shown on the right."""

    expires: float
    """When another person may be asked instead [s since 1970]."""


@dataclass(frozen=True)
class Answer:
    """What one person says to one question, as it stands now."""

    id: int
    change: int
    """Number of the newest change of this answer; rises by every change in the whole store."""

    question: int
    annotator: int
    pseudonym: str
    """Name of the annotator in exports."""

    kind: str
    clips: tuple[str, ...]
    value: Mapping[str, Any] | None
    """The answer by the kind's keys, or None if it was taken back."""

    seconds: float
    """How long the person took [s]."""

    created: float
    """When this change was made [s since 1970]."""

    swapped: bool
    """Whether the first clip was shown on the right."""


@dataclass(frozen=True)
class AnswerEvent:
    """One line of an answer's history, which is only ever added to."""

    change: int
    question: int
    annotator: int
    action: Literal["answer", "revise", "undo", "import"]
    value: Mapping[str, Any] | None
    seconds: float
    created: float


@dataclass(frozen=True)
class Undone:
    """An answer that was taken back, and the person's new lease on its question."""

    answer: Answer
    lease: Lease | None
    """None if the question has been closed meanwhile."""


@dataclass(frozen=True)
class Progress:
    """How far labelling has come: of one person, or of all."""

    open: int
    """Questions that still need answers; of one person, those that this person can be asked."""

    answered: int
    """Answers that stand."""

    skipped: int
    leased: int
    """Leases that are held now."""

    total: int
    """All questions that were not closed."""

    done: int
    """Questions with all their answers."""

    per_minute: float
    """Answers a minute over the last five minutes, from the first of them on; 0 if none."""

    @property
    def minutes_left(self) -> float | None:
        """Minutes until all open questions are answered at this pace; None without a pace."""
        return self.open / self.per_minute if self.per_minute > 0 else None


@dataclass(frozen=True)
class User:
    """A person who may log in."""

    id: int
    name: str
    role: Literal["annotator", "admin"]
    active: bool
    pseudonym: str
    created: float


@dataclass(frozen=True)
class Session:
    """A person who is logged in; only a hash of `token` is stored."""

    token: str
    csrf: str
    """What every changing request of this session must carry."""

    expires: float
    user: User


@dataclass(frozen=True)
class AuditEntry:
    """One line of the log of what people did."""

    id: int
    created: float
    user: int | None
    action: str
    detail: str
    ip: str


def clip_provenance(clips: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Make a question's provenance from the metadata of its clips, in the question's order.

    Args:
        clips: `ClipLibrary.meta(id)` of each clip; of its keys are kept, where present, `id` (as
            the reference to the snapshot), env, env_options, seat, policies, seed, config_hash,
            episode and step_seconds.
    """
    keys = (
        "env",
        "env_options",
        "seat",
        "policies",
        "seed",
        "config_hash",
        "episode",
        "step_seconds",
    )
    rows = []
    for meta in clips:
        row = {key: meta[key] for key in keys if key in meta}
        if "id" in meta:
            row["snapshot"] = meta["id"]
        rows.append(row)
    return {"clips": rows}
