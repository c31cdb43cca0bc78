"""Who may answer what: leases, given in one statement so that no two people get the same slot."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Update,
    and_,
    bindparam,
    exists,
    insert,
    not_,
    or_,
    select,
    update,
)

from simrl.preferences.store import schema
from simrl.preferences.store.questions import load_by_id, load_question
from simrl.preferences.store.types import Lease, Question, RefusedError

questions, slots, leases = schema.questions, schema.slots, schema.leases
answers, skips, users = schema.answers, schema.skips, schema.users


Refusal = RefusedError | None


@dataclass(frozen=True)
class LeaseRequest:
    """One person's wish for a question."""

    annotator: int
    seconds: float
    kinds: tuple[str, ...] | None
    exclude: frozenset[int]


class _Held(NamedTuple):
    """A slot that a person holds; `swapped` is None if it has just been taken."""

    lease: int
    question: int
    slot: int
    swapped: bool | None


def give(
    connection: Connection, requests: Sequence[LeaseRequest], *, now: float, rng: random.Random
) -> list[Lease | None]:
    """Lease to each person their own unexpired lease, or else the first question that needs them.

    A slot is taken in one statement, so that nobody comes between; the rest is done for all at
    once.
    """
    people = [request.annotator for request in requests]
    if len(set(people)) < len(people):  # one person twice: the second must see the first's lease
        return [give(connection, [request], now=now, rng=rng)[0] for request in requests]
    own = _own_leases(connection, requests, now)
    chosen = [own.get(r.annotator) or _take_slot(connection, r, now) for r in requests]
    found = load_by_id(connection, [held.question for held in chosen if held is not None])
    given: list[Lease | None] = []
    extended, new = [], []
    for request, held in zip(requests, chosen, strict=True):
        if held is None:
            given.append(None)
            continue
        expires, swapped = now + request.seconds, held.swapped
        if swapped is None:
            swapped = _draw_sides(connection, found[held.question], request.annotator, rng)
            new.append(_row(held, request, swapped, now))
        else:
            extended.append({"slot": held.slot, "held_lease": held.lease, "new_expires": expires})
        given.append(Lease(held.lease, found[held.question], swapped, expires))
    for statement, rows in ((_EXTEND, extended), (_ADD, new)):
        if rows:
            connection.execute(statement, rows)
    return given


def give_again(
    connection: Connection,
    lease: int,
    *,
    question: Question,
    slot: int,
    annotator: int,
    swapped: bool,
    seconds: float,
    now: float,
) -> Lease:
    """Write down a lease on a slot that was taken for a person who has seen the question before."""
    request = LeaseRequest(annotator, seconds, None, frozenset())
    connection.execute(_ADD, [_row(_Held(lease, question.id, slot, None), request, swapped, now)])
    return Lease(lease, question, swapped, now + seconds)


def find(connection: Connection, lease: int, annotator: int) -> Row[Any]:
    """Return a lease that this person has or had, see `find_all`.

    Raises:
        RefusedError: `unknown` if there is no such lease, or it is another person's.
    """
    row = find_all(connection, [lease]).get(lease)
    if row is None or row.annotator_id != annotator:
        raise unknown(lease)
    return row


def find_all(connection: Connection, ids: Iterable[int]) -> dict[int, Row[Any]]:
    """Return those leases that exist, each with its question and its person's answer to that.

    `answer_id` is None without an answer.
    """
    sane = sorted({id_ for id_ in ids if 0 <= id_ < 2**53})
    return {row.id: row for row in connection.execute(_FIND, {"leases": sane})} if sane else {}


def unknown(lease: int) -> RefusedError:
    """Return the refusal of a lease that does not exist, or is another person's."""
    return RefusedError("unknown", f"lease {lease} is not one of yours")


def renew(connection: Connection, lease: int, annotator: int, *, now: float) -> Lease:
    """Let a lease last its full time again from now on."""
    row = find(connection, lease, annotator)
    expires = now + row.seconds
    values = {"slot": row.slot_id, "held_lease": lease, "new_expires": expires}
    if connection.execute(_EXTEND, values).rowcount == 0:
        raise _lost(row)
    return Lease(lease, load_question(connection, row.question_id), row.swapped, expires)


def release(connection: Connection, lease: int, annotator: int) -> None:
    """Give a lease back; nothing happens if it is not held any more."""
    row = find(connection, lease, annotator)
    connection.execute(_FREE, {"slot": row.slot_id, "held_lease": lease})


