"""People: names, roles, hashed passwords, and logins whose failures are limited."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from simrl.preferences.store import leases
from simrl.preferences.store.audit import clean, write_entry
from simrl.preferences.store.database import Database
from simrl.preferences.store.schema import login_attempts, sessions, users
from simrl.preferences.store.types import ROLES, RefusedError, TooManyAttemptsError, User

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
LOCAL_NAME = "local"
PASSWORD_LENGTH = (8, 1024)


@dataclass(frozen=True)
class LoginLimits:
    """How many logins may fail before the next is refused unheard."""

    per_name: int = 10
    """Failed logins of one name, from anywhere."""

    per_ip: int = 30
    """Failed logins from one address, of any name."""

    seconds: float = 300.0
    """How long a failure counts [s]."""


class People:
    """Add, change and authenticate people.

    `hasher` is argon2-cffi's `PasswordHasher` (argon2id, RFC 9106's parameters for little memory).
    """

    def __init__(
        self, database: Database, clock: Callable[[], float], limits: LoginLimits | None = None
    ) -> None:
        from argon2 import PasswordHasher

        self.hasher = PasswordHasher()
        self.limits = limits or LoginLimits()
        self._database, self._clock = database, clock
        self._nobody: str | None = None

    def add(self, name: str, password: str, role: str) -> User:
        """Add a person; ValueError if the name is taken, or name, password or role will not do."""
        if not NAME.fullmatch(name) or name == LOCAL_NAME:
            raise ValueError(
                f"user name {name!r} will not do: it has up to 64 letters, digits and . _ @ + -, "
                f"begins with a letter or digit, and is not {LOCAL_NAME!r}"
            )
        if role not in ROLES:
            raise ValueError(f"unknown role {role!r}; the roles are {', '.join(ROLES)}")
        hashed = self._hash(password)

        def work(connection: Connection) -> User:
            same = select(users.c.name).where(func.lower(users.c.name) == name.lower())
            taken = connection.execute(same).scalar()
            if taken is not None:
                raise ValueError(f"there is a user {taken!r} already")
            row = self._insert(connection, name, hashed, role, "person")
            self._log(connection, "user added", row.id, f"{name}, {role}")
            return from_row(row)

        return self._database.write(work)

    def all(self) -> list[User]:
        """Return everybody who was added, deactivated ones too, in the order of their ids."""
        wanted = select(users).where(users.c.origin == "person").order_by(users.c.id)
        with self._database.read() as connection:
            return [from_row(row) for row in connection.execute(wanted)]

    def get(self, user: int) -> User:
        """Return one person, the local one and imported ones too; RefusedError if there is none."""
        with self._database.read() as connection:
            return from_row(_row(connection, user))

    def local(self) -> User:
        """Return the one person of local mode, made at first: an admin without a password."""

        def work(connection: Connection) -> User:
            row = connection.execute(select(users).where(users.c.origin == "local")).first()
            return from_row(row or self._insert(connection, LOCAL_NAME, None, "admin", "local"))

        return self._database.write(work)

    def set_password(self, name: str, password: str) -> None:
        """Give a person a new password and end their sessions."""
        hashed = self._hash(password)

        def work(connection: Connection) -> None:
            user = self._person(connection, name)
            connection.execute(update(users).where(users.c.id == user.id).values(password=hashed))
            connection.execute(delete(sessions).where(sessions.c.user_id == user.id))
            self._log(connection, "password set", user.id, name)

        self._database.write(work)

    def set_active(self, name: str, active: bool) -> None:
        """Shut a person out, ending sessions and leases, or let them in again."""

        def work(connection: Connection) -> None:
            user = self._person(connection, name)
            connection.execute(update(users).where(users.c.id == user.id).values(active=active))
            if not active:
                connection.execute(delete(sessions).where(sessions.c.user_id == user.id))
                leases.release_all(connection, user.id)
            self._log(connection, "activated" if active else "deactivated", user.id, name)

        self._database.write(work)

    def authenticate(self, name: str, password: str, ip: str) -> User | None:
        """Return the person of this name and password, or None; both outcomes are logged.

        Raises:
            TooManyAttemptsError: Too many logins of this name or from this address failed lately;
                the password is not even looked at.
        """
        name, ip = clean(name, 200), clean(ip, 64)
        attempt = self._database.write(lambda connection: self._begin(connection, name, ip))
        if isinstance(attempt, TooManyAttemptsError):
            raise attempt
        with self._database.read() as connection:
            row = connection.execute(
                select(users).where(
                    users.c.name == name, users.c.active, users.c.password.is_not(None)
                )
            ).first()
        # An unknown name costs the time of a known one, so that names cannot be guessed by time.
        right = self._verify(row.password if row else self._dummy(), password)
        if row is None or not right:
            self._database.write(
                lambda connection: self._log(
                    connection, "login failed", row.id if row else None, name, ip
                )
            )
            return None
        self._database.write(lambda connection: self._succeed(connection, row, name, ip, password))
        return from_row(row)

    def _begin(self, connection: Connection, name: str, ip: str) -> int | TooManyAttemptsError:
        """Write an attempt down before its password is checked, so that a burst counts in full."""
        now, limits = self._clock(), self.limits
        since = now - limits.seconds
        connection.execute(delete(login_attempts).where(login_attempts.c.created <= since))
        for column, value, limit in (
            (login_attempts.c.name, name, limits.per_name),
            (login_attempts.c.ip, ip, limits.per_ip),
        ):
            times = (
                connection.execute(
                    select(login_attempts.c.created)
                    .where(column == value)
                    .order_by(login_attempts.c.created.desc())
                    .limit(limit)
                )
                .scalars()
                .all()
            )
            if len(times) >= limit:
                self._log(connection, "login refused", None, f"too many attempts: {name}", ip)
                return TooManyAttemptsError(times[-1] + limits.seconds - now)
        new = insert(login_attempts).returning(login_attempts.c.id)
        values = {"name": name, "ip": ip, "created": now}
        return int(connection.execute(new, values).scalar_one())

    def _succeed(
        self, connection: Connection, row: Row[Any], name: str, ip: str, password: str
    ) -> None:
        mine = (login_attempts.c.name == name, login_attempts.c.ip == ip)
        connection.execute(delete(login_attempts).where(*mine))
        if self.hasher.check_needs_rehash(row.password):
            hashed = self.hasher.hash(password)
            connection.execute(update(users).where(users.c.id == row.id).values(password=hashed))
        self._log(connection, "login", row.id, name, ip)

    def _insert(
        self, connection: Connection, name: str, hashed: str | None, role: str, origin: str
    ) -> Row[Any]:
        return insert_user(
            connection, name=name, hashed=hashed, role=role, origin=origin, now=self._clock()
        )

    def _person(self, connection: Connection, name: str) -> Row[Any]:
        known = select(users).where(users.c.origin == "person").order_by(users.c.id)
        rows = {row.name: row for row in connection.execute(known)}
        if name not in rows:
            raise ValueError(
                f"there is no user {name!r}; the users are {', '.join(rows) or 'none'}"
            )
        return rows[name]

    def _hash(self, password: str) -> str:
        low, high = PASSWORD_LENGTH
        if not low <= len(password) <= high:
            raise ValueError(f"a password has {low} to {high} characters, got {len(password)}")
        return self.hasher.hash(password.encode(errors="surrogatepass"))

    def _verify(self, hashed: str, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        if len(password) > PASSWORD_LENGTH[1]:
            return False
        try:
            return self.hasher.verify(hashed, password.encode(errors="surrogatepass"))
        except (VerificationError, InvalidHashError):
            return False

    def _dummy(self) -> str:
        if self._nobody is None:
            self._nobody = self.hasher.hash(secrets.token_hex(16))
        return self._nobody

    def _log(
        self, connection: Connection, action: str, user: int | None, detail: str, ip: str = ""
    ) -> None:
        write_entry(connection, action, user=user, detail=detail, ip=ip, now=self._clock())


def insert_user(
    connection: Connection,
    *,
    name: str,
    hashed: str | None,
    role: str,
    origin: str,
    now: float,
    pseudonym: str | None = None,
    active: bool = True,
) -> Row[Any]:
    """Add the row of a user, with a pseudonym that says nothing of the name."""
    row = {
        "name": name,
        "password": hashed,
        "role": role,
        "origin": origin,
        "active": active,
        "pseudonym": pseudonym or f"annotator-{secrets.token_hex(6)}",
        "created": now,
    }
    return connection.execute(insert(users).returning(users), row).one()


def from_row(row: Row[Any]) -> User:
    """Make a user of its row."""
    return User(row.id, row.name, row.role, row.active, row.pseudonym, row.created)


def _row(connection: Connection, user: int) -> Row[Any]:
    row = connection.execute(select(users).where(users.c.id == user)).first()
    if row is None:
        raise RefusedError("unknown", f"there is no user {user}")
    return row
