"""Answers: storing each once, taking back, revising, and reading them in the order of change."""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    Select,
    bindparam,
    insert,
    not_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from simrl.preferences.store import leases, schema
from simrl.preferences.store.questions import finish_if_answered, load_question
from simrl.preferences.store.types import Answer, AnswerEvent, RefusedError, Undone
from simrl.preferences.store.values import check_text, check_value

questions, slots, users = schema.questions, schema.slots, schema.users
answers, events, counters = schema.answers, schema.answer_events, schema.counters

MAX_SECONDS = 7 * 24 * 3600.0


def store_answer(
    connection: Connection,
    annotator: int,
    lease: int,
    key: str,
    value: Mapping[str, Any],
    *,
    seconds: float,
    now: float,
) -> Answer:
    """Store an answer once; the same key again returns what was stored the first time."""
    _check_key(key)
    change = next_change(connection)  # first of all: its lock puts the changes in order
    row = leases.find(connection, lease, annotator)
    if row.answer_id is not None:
        again = _by_key(connection, annotator, key)
        if again is not None and again.lease_id == lease:
            return _from_event(connection, again)
        if not row.withdrawn:
            raise RefusedError("answered", f"you have answered question {row.question_id} already")
    check_value(row.kind, value, row.clips, row.settings)
    leases.finish(connection, row, now=now)
    event = {
        "change": change,
        "question_id": row.question_id,
        "annotator_id": annotator,
        "lease_id": lease,
        "action": "answer",
        "key": key,
        "value": dict(value),
        "seconds": clean_seconds(seconds),
        "swapped": row.swapped,
        "created": now,
    }
    id_ = write_change(connection, event, row.answer_id)
    finish_if_answered(connection, row.question_id)
    return _of_event(event, id_, row)


def revise(
    connection: Connection,
    annotator: int,
    question_id: int,
    key: str,
    value: Mapping[str, Any],
    *,
    seconds: float | None,
    now: float,
) -> Answer:
    """Put another value in the place of an answer that stands."""
    _check_key(key)
    change = next_change(connection)
    again = _by_key(connection, annotator, key)
    if again is not None:
        if again.question_id != question_id:
            raise RefusedError("key", f"key {key!r} was used for another answer")
        return _from_event(connection, again)
    question = load_question(connection, question_id)
    standing = _standing(connection, question_id, annotator)
    if standing is None or standing.withdrawn:
        raise RefusedError("unknown", f"you have no answer to question {question_id}")
    check_value(question.kind, value, question.clips, question.settings)
    event = {
        "change": change,
        "question_id": question_id,
        "annotator_id": annotator,
        "lease_id": None,
        "action": "revise",
        "key": key,
        "value": dict(value),
        "seconds": standing.seconds if seconds is None else clean_seconds(seconds),
        "swapped": standing.swapped,
        "created": now,
    }
    write_change(connection, event, standing.id)
    return load_answer(connection, question_id, annotator)


def undo(
    connection: Connection, annotator: int, *, now: float, seconds: float, rng: random.Random
) -> Undone | None:
    """Take back the person's newest answer that stands, and lease its question to them again."""
    change = next_change(connection)
    newest = connection.execute(_NEWEST, {"me": annotator}).first()
    if newest is None:
        return None
    event = {
        "change": change,
        "question_id": newest.question_id,
        "annotator_id": annotator,
        "lease_id": None,
        "action": "undo",
        "key": None,
        "value": None,
        "seconds": newest.seconds,
        "swapped": newest.swapped,
        "created": now,
    }
    write_change(connection, event, newest.id)
    answer = load_answer(connection, newest.question_id, annotator)
    if load_question(connection, newest.question_id).state == "closed":
        return Undone(answer, None)
    lease = secrets.randbits(53)
    values = {
        "question": newest.question_id,
        "me": annotator,
        "new_lease": lease,
        "new_expires": now + seconds,
    }
    slot = connection.execute(_REOPEN_SLOT, values).scalar_one()
    connection.execute(_REOPEN, {"question": newest.question_id})
    again = leases.record(
        connection,
        lease,
        question_id=newest.question_id,
        slot_id=slot,
        annotator=annotator,
        now=now,
        seconds=seconds,
        rng=rng,
        swapped=newest.swapped,
    )
    return Undone(answer, again)


def load_answers(
    connection: Connection, *, after: int, kind: str | None, include_gold: bool
) -> list[Answer]:
    """Return the answers that changed after a change, taken-back ones included, in that order."""
    wanted = _ANSWERS.where(answers.c.change > after).order_by(answers.c.change)
    if kind is not None:
        wanted = wanted.where(questions.c.kind == kind)
    if not include_gold:
        wanted = wanted.where(not_(questions.c.for_quality))
    return [from_row(row) for row in connection.execute(wanted)]


def load_answer(connection: Connection, question: int, annotator: int) -> Answer:
    """Return what a person's answer to a question is now."""
    values = {"question": question, "me": annotator}
    return from_row(connection.execute(_ONE_ANSWER, values).one())


def load_history(connection: Connection, question: int | None) -> list[AnswerEvent]:
    """Return every change of every answer (of one question), oldest first."""
    wanted = select(events).order_by(events.c.change)
    if question is not None:
        wanted = wanted.where(events.c.question_id == question)
    return [
        AnswerEvent(
            row.change,
            row.question_id,
            row.annotator_id,
            row.action,
            row.value,
            row.seconds,
            row.created,
        )
        for row in connection.execute(wanted)
    ]


