"""One suite for both databases: every test with the fixture `url` or `store` runs on each."""

import itertools
import shutil

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from sqlalchemy import NullPool, create_engine, text

from simrl.preferences.store import LabelStore
from simrl.preferences.store.database import parse_url
from simrl.preferences.store.local_postgres import find_postgres, local_postgres
from simrl.preferences.store.schema import metadata

_names = itertools.count()


class Clock:
    """A time that stands still until a test moves it."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="session")
def postgres():
    """The URL of a PostgreSQL server that lives as long as the tests."""
    if find_postgres() is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with local_postgres(durable=False) as url:
        yield url


BACKENDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def made_file(tmp_path_factory):
    """A SQLite store without content, to be copied."""
    path = tmp_path_factory.mktemp("store") / "labels.db"
    LabelStore.open(path).close()
    return path


@pytest.fixture(scope="session")
def made_database(postgres):
    """A PostgreSQL store, to be emptied."""
    LabelStore.open(postgres).close()
    return postgres


@pytest.fixture(params=BACKENDS)
def url(request, tmp_path):
    """Where an empty store is."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("made_file"), tmp_path / "labels.db")
        return str(tmp_path / "labels.db")
    made = request.getfixturevalue("made_database")
    names = ", ".join(table.name for table in metadata.sorted_tables if table.name != "facts")
    run_sql(
        made,
        f"TRUNCATE {names} RESTART IDENTITY",
        "INSERT INTO counters (name, value) VALUES ('change', 0)",
    )
    return made


@pytest.fixture(params=BACKENDS)
def fresh_url(request, tmp_path):
    """Where nothing is yet."""
    if request.param == "sqlite":
        return str(tmp_path / "new folder" / "labels.db")
    return new_database(request.getfixturevalue("postgres"))


def new_database(server):
    """Make an empty database on the server of a URL, and return its URL."""
    name = f"labels_{next(_names)}"
    run_sql(server, f"CREATE DATABASE {name}")
    return server.rpartition("/")[0] + f"/{name}"


def run_sql(url, *statements):
    """Run statements outside the store, each on its own."""
    engine = create_engine(parse_url(url), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(url, clock):
    """An empty store whose time stands still, with quick password hashes."""
    with open_store(url, clock=clock) as opened:
        yield opened


def open_store(url, **options):
    opened = LabelStore.open(url, seed=0, **options)
    opened.people.hasher = PasswordHasher.from_parameters(CHEAPEST)
    return opened


@pytest.fixture
def people(store):
    """Ids of three annotators."""
    return [store.add_user(name, "long enough").id for name in ("ann", "ben", "cat")]
