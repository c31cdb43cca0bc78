"""Mix questions that measure people (gold, repeats, attention checks) into those that are asked."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from simrl.preferences.store import questions
from simrl.preferences.store.label_store import LabelStore
from simrl.preferences.store.types import NewQuestion


@dataclass(frozen=True)
class CheckRates:
    """How many questions measure people, for each question that is asked to learn from."""

    gold: float = 0.05
    """Questions with a known answer, as long as there are some."""

    repeat: float = 0.05
    """Questions that are asked a second time of who answered them."""

    attention: float = 0.02
    """Comparisons of a clip with itself, whose right answer is a tie."""

    repeat_gap: int = 5
    """Least number of other questions between a question and its repeat."""

    swapped: float = 0.5
    """Share of the repeats whose sides are the other way round."""

    people: int = 1
    """How many people are asked each gold question and each attention check."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("gold", "repeat", "attention", "swapped"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if self.people < 1 or self.repeat_gap < 0:
            raise ValueError("people must be at least 1 and repeat_gap at least 0")


def add_with_checks(
    store: LabelStore,
    new: Sequence[NewQuestion],
    rates: CheckRates,
    *,
    gold: Sequence[NewQuestion] = (),
    seed: int = 0,
) -> list[int]:
    """Add questions with checks strewn between them; return the ids of `new` alone.

    Each question is followed by a check of a kind with that kind's rate as probability.  A repeat
    asks a comparison, rating or thumb of this call again, at most once each.

    Args:
        store: Where they are added, all or none.
        new: What is asked to learn from.
        rates: How many checks.
        gold: Questions whose `gold` is known, each used at most once.
        seed: Draws where the checks go.

    Raises:
        ValueError: A question will not do, or one of `gold` has no known answer.
    """
    for index, question in enumerate(gold):
        if question.gold is None:
            raise ValueError(f"gold question {index} has no known answer")
    questions.check_all([*new, *gold])
    return store.database.write(
        lambda c: _add(c, new, rates, list(gold), random.Random(seed), store.clock())
    )


def _add(
    connection: Connection,
    new: Sequence[NewQuestion],
    rates: CheckRates,
    gold: list[NewQuestion],
    rng: random.Random,
    now: float,
) -> list[int]:
    gold = gold[::-1]
    ids: list[int] = []
    repeatable: list[tuple[int, NewQuestion]] = []
    waiting: list[tuple[int, int, NewQuestion]] = []  # from which position on it can be repeated

    def add(question: NewQuestion) -> int:
        return questions.add(connection, [question], now=now)[0]

    for position, question in enumerate(new):
        ids.append(add(question))
        if question.kind in ("compare", "rate", "thumbs"):
            waiting.append((position + rates.repeat_gap, ids[-1], question))
        while waiting and waiting[0][0] <= position:
            _, id_, plain = waiting.pop(0)
            repeatable.append((id_, plain))
        if gold and rng.random() < rates.gold:
            add(dataclasses.replace(gold.pop(), overlap=rates.people))
        if repeatable and rng.random() < rates.repeat:
            original, plain = repeatable.pop(rng.randrange(len(repeatable)))
            add(_repeat(original, plain, swapped=rng.random() < rates.swapped))
        if question.kind == "compare" and rng.random() < rates.attention:
            add(_attention(question, rng.randrange(2), rates.people))
    return ids


def _repeat(original: int, question: NewQuestion, *, swapped: bool) -> NewQuestion:
    settings = {**question.settings, "sides": "other" if swapped else "same"}
    return dataclasses.replace(question, repeat_of=original, settings=settings)


def _attention(question: NewQuestion, which: int, people: int) -> NewQuestion:
    """Show one of the clips on both sides."""
    rows = question.provenance.get("clips")
    provenance = {"clips": [rows[which]] * 2} if isinstance(rows, list) and len(rows) == 2 else {}
    return dataclasses.replace(
        question,
        clips=(question.clips[which],) * 2,
        gold={"choice": "tie"},
        attention=True,
        overlap=people,
        provenance=provenance,
    )
