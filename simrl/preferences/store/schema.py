"""The tables: the newest state of what the Alembic migrations build step by step."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

REVISION = "0001"
"""The newest migration: what a database must stand at before this version works with it."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Document = JSON(none_as_null=True)

facts = Table(
    "facts",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)
"""Facts about the store itself: `uuid`, its name in exports."""

counters = Table(
    "counters",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""`change`: the number of the newest change of an answer.

A row and not a sequence: its lock keeps the changes in the order of their numbers, so a reader who
has seen number n never finds a smaller one later.
"""

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("password", String(200)),  # argon2 hash; none: nobody can log in as this user
    Column("role", String(16), nullable=False),
    Column("origin", String(16), nullable=False),  # person, local or import
    Column("active", Boolean, nullable=False),
    Column("pseudonym", String(80), nullable=False, unique=True),
    Column("created", Double, nullable=False),
    sqlite_autoincrement=True,
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("csrf", String(64), nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False, index=True),
)

login_attempts = Table(
    "login_attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("ip", String(64), nullable=False),
    Column("created", Double, nullable=False),
    Index(None, "name", "created"),
    Index(None, "ip", "created"),
    sqlite_autoincrement=True,
)
"""Logins that failed or are being checked; a login that succeeds removes its own."""

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("created", Double, nullable=False, index=True),
    Column("user_id", ForeignKey("users.id")),
    Column("action", String(80), nullable=False),
    Column("detail", Text, nullable=False),
    Column("ip", String(64), nullable=False),
    sqlite_autoincrement=True,
)

questions = Table(
    "questions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("clips", Document, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("settings", Document, nullable=False),
    Column("overlap", Integer, nullable=False),
    Column("batch", String(200), nullable=False, index=True),
    Column("priority", Double, nullable=False),
    Column("gold", Document),
    Column("repeat_of", ForeignKey("questions.id")),
    Column("attention", Boolean, nullable=False),
    Column("for_quality", Boolean, nullable=False),
    Column("provenance", Document, nullable=False),
    Column("origin", String(80), unique=True),  # store's uuid and id, of imported questions
    Column("state", String(8), nullable=False),
    Column("created", Double, nullable=False),
    Index(None, "state", "for_quality"),
    sqlite_autoincrement=True,
)

slots = Table(
    "slots",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("question_id", ForeignKey("questions.id"), nullable=False),
    Column("rank", Double, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("annotator_id", ForeignKey("users.id")),
    Column("lease_id", BigInteger),
    Column("expires", Double),
    UniqueConstraint("question_id", "annotator_id"),
    Index("ix_slots_queue", "open", "rank", "question_id", "id"),
    Index(None, "annotator_id", "open"),
    Index(None, "question_id", "open"),
    sqlite_autoincrement=True,
)
"""One row for each answer that a question wants; whoever holds the row may give that answer.

`rank` is the question's priority, negated, so that the index is read forwards.
"""

leases = Table(
    "leases",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("question_id", ForeignKey("questions.id"), nullable=False),
    Column("slot_id", ForeignKey("slots.id"), nullable=False),
    Column("annotator_id", ForeignKey("users.id"), nullable=False),
    Column("swapped", Boolean, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("created", Double, nullable=False),
    Index(None, "question_id"),
)
"""Every lease that was ever given; a slot's `lease_id` says which one holds it."""

skips = Table(
    "skips",
    metadata,
    Column("question_id", ForeignKey("questions.id"), primary_key=True),
    Column("annotator_id", ForeignKey("users.id"), primary_key=True),
    Column("created", Double, nullable=False),
    Index(None, "annotator_id"),
)

answers = Table(
    "answers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("question_id", ForeignKey("questions.id"), nullable=False),
    Column("annotator_id", ForeignKey("users.id"), nullable=False),
    Column("change", BigInteger, nullable=False, unique=True),
    Column("withdrawn", Boolean, nullable=False),
    Column("value", Document),
    Column("seconds", Double, nullable=False),
    Column("swapped", Boolean, nullable=False),
    Column("created", Double, nullable=False),
    UniqueConstraint("question_id", "annotator_id"),
    Index(None, "annotator_id", "withdrawn", "created"),
    Index(None, "created"),
    sqlite_autoincrement=True,
)
"""What stands now; `answer_events` is how it came about."""

answer_events = Table(
    "answer_events",
    metadata,
    Column("change", BigInteger, primary_key=True, autoincrement=False),
    Column("question_id", ForeignKey("questions.id"), nullable=False),
    Column("annotator_id", ForeignKey("users.id"), nullable=False),
    Column("lease_id", BigInteger),
    Column("action", String(8), nullable=False),
    Column("key", String(100)),
    Column("value", Document),
    Column("seconds", Double, nullable=False),
    Column("swapped", Boolean, nullable=False),
    Column("created", Double, nullable=False),
    UniqueConstraint("annotator_id", "key"),
    Index(None, "question_id", "annotator_id"),
)
"""Every change of every answer; rows are added and never changed."""
