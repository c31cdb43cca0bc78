"""The database under the store: opening it, reading from it, and committing writes in groups."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from simrl.preferences.store.upgrade import upgrade

T = TypeVar("T")
R = TypeVar("R")
BUSY_SECONDS = 30.0
"""How long a writer waits for another process's write before it gives up [s]."""
GROUP = 64
"""Most writes that are committed together."""
LANES = ("changes", "leases")
"""Kinds of write that PostgreSQL commits side by side; SQLite has one writer."""
_TRIES = 4
_AGAIN = ("40001", "40P01", "23505")
"""PostgreSQL: serialization failure, deadlock, and a row that another process has just added, which
the next try sees."""


class Database:
    """Read, and write in groups, the same way on SQLite and PostgreSQL.

    Writes of all threads pass through `write`: whoever comes first commits what waits by then, in
    one transaction, and everybody returns only after that commit.  A commit waits for the disk, so
    16 people answering at once cost one wait and not 16.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = parse_url(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        lanes = {name: _Lane() for name in LANES}
        self._lanes = dict.fromkeys(LANES, lanes[LANES[0]]) if self.sqlite else lanes
        self._reader, self._writer = _engines(self.url)
        try:
            upgrade(self._writer)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._reader.dispose()
        self._writer.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Lend a connection that sees one moment of the database and cannot write."""
        with self._reader.connect() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction and return its result once that is committed.

        `work` may run more than once, each time on a database that has not seen it yet; if it
        raises, nothing of it is kept and the exception comes out here.
        """
        result: T = self.write_jointly(_one_by_one, work)
        return result

    def write_jointly(
        self,
        handle: Callable[[Connection, Sequence[R]], Sequence[T | ValueError]],
        request: R,
        lane: str = "changes",
    ) -> T:
        """Let `handle` do a request, together with those of other threads that wait for it.

        Like `write`, but what comes at once is handed over at once, so that `handle` can ask the
        database once for all of them.

        Args:
            handle: Does requests in their order and returns a result for each, or the ValueError
                that its caller shall get.  The same function object for requests that go together.
            request: What is to be done.
            lane: One of `LANES`.
        """
        mine, queue = _Write(handle, request), self._lanes[lane]
        queue.waiting.append(mine)
        with queue.lock:
            while not mine.done:
                count = min(len(queue.waiting), GROUP)
                self._commit([queue.waiting.popleft() for _ in range(count)])
        outcome: T = mine.outcome()
        return outcome

    def _commit(self, group: list[_Write]) -> None:
        """Commit a group of writes together; where one of them fails, each on its own."""
        try:
            if len(group) > 1 and self._together(group):
                return
            for write in group:
                try:
                    write.finish(self._transaction([write])[0])
                except Exception as error:
                    write.fail(error)
        finally:
            for write in group:
                if not write.done:  # interrupted: nobody may wait for ever
                    write.fail(RuntimeError("the write was interrupted"))

    def _together(self, group: list[_Write]) -> bool:
        try:
            results = self._transaction(group)
        except _CommitError as error:
            for write in group:
                write.fail(error)
            return True
        except Exception:
            return False  # one of them was refused: the others are done again without it
        for write, result in zip(group, results, strict=True):
            write.finish(result)
        return True

    def _transaction(self, group: list[_Write]) -> list[Any]:
        for attempt in range(_TRIES):
            with self._writer.connect() as connection:
                try:
                    transaction = connection.begin()
                    results = _handle(connection, group)
                except DBAPIError as error:
                    if attempt == _TRIES - 1 or not _passing(error):
                        raise
                    continue
                try:
                    transaction.commit()
                except Exception as error:
                    # Whether it is stored is unknown, so it is not done again here, and the
                    # connection, whose state is unknown too, is thrown away.
                    connection.invalidate()
                    raise _CommitError(f"the database did not confirm a commit: {error}") from error
                return results
        raise AssertionError("unreachable")


class _CommitError(RuntimeError):
    """A commit that may or may not have happened."""


class _Lane:
    """Writes that wait, and the lock of whoever commits them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: deque[_Write] = deque()


