"""Questions to people and their answers, stored so that nothing is lost or asked twice.

`LabelStore` keeps questions, leases, answers with their history, people and sessions in SQLite or
PostgreSQL.  The package imports without them; the store itself needs `pip install 'simrl[label]'`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simrl.preferences.store.types import (
    CHOICES,
    KINDS,
    ROLES,
    Answer,
    AnswerEvent,
    AuditEntry,
    Lease,
    NewQuestion,
    Progress,
    Question,
    RefusedError,
    Session,
    TooManyAttemptsError,
    Undone,
    User,
    clip_provenance,
)

if TYPE_CHECKING:
    from simrl.preferences.store.label_store import LabelStore
    from simrl.preferences.store.people import LoginLimits

__all__ = [
    "CHOICES",
    "KINDS",
    "ROLES",
    "Answer",
    "AnswerEvent",
    "AuditEntry",
    "LabelStore",
    "Lease",
    "LoginLimits",
    "NewQuestion",
    "Progress",
    "Question",
    "RefusedError",
    "Session",
    "TooManyAttemptsError",
    "Undone",
    "User",
    "clip_provenance",
]

_NEEDS_DATABASE = {"LabelStore": "label_store", "LoginLimits": "people"}


def __getattr__(name: str) -> Any:
    """Import the store itself when it is first asked for."""
    if name not in _NEEDS_DATABASE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    try:
        module = importlib.import_module(f"{__name__}.{_NEEDS_DATABASE[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("sqlalchemy", "alembic", "argon2"):
            raise
        raise ValueError(
            f"the label store needs {error.name}: pip install 'simrl[label]'"
        ) from error
    return getattr(module, name)
