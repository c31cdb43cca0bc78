"""The first tables."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("answer_events", "audit")


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.create_table(
        "facts",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_facts"),
    )
    op.create_table(
        "login_attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_login_attempts"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_login_attempts_ip_created", "login_attempts", ["ip", "created"])
    op.create_index("ix_login_attempts_name_created", "login_attempts", ["name", "created"])
    op.create_table(
        "questions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("clips", sa.JSON(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("batch", sa.String(length=200), nullable=False),
        sa.Column("priority", sa.Double(), nullable=False),
        sa.Column("gold", sa.JSON(), nullable=True),
        sa.Column("repeat_of", sa.Integer(), nullable=True),
        sa.Column("attention", sa.Boolean(), nullable=False),
        sa.Column("for_quality", sa.Boolean(), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("origin", sa.String(length=80), nullable=True),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["repeat_of"], ["questions.id"], name="fk_questions_repeat_of"),
        sa.PrimaryKeyConstraint("id", name="pk_questions"),
        sa.UniqueConstraint("origin", name="uq_questions_origin"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_questions_batch", "questions", ["batch"])
    op.create_index("ix_questions_state_for_quality", "questions", ["state", "for_quality"])
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("password", sa.String(length=200), nullable=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("pseudonym", sa.String(length=80), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
        sa.UniqueConstraint("pseudonym", name="uq_users_pseudonym"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "answer_events",
        sa.Column("change", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("question_id", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.Integer(), nullable=False),
        sa.Column("lease_id", sa.BigInteger(), nullable=True),
        sa.Column("action", sa.String(length=8), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=True),
        sa.Column("value", sa.JSON(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("swapped", sa.Boolean(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["users.id"], name="fk_answer_events_annotator_id"
        ),
        sa.ForeignKeyConstraint(
            ["question_id"], ["questions.id"], name="fk_answer_events_question_id"
        ),
        sa.PrimaryKeyConstraint("change", name="pk_answer_events"),
        sa.UniqueConstraint("annotator_id", "key", name="uq_answer_events_annotator_id_key"),
    )
    op.create_index(
        "ix_answer_events_question_id_annotator_id",
        "answer_events",
        ["question_id", "annotator_id"],
    )
    op.create_table(
        "answers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("question_id", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.Integer(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("swapped", sa.Boolean(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["annotator_id"], ["users.id"], name="fk_answers_annotator_id"),
        sa.ForeignKeyConstraint(["question_id"], ["questions.id"], name="fk_answers_question_id"),
        sa.PrimaryKeyConstraint("id", name="pk_answers"),
        sa.UniqueConstraint("change", name="uq_answers_change"),
        sa.UniqueConstraint(
            "question_id", "annotator_id", name="uq_answers_question_id_annotator_id"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_answers_annotator_id_withdrawn_created",
        "answers",
        ["annotator_id", "withdrawn", "created"],
    )
    op.create_index("ix_answers_created", "answers", ["created"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("action", sa.String(length=80), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_audit_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_created", "audit", ["created"])
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires", "sessions", ["expires"])
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "skips",
        sa.Column("question_id", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.Integer(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["annotator_id"], ["users.id"], name="fk_skips_annotator_id"),
        sa.ForeignKeyConstraint(["question_id"], ["questions.id"], name="fk_skips_question_id"),
        sa.PrimaryKeyConstraint("question_id", "annotator_id", name="pk_skips"),
    )
    op.create_index("ix_skips_annotator_id", "skips", ["annotator_id"])
    op.create_table(
        "slots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("question_id", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Double(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("annotator_id", sa.Integer(), nullable=True),
        sa.Column("lease_id", sa.BigInteger(), nullable=True),
        sa.Column("expires", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["annotator_id"], ["users.id"], name="fk_slots_annotator_id"),
        sa.ForeignKeyConstraint(["question_id"], ["questions.id"], name="fk_slots_question_id"),
        sa.PrimaryKeyConstraint("id", name="pk_slots"),
        sa.UniqueConstraint(
            "question_id", "annotator_id", name="uq_slots_question_id_annotator_id"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_slots_annotator_id_open", "slots", ["annotator_id", "open"])
    op.create_index("ix_slots_question_id_open", "slots", ["question_id", "open"])
    op.create_index("ix_slots_queue", "slots", ["open", "rank", "question_id", "id"])
    op.create_table(
        "leases",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("question_id", sa.Integer(), nullable=False),
        sa.Column("slot_id", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.Integer(), nullable=False),
        sa.Column("swapped", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["annotator_id"], ["users.id"], name="fk_leases_annotator_id"),
        sa.ForeignKeyConstraint(["question_id"], ["questions.id"], name="fk_leases_question_id"),
        sa.ForeignKeyConstraint(["slot_id"], ["slots.id"], name="fk_leases_slot_id"),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
    )
    op.create_index("ix_leases_question_id", "leases", ["question_id"])
    op.execute("INSERT INTO counters (name, value) VALUES ('change', 0)")
    op.execute(f"INSERT INTO facts (name, value) VALUES ('uuid', '{uuid.uuid4().hex}')")
    for table in APPEND_ONLY:
        _forbid_changes(table)


def downgrade() -> None:
    """Remove all tables."""
    op.drop_table("leases")
    op.drop_table("slots")
    op.drop_table("skips")
    op.drop_table("sessions")
    op.drop_table("audit")
    op.drop_table("answers")
    op.drop_table("answer_events")
    op.drop_table("users")
    op.drop_table("questions")
    op.drop_table("login_attempts")
    op.drop_table("facts")
    op.drop_table("counters")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION only_added_to()")


def _forbid_changes(table: str) -> None:
    """Let the database itself refuse to change or remove a line of history."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER keep_{table}_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is only added to'); END"
            )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION only_added_to() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is only added to', TG_TABLE_NAME; END $$"
    )
    op.execute(
        f"CREATE TRIGGER keep_{table} BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION only_added_to()"
    )
