"""Bring a database to the tables that this version works with, by Alembic's migrations."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from simrl.preferences.store.schema import REVISION

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = threading.Lock()  # Alembic's context is one for the whole process
_ADVISORY = 7_318_529_640_112  # PostgreSQL: any number, but the same in every process


def upgrade(engine: Engine) -> None:
    """Run the migrations that a database lacks, in one transaction; others wait meanwhile.

    Raises:
        ValueError: The database cannot be reached, is no label store, or is of a newer version.
    """
    name = engine.url.render_as_string(hide_password=True)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _ADVISORY})
            found = revision(connection)
            if found == REVISION:
                return
            _run(connection, found, name)
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()
        raise ValueError(f"cannot open the label store {name}: {' '.join(reason[:2])}") from error


def revision(connection: Connection) -> str | None:
    """Return the migration that a database stands at; None for an empty one.

    Raises:
        ValueError: The database holds tables, but not a label store's.
    """
    tables = set(inspect(connection).get_table_names())
    found = None
    if "alembic_version" in tables:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    others = tables - {"alembic_version"}
    if others and (found is None or "answer_events" not in others):
        raise ValueError(
            f"the database holds other tables ({', '.join(sorted(others)[:4])}): "
            "a label store wants one of its own"
        )
    return None if found is None else str(found)


def _run(connection: Connection, found: str | None, name: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    # configparser reads % as its own sign
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise ValueError(
            f"the label store {name} was made by a newer simrl (its tables are {found}, this "
            f"version knows up to {REVISION}): upgrade simrl"
        )
    with _LOCK:
        config.attributes["connection"] = connection
        command.upgrade(config, REVISION)
