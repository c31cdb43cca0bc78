"""What the dashboard shows, ready for its template."""

from __future__ import annotations

import math
import time
from typing import Any, Final, NamedTuple

from simrl.preferences.store import AuditEntry, Progress, User
from simrl.preferences.store.quality import Agreement, AnnotatorQuality, Share, quality_report
from simrl.preferences.web.site import Site

LINES: Final = 60
"""Lines of the log that the dashboard shows."""
LOW: Final = 0.75
"""Shares of right or repeated answers below this are marked, once there are enough of them."""
LOW_AGREEMENT: Final = 0.6
"""The same for agreement with others, which one careless person lowers for everybody."""
ENOUGH: Final = 5
CHANCE: Final = 0.01
"""A side is preferred if chance alone would do that less often."""
MEASURES: Final = ("Krippendorff's alpha", "Fleiss' kappa", "Cohen's kappa, mean")


class Column(NamedTuple):
    """One column of the table of annotators."""

    name: str
    help: str


COLUMNS: Final = (
    Column("Answers", ""),
    Column("Median time", "how long an answer takes"),
    Column("Agrees", "same answer as other people on the same question"),
    Column("Right by estimate", "reliability that Dawid and Skene's model finds"),
    Column("Gold", "right answers where the answer is known"),
    Column("Attention", "right answers to checks that the person looks at all"),
    Column("Consistent", "same answer when a question comes again"),
    Column("Left side", "share of decided comparisons won by the clip on the left; half is fair"),
)


def dashboard(site: Site) -> dict[str, Any]:
    """Return the values of the dashboard's template."""
    store = site.store
    users = store.users()
    known = {user.id: user for user in users}
    report = quality_report(store)
    progress = store.progress()
    return {
        "progress": progress,
        "tiles": _tiles(progress),
        "columns": COLUMNS,
        "annotators": [
            _annotator(person, known.get(person.annotator)) for person in report.annotators
        ],
        "agreement": [_agreement(row) for row in report.agreement if row.questions],
        "measures": MEASURES,
        "users": [_person(user) for user in users],
        "entries": [_line(entry, known) for entry in store.audit_log(LINES)],
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


def _annotator(person: AnnotatorQuality, user: User | None) -> dict[str, Any]:
    biased = person.side_bias_p < CHANCE
    return {
        "name": user.name if user is not None else person.pseudonym,
        "active": user is None or user.active,
        "cells": [
            {"text": str(person.answered), "low": False},
            {"text": f"{person.median_seconds:.1f} s", "low": False},
            _share(person.agreement, LOW_AGREEMENT),
            {"text": percent(person.estimated_accuracy), "low": False},
            _share(person.gold),
            _share(person.attention),
            _share(person.consistency),
            {**_share(person.left), "low": biased},
        ],
    }


def _share(share: Share, bar: float = LOW) -> dict[str, Any]:
    if not share.of:
        return {"text": "-", "low": False}
    low = share.of >= ENOUGH and share.value < bar
    return {"text": f"{percent(share.value)} of {share.of}", "low": low}


def percent(value: float) -> str:
    """Write a share in percent, or a dash where there is none."""
    return f"{100 * value:.0f} %" if math.isfinite(value) else "-"


def _agreement(row: Agreement) -> dict[str, Any]:
    figures = (row.krippendorff, row.fleiss, row.cohen)
    return {
        "name": row.kind,
        "shared": row.questions,
        "figures": [f"{figure:.2f}" if math.isfinite(figure) else "-" for figure in figures],
    }


def _line(entry: AuditEntry, users: dict[int, User]) -> dict[str, str]:
    user = users.get(entry.user or 0)
    who = user.name if user is not None else "" if entry.user is None else f"user {entry.user}"
    return {
        "when": _when(entry.created, "%m-%d %H:%M:%S"),
        "who": who,
        "action": entry.action,
        "detail": entry.detail,
        "ip": entry.ip,
    }


def _when(moment: float, form: str) -> str:
    return time.strftime(form, time.gmtime(moment))
