"""The log of what people did: lines are added and never changed."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from simrl.preferences.store.schema import audit
from simrl.preferences.store.types import AuditEntry

MAX_DETAIL = 2_000


def write_entry(
    connection: Connection, action: str, *, user: int | None, detail: str, ip: str, now: float
) -> None:
    """Add a line; text of strangers is cut to a bounded length and cleared of control signs."""
    connection.execute(
        insert(audit),
        {
            "created": now,
            "user_id": user,
            "action": clean(action, 80),
            "detail": clean(detail, MAX_DETAIL),
            "ip": clean(ip, 64),
        },
    )


def load_entries(
    connection: Connection, *, limit: int, before: int | None, action: str | None
) -> list[AuditEntry]:
    """Return the newest entries first; `before` an id turns the page."""
    wanted = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(audit.c.id < before)
    if action is not None:
        wanted = wanted.where(audit.c.action == action)
    return [
        AuditEntry(row.id, row.created, row.user_id, row.action, row.detail, row.ip)
        for row in connection.execute(wanted)
    ]


def clean(text: str, limit: int) -> str:
    """Return at most `limit` characters of a text, as one line that any database can hold."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:limit])