class _Write:
    """One write that waits for its commit."""

    def __init__(self, handle: Callable[[Connection, Sequence[Any]], Any], request: Any) -> None:
        self.handle, self.request = handle, request
        self.done = False
        self._result: Any = None
        self._error: BaseException | None = None

    def finish(self, result: Any) -> None:
        if isinstance(result, ValueError):
            self._error = result
        self._result, self.done = result, True

    def fail(self, error: BaseException) -> None:
        self._error, self.done = error, True

    def outcome(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


def _handle(connection: Connection, group: list[_Write]) -> list[Any]:
    """Do all writes of a group, those of one kind together; return results in their order."""
    kinds: dict[Any, list[int]] = {}
    for place, write in enumerate(group):
        kinds.setdefault(write.handle, []).append(place)
    results: list[Any] = [None] * len(group)
    for handle, places in kinds.items():
        given = handle(connection, [group[place].request for place in places])
        for place, result in zip(places, given, strict=True):
            results[place] = result
    return results


def _one_by_one(connection: Connection, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
    return [work(connection) for work in works]


def parse_url(url: str | Path) -> URL:
    """Read a file's path or a database's URL.

    Raises:
        ValueError: The URL names neither SQLite nor PostgreSQL, or no file.
    """
    if isinstance(url, Path) or "://" not in url:
        path = os.path.expanduser(str(url))
        if path in ("", ":memory:"):
            raise ValueError("the label store needs a file, as in runs/x/labels.db")
        return URL.create("sqlite+pysqlite", database=path)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(
            "the label store's URL cannot be read: it is like postgresql://…"
        ) from None
    backend = {"sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql"}.get(
        parsed.drivername.partition("+")[0]
    )
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise ValueError("the label store needs a file, as in sqlite:///runs/x/labels.db")
        return parsed.set(drivername="sqlite+pysqlite")
    raise ValueError(
        f"unknown kind of database {parsed.drivername!r}; "
        "give a file's path, sqlite:///PATH or postgresql://USER@HOST/NAME"
    )


def _engines(url: URL) -> tuple[Engine, Engine]:
    """Return an engine to read with and one to write with, one connection at a time."""
    common: dict[str, Any] = {"json_serializer": _dumps, "query_cache_size": 1000}
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        _make_file(path)
        common["connect_args"] = {"timeout": BUSY_SECONDS, "isolation_level": None}
        reader = create_engine(url, pool_size=8, max_overflow=32, **common)
        writer = create_engine(url, pool_size=1, max_overflow=0, **common)
        for engine, begin, query_only in (
            (reader, "BEGIN", True),
            (writer, "BEGIN IMMEDIATE", False),
        ):
            event.listen(engine, "connect", _sqlite_settings(query_only))
            event.listen(engine, "begin", _beginner(begin))
        return reader, writer
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise ValueError("PostgreSQL needs psycopg: pip install 'simrl[postgres]'") from error
    reader = create_engine(
        url,
        pool_size=4,
        max_overflow=16,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ",
        **common,
    )
    event.listen(reader, "begin", _beginner("SET TRANSACTION READ ONLY"))
    # A writer that finds its connection broken tries again, so it needs no ping before each use.
    return reader, create_engine(url, pool_size=len(LANES), max_overflow=0, **common)


def _make_file(path: Path) -> None:
    """Make the file, readable by its owner alone, since it holds hashes of passwords."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ValueError(f"cannot open the label store {path}: {error.strerror}") from None


def _sqlite_settings(query_only: bool) -> Callable[[Any, object], None]:
    settings = (
        f"busy_timeout = {int(BUSY_SECONDS * 1000)}",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"query_only = {'ON' if query_only else 'OFF'}",
    )

    def connect(connection: Any, record: object) -> None:
        for setting in settings:
            connection.execute(f"PRAGMA {setting}")
        _write_ahead(connection)

    return connect


def _write_ahead(connection: Any) -> None:
    """Switch to the write-ahead log; where another connection is busy, SQLite does not wait."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(0.01)


def _beginner(statement: str) -> Callable[[Connection], None]:
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return begin


def _passing(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed when it is tried again."""
    if getattr(error.orig, "sqlstate", None) in _AGAIN or error.connection_invalidated:
        return True
    return isinstance(error, OperationalError) and "database is locked" in str(error.orig)


def _dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
