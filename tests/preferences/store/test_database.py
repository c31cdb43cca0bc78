"""Writes: committed together, each alone where one fails, and none lost."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from simrl.preferences.store import LabelStore, NewQuestion
from simrl.preferences.store.database import Database

WRITER = """
import sys
from simrl.preferences.store import LabelStore
store = LabelStore.open(sys.argv[1])
person = int(sys.argv[2])
while lease := store.lease(person):
    answer = store.answer(person, lease, f"key-{lease.id}", {"up": True}, seconds=1)
    print(answer.question, answer.change, flush=True)
"""


def thumbs(number):
    return [NewQuestion(kind="thumbs", clips=("a" * 16,)) for _ in range(number)]


def test_kill_loses_nothing_acknowledged(url):
    """Two processes answer until they are killed: what they printed is there, once each."""
    with LabelStore.open(url) as store:
        people = [store.add_user(name, "long enough").id for name in ("ann", "ben")]
        store.add_questions(thumbs(3000))
        running = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, url, str(person)], stdout=subprocess.PIPE, text=True
            )
            for person in people
        ]
        told = [[process.stdout.readline() for _ in range(20)] for process in running]
        for process in running:
            os.kill(process.pid, signal.SIGKILL)
        for lines, process in zip(told, running, strict=True):
            lines += process.stdout.readlines()
            process.stdout.close()
            assert process.wait() == -signal.SIGKILL
        acknowledged = {
            (person, *map(int, line.split()))
            for person, lines in zip(people, told, strict=True)
            for line in lines
            if line.endswith("\n")
        }
    with LabelStore.open(url) as store:
        stored = {(a.annotator, a.question, a.change) for a in store.answers()}
        assert len(acknowledged) >= 40 and acknowledged <= stored
        assert len(stored - acknowledged) <= 2  # stored, but killed before it was told
        questions = [question for _, question, _ in stored]
        assert len(set(questions)) == len(questions) == len(store.history())
        # The database is whole, and goes on.
        assert store.progress().answered == len(stored)
        assert store.lease(people[0]) is not None


def test_what_comes_at_once_is_committed_together(url):
    with LabelStore.open(url) as store:
        commits, start = [], threading.Barrier(16)
        event.listen(store.database._writer, "commit", commits.append)
        gate = threading.Event()

        def slow(connection):
            gate.wait(10)

        first = threading.Thread(target=store.database.write, args=(slow,))
        first.start()

        def add():
            start.wait()
            store.audit("test")

        rest = [threading.Thread(target=add) for _ in range(16)]
        for thread in rest:
            thread.start()
        while len(store.database._lanes["changes"].waiting) < 16:
            pass
        gate.set()
        for thread in [first, *rest]:
            thread.join()
        assert len(store.audit_log(action="test")) == 16
        # The slow write alone, and the sixteen that came meanwhile in one.
        assert len(commits) == 2


def test_one_refused_write_does_not_spoil_those_beside_it(url):
    with LabelStore.open(url) as store:
        gate, outcomes = threading.Event(), {}
        first = threading.Thread(target=store.database.write, args=(lambda _: gate.wait(10),))
        first.start()

        def run(name, act):
            try:
                outcomes[name] = act()
            except (ValueError, DBAPIError) as error:
                outcomes[name] = type(error).__name__

        def broken(connection):
            connection.execute(text("INSERT INTO audit (id) VALUES (1)"))

        acts = {
            "good": lambda: store.audit("good"),
            "refused": lambda: store.answer(1, 5, "k", {}, seconds=0),
            "broken": lambda: store.database.write(broken),
            "also good": lambda: store.audit("also good"),
        }
        threads = [threading.Thread(target=run, args=item) for item in acts.items()]
        for thread in threads:
            thread.start()
        while len(store.database._lanes["changes"].waiting) < 4:
            pass
        gate.set()
        for thread in [first, *threads]:
            thread.join()
        assert outcomes["good"] is None and outcomes["also good"] is None
        assert (outcomes["refused"], outcomes["broken"]) == ("RefusedError", "IntegrityError")
        assert {entry.action for entry in store.audit_log()} == {"good", "also good"}


def test_readers_cannot_write(url):
    database = Database(url)
    with database.read() as connection, pytest.raises(DBAPIError, match=r"read-?only"):
        connection.execute(text("UPDATE counters SET value = 7"))
    database.close()


def test_a_passing_failure_is_tried_again(url):
    database = Database(url)
    calls = []

    def work(connection):
        calls.append(connection)
        if len(calls) < 3:
            raise OperationalError("x", {}, Exception("database is locked"))
        return connection.execute(text("SELECT value FROM counters")).scalar()

    assert database.write(work) == 0
    assert len(calls) == 3
    database.close()


def test_a_commit_that_fails_is_told_and_not_repeated(url):
    database = Database(url)
    runs = []

    def work(connection):
        runs.append(1)
        connection.execute(text("UPDATE counters SET value = value + 1"))

    def fail(connection):
        raise OSError("no space left on the disk")

    event.listen(database._writer, "commit", fail)
    with pytest.raises(RuntimeError, match=r"did not confirm .*no space left"):
        database.write(work)
    assert runs == [1]
    event.remove(database._writer, "commit", fail)
    assert database.write(lambda c: c.execute(text("SELECT value FROM counters")).scalar()) == 0
    database.close()


def test_an_interrupt_lets_nobody_wait_for_ever(url):
    database = Database(url)

    def interrupted(connection):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.write(interrupted)
    assert database.write(lambda c: c.execute(text("SELECT 1")).scalar()) == 1
    database.close()


def test_changes_are_numbered_in_the_order_of_their_commits(url):
    """Four writers in two stores while a reader polls: it misses none, and never looks back."""
    with LabelStore.open(url) as store, LabelStore.open(url) as other:
        people = [store.add_user(f"p{i}", "long enough").id for i in range(4)]
        store.add_questions(thumbs(60))
        seen, finished = [], threading.Event()

        def poll():
            while True:
                last = finished.is_set()
                changed = store.answers(after=seen[-1] if seen else 0)
                seen.extend(answer.change for answer in changed)
                if last:
                    return

        def work(person):
            mine = (store, other)[person % 2]
            while lease := mine.lease(person):
                mine.answer(person, lease, f"k{lease.id}", {"up": True}, seconds=1)

        reader = threading.Thread(target=poll)
        reader.start()
        writers = [threading.Thread(target=work, args=(person,)) for person in people]
        for thread in writers:
            thread.start()
        for thread in writers:
            thread.join()
        finished.set()
        reader.join()
        assert len(seen) == 60 and seen == sorted(seen)
