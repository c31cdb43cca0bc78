"""Opening: URLs, migrations, several at once, and databases that are something else."""

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, text

from simrl.preferences.store import LabelStore, NewQuestion
from simrl.preferences.store.database import parse_url
from simrl.preferences.store.schema import REVISION, metadata
from simrl.preferences.store.upgrade import MIGRATIONS


def run_sql(url, *statements):
    engine = create_engine(parse_url(url), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        return [connection.execute(text(statement)) for statement in statements]


def test_content_is_there_when_a_store_is_opened_again(fresh_url):
    question = NewQuestion(kind="text", clips=(), prompt="why?")
    with LabelStore.open(fresh_url) as store:
        store.add_questions([question])
        uuid = store.uuid
    with LabelStore.open(fresh_url) as store:
        assert [q.prompt for q in store.questions()] == ["why?"]
        assert store.uuid == uuid and len(uuid) == 32


def test_migrations_build_the_tables_of_the_schema(fresh_url):
    LabelStore.open(fresh_url).close()
    engine = create_engine(parse_url(fresh_url), poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == REVISION


def test_the_newest_migration_is_the_one_that_the_store_wants():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_migrations_can_be_taken_back(fresh_url):
    from alembic import command

    LabelStore.open(fresh_url).close()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(parse_url(fresh_url), poolclass=NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with engine.connect() as connection:
        assert [t for t in metadata.tables if engine.dialect.has_table(connection, t)] == []
    LabelStore.open(fresh_url).close()


def test_many_may_open_a_new_store_at_once(fresh_url):
    """Eight threads: each finds a whole store, and all the same one."""
    uuids, start = [], threading.Barrier(8)

    def work():
        start.wait()
        with LabelStore.open(fresh_url) as store:
            uuids.append(store.uuid)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(uuids) == 8 and len(set(uuids)) == 1


def test_processes_may_open_a_new_store_at_once(fresh_url):
    code = (
        "import sys; from simrl.preferences.store import LabelStore; "
        "print(LabelStore.open(sys.argv[1]).uuid)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, fresh_url], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    uuids = [process.communicate(timeout=120)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(set(uuids)) == 1


def test_store_of_a_newer_version_is_refused(fresh_url):
    LabelStore.open(fresh_url).close()
    run_sql(fresh_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ValueError, match=f"newer simrl .its tables are 9999.* up to {REVISION}"):
        LabelStore.open(fresh_url)


def test_database_of_something_else_is_refused_and_left_alone(fresh_url):
    if "://" not in fresh_url:
        Path(fresh_url).parent.mkdir()
    run_sql(fresh_url, "CREATE TABLE photos (id INTEGER)")
    with pytest.raises(ValueError, match=r"holds other tables .photos"):
        LabelStore.open(fresh_url)
    engine = create_engine(parse_url(fresh_url), poolclass=NullPool)
    with engine.connect() as connection:
        assert not engine.dialect.has_table(connection, "answers")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://x@localhost/y", "unknown kind of database 'mysql'; give a file's path"),
        ("sqlite://", "needs a file"),
        (":memory:", "needs a file"),
        ("", "needs a file"),
        ("postgresql://localhost:port/x", "cannot be read"),
    ],
)
def test_url_that_will_not_do_is_refused(url, message):
    with pytest.raises(ValueError, match=message):
        LabelStore.open(url)


def test_file_that_cannot_be_opened_is_refused(tmp_path):
    (tmp_path / "text").write_text("this is no database, it is a text that someone wrote")
    with pytest.raises(ValueError, match=r"cannot open the label store .*not a database"):
        LabelStore.open(tmp_path / "text")
    with pytest.raises(ValueError, match="cannot open the label store"):
        LabelStore.open(tmp_path / "text" / "labels.db")
    with pytest.raises(ValueError, match="cannot open the label store"):
        LabelStore.open(tmp_path)


def test_server_that_is_not_there_is_refused_without_its_password():
    with pytest.raises(ValueError, match="cannot open the label store postgresql") as refused:
        LabelStore.open("postgresql://ann:secret@127.0.0.1:1/x")
    assert "secret" not in str(refused.value)


def test_url_opens_the_same_store_again_and_repr_hides_the_password(url):
    with LabelStore.open(url) as store, LabelStore.open(store.url) as again:
        assert again.uuid == store.uuid
        password = parse_url(url).password
        assert password is None or password not in repr(store)


def test_file_is_for_its_owner_alone_and_writes_wait_for_the_disk(tmp_path):
    path = tmp_path / "labels.db"
    with LabelStore.open(path) as store:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for connect in (store.database.read, store.database._writer.connect):
            with connect() as connection:
                found = [
                    connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                    for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
                ]
            assert found == ["wal", 2, 1, 30_000]  # synchronous 2 is FULL


def test_paths_with_odd_signs_work(tmp_path):
    path = tmp_path / "100% ü ?#" / "labels.db"
    LabelStore.open(str(path)).close()
    assert path.exists()
    LabelStore.open(path).close()


def test_importing_the_package_needs_no_database_and_the_store_says_what_is_missing():
    code = """
import sys
for name in ("sqlalchemy", "alembic", "argon2"):
    sys.modules[name] = None
import simrl.preferences.store as store
store.NewQuestion(kind="text", clips=())
try:
    store.LabelStore
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "the label store needs sqlalchemy: pip install 'simrl[label]'"
