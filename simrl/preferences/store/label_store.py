"""The label store: questions, who may answer them, the answers, and the people."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from simrl.preferences.store import answers, audit, leases, progress, questions, sessions
from simrl.preferences.store.answers import AnswerRequest
from simrl.preferences.store.database import Database
from simrl.preferences.store.leases import LeaseRequest
from simrl.preferences.store.people import LoginLimits, People
from simrl.preferences.store.schema import facts
from simrl.preferences.store.types import (
    KINDS,
    Answer,
    AnswerEvent,
    AuditEntry,
    Lease,
    NewQuestion,
    Progress,
    Question,
    Session,
    Undone,
    User,
)

LEASE_SECONDS = 120.0
SESSION_SECONDS = 12 * 3600.0


class LabelStore:
    """Keep questions and people's answers in SQLite or PostgreSQL.

    Whatever a method has returned is on the disk: killing the process loses nothing of it.  Any
    number of threads and processes may use one database at once; a thread that writes waits for
    the commit, which is shared by all that wait.  A store is not carried over a fork.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        seed: int | None = None,
        limits: LoginLimits | None = None,
    ) -> None:
        self.people = People(database, clock, limits)
        self.database, self.clock = database, clock
        self._rng = random.Random(seed)

    @classmethod
    def open(
        cls,
        url: str | Path,
        *,
        clock: Callable[[], float] = time.time,
        seed: int | None = None,
        limits: LoginLimits | None = None,
    ) -> LabelStore:
        """Open a store, making it or bringing its tables up to date where needed.

        Args:
            url: A file's path (SQLite, made readable by its owner alone), or
                `postgresql://USER:PASSWORD@HOST/NAME`.
            clock: What time it is [s since 1970].
            seed: Draws which clip is shown on the right; None draws anew each time.
            limits: How many logins may fail.

        Raises:
            ValueError: The database cannot be reached, is of another kind, holds something else,
                or was made by a newer version.
        """
        return cls(Database(url), clock, seed, limits)

    @property
    def url(self) -> str:
        """What `open` takes to open this database again; it may hold a password."""
        database = self.database
        if database.sqlite:
            return str(database.url.database)
        return database.url.set(drivername="postgresql").render_as_string(hide_password=False)

    @property
    def uuid(self) -> str:
        """The store's own name, by which exports tell stores apart."""
        with self.database.read() as connection:
            wanted = select(facts.c.value).where(facts.c.name == "uuid")
            return str(connection.execute(wanted).scalar_one())

    def close(self) -> None:
        """Close the connections."""
        self.database.close()

    def __enter__(self) -> LabelStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LabelStore({self.database.url.render_as_string(hide_password=True)!r})"

    # --- questions

    def add_questions(self, new: Sequence[NewQuestion]) -> list[int]:
        """Add questions, all or none, and return their ids; ValueError says what is wrong."""
        questions.check_all(new)
        return self.database.write(lambda c: questions.add(c, new, now=self.clock()))

    def question(self, question: int) -> Question:
        """Return one question; RefusedError if there is none of that id."""
        with self.database.read() as connection:
            return questions.load_question(connection, question)

    def questions(self, kind: str | None = None, state: str | None = None) -> list[Question]:
        """Return the questions, of one kind or state where given, in the order of their ids."""
        with self.database.read() as connection:
            return questions.load_questions(connection, kind, state)

    def close_questions(self, ids: Sequence[int]) -> int:
        """Withdraw questions that are still open, those on people's screens too; count them."""
        return self.database.write(lambda c: questions.close(c, list(ids)))

    # --- leases

    def lease(
        self,
        annotator: int,
        *,
        seconds: float = LEASE_SECONDS,
        kinds: Sequence[str] | None = None,
        exclude: Sequence[int] = (),
    ) -> Lease | None:
        """Give the right to answer one question, to this person alone; None if there is nothing.

        The person's own unexpired lease is handed out again, for its full time.

        Args:
            annotator: Id of the user.
            seconds: How long nobody else is asked [s].
            kinds: Only questions of these kinds.
            exclude: Not these questions: a page that shows one of them asks for the next.
        """
        if not 0 < seconds < float("inf"):
            raise ValueError(f"seconds of a lease must be above 0, got {seconds}")
        unknown = sorted(set(kinds or ()) - set(KINDS))
        if unknown:
            raise ValueError(f"unknown kinds {unknown}; the kinds are {', '.join(KINDS)}")
        request = LeaseRequest(
            annotator, seconds, None if kinds is None else tuple(kinds), frozenset(exclude)
        )
        return self.database.write_jointly(self._give, request, lane="leases")

    def renew(self, lease: Lease | int, annotator: int) -> Lease:
        """Let a lease last its full time again; RefusedError if it has gone to somebody else."""
        return self.database.write(
            lambda c: leases.renew(c, _id(lease), annotator, now=self.clock())
        )

    def release(self, lease: Lease | int, annotator: int) -> None:
        """Give a lease back, so that the question is asked again, of anybody."""
        self.database.write(lambda c: leases.release(c, _id(lease), annotator))

    def skip(self, lease: Lease | int, annotator: int) -> None:
        """Give a lease back and never ask this person that question again; others are asked."""
        self.database.write(lambda c: leases.skip(c, _id(lease), annotator, now=self.clock()))

    def skipped(self) -> set[int]:
        """Return the questions that somebody has skipped, and perhaps nobody is left to answer."""
        with self.database.read() as connection:
            return leases.skipped(connection)

    # --- answers

    def answer(
        self,
        annotator: int,
        lease: Lease | int,
        key: str,
        value: Mapping[str, Any],
        *,
        seconds: float,
    ) -> Answer:
        """Store the answer to a leased question, once.

        Args:
            annotator: Id of the user.
            lease: The lease or its id.  One that ran out will do while the question needs an
                answer.
            key: Made by the page for this answer: when it is sent again (a double click, a retry),
                the result of the first time is returned and nothing is stored.
            value: The answer by its kind, see `simrl.preferences.store.values`; `first` and
                `second` of a comparison mean the question's clips, never sides of the screen.
            seconds: How long the person took [s].

        Raises:
            RefusedError: `unknown`, `lost`, `closed`, `answered` or `key`, see there.
            ValueError: The value does not answer a question of this kind.
        """
        request = AnswerRequest(annotator, _id(lease), key, value, seconds)
        return self.database.write_jointly(self._store, request)

    def undo(self, annotator: int, *, seconds: float = LEASE_SECONDS) -> Undone | None:
        """Take the person's newest answer back and lease its question to them again.

        The history keeps the answer.  None if the person has no answer that stands.
        """
        return self.database.write(
            lambda c: answers.undo(c, annotator, now=self.clock(), seconds=seconds)
        )

    def revise(
        self,
        annotator: int,
        question: int,
        key: str,
        value: Mapping[str, Any],
        *,
        seconds: float | None = None,
    ) -> Answer:
        """Change an answer that stands; the history keeps the old one.

        Raises:
            RefusedError: `unknown` if the person has no standing answer to it, or `key`.
            ValueError: The value does not answer a question of this kind.
        """
        return self.database.write(
            lambda c: answers.revise(
                c, annotator, question, key, value, seconds=seconds, now=self.clock()
            )
        )

    def answers(
        self, *, after: int = 0, kind: str | None = None, include_gold: bool = False
    ) -> list[Answer]:
        """Return the answers whose newest change came after change number `after`, in that order.

        Poll with the greatest `change` seen so far: nothing is missed.  An answer that was taken
        back comes with value None.  Questions that only measure people (gold, attention checks,
        repeats) are left out unless `include_gold`.
        """
        with self.database.read() as connection:
            return answers.load_answers(
                connection, after=after, kind=kind, include_gold=include_gold
            )

    def history(self, question: int | None = None) -> list[AnswerEvent]:
        """Return every change of every answer (to one question), oldest first."""
        with self.database.read() as connection:
            return answers.load_history(connection, question)

    def progress(self, annotator: int | None = None) -> Progress:
        """Count what is open, answered, skipped and leased, by one person or by all."""
        with self.database.read() as connection:
            return progress.load_progress(connection, annotator, now=self.clock())

    # --- people

    def add_user(self, name: str, password: str, role: str = "annotator") -> User:
        """Add a person; ValueError if the name is taken, or name, password or role will not do."""
        return self.people.add(name, password, role)

    def users(self) -> list[User]:
        """Return everybody who was added, the deactivated too, but not the local user."""
        return self.people.all()

    def user(self, user: int) -> User:
        """Return one user by id; RefusedError if there is none."""
        return self.people.get(user)

    def set_password(self, name: str, password: str) -> None:
        """Give a person a new password and end their sessions."""
        self.people.set_password(name, password)

    def deactivate(self, name: str) -> None:
        """Shut a person out and end their sessions and leases; their answers stay."""
        self.people.set_active(name, False)

    def activate(self, name: str) -> None:
        """Let a person in again who was deactivated."""
        self.people.set_active(name, True)

    def authenticate(self, name: str, password: str, ip: str) -> User | None:
        """Return the active person of this name and password, or None.

        Raises:
            TooManyAttemptsError: Too many logins of this name or from this address failed lately.
        """
        return self.people.authenticate(name, password, ip)

    def local_user(self) -> User:
        """Return the person of local mode, who has no password: an admin, made when first asked."""
        return self.people.local()

    # --- sessions

    def new_session(self, user: User | int, *, seconds: float = SESSION_SECONDS) -> Session:
        """Start a session of a user; its token is returned here and never again."""
        return self.database.write(
            lambda c: sessions.start(c, _id(user), now=self.clock(), seconds=seconds)
        )

    def session(self, token: str) -> Session | None:
        """Return the session of a token, or None if it ran out, was ended, or never was."""
        with self.database.read() as connection:
            return sessions.find(connection, token, now=self.clock())

    def end_session(self, token: str) -> None:
        """End a session; nothing happens if there is none."""
        self.database.write(lambda c: sessions.end(c, token))

    # --- audit

    def audit(
        self, action: str, user: User | int | None = None, detail: str = "", ip: str = ""
    ) -> None:
        """Add a line to the log of what people did."""
        self.database.write(
            lambda c: audit.write_entry(
                c,
                action,
                user=None if user is None else _id(user),
                detail=detail,
                ip=ip,
                now=self.clock(),
            )
        )

    def audit_log(
        self, limit: int = 200, *, before: int | None = None, action: str | None = None
    ) -> list[AuditEntry]:
        """Return the newest lines first; `before` an id turns the page."""
        with self.database.read() as connection:
            return audit.load_entries(connection, limit=limit, before=before, action=action)

    # --- what is done for all who ask at once

    def _give(self, connection: Connection, requests: Sequence[LeaseRequest]) -> list[Lease | None]:
        return leases.give(connection, requests, now=self.clock(), rng=self._rng)

    def _store(
        self, connection: Connection, requests: Sequence[AnswerRequest]
    ) -> list[Answer | ValueError]:
        return answers.store_answers(connection, requests, now=self.clock())


def _id(thing: Lease | User | int) -> int:
    return thing if isinstance(thing, int) else thing.id
