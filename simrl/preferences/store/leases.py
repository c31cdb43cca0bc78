"""Who may answer what: leases, given in one statement so that no two people get the same slot."""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
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
from simrl.preferences.store.questions import load_question
from simrl.preferences.store.types import Lease, RefusedError

questions, slots, leases = schema.questions, schema.slots, schema.leases
answers, skips, users = schema.answers, schema.skips, schema.users


def give(
    connection: Connection,
    annotator: int,
    *,
    now: float,
    seconds: float,
    kinds: Sequence[str] | None,
    exclude: Sequence[int],
    rng: random.Random,
) -> Lease | None:
    """Lease the person's own unexpired lease again, or the first question that needs an answer."""
    values = {
        "me": annotator,
        "now": now,
        "new_expires": now + seconds,
        "excluded": list(exclude),
        "kinds": list(kinds or ()),
    }
    shape = (bool(exclude), kinds is not None)
    own = connection.execute(_own_lease(*shape), values).first()
    if own is not None:
        values = {"slot": own.slot_id, "held_lease": own.id, "new_expires": now + seconds}
        connection.execute(_EXTEND, values)
        return Lease(own.id, load_question(connection, own.question_id), own.swapped, now + seconds)
    lease = secrets.randbits(53)  # unguessable, and exact as a number of JavaScript
    taken = connection.execute(_take(*shape), {**values, "new_lease": lease}).first()
    if taken is None:
        return None
    return record(
        connection,
        lease,
        question_id=taken.question_id,
        slot_id=taken.id,
        annotator=annotator,
        now=now,
        seconds=seconds,
        rng=rng,
    )


def record(
    connection: Connection,
    lease: int,
    *,
    question_id: int,
    slot_id: int,
    annotator: int,
    now: float,
    seconds: float,
    rng: random.Random,
    swapped: bool | None = None,
) -> Lease:
    """Write down a lease on a slot that has been taken, and draw its sides."""
    question = load_question(connection, question_id)
    if swapped is None:
        swapped = len(question.clips) == 2 and bool(rng.getrandbits(1))
        if question.repeat_of is not None:
            before = _sides_before(connection, question.repeat_of, annotator)
            if before is not None:
                swapped = before if question.settings.get("sides") == "same" else not before
    connection.execute(
        _ADD,
        {
            "id": lease,
            "question_id": question_id,
            "slot_id": slot_id,
            "annotator_id": annotator,
            "swapped": swapped,
            "seconds": seconds,
            "created": now,
        },
    )
    return Lease(lease, question, swapped, now + seconds)


def find(connection: Connection, lease: int, annotator: int) -> Row[Any]:
    """Return a lease that this person has or had, with its question and their answer to that.

    `answer_id` is None without an answer.

    Raises:
        RefusedError: `unknown` if there is no such lease, or it is another person's.
    """
    if not 0 <= lease < 2**53:
        raise RefusedError("unknown", f"lease {lease} is not one of yours")
    row = connection.execute(_FIND, {"lease": lease, "me": annotator}).first()
    if row is None:
        raise RefusedError("unknown", f"lease {lease} is not one of yours")
    return row


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


def finish(connection: Connection, row: Row[Any], *, now: float) -> None:
    """Use up a lease's slot for an answer; if it went to another, any free slot of its question.

    Raises:
        RefusedError: `closed` or `lost` if the question needs no further answer.
    """
    held = {"slot": row.slot_id, "held_lease": row.id}
    if connection.execute(_FINISH, held).rowcount:
        return
    taken = connection.execute(
        _TAKE_ANY,
        {"me": row.annotator_id, "now": now, "question": row.question_id, "new_lease": row.id},
    ).first()
    if taken is None:
        raise _lost(row)


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


def _sides_before(connection: Connection, question: int, annotator: int) -> bool | None:
    return connection.execute(
        select(answers.c.swapped).where(
            answers.c.question_id == question, answers.c.annotator_id == annotator
        )
    ).scalar()


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
def _own_lease(exclude: bool, kinds: bool) -> Select[Any]:
    return (
        select(leases.c.id, leases.c.question_id, leases.c.slot_id, leases.c.swapped)
        .select_from(slots)
        .join(leases, leases.c.id == slots.c.lease_id)
        .join(questions, questions.c.id == slots.c.question_id)
        .where(slots.c.open, slots.c.annotator_id == _me, slots.c.expires > _now)
        .where(*_filters(exclude, kinds))
        .order_by(leases.c.created.desc(), slots.c.id)
        .limit(1)
    )


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
_FINISH = _HELD.values(open=False, expires=None)
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
    .where(leases.c.id == bindparam("lease"), leases.c.annotator_id == _me)
)
_SKIPPED = select(skips.c.created).where(
    skips.c.question_id == bindparam("question_id"),
    skips.c.annotator_id == bindparam("annotator_id"),
)
