"""Who asks: sessions, CSRF tokens, roles, and a log of everything that is refused."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from simrl.preferences.store import LabelStore, Session
from simrl.preferences.web.calls import Calls
from simrl.preferences.web.config import WebConfig
from simrl.preferences.web.guard import same_origin

log = logging.getLogger(__name__)

SESSION_COOKIE: Final = "simrl_session"
LOGIN_COOKIE: Final = "simrl_login"
AUDITED_A_MINUTE: Final = 60
"""Refusals of one address that go into the audit log each minute; the rest only into the program's
log, lest whoever knocks fills the disk."""
CACHED: Final = 4096


@dataclass
class _Seen:
    session: Session
    until: float


class Access:
    """Tell who asks and what they may do.

    A session that the store knew is believed for some seconds without asking again; logging out
    and deactivating forget it at once.
    """

    def __init__(self, store: LabelStore, calls: Calls, config: WebConfig) -> None:
        self._store = store
        self._calls = calls
        self._seconds = config.session_cache_seconds
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._secret = secrets.token_bytes(32)
        self._audited: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._people: tuple[frozenset[int], float] = (frozenset(), 0.0)

    def local(self) -> bool:
        """Whether nobody ever got an account: one-person mode."""
        return not self.people()

    def people(self, *, fresh: bool = False) -> frozenset[int]:
        """Return who has an account, active or not; asks the store every few seconds."""
        ids, until = self._people
        if fresh or time.monotonic() >= until:
            ids = frozenset(user.id for user in self._store.users())
            self._people = (ids, time.monotonic() + max(1.0, self._seconds))
        return ids

    async def visitor(self, connection: HTTPConnection) -> Session | None:
        """Return the session of a request, or None if it has none that is valid."""
        token = connection.cookies.get(SESSION_COOKIE, "")
        if not 16 <= len(token) <= 200:
            return None
        seen = self._seen.get(token)
        if seen is not None and time.monotonic() < seen.until:
            return seen.session
        session = await self._calls(self._store.session, token)
        if session is None or not session.user.active:
            self._seen.pop(token, None)
            return None
        if not self._known(session):
            return None
        self._remember(token, session)
        return session

    async def session(self, connection: HTTPConnection) -> Session:
        """Return the session of a request; 401 if there is none."""
        found = await self.visitor(connection)
        if found is None:
            raise HTTPException(401, "please log in")
        return found

    async def changing(self, connection: HTTPConnection, token: str | None = None) -> Session:
        """Return the session of a request that changes something.

        Its X-CSRF-Token header, or the `token` of its form, must be the session's, and where a
        browser tells the origin, it must be ours: 403 otherwise, 401 without a session.
        """
        session = await self.session(connection)
        if not same_origin(connection.headers):
            raise HTTPException(403, "the request comes from another site")
        given = connection.headers.get("x-csrf-token", "") if token is None else token
        if not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise HTTPException(403, "the CSRF token is missing or wrong; load the page again")
        return session

    async def admin(self, connection: HTTPConnection) -> Session:
        """Return the session of an administrator; 401 without a session, 403 for other roles."""
        return self.check_admin(await self.session(connection))

    def check_admin(self, session: Session) -> Session:
        """Return the session if it is an administrator's; 403 otherwise."""
        if session.user.role != "admin":
            raise HTTPException(403, "only administrators may do that")
        return session

    def forget(self, token: str | None = None, user: int | None = None) -> None:
        """Believe a session, or all of a user's, no longer."""
        for known, seen in list(self._seen.items()):
            if known == token or seen.session.user.id == user:
                del self._seen[known]
        self._people = (frozenset(), 0.0)

    def login_token(self, nonce: str) -> str:
        """Return the token that a login form must carry beside the cookie `nonce`."""
        return hmac.new(self._secret, nonce.encode(), hashlib.sha256).hexdigest()

    def login_allowed(self, nonce: str, token: str) -> bool:
        """Tell whether a login form is one that we gave to this browser."""
        wanted = self.login_token(nonce)
        return len(nonce) >= 16 and hmac.compare_digest(wanted.encode(), token.encode())

    async def audit(
        self, connection: HTTPConnection, action: str, detail: str, user: int | None = None
    ) -> None:
        """Log what a person did."""
        await self._calls(self._store.audit, action, user, detail, address(connection))

    async def audit_refusal(self, connection: HTTPConnection, status: int, why: str) -> None:
        """Log what was refused, and to whom."""
        ip = address(connection)
        path = connection.url.path[:200]
        method = connection.scope.get("method", "WS")
        log.warning("refused %s %r of %s: %d %s", method, path, ip, status, why)
        if not self._may_audit(ip):
            return
        token = connection.cookies.get(SESSION_COOKIE, "")
        seen = self._seen.get(token)
        user = seen.session.user.id if seen is not None else None
        detail = f"{status} {method} {path}: {why}"
        await self._calls(self._store.audit, "refused", user, detail, ip)

    def _may_audit(self, ip: str) -> bool:
        now = time.monotonic()
        until, count = self._audited.pop(ip, (now + 60.0, 0))
        if now >= until:
            until, count = now + 60.0, 0
        self._audited[ip] = (until, count + 1)
        while len(self._audited) > CACHED:
            self._audited.popitem(last=False)
        return count < AUDITED_A_MINUTE

    def _known(self, session: Session) -> bool:
        """Whether a session is a person's, or the local one while nobody has an account."""
        people = self.people()
        if session.user.id not in people:
            people = self.people(fresh=True)
        return not people or session.user.id in people

    def _remember(self, token: str, session: Session) -> None:
        self._seen[token] = _Seen(session, time.monotonic() + self._seconds)
        while len(self._seen) > CACHED:
            self._seen.popitem(last=False)


def address(connection: HTTPConnection) -> str:
    """Return the address that a request comes from."""
    return connection.client.host if connection.client is not None else "unknown"
