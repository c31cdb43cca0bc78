"""One suite for both databases: every test with the fixture `url` or `store` runs on each."""

import itertools

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from sqlalchemy import create_engine, text

from simrl.preferences.store import LabelStore
from simrl.preferences.store.local_postgres import find_postgres, local_postgres

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


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    """Where a new store can be opened."""
    if request.param == "sqlite":
        return str(tmp_path / "labels.db")
    server = request.getfixturevalue("postgres")
    name = f"labels_{next(_names)}"
    engine = create_engine(
        server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.rpartition("/")[0] + f"/{name}"


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