def skip(connection: Connection, lease: int, annotator: int, *, now: float) -> None:
    """Give a lease back and never ask this person its question again."""
    row = find(connection, lease, annotator)
    connection.execute(_FREE, {"slot": row.slot_id, "held_lease": lease})
    key = {"question_id": row.question_id, "annotator_id": annotator}
    if connection.execute(_SKIPPED, key).first() is None:
        connection.execute(insert(skips), {**key, "created": now})


def skipped(connection: Connection) -> set[int]:
    """Return the questions that somebody has skipped."""
    return set(connection.execute(select(skips.c.question_id)).scalars())


def finish(connection: Connection, rows: Sequence[Row[Any]], *, now: float) -> list[Refusal]:
    """Use up the slots of leases for answers; one that went to another takes any free slot.

    Returns:
        For each lease None, or the refusal (`closed` or `lost`) if its question needs no further
        answer.
    """
    values = {"slots": [row.slot_id for row in rows], "leases": [row.id for row in rows]}
    held = {row.lease_id for row in connection.execute(_FINISH, values)}
    return [None if row.id in held else _take_late(connection, row, now) for row in rows]


def release_all(connection: Connection, annotator: int) -> None:
    """Give back every lease that a person holds."""
    mine = (slots.c.annotator_id == annotator, slots.c.open)
    connection.execute(update(slots).where(*mine).values(_NOBODY))


def _lost(row: Row[Any]) -> RefusedError:
    if row.state == "closed":
        return RefusedError("closed", f"question {row.question_id} was closed")
    return RefusedError(
        "lost",
        f"the lease on question {row.question_id} ran out, and it needs no further answer from you",
    )


def _own_leases(
    connection: Connection, requests: Sequence[LeaseRequest], now: float
) -> dict[int, _Held]:
    """Return each person's newest unexpired lease that the request admits."""
    wishes = {request.annotator: request for request in requests}
    own: dict[int, _Held] = {}
    for row in connection.execute(_OWN_LEASES, {"people": sorted(wishes), "now": now}):
        wish = wishes[row.annotator_id]
        if row.question_id in wish.exclude or (
            wish.kinds is not None and row.kind not in wish.kinds
        ):
            continue
        own.setdefault(row.annotator_id, _Held(row.id, row.question_id, row.slot_id, row.swapped))
    return own


def _take_slot(connection: Connection, request: LeaseRequest, now: float) -> _Held | None:
    lease = secrets.randbits(53)  # unguessable, and exact as a number of JavaScript
    values = {
        "me": request.annotator,
        "now": now,
        "new_lease": lease,
        "new_expires": now + request.seconds,
        "excluded": sorted(request.exclude),
        "kinds": list(request.kinds or ()),
    }
    take = _take(bool(request.exclude), request.kinds is not None)
    row = connection.execute(take, values).first()
    return None if row is None else _Held(lease, row.question_id, row.id, None)


def _take_late(connection: Connection, row: Row[Any], now: float) -> Refusal:
    values = {
        "me": row.annotator_id,
        "now": now,
        "question": row.question_id,
        "new_lease": row.id,
    }
    return None if connection.execute(_TAKE_ANY, values).first() is not None else _lost(row)


def _draw_sides(
    connection: Connection, question: Question, annotator: int, rng: random.Random
) -> bool:
    """Draw whether the first clip is shown on the right; a repeat goes by what the person saw."""
    if len(question.clips) != 2:
        return False
    if question.repeat_of is not None:
        values = {"question": question.repeat_of, "me": annotator}
        before = connection.execute(_SIDES, values).scalar()
        if before is not None:
            return bool(before) == (question.settings.get("sides") == "same")
    return bool(rng.getrandbits(1))


def _row(held: _Held, request: LeaseRequest, swapped: bool, now: float) -> dict[str, Any]:
    return {
        "id": held.lease,
        "question_id": held.question,
        "slot_id": held.slot,
        "annotator_id": request.annotator,
        "swapped": swapped,
        "seconds": request.seconds,
        "created": now,
    }


_me: BindParameter[int] = bindparam("me")
_now: BindParameter[float] = bindparam("now")


def _free() -> ColumnElement[bool]:
    """Whether a slot can be taken: wanted, and held by nobody whose time is not up."""
    return and_(slots.c.open, or_(slots.c.annotator_id.is_(None), slots.c.expires <= _now))


