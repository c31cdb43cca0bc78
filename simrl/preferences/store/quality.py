"""How well people answer: each person's figures, their agreement, and what they say together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from simrl.preferences.store.agreement import Level, cohen_kappas, fleiss_kappa, krippendorff_alpha
from simrl.preferences.store.dawid_skene import MISSING, DawidSkene, dawid_skene
from simrl.preferences.store.label_store import LabelStore
from simrl.preferences.store.types import CHOICES, Answer, Question

LABELLED = ("compare", "rate", "thumbs")
"""The kinds whose answers are one of a few classes, so that they can be compared."""

_OPPOSITE = {"first": "second", "second": "first"}


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Answers of one kind as classes."""

    annotators: tuple[int, ...]
    questions: tuple[int, ...]
    classes: tuple[Any, ...]
    """What the classes mean: choices, ratings, or False and True for thumbs."""

    labels: np.ndarray
    """Class by annotator and question `[A, I]` int, `MISSING` where none."""


@dataclass(frozen=True)
class Agreement:
    """How far people agree on one kind of question; NaN where there is too little to tell."""

    kind: str
    questions: int
    """Questions that at least two people answered."""

    krippendorff: float
    """Alpha: nominal, for ratings ordinal."""

    fleiss: float
    fleiss_questions: int
    """Questions that Fleiss' kappa stands on: those with the most common number of answers."""

    cohen: float
    """Mean of Cohen's kappa over all pairs of people for whom it is defined."""


@dataclass(frozen=True)
class Share:
    """Hits out of a number of trials."""

    hits: float
    of: int

    @property
    def value(self) -> float:
        """Hits over trials, NaN without any."""
        return self.hits / self.of if self.of else math.nan


@dataclass(frozen=True)
class AnnotatorQuality:
    """The figures of one person."""

    annotator: int
    pseudonym: str
    answered: int
    median_seconds: float
    """Median time of an answer [s]."""

    agreement: Share
    """Same label as another person's on the same question, over all such pairs of answers."""

    gold: Share
    """Right answers to questions whose answer is known."""

    attention: Share
    """Right answers to attention checks."""

    consistency: Share
    """Same answer to a repeated question as at first."""

    consistency_swapped: Share
    """The same, of those whose sides were the other way round the second time."""

    left: Share
    """Comparisons decided for the clip on the left; `of` those decided for either side."""

    estimated_accuracy: float
    """How often the person is right by Dawid and Skene's estimate; NaN if never compared."""

    @property
    def side_bias(self) -> float:
        """From -1, always the right clip, through 0, no side preferred, to 1, always the left."""
        return 2.0 * self.left.value - 1.0

    @property
    def side_bias_p(self) -> float:
        """Probability of a bias as large as this by chance (exact binomial test), NaN without any.

        Sides are drawn at random, so a person who looks at the clips alone has no bias.
        """
        if not self.left.of:
            return math.nan
        from scipy.stats import binomtest

        return float(binomtest(int(self.left.hits), self.left.of, 0.5).pvalue)


@dataclass(frozen=True)
class QualityReport:
    """What the dashboard shows."""

    annotators: tuple[AnnotatorQuality, ...]
    """Everybody who answered, by id."""

    agreement: tuple[Agreement, ...]
    """Of each kind with classes that was answered."""


def quality_report(store: LabelStore) -> QualityReport:
    """Measure everybody who answered."""
    answers = [answer for answer in store.answers(include_gold=True) if answer.value is not None]
    questions = {question.id: question for question in store.questions()}
    answers = [answer for answer in answers if answer.question in questions]
    return measure(answers, questions)


def measure(answers: Sequence[Answer], questions: Mapping[int, Question]) -> QualityReport:
    """Measure the people by their answers that stand, and the questions these belong to."""
    tables = {kind: label_table(answers, kind) for kind in LABELLED}
    shares = _pair_shares(tables)
    accuracy = _accuracies(tables["compare"])
    by_person: dict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_person[answer.annotator].append(answer)
    people = tuple(
        _person(mine, questions, shares.get(person, Share(0, 0)), accuracy.get(person, math.nan))
        for person, mine in sorted(by_person.items())
    )
    agreement = tuple(_agreement(kind, t) for kind, t in tables.items() if t.questions)
    return QualityReport(people, agreement)


def label_table(answers: Sequence[Answer], kind: str) -> LabelTable:
    """Arrange the standing answers of one kind as classes `[A, I]`.

    Raises:
        ValueError: The kind's answers are no classes.
    """
    if kind not in LABELLED:
        raise ValueError(f"answers of kind {kind!r} are no classes; {', '.join(LABELLED)} are")
    mine = [answer for answer in answers if answer.kind == kind and answer.value is not None]
    annotators = tuple(sorted({answer.annotator for answer in mine}))
    items = tuple(sorted({answer.question for answer in mine}))
    values = [label_of(answer) for answer in mine]
    classes = {"compare": CHOICES, "thumbs": (False, True)}.get(kind, tuple(sorted(set(values))))
    labels = np.full((len(annotators), len(items)), MISSING)
    rows, columns = _places(annotators), _places(items)
    for answer, value in zip(mine, values, strict=True):
        labels[rows[answer.annotator], columns[answer.question]] = classes.index(value)
    return LabelTable(annotators, items, classes, labels)


