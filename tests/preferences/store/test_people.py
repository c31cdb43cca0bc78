"""People: passwords, roles, limited logins, sessions and the log."""

import threading

import pytest
from sqlalchemy import select

from simrl.preferences.store import LoginLimits, NewQuestion, RefusedError, TooManyAttemptsError
from simrl.preferences.store.schema import sessions, users

PASSWORD = "correct horse"


def test_right_password_lets_in_and_no_other(store):
    ann = store.add_user("ann", PASSWORD, "admin")
    assert store.authenticate("ann", PASSWORD, "10.0.0.1") == ann
    for name, password in (("ann", "correct hors"), ("ann", ""), ("Ann", PASSWORD), ("", "")):
        assert store.authenticate(name, password, "10.0.0.1") is None
    assert (ann.role, ann.active) == ("admin", True)


def test_passwords_are_stored_as_argon2id_with_their_own_salt(store):
    store.add_user("ann", PASSWORD)
    store.add_user("ben", PASSWORD)
    with store.database.read() as connection:
        hashes = connection.execute(select(users.c.password)).scalars().all()
    assert all(text.startswith("$argon2id$") and PASSWORD not in text for text in hashes)
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("name", "password", "role", "message"),
    [
        ("ann", PASSWORD, "annotator", "there is a user 'ann' already"),
        ("ANN", PASSWORD, "annotator", "there is a user 'ann' already"),
        ("", PASSWORD, "annotator", "will not do"),
        ("a b", PASSWORD, "annotator", "will not do"),
        ("local", PASSWORD, "annotator", "will not do"),
        ("import:x", PASSWORD, "annotator", "will not do"),
        ("x" * 65, PASSWORD, "annotator", "will not do"),
        ("ben\n", PASSWORD, "annotator", "will not do"),
        ("ben", "short", "annotator", "8 to 1024 characters, got 5"),
        ("ben", "x" * 1025, "annotator", "8 to 1024 characters"),
        ("ben", PASSWORD, "boss", "unknown role 'boss'; the roles are annotator, admin"),
    ],
)
def test_user_that_will_not_do_is_refused(store, name, password, role, message):
    store.add_user("ann", PASSWORD)
    with pytest.raises(ValueError, match=message):
        store.add_user(name, password, role)
    assert [user.name for user in store.users()] == ["ann"]


def test_new_password_ends_sessions_and_shuts_the_old_one_out(store):
    ann = store.add_user("ann", PASSWORD)
    session = store.new_session(ann)
    store.set_password("ann", "another one")
    assert store.session(session.token) is None
    assert store.authenticate("ann", PASSWORD, "") is None
    assert store.authenticate("ann", "another one", "") == ann
    with pytest.raises(ValueError, match="no user 'eve'; the users are ann"):
        store.set_password("eve", PASSWORD)


def test_deactivated_person_loses_sessions_and_leases_but_no_answers(store):
    ann, ben = store.add_user("ann", PASSWORD), store.add_user("ben", PASSWORD)
    store.add_questions([NewQuestion(kind="thumbs", clips=("a" * 16,)) for _ in range(2)])
    store.answer(ann.id, store.lease(ann.id), "k", {"up": True}, seconds=1)
    lease, session = store.lease(ann.id), store.new_session(ann)
    store.deactivate("ann")
    assert store.session(session.token) is None
    assert store.authenticate("ann", PASSWORD, "") is None
    with pytest.raises(RefusedError, match="no active user"):
        store.new_session(ann)
    assert store.lease(ben.id).question.id == lease.question.id
    assert len(store.answers()) == 1
    assert [user.active for user in store.users()] == [False, True]
    store.activate("ann")
    assert store.authenticate("ann", PASSWORD, "").id == ann.id


def test_local_user_is_one_admin_who_cannot_log_in_and_is_not_listed(store):
    local = store.local_user()
    assert store.local_user() == local
    assert local.role == "admin"
    assert store.users() == []
    for password in ("", "None", PASSWORD):
        assert store.authenticate("local", password, "127.0.0.1") is None


def test_pseudonyms_differ_and_say_nothing_of_names(store):
    pseudonyms = {store.add_user(name, PASSWORD).pseudonym for name in ("ann", "ben", "cat")}
    assert len(pseudonyms) == 3
    assert not any(name in text for text in pseudonyms for name in ("ann-", "ben", "cat"))


