"""Server-side sessions: the browser holds a random token, the store only its hash."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import Connection, bindparam, delete, insert, select

from simrl.preferences.store.people import from_row
from simrl.preferences.store.schema import sessions, users
from simrl.preferences.store.types import RefusedError, Session


def start(connection: Connection, user: int, *, now: float, seconds: float) -> Session:
    """Start a session of an active user; sessions that have run out are removed meanwhile."""
    connection.execute(delete(sessions).where(sessions.c.expires <= now))
    row = connection.execute(select(users).where(users.c.id == user, users.c.active)).first()
    if row is None:
        raise RefusedError("unknown", f"there is no active user {user}")
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    connection.execute(
        insert(sessions),
        {
            "token_hash": _hash(token),
            "user_id": user,
            "csrf": csrf,
            "created": now,
            "expires": now + seconds,
        },
    )
    return Session(token, csrf, now + seconds, from_row(row))


def find(connection: Connection, token: str, *, now: float) -> Session | None:
    """Return the session of a token, unless it has run out or its user was deactivated."""
    row = connection.execute(_FIND, {"token_hash": _hash(token), "now": now}).first()
    return None if row is None else Session(token, row.csrf, row.expires, from_row(row))


def end(connection: Connection, token: str) -> None:
    """End a session; nothing happens if there is none."""
    connection.execute(delete(sessions).where(sessions.c.token_hash == _hash(token)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


_FIND = (
    select(users, sessions.c.csrf, sessions.c.expires)
    .join(sessions, sessions.c.user_id == users.c.id)
    .where(
        sessions.c.token_hash == bindparam("token_hash"),
        sessions.c.expires > bindparam("now"),
        users.c.active,
    )
)
