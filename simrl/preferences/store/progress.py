"""How far labelling has come."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    bindparam,
    exists,
    func,
    not_,
    or_,
    select,
)

from simrl.preferences.store import schema
from simrl.preferences.store.types import Progress

questions, slots, answers, skips = schema.questions, schema.slots, schema.answers, schema.skips

PACE_SECONDS = 300.0
"""How far back the pace of answers is measured [s]."""


def load_progress(connection: Connection, annotator: int | None, *, now: float) -> Progress:
    """Count questions, answers, skips and leases, of one person or of all."""
    states: dict[str, int] = {
        row.state: row.number for row in connection.execute(_STATES, {}).all()
    }
    values = {"me": annotator, "now": now, "since": now - PACE_SECONDS}
    counts = _COUNTS if annotator is None else _OWN_COUNTS
    row = connection.execute(counts, values).one()
    still_open = states.get("open", 0) - (row.unavailable if annotator is not None else 0)
    return Progress(
        open=max(still_open, 0),
        answered=row.answered,
        skipped=row.skipped,
        leased=row.leased,
        total=states.get("open", 0) + states.get("done", 0),
        done=states.get("done", 0),
        per_minute=_pace(row.recent, row.since, now),
    )


def _pace(recent: int, since: float | None, now: float) -> float:
    """Return answers a minute; the first answer begins the time and does not count."""
    if recent < 2 or since is None or now <= since:
        return 0.0
    return (recent - 1) / ((now - since) / 60.0)


def _counts(mine: bool) -> Any:
    """Count in one statement; each part is answered from an index."""
    me: BindParameter[int] = bindparam("me")
    standing: list[ColumnElement[bool]] = [not_(answers.c.withdrawn)]
    skipped: list[ColumnElement[bool]] = []
    held: list[ColumnElement[bool]] = [slots.c.open, slots.c.expires > bindparam("now")]
    if mine:
        standing.append(answers.c.annotator_id == me)
        skipped.append(skips.c.annotator_id == me)
        held.append(slots.c.annotator_id == me)
    recent = [*standing, answers.c.created > bindparam("since")]
    columns = [
        _number(answers, *standing).label("answered"),
        _number(skips, *skipped).label("skipped"),
        _number(slots, *held).label("leased"),
        _number(answers, *recent).label("recent"),
        select(func.min(answers.c.created)).where(*recent).scalar_subquery().label("since"),
    ]
    if mine:
        columns.append(_unavailable(me).label("unavailable"))
    return select(*columns)


def _unavailable(me: Any) -> Any:
    """Count the open questions that this person cannot be asked."""
    answered = exists().where(
        answers.c.question_id == questions.c.id,
        answers.c.annotator_id == me,
        not_(answers.c.withdrawn),
    )
    skipped = exists().where(skips.c.question_id == questions.c.id, skips.c.annotator_id == me)
    original = answers.alias("original")
    no_original = questions.c.repeat_of.is_not(None) & ~exists().where(
        original.c.question_id == questions.c.repeat_of,
        original.c.annotator_id == me,
        not_(original.c.withdrawn),
    )
    return _number(questions, questions.c.state == "open", or_(answered, skipped, no_original))


def _number(table: Any, *where: Any) -> Any:
    return select(func.count()).select_from(table).where(*where).scalar_subquery()


_STATES = select(questions.c.state, func.count().label("number")).group_by(questions.c.state)
_COUNTS = _counts(mine=False)
_OWN_COUNTS = _counts(mine=True)