def test_too_many_failures_of_one_name_refuse_even_the_right_password(store, clock):
    store.add_user("ann", PASSWORD)
    store.add_user("ben", PASSWORD)
    store.people.limits = LoginLimits(per_name=3, per_ip=100, seconds=60)
    for second in range(3):
        clock.now += 1
        assert store.authenticate("ann", "wrong one", f"10.0.0.{second}") is None
    with pytest.raises(TooManyAttemptsError, match="try again in 58 s") as refused:
        store.authenticate("ann", PASSWORD, "10.0.0.9")
    assert refused.value.retry_after == 58  # the first of three was 2 s ago
    assert store.authenticate("ben", PASSWORD, "10.0.0.9").name == "ben"
    clock.now += 58
    assert store.authenticate("ann", PASSWORD, "10.0.0.9").name == "ann"


def test_too_many_failures_from_one_address_refuse_every_name(store):
    store.add_user("ann", PASSWORD)
    store.people.limits = LoginLimits(per_name=100, per_ip=3, seconds=60)
    for name in ("x", "y", "z"):
        assert store.authenticate(name, PASSWORD, "10.0.0.1") is None
    with pytest.raises(TooManyAttemptsError):
        store.authenticate("ann", PASSWORD, "10.0.0.1")
    assert store.authenticate("ann", PASSWORD, "10.0.0.2") is not None


def test_success_forgets_ones_own_failures(store):
    store.add_user("ann", PASSWORD)
    store.people.limits = LoginLimits(per_name=3, per_ip=3, seconds=60)
    for _ in range(4):
        assert store.authenticate("ann", "wrong one", "10.0.0.1") is None
        assert store.authenticate("ann", "wrong one", "10.0.0.1") is None
        assert store.authenticate("ann", PASSWORD, "10.0.0.1") is not None


def test_a_burst_of_logins_gets_no_more_tries_than_the_limit(store):
    """Twenty at once: the limit holds, since attempts count before they are checked."""
    store.add_user("ann", PASSWORD)
    store.people.limits = LoginLimits(per_name=5, per_ip=100, seconds=60)
    heard, start = [], threading.Barrier(20)

    def attempt():
        start.wait()
        try:
            heard.append(store.authenticate("ann", "wrong one", "10.0.0.1"))
        except TooManyAttemptsError:
            heard.append("refused")

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard.count(None) == 5 and heard.count("refused") == 15


def test_session_is_found_by_its_token_until_it_ends(store, clock):
    ann = store.add_user("ann", PASSWORD)
    session = store.new_session(ann, seconds=100)
    assert store.session(session.token) == session
    assert session.user == ann and len(session.token) >= 40 and session.csrf != session.token
    for other in ("", "x", session.token + "x", session.csrf, "\ud800"):
        assert store.session(other) is None
    clock.now += 99
    assert store.session(session.token) == session
    clock.now += 1
    assert store.session(session.token) is None
    again = store.new_session(ann)
    store.end_session(again.token)
    store.end_session(again.token)
    assert store.session(again.token) is None


def test_tokens_are_not_stored(store):
    session = store.new_session(store.add_user("ann", PASSWORD))
    with store.database.read() as connection:
        rows = connection.execute(select(sessions)).all()
    assert len(rows) == 1 and not any(session.token in str(value) for value in rows[0])


def test_log_tells_what_people_did_newest_first(store, clock):
    ann = store.add_user("ann", PASSWORD)
    clock.now += 1
    store.authenticate("ann", PASSWORD, "10.0.0.1")
    store.authenticate("ann", "wrong one", "10.0.0.2")
    store.deactivate("ann")
    store.audit("export", ann, "jsonl", "10.0.0.1")
    entries = store.audit_log()
    assert [(e.action, e.user, e.ip) for e in entries] == [
        ("export", ann.id, "10.0.0.1"),
        ("deactivated", ann.id, ""),
        ("login failed", ann.id, "10.0.0.2"),
        ("login", ann.id, "10.0.0.1"),
        ("user added", ann.id, ""),
    ]
    assert entries[0].created == clock.now
    assert store.audit_log(2) == entries[:2]
    assert store.audit_log(2, before=entries[1].id) == entries[2:4]
    assert store.audit_log(action="login") == [entries[3]]
    assert not any(PASSWORD in entry.detail for entry in entries)


def test_log_takes_any_text_of_strangers_as_one_line(store):
    store.audit("login failed", None, "a\nb\0c\x1b[31m\ud800" + "x" * 5000, "1" * 500)
    (entry,) = store.audit_log()
    assert entry.detail.startswith("a b c [31m x") and len(entry.detail) == 2000
    assert len(entry.ip) == 64
    assert store.authenticate("a\0b" + "x" * 9999, "p\0\ud800", "\n") is None
