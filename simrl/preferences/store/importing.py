"""Read an export back in: questions, answers and pseudonyms, each once however often it is read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from simrl.preferences.store import answers, people, schema
from simrl.preferences.store import questions as question_rows
from simrl.preferences.store.export import COLUMNS, check_format
from simrl.preferences.store.label_store import LabelStore
from simrl.preferences.store.types import STATES, NewQuestion
from simrl.preferences.store.values import check_question, check_text, check_value

_REQUIRED = ("kind", "clips", "annotator", "value")


@dataclass(frozen=True)
class Imported:
    """What an import added."""

    questions: int
    answers: int
    known: int
    """Answers that the store had already."""


def import_answers(store: LabelStore, path: str | Path) -> Imported:
    """Add the questions and answers of a file, all or none.

    Questions and people are recognised by the store and number, and the pseudonym, that the file
    gives them, so a file that was read before adds nothing.  People who are not known here become
    users without a password who cannot log in.

    Raises:
        ValueError: The file cannot be read, or a row will not do; the message names the row.
    """
    path = Path(path)
    suffix = check_format(path)
    try:
        rows = _read_jsonl(path) if suffix == ".jsonl" else _read_parquet(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {path}: {error}") from None
    return import_rows(store, rows)


def import_rows(store: LabelStore, rows: Iterable[Mapping[str, Any]]) -> Imported:
    """Add the questions and answers of rows like those of `export_rows`, all or none."""
    checked = []
    for number, row in enumerate(rows, 1):
        try:
            checked.append(_Row.of(row, number))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"row {number}: {error}") from None
    own, now = store.uuid, store.clock()

    def work(connection: Connection) -> Imported:
        return _Import(connection, own, now).run(checked)

    return store.database.write(work)


@dataclass(frozen=True)
class _Row:
    """One checked row."""

    store: str
    number: int
    question: NewQuestion
    repeat_of: int | None
    state: str
    asked: float | None
    annotator: str | None
    value: Mapping[str, Any] | None
    seconds: float
    swapped: bool
    answered: float | None

    @classmethod
    def of(cls, row: Mapping[str, Any], number: int) -> _Row:
        missing = [name for name in _REQUIRED if name not in row]
        if missing:
            raise ValueError(f"lacks {missing}; a row has the columns {list(COLUMNS)}")
        question = NewQuestion(
            kind=row["kind"],
            clips=tuple(row["clips"]),
            prompt=row.get("prompt") or "",
            settings=_document(row, "settings") or {},
            overlap=int(row.get("overlap") or 1),
            batch=row.get("batch") or "",
            priority=float(row.get("priority") or 0.0),
            gold=_document(row, "gold"),
            attention=bool(row.get("attention")),
            provenance=_document(row, "provenance") or {},
        )
        check_question(question)
        value = _document(row, "value")
        if (row["annotator"] is None) != (value is None):
            raise ValueError("annotator and value must both be there, or neither")
        if value is not None:
            check_text(row["annotator"], "annotator", 80)
            check_value(question.kind, value, question.clips, question.settings)
        state = row.get("state") or "open"
        if state not in STATES:
            raise ValueError(f"unknown state {state!r}; the states are {', '.join(STATES)}")
        store, question_number = row.get("store"), row.get("question")
        if store is None or question_number is None:
            # A file of another make: the question is known by what it asks.
            asked = json.dumps([question.kind, question.clips, question.prompt, row.get("batch")])
            store, question_number = hashlib.sha256(asked.encode()).hexdigest()[:32], 0
        check_text(store, "store", 40)
        return cls(
            store=store,
            number=int(question_number),
            question=question,
            repeat_of=None if row.get("repeat_of") is None else int(row["repeat_of"]),
            state=state,
            asked=None if row.get("asked") is None else float(row["asked"]),
            annotator=row["annotator"],
            value=value,
            seconds=answers.clean_seconds(row.get("seconds") or 0.0),
            swapped=bool(row.get("swapped")),
            answered=None if row.get("answered") is None else float(row["answered"]),
        )


class _Import:
    """Adds rows within one transaction."""

    def __init__(self, connection: Connection, own: str, now: float) -> None:
        self.connection, self.own, self.now = connection, own, now
        self.first: dict[tuple[str, int], _Row] = {}
        self.ids: dict[tuple[str, int], int] = {}
        self.users: dict[str, int] = {}
        self.added: dict[int, _Row] = {}
        self.answers = self.known = 0

    def run(self, rows: list[_Row]) -> Imported:
        for row in rows:
            self.first.setdefault((row.store, row.number), row)
        for row in rows:
            question = self._question(row)
            if row.annotator is not None:
                self._answer(row, question, self._user(row.annotator))
        for question, row in self.added.items():
            self._slots(question, row)
        return Imported(len(self.added), self.answers, self.known)

    def _question(self, row: _Row) -> int:
        key = (row.store, row.number)
        if key not in self.ids:
            found = self._find(*key)
            if found is None:
                found = self._insert(row)
                self.added[found] = row
            self.ids[key] = found
        return self.ids[key]

    def _find(self, store: str, number: int) -> int | None:
        table = schema.questions
        mine = table.c.id == number if store == self.own else table.c.origin == f"{store}:{number}"
        return self.connection.execute(select(table.c.id).where(mine)).scalar()

    def _insert(self, row: _Row) -> int:
        if row.store == self.own:
            raise ValueError(f"question {row.number} is said to be of this store, but is not here")
        question = row.question
        if row.repeat_of is not None:
            original = self._original(row.store, row.repeat_of)
            question = dataclasses.replace(question, repeat_of=original)
        return question_rows.insert_question(
            self.connection,
            question,
            now=self.now if row.asked is None else row.asked,
            origin=f"{row.store}:{row.number}",
            state=row.state,
            for_quality=question.for_quality or row.repeat_of is not None,
        )

    def _original(self, store: str, number: int) -> int | None:
        """Return the question that a repeat asks again, adding it first if it comes later.

        None if nobody answered it, so that it is not in the file.
        """
        key = (store, number)
        row = self.first.get(key)
        if row is not None and row.repeat_of is None:
            return self._question(row)
        return self.ids.get(key) or self._find(*key)

    def _user(self, pseudonym: str) -> int:
        if pseudonym not in self.users:
            table = schema.users
            found = self.connection.execute(
                select(table.c.id).where(table.c.pseudonym == pseudonym)
            ).scalar()
            if found is None:
                row = people.insert_user(
                    self.connection,
                    # A colon, so that it is nobody's name who can log in.
                    name=f"import:{hashlib.sha256(pseudonym.encode()).hexdigest()[:24]}",
                    hashed=None,
                    role="annotator",
                    origin="import",
                    now=self.now,
                    pseudonym=pseudonym,
                    active=False,
                )
                found = row.id
            self.users[pseudonym] = found
        return self.users[pseudonym]

    def _answer(self, row: _Row, question: int, annotator: int) -> None:
        table = schema.answers
        there = self.connection.execute(
            select(table.c.id).where(
                table.c.question_id == question, table.c.annotator_id == annotator
            )
        ).scalar()
        if there is not None:
            self.known += 1
            return
        event = {
            "change": answers.next_change(self.connection, 1),
            "question_id": question,
            "annotator_id": annotator,
            "lease_id": None,
            "action": "import",
            "key": None,
            "value": dict(row.value or {}),
            "seconds": row.seconds,
            "swapped": row.swapped,
            "created": self.now if row.answered is None else row.answered,
        }
        answers.write_changes(self.connection, [event], [None])
        self._fill_slot(question, annotator, row.question.priority)
        self.answers += 1

    def _fill_slot(self, question: int, annotator: int, priority: float) -> None:
        """Count an answer against those that the question wants, if it is one of this store."""
        table = schema.slots
        free = (
            select(table.c.id)
            .where(table.c.question_id == question, table.c.open, table.c.annotator_id.is_(None))
            .limit(1)
            .scalar_subquery()
        )
        done = {"open": False, "annotator_id": annotator}
        filled = self.connection.execute(update(table).where(table.c.id == free).values(**done))
        if filled.rowcount == 0:
            row = {"question_id": question, "rank": -priority, **done}
            self.connection.execute(insert(table), row)
        question_rows.finish_answered(self.connection, [question])

    def _slots(self, question: int, row: _Row) -> None:
        """Give a new question that is still open the slots that its answers have not filled."""
        if row.state != "open":
            return
        table = schema.slots
        number = select(func.count()).select_from(table).where(table.c.question_id == question)
        lacking = row.question.overlap - self.connection.execute(number).scalar_one()
        slot = {"question_id": question, "rank": -row.question.priority, "open": True}
        if lacking > 0:
            self.connection.execute(insert(table), [slot] * lacking)
        state = "open" if lacking > 0 else "done"
        table_ = schema.questions
        self.connection.execute(update(table_).where(table_.c.id == question).values(state=state))


def _document(row: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Read a column that holds JSON, or is a mapping already."""
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a mapping, got {value!r:.60}")
    return value


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number} is no JSON: {error}") from None
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number} is no object")
            rows.append(row)
    return rows


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow.lib
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ValueError("Parquet needs pyarrow: pip install 'simrl[label]'") from error
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except pyarrow.lib.ArrowException as error:
        raise ValueError(f"cannot read {path}: {error}") from None
    return rows