def _may_be_asked() -> ColumnElement[bool]:
    """Whether this person has not answered or skipped a slot's question, nor holds another slot."""
    question = slots.c.question_id
    other, original = slots.alias("other"), answers.alias("original")
    return and_(
        not_(
            exists().where(
                answers.c.question_id == question,
                answers.c.annotator_id == _me,
                not_(answers.c.withdrawn),
            )
        ),
        not_(exists().where(skips.c.question_id == question, skips.c.annotator_id == _me)),
        not_(
            exists().where(
                other.c.question_id == question,
                other.c.annotator_id == _me,
                other.c.id != slots.c.id,
            )
        ),
        or_(
            questions.c.repeat_of.is_(None),
            exists().where(
                original.c.question_id == questions.c.repeat_of,
                original.c.annotator_id == _me,
                not_(original.c.withdrawn),
            ),
        ),
    )


def _filters(exclude: bool, kinds: bool) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if exclude:
        wanted.append(slots.c.question_id.not_in(bindparam("excluded", expanding=True)))
    if kinds:
        wanted.append(questions.c.kind.in_(bindparam("kinds", expanding=True)))
    return wanted


@lru_cache
def _take(exclude: bool, kinds: bool) -> Any:
    """Take the first slot that this person may answer: one statement, so nobody comes between."""
    first = (
        select(slots.c.id)
        .join(questions, questions.c.id == slots.c.question_id)
        .where(_free(), _may_be_asked(), *_filters(exclude, kinds))
        .order_by(slots.c.rank, slots.c.question_id, slots.c.id)
        .limit(1)
        .with_for_update(of=slots, skip_locked=True)  # PostgreSQL; SQLite has one writer
    )
    return _hold(first.scalar_subquery(), open=True).returning(slots.c.id, slots.c.question_id)


def _hold(slot: ColumnElement[Any], *, open: bool) -> Update:
    return (
        update(slots)
        .where(slots.c.id == slot)
        .values(
            annotator_id=_me,
            lease_id=bindparam("new_lease"),
            expires=bindparam("new_expires") if open else None,
            open=open,
        )
    )


_TAKE_ANY = _hold(
    select(slots.c.id)
    .join(questions, questions.c.id == slots.c.question_id)
    .where(_free(), _may_be_asked(), slots.c.question_id == bindparam("question"))
    .order_by(slots.c.id)
    .limit(1)
    .with_for_update(of=slots, skip_locked=True)
    .scalar_subquery(),
    open=False,
).returning(slots.c.id)
_NOBODY = {"annotator_id": None, "lease_id": None, "expires": None}
# Each of these changes a slot only while the lease still holds it: another process may have given
# it to another person since it was read.
_HELD = update(slots).where(
    slots.c.id == bindparam("slot"), slots.c.lease_id == bindparam("held_lease"), slots.c.open
)
_EXTEND = _HELD.values(expires=bindparam("new_expires"))
_FINISH = (
    update(slots)
    .where(
        slots.c.id.in_(bindparam("slots", expanding=True)),
        slots.c.lease_id.in_(bindparam("leases", expanding=True)),
        slots.c.open,
    )
    .values(open=False, expires=None)
    .returning(slots.c.lease_id)
)
_FREE = _HELD.values(_NOBODY)
_ADD = insert(leases)
_FIND = (
    select(
        leases,
        *(questions.c.state, questions.c.kind, questions.c.clips, questions.c.settings),
        *(answers.c.id.label("answer_id"), answers.c.withdrawn, users.c.pseudonym),
    )
    .join(questions, questions.c.id == leases.c.question_id)
    .join(users, users.c.id == leases.c.annotator_id)
    .outerjoin(
        answers,
        and_(
            answers.c.question_id == leases.c.question_id,
            answers.c.annotator_id == leases.c.annotator_id,
        ),
    )
    .where(leases.c.id.in_(bindparam("leases", expanding=True)))
)
_OWN_LEASES = (
    select(
        *(leases.c.id, leases.c.annotator_id, leases.c.question_id),
        *(leases.c.slot_id, leases.c.swapped, questions.c.kind),
    )
    .select_from(slots)
    .join(leases, leases.c.id == slots.c.lease_id)
    .join(questions, questions.c.id == slots.c.question_id)
    .where(
        slots.c.annotator_id.in_(bindparam("people", expanding=True)),
        slots.c.open,
        slots.c.expires > _now,
    )
    .order_by(leases.c.created.desc(), slots.c.id)
)
_SIDES = select(answers.c.swapped).where(
    answers.c.question_id == bindparam("question"), answers.c.annotator_id == _me
)
_SKIPPED = select(skips.c.created).where(
    skips.c.question_id == bindparam("question_id"),
    skips.c.annotator_id == bindparam("annotator_id"),
)
