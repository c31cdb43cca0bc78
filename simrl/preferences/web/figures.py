"""What the dashboard shows, ready for its template."""

from __future__ import annotations

import time
from typing import Any, Final

from simrl.preferences.store import AuditEntry, Progress, User
from simrl.preferences.web.site import Site

LINES: Final = 60
"""Lines of the log that the dashboard shows."""


def dashboard(site: Site) -> dict[str, Any]:
    """Return the values of the dashboard's template."""
    store = site.store
    users = store.users()
    progress = store.progress()
    return {
        "progress": progress,
        "tiles": _tiles(progress),
        "columns": [],
        "annotators": [],
        "agreement": [],
        "measures": [],
        "users": [_person(user) for user in users],
        "entries": [_line(entry, _names(site, users)) for entry in store.audit_log(LINES)],
    }


def _tiles(progress: Progress) -> list[tuple[str, str]]:
    left = progress.minutes_left
    return [
        ("questions", str(progress.total)),
        ("fully answered", str(progress.done)),
        ("answers", str(progress.answered)),
        ("skipped", str(progress.skipped)),
        ("being answered now", str(progress.leased)),
        ("answers a minute, by all", f"{progress.per_minute:.1f}"),
        ("to go at this pace", "-" if left is None else duration(left)),
    ]


def duration(minutes: float) -> str:
    """Write a time in words."""
    if minutes < 1:
        return "< 1 min"
    if minutes < 90:
        return f"{minutes:.0f} min"
    if minutes < 60 * 48:
        return f"{minutes / 60:.1f} h"
    return f"{minutes / 1440:.0f} days"


def _person(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role,
        "active": user.active,
        "pseudonym": user.pseudonym,
        "since": _when(user.created, "%Y-%m-%d"),
    }


def _names(site: Site, users: list[User]) -> dict[int, str]:
    return {user.id: user.name for user in users}


def _line(entry: AuditEntry, names: dict[int, str]) -> dict[str, str]:
    who = "" if entry.user is None else names.get(entry.user, f"user {entry.user}")
    return {
        "when": _when(entry.created, "%m-%d %H:%M:%S"),
        "who": who,
        "action": entry.action,
        "detail": entry.detail,
        "ip": entry.ip,
    }


def _when(moment: float, form: str) -> str:
    return time.strftime(form, time.gmtime(moment))
