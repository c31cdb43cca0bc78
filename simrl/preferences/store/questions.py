"""Questions: adding, reading and closing them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, insert, select, update

from simrl.preferences.store.schema import questions, slots
from simrl.preferences.store.types import KINDS, STATES, NewQuestion, Question, RefusedError
from simrl.preferences.store.values import check_question


def add(connection: Connection, new: Sequence[NewQuestion], *, now: float) -> list[int]:
    """Add checked questions with a slot for each answer that they want; return their ids."""
    ids = []
    for index, question in enumerate(new):
        if question.repeat_of is not None:
            _check_repeat(connection, question, index)
        ids.append(insert_question(connection, question, now=now))
    _add_slots(connection, [(id_, question) for id_, question in zip(ids, new, strict=True)])
    return ids


def check_all(new: Sequence[NewQuestion]) -> None:
    """Raise ValueError, saying which question, unless all can be asked."""
    for index, question in enumerate(new):
        try:
            check_question(question)
        except ValueError as error:
            raise ValueError(f"question {index}: {error}") from None


def insert_question(
    connection: Connection,
    question: NewQuestion,
    *,
    now: float,
    origin: str | None = None,
    state: str = "open",
    for_quality: bool | None = None,
) -> int:
    """Add the row of one question, without slots, and return its id."""
    row = {
        "kind": question.kind,
        "clips": list(question.clips),
        "prompt": question.prompt,
        "settings": dict(question.settings),
        "overlap": question.overlap,
        "batch": question.batch,
        "priority": float(question.priority),
        "gold": None if question.gold is None else dict(question.gold),
        "repeat_of": question.repeat_of,
        "attention": question.attention,
        "for_quality": question.for_quality if for_quality is None else for_quality,
        "provenance": dict(question.provenance),
        "origin": origin,
        "state": state,
        "created": now,
    }
    return int(connection.execute(insert(questions).returning(questions.c.id), row).scalar_one())


def load_question(connection: Connection, question: int) -> Question:
    """Return one question.

    Raises:
        RefusedError: `unknown` if there is none of that id.
    """
    row = connection.execute(_BY_ID, {"question": question}).first()
    if row is None:
        raise RefusedError("unknown", f"there is no question {question}")
    return from_row(row)


def load_by_id(connection: Connection, ids: Iterable[int]) -> dict[int, Question]:
    """Return questions that are known to exist, by their ids."""
    rows = connection.execute(_BY_IDS, {"questions": sorted(set(ids))})
    return {row.id: from_row(row) for row in rows}


def load_questions(connection: Connection, kind: str | None, state: str | None) -> list[Question]:
    """Return the questions of a kind and state, in the order of their ids."""
    wanted = select(questions).order_by(questions.c.id)
    if kind is not None:
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind!r}; the kinds are {', '.join(KINDS)}")
        wanted = wanted.where(questions.c.kind == kind)
    if state is not None:
        if state not in STATES:
            raise ValueError(f"unknown state {state!r}; the states are {', '.join(STATES)}")
        wanted = wanted.where(questions.c.state == state)
    return [from_row(row) for row in connection.execute(wanted)]


def close(connection: Connection, ids: Sequence[int]) -> int:
    """Withdraw open questions, leases on them included; return how many were open."""
    count = 0
    for id_ in ids:
        changed = connection.execute(_CLOSE, {"question": id_}).rowcount
        if changed:
            connection.execute(_CLOSE_SLOTS, {"question": id_})
        count += changed
    return count


def finish_answered(connection: Connection, ids: Iterable[int]) -> None:
    """Mark those questions as done that no open slot is left of."""
    connection.execute(_FINISH, [{"question": id_} for id_ in sorted(set(ids))])


def from_row(row: Row[Any]) -> Question:
    """Make a question of its row."""
    return Question(
        id=row.id,
        kind=row.kind,
        clips=tuple(row.clips),
        prompt=row.prompt,
        settings=row.settings,
        overlap=row.overlap,
        batch=row.batch,
        priority=row.priority,
        gold=row.gold,
        repeat_of=row.repeat_of,
        attention=row.attention,
        provenance=row.provenance,
        state=row.state,
        created=row.created,
    )


def _add_slots(connection: Connection, added: Sequence[tuple[int, NewQuestion]]) -> None:
    rows = [
        {"question_id": id_, "rank": -question.priority, "open": True}
        for id_, question in added
        for _ in range(question.overlap)
    ]
    if rows:
        connection.execute(insert(slots), rows)


def _check_repeat(connection: Connection, question: NewQuestion, index: int) -> None:
    original = connection.execute(_BY_ID, {"question": question.repeat_of}).first()
    if original is None:
        raise ValueError(f"question {index} repeats {question.repeat_of}, which does not exist")
    if original.kind != question.kind or set(original.clips) != set(question.clips):
        raise ValueError(
            f"question {index} repeats {question.repeat_of}, so it needs its kind and clips"
        )


_BY_ID = select(questions).where(questions.c.id == bindparam("question"))
_BY_IDS = select(questions).where(questions.c.id.in_(bindparam("questions", expanding=True)))
_CLOSE = (
    update(questions)
    .where(questions.c.id == bindparam("question"), questions.c.state == "open")
    .values(state="closed")
)
_CLOSE_SLOTS = (
    update(slots)
    .where(slots.c.question_id == bindparam("question"), slots.c.open)
    .values(open=False, annotator_id=None, lease_id=None, expires=None)
)
_FINISH = (
    update(questions)
    .where(
        questions.c.id == bindparam("question"),
        questions.c.state == "open",
        ~exists().where(slots.c.question_id == questions.c.id, slots.c.open),
    )
    .values(state="done")
)
