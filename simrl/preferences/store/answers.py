"""Answers: storing each once, taking back, revising, and reading them in the order of change."""

from __future__ import annotations

import dataclasses
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from simrl.preferences.store.questions import finish_answered, load_question
from simrl.preferences.store.types import Answer, AnswerEvent, RefusedError, Undone
from simrl.preferences.store.values import check_text, check_value

questions, slots, users = schema.questions, schema.slots, schema.users
answers, events, counters = schema.answers, schema.answer_events, schema.counters

MAX_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class AnswerRequest:
    """One answer that someone gives."""

    annotator: int
    lease: int
    key: str
    value: Mapping[str, Any]
    seconds: float


def store_answers(
    connection: Connection, requests: Sequence[AnswerRequest], *, now: float
) -> list[Answer | ValueError]:
    """Store answers that come at once; a key that was used for the same lease changes nothing.

    Returns:
        For each request what is stored, or was the first time, or else why it is refused.
    """
    last = next_change(connection, len(requests))  # first: its lock puts the changes in order
    found = leases.find_all(connection, [request.lease for request in requests])
    asked = [(r.annotator, found[r.lease].question_id) for r in requests if r.lease in found]
    if len(set(asked)) < len(asked):
        # One person twice on one question: the second must see what the first stored.
        return [store_answers(connection, [request], now=now)[0] for request in requests]
    settled = [_settle(connection, request, found.get(request.lease)) for request in requests]
    _refuse_lost(connection, [found.get(r.lease) for r in requests], settled, now)
    fresh = [place for place, outcome in enumerate(settled) if outcome is None]
    rows = [found[requests[place].lease] for place in fresh]
    events_ = [
        _event(requests[place], row, change=last - len(requests) + place + 1, now=now)
        for place, row in zip(fresh, rows, strict=True)
    ]
    ids = write_changes(connection, events_, [row.answer_id for row in rows])
    if rows:
        finish_answered(connection, [row.question_id for row in rows])
    for place, event, id_, row in zip(fresh, events_, ids, rows, strict=True):
        settled[place] = _of_event(event, id_, row)
    return [outcome for outcome in settled if outcome is not None]


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
    change = next_change(connection, 1)
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
    write_changes(connection, [event], [standing.id])
    return load_answer(connection, question_id, annotator)


def undo(connection: Connection, annotator: int, *, now: float, seconds: float) -> Undone | None:
    """Take back the person's newest answer that stands, and lease its question to them again."""
    change = next_change(connection, 1)
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
    write_changes(connection, [event], [newest.id])
    answer = load_answer(connection, newest.question_id, annotator)
    question = load_question(connection, newest.question_id)
    if question.state == "closed":
        return Undone(answer, None)
    lease = secrets.randbits(53)
    values = {
        "question": question.id,
        "me": annotator,
        "new_lease": lease,
        "new_expires": now + seconds,
    }
    slot = connection.execute(_REOPEN_SLOT, values).scalar_one()
    connection.execute(_REOPEN, {"question": question.id})
    again = leases.give_again(
        connection,
        lease,
        question=dataclasses.replace(question, state="open"),
        slot=slot,
        annotator=annotator,
        swapped=newest.swapped,
        seconds=seconds,
        now=now,
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


def next_change(connection: Connection, number: int) -> int:
    """Take numbers for changes and return the last; until the transaction ends nobody gets more."""
    return int(connection.execute(_NEXT, {"number": number}).scalar_one())


def write_changes(
    connection: Connection,
    new: Sequence[Mapping[str, Any]],
    standing: Sequence[int | None],
) -> list[int]:
    """Add events to the history and bring the answers that stand up to them; return their ids.

    Args:
        connection: Within a transaction that has asked for `next_change`.
        new: Rows of `answer_events`, no two of one answer.
        standing: Ids of the answers that they change; None if an event is the first of its answer.

    Raises:
        RefusedError: `key` if a person has used an event's key before.
    """
    if not new:
        return []
    try:
        connection.execute(_ADD_EVENTS, new)
    except IntegrityError as error:
        why = f"key {new[0]['key']!r} was used for another answer"
        raise RefusedError("key", why) from error
    ids = list(standing)
    first = [place for place, id_ in enumerate(standing) if id_ is None]
    if first:
        added = connection.execute(_ADD_ANSWERS, [_answer_row(new[place]) for place in first])
        for place, id_ in zip(first, added.scalars(), strict=True):
            ids[place] = id_
    for event, id_ in zip(new, standing, strict=True):
        if id_ is not None:
            values = {f"new_{name}": event[name] for name in _STATE}
            withdrawn = event["value"] is None
            connection.execute(_CHANGE, {"answer": id_, **values, "new_withdrawn": withdrawn})
    return [id_ for id_ in ids if id_ is not None]


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


def _settle(
    connection: Connection, request: AnswerRequest, row: Row[Any] | None
) -> Answer | ValueError | None:
    """Return why a request is refused, or what it stored the first time; None if it is new."""
    try:
        _check_key(request.key)
        if row is None or row.annotator_id != request.annotator:
            return leases.unknown(request.lease)
        if row.answer_id is not None:
            again = _by_key(connection, request.annotator, request.key)
            if again is not None and again.lease_id == request.lease:
                return _from_event(connection, again)
            if not row.withdrawn:
                why = f"you have answered question {row.question_id} already"
                return RefusedError("answered", why)
        check_value(row.kind, request.value, row.clips, row.settings)
    except ValueError as error:
        return error
    return None


def _refuse_lost(
    connection: Connection,
    rows: Sequence[Row[Any] | None],
    settled: list[Answer | ValueError | None],
    now: float,
) -> None:
    """Use up the slots of what is still to be stored, and refuse what has lost its slot."""
    fresh = [
        (place, row) for place, row in enumerate(rows) if row is not None and settled[place] is None
    ]
    if fresh:
        refusals = leases.finish(connection, [row for _, row in fresh], now=now)
        for (place, _), refusal in zip(fresh, refusals, strict=True):
            settled[place] = refusal


def _event(request: AnswerRequest, row: Row[Any], *, change: int, now: float) -> dict[str, Any]:
    return {
        "change": change,
        "question_id": row.question_id,
        "annotator_id": request.annotator,
        "lease_id": request.lease,
        "action": "answer",
        "key": request.key,
        "value": dict(request.value),
        "seconds": clean_seconds(request.seconds),
        "swapped": row.swapped,
        "created": now,
    }


def _answer_row(event: Mapping[str, Any]) -> dict[str, Any]:
    names = ("question_id", "annotator_id", *_STATE)
    return {**{name: event[name] for name in names}, "withdrawn": event["value"] is None}


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
_STATE = ("change", "value", "seconds", "swapped", "created")
_ADD_EVENTS = insert(events)
_ADD_ANSWERS = insert(answers).returning(answers.c.id, sort_by_parameter_order=True)
_CHANGE = (
    update(answers)
    .where(answers.c.id == bindparam("answer"))
    .values(
        {
            name: bindparam(f"new_{name}", type_=answers.c[name].type)
            for name in (*_STATE, "withdrawn")
        }
    )
)
_BY_KEY = select(events).where(events.c.annotator_id == _me, events.c.key == bindparam("key"))
_NEXT = (
    update(counters)
    .where(counters.c.name == "change")
    .values(value=counters.c.value + bindparam("number"))
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