def next_change(connection: Connection) -> int:
    """Return the number of the next change; until the transaction ends nobody else gets one."""
    return int(connection.execute(_NEXT).scalar_one())


def write_change(connection: Connection, event: Mapping[str, Any], answer: int | None) -> int:
    """Add an event to the history and bring the answer that stands up to it; return its id.

    Args:
        connection: Within a transaction that has asked for `next_change`.
        event: A row of `answer_events`.
        answer: Id of this person's answer to the question; None if this is the first.

    Raises:
        RefusedError: `key` if the person has used the event's key before.
    """
    try:
        connection.execute(_ADD_EVENT, event)
    except IntegrityError as error:
        if event["key"] is None:
            raise
        why = f"key {event['key']!r} was used for another answer"
        raise RefusedError("key", why) from error
    row = {name: event[name] for name in ("change", "value", "seconds", "swapped", "created")}
    row["withdrawn"] = event["value"] is None
    if answer is None:
        owner = {name: event[name] for name in ("question_id", "annotator_id")}
        return int(connection.execute(_ADD_ANSWER, {**owner, **row}).scalar_one())
    new = {f"new_{name}": value for name, value in row.items()}
    connection.execute(_CHANGE, {"answer": answer, **new})
    return answer


def from_row(row: Row[Any]) -> Answer:
    """Make an answer of its row, joined with its question's and annotator's."""
    return Answer(
        id=row.id,
        change=row.change,
        question=row.question_id,
        annotator=row.annotator_id,
        pseudonym=row.pseudonym,
        kind=row.kind,
        clips=tuple(row.clips),
        value=row.value,
        seconds=row.seconds,
        created=row.created,
        swapped=row.swapped,
    )


def clean_seconds(seconds: float) -> float:
    """Bring the time that a browser claims into a sensible range; NaN becomes 0."""
    return min(max(float(seconds), 0.0), MAX_SECONDS) if math.isfinite(seconds) else 0.0


def _check_key(key: str) -> None:
    check_text(key, "key", 100)
    if not key:
        raise ValueError("key is empty: every answer needs one of its own")


def _by_key(connection: Connection, annotator: int, key: str) -> Row[Any] | None:
    return connection.execute(_BY_KEY, {"me": annotator, "key": key}).first()


def _standing(connection: Connection, question: int, annotator: int) -> Row[Any] | None:
    return connection.execute(_STANDING, {"question": question, "me": annotator}).first()


def _from_event(connection: Connection, event: Row[Any]) -> Answer:
    """Return the answer as it was stored by an event, whatever became of it later."""
    values = {"question": event.question_id, "me": event.annotator_id}
    row = connection.execute(_ONE_ANSWER, values).one()
    return _of_event(dict(event._mapping), row.id, row)


def _of_event(event: Mapping[str, Any], id_: int, row: Row[Any]) -> Answer:
    """Make an answer of an event, and of a row that has its question's and annotator's columns."""
    return Answer(
        id=id_,
        change=event["change"],
        question=event["question_id"],
        annotator=event["annotator_id"],
        pseudonym=row.pseudonym,
        kind=row.kind,
        clips=tuple(row.clips),
        value=event["value"],
        seconds=event["seconds"],
        created=event["created"],
        swapped=event["swapped"],
    )


_me: BindParameter[int] = bindparam("me")
_question: BindParameter[int] = bindparam("question")
_ANSWERS: Select[Any] = (
    select(answers, users.c.pseudonym, questions.c.kind, questions.c.clips)
    .join(questions, questions.c.id == answers.c.question_id)
    .join(users, users.c.id == answers.c.annotator_id)
)
_OWN = (answers.c.question_id == _question, answers.c.annotator_id == _me)
_ONE_ANSWER = _ANSWERS.where(*_OWN)
_STANDING = select(answers).where(*_OWN)
_NEWEST = (
    select(answers)
    .where(answers.c.annotator_id == _me, not_(answers.c.withdrawn))
    .order_by(answers.c.change.desc())
    .limit(1)
)
_ADD_EVENT = insert(events)
_ADD_ANSWER = insert(answers).returning(answers.c.id)
_CHANGE = (
    update(answers)
    .where(answers.c.id == bindparam("answer"))
    .values(
        {
            name: bindparam(f"new_{name}", type_=answers.c[name].type)
            for name in ("change", "value", "seconds", "swapped", "created", "withdrawn")
        }
    )
)
_BY_KEY = select(events).where(events.c.annotator_id == _me, events.c.key == bindparam("key"))
_NEXT = (
    update(counters)
    .where(counters.c.name == "change")
    .values(value=counters.c.value + 1)
    .returning(counters.c.value)
)
_REOPEN_SLOT = (
    update(slots)
    .where(slots.c.question_id == _question, slots.c.annotator_id == _me)
    .values(open=True, lease_id=bindparam("new_lease"), expires=bindparam("new_expires"))
    .returning(slots.c.id)
)
_REOPEN = (
    update(questions)
    .where(questions.c.id == _question, questions.c.state == "done")
    .values(state="open")
)