def aggregate(answers: Sequence[Answer], kind: str = "compare") -> dict[int, dict[Any, float]]:
    """Weigh everybody's answers by how reliable they are, by Dawid and Skene's estimate.

    Returns:
        For each question the probability of each class that was used, as `{"first": 0.93, ...}`.
    """
    table = label_table(answers, kind)
    if not table.questions:
        return {}
    found, used = _estimate(table)
    return {
        question: {table.classes[c]: float(p) for c, p in zip(used, row, strict=True)}
        for question, row in zip(table.questions, found.posterior, strict=True)
    }


def label_of(answer: Answer) -> Any:
    """Return the class that an answer gives: choice, rating, or whether the thumb is up."""
    value = answer.value or {}
    return value[{"compare": "choice", "rate": "rating", "thumbs": "up"}[answer.kind]]


def _estimate(table: LabelTable) -> tuple[DawidSkene, list[int]]:
    """Estimate over the classes that occur, since an unused one would only blur the others."""
    used = sorted(int(c) for c in np.unique(table.labels) if c != MISSING)
    dense = np.full_like(table.labels, MISSING)
    for place, label in enumerate(used):
        dense[table.labels == label] = place
    return dawid_skene(dense, len(used)), used


def _accuracies(table: LabelTable) -> dict[int, float]:
    shared = (table.labels != MISSING).sum(0) >= 2
    if not shared.any():
        return {}
    found, _ = _estimate(table)
    compared = ((table.labels != MISSING) & shared).any(1)
    return {
        person: float(value)
        for person, value, known in zip(table.annotators, found.accuracy, compared, strict=True)
        if known
    }


def _pair_shares(tables: Mapping[str, LabelTable]) -> dict[int, Share]:
    """Count, over the kinds, each person's pairs of answers with others, and the equal ones."""
    hits: dict[int, float] = defaultdict(float)
    trials: dict[int, int] = defaultdict(int)
    for table in tables.values():
        counts = np.stack(
            [(table.labels == c).sum(0) for c in range(len(table.classes))] or [np.zeros(0)]
        )
        others = (table.labels != MISSING).sum(0) - 1
        for row, person in enumerate(table.annotators):
            asked = np.flatnonzero(table.labels[row] != MISSING)
            hits[person] += float((counts[table.labels[row, asked], asked] - 1).sum())
            trials[person] += int(others[asked].sum())
    return {person: Share(hits[person], trials[person]) for person in trials}


def _agreement(kind: str, table: LabelTable) -> Agreement:
    level: Level = "ordinal" if kind == "rate" else "nominal"
    fleiss, fleiss_questions = fleiss_kappa(table.labels, len(table.classes))
    kappas = cohen_kappas(table.labels)
    known = kappas[np.isfinite(kappas)]
    return Agreement(
        kind=kind,
        questions=int(((table.labels != MISSING).sum(0) >= 2).sum()),
        krippendorff=krippendorff_alpha(table.labels, level),
        fleiss=fleiss,
        fleiss_questions=fleiss_questions,
        cohen=float(known.mean()) if known.size else math.nan,
    )


def _person(
    answers: Sequence[Answer],
    questions: Mapping[int, Question],
    agreement: Share,
    accuracy: float,
) -> AnnotatorQuality:
    labelled = [answer for answer in answers if answer.kind in LABELLED]
    known = [a for a in labelled if questions[a.question].gold is not None]
    attention = [a for a in known if questions[a.question].attention]
    gold = [a for a in known if not questions[a.question].attention]
    repeats = _repeats(labelled, questions)
    swapped = [pair for pair in repeats if _other_sides(*pair)]
    sided = [a for a in labelled if a.kind == "compare" and label_of(a) in _OPPOSITE]
    return AnnotatorQuality(
        annotator=answers[0].annotator,
        pseudonym=answers[0].pseudonym,
        answered=len(answers),
        median_seconds=median(answer.seconds for answer in answers),
        agreement=agreement,
        gold=_share([_right(a, questions[a.question]) for a in gold]),
        attention=_share([_right(a, questions[a.question]) for a in attention]),
        consistency=_share([_same(*pair) for pair in repeats]),
        consistency_swapped=_share([_same(*pair) for pair in swapped]),
        left=_share([(label_of(a) == "first") != a.swapped for a in sided]),
        estimated_accuracy=accuracy,
    )


def _share(hits: Sequence[bool]) -> Share:
    return Share(sum(hits), len(hits))


def _right(answer: Answer, question: Question) -> bool:
    return dict(answer.value or {}) == dict(question.gold or {})


def _repeats(
    answers: Sequence[Answer], questions: Mapping[int, Question]
) -> list[tuple[Answer, Answer]]:
    """Pair a person's answers to repeated questions with those to the originals."""
    by_question = {answer.question: answer for answer in answers}
    pairs = []
    for answer in answers:
        original = questions[answer.question].repeat_of
        if original is not None and original in by_question:
            pairs.append((by_question[original], answer))
    return pairs


def _same(original: Answer, repeat: Answer) -> bool:
    label = label_of(repeat)
    if repeat.clips != original.clips:  # the same two in the other order
        label = _OPPOSITE.get(label, label)
    return bool(label == label_of(original))


def _other_sides(original: Answer, repeat: Answer) -> bool:
    """Whether the clip that was on the left is on the right the second time."""
    return _screen(original) != _screen(repeat)


def _screen(answer: Answer) -> tuple[str, ...]:
    return answer.clips[::-1] if answer.swapped else answer.clips


def _places(values: Sequence[int]) -> dict[int, int]:
    return {value: place for place, value in enumerate(values)}
