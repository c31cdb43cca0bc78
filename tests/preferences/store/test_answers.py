"""Answers: stored once, taken back, revised, and read in the order of change."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from simrl.preferences.store import NewQuestion, RefusedError

CLIPS = ("a" * 16, "b" * 16)
FIRST, SECOND, TIE = ({"choice": choice} for choice in ("first", "second", "tie"))


def pair(**changes):
    """A comparison of two clips."""
    return NewQuestion(**{"kind": "compare", "clips": CLIPS, **changes})


def answer_next(store, person, value, key=None, seconds=2.0):
    lease = store.lease(person)
    return store.answer(person, lease.id, key or f"key {lease.id}", value, seconds=seconds)


def test_answer_holds_what_was_asked_and_said(store, people, clock):
    (question,) = store.add_questions([pair()])
    lease = store.lease(people[0])
    clock.now += 5
    answer = store.answer(people[0], lease.id, "k", SECOND, seconds=4.5)
    assert (answer.question, answer.annotator, answer.kind) == (question, people[0], "compare")
    assert (answer.clips, answer.value, answer.seconds) == (CLIPS, SECOND, 4.5)
    assert (answer.created, answer.swapped) == (clock.now, lease.swapped)
    assert answer.pseudonym == store.user(people[0]).pseudonym
    assert store.answers() == [answer]
    assert store.question(question).state == "done"


def test_same_key_returns_the_first_result_and_stores_once(store, people):
    store.add_questions([pair(overlap=2)])
    lease = store.lease(people[0])
    first = store.answer(people[0], lease.id, "k", FIRST, seconds=1)
    again = store.answer(people[0], lease.id, "k", SECOND, seconds=9)
    assert again == first
    assert len(store.history()) == 1
    # Another person's key of the same text is another key.
    other = store.lease(people[1])
    assert store.answer(people[1], other.id, "k", TIE, seconds=1).value == TIE


def test_retry_returns_the_first_result_even_after_it_was_revised(store, people):
    store.add_questions([pair()])
    lease = store.lease(people[0])
    first = store.answer(people[0], lease.id, "k", FIRST, seconds=1)
    store.revise(people[0], lease.question.id, "r", SECOND)
    assert store.answer(people[0], lease.id, "k", FIRST, seconds=1) == first
    assert store.answers()[0].value == SECOND


def test_key_of_another_answer_is_refused(store, people):
    store.add_questions([pair(), pair()])
    answer_next(store, people[0], FIRST, key="k")
    with pytest.raises(RefusedError, match="used for another answer") as refused:
        answer_next(store, people[0], FIRST, key="k")
    assert refused.value.reason == "key"
    assert len(store.answers()) == 1


def test_second_answer_to_one_question_is_refused(store, people):
    store.add_questions([pair(overlap=2)])
    lease = store.lease(people[0])
    store.answer(people[0], lease.id, "k", FIRST, seconds=1)
    with pytest.raises(RefusedError, match="answered question 1 already") as refused:
        store.answer(people[0], lease.id, "other", FIRST, seconds=1)
    assert refused.value.reason == "answered"


@pytest.mark.parametrize("key", ["", "x" * 101, "a\0b", "\ud800"])
def test_key_that_no_database_takes_is_refused(store, people, key):
    store.add_questions([pair()])
    with pytest.raises(ValueError, match="key"):
        answer_next(store, people[0], FIRST, key=key or None) if key else store.answer(
            people[0], store.lease(people[0]).id, "", FIRST, seconds=1
        )
    assert store.answers() == []


def test_undo_takes_the_newest_back_and_gives_its_lease_again(store, people):
    first, second = store.add_questions([pair(), pair()])
    answer_next(store, people[0], FIRST)
    before = answer_next(store, people[0], SECOND)
    undone = store.undo(people[0])
    assert (undone.answer.id, undone.answer.value) == (before.id, None)
    assert undone.lease.question.id == second and undone.lease.swapped == before.swapped
    assert store.lease(people[1]) is None  # it is leased, not free
    assert store.lease(people[0]).id == undone.lease.id
    assert store.progress().answered == 1
    again = store.answer(people[0], undone.lease.id, "new", TIE, seconds=1)
    assert again.id == before.id and again.change > before.change
    assert [(a.question, a.value) for a in store.answers()] == [(first, FIRST), (second, TIE)]
    assert [event.action for event in store.history(second)] == ["answer", "undo", "answer"]


def test_undo_goes_back_further_each_time_and_then_has_nothing(store, people):
    first, second = store.add_questions([pair(), pair()])
    answer_next(store, people[0], FIRST)
    answer_next(store, people[0], FIRST)
    assert [store.undo(people[0]).answer.question for _ in range(2)] == [second, first]
    assert store.undo(people[0]) is None
    assert {store.question(id_).state for id_ in (first, second)} == {"open"}


def test_undone_question_goes_to_others_when_its_lease_runs_out(store, people, clock):
    store.add_questions([pair()])
    answer_next(store, people[0], FIRST)
    store.undo(people[0], seconds=10)
    clock.now += 10
    assert answer_next(store, people[1], SECOND).annotator == people[1]
    assert [a.value for a in store.answers()] == [None, SECOND]


def test_undo_touches_only_ones_own_answers(store, people):
    store.add_questions([pair()])
    answer_next(store, people[0], FIRST)
    assert store.undo(people[1]) is None
    assert store.answers()[0].value == FIRST


def test_undo_on_a_closed_question_takes_back_without_asking_again(store, people):
    (question,) = store.add_questions([pair(overlap=2)])
    answer_next(store, people[0], FIRST)
    store.close_questions([question])
    undone = store.undo(people[0])
    assert undone.answer.value is None and undone.lease is None
    assert store.lease(people[0]) is None


def test_revise_keeps_the_old_value_in_the_history(store, people):
    (question,) = store.add_questions([pair()])
    before = answer_next(store, people[0], FIRST, seconds=3)
    revised = store.revise(people[0], question, "r", SECOND)
    assert (revised.id, revised.value, revised.seconds) == (before.id, SECOND, 3)
    assert store.revise(people[0], question, "r", TIE) == revised
    assert [event.value for event in store.history(question)] == [FIRST, SECOND]
    with pytest.raises(RefusedError, match="no answer to question"):
        store.revise(people[1], question, "r", TIE)


def test_polling_by_change_sees_every_change_once(store, people):
    store.add_questions([pair() for _ in range(3)])
    seen = 0
    polls = []
    for act in (
        lambda: answer_next(store, people[0], FIRST),
        lambda: answer_next(store, people[1], SECOND),
        lambda: store.undo(people[0]),
        lambda: store.revise(people[1], 2, "r", TIE),
    ):
        act()
        changed = store.answers(after=seen)
        seen = max(answer.change for answer in changed)
        polls.append([(answer.question, answer.value) for answer in changed])
    assert polls == [[(1, FIRST)], [(2, SECOND)], [(1, None)], [(2, TIE)]]
    assert store.answers(after=seen) == []


def test_quality_questions_are_left_out_unless_asked_for(store, people):
    plain, gold = store.add_questions([pair(), pair(gold=FIRST)])
    (repeat,) = store.add_questions([pair(repeat_of=plain)])
    for _ in range(3):
        answer_next(store, people[0], FIRST)
    assert [answer.question for answer in store.answers()] == [plain]
    assert [a.question for a in store.answers(include_gold=True)] == [plain, gold, repeat]


VALUES = [
    ("compare", 2, {}, {"choice": "incomparable"}),
    ("rate", 1, {}, {"rating": 5}),
    ("rate", 1, {"low": -3, "high": 3}, {"rating": -3}),
    ("thumbs", 1, {}, {"up": False}),
    ("moment", 1, {}, {"step": 12, "clip": CLIPS[0], "note": "<script>'; DROP TABLE users;--"}),
    ("correct", 1, {}, {"clip": CLIPS[0], "step": 0, "demonstration": "c" * 16}),
    ("text", 2, {}, {"text": "schön 👍 \u2028 <b>"}),
    ("live", 0, {}, {"events": [[0.5, 1], [2.25, -1]], "clip": "d" * 16, "speeds": [1, 0.5]}),
]


@pytest.mark.parametrize(("kind", "clips", "settings", "value"), VALUES)
def test_value_of_each_kind_comes_back_as_it_went_in(store, people, kind, clips, settings, value):
    question = NewQuestion(kind=kind, clips=CLIPS[:clips], settings=settings)
    store.add_questions([question])
    answer_next(store, people[0], value)
    assert store.answers(kind=kind)[0].value == value


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("compare", {"choice": "left"}, "unknown choice 'left'; the choices are first, second"),
        ("compare", {"choice": "first", "extra": 1}, "has the keys"),
        ("compare", {}, "has the keys"),
        ("compare", [], "is a mapping"),
        ("rate", {"rating": 6}, "whole number 1 to 5, got 6"),
        ("rate", {"rating": True}, "whole number"),
        ("rate", {"rating": 2.5}, "whole number"),
        ("thumbs", {"up": 1}, "true or false"),
        ("moment", {"step": -1, "clip": CLIPS[0]}, "step must"),
        ("moment", {"step": 1, "clip": "c" * 16}, "one of the question's clips"),
        ("moment", {"step": 1, "clip": CLIPS[0], "note": "x" * 20_001}, "20000 characters"),
        ("correct", {"clip": CLIPS[0], "step": 1, "demonstration": "../etc"}, "hexadecimal"),
        ("text", {"text": "  "}, "empty"),
        ("text", {"text": "a\0b"}, "zero character"),
        ("text", {"text": "\ud800"}, "not valid Unicode"),
        ("live", {"events": [[1.0, float("nan")]], "clip": CLIPS[0]}, "two finite numbers"),
        ("live", {"events": [[1.0]], "clip": CLIPS[0]}, "two finite numbers"),
        ("live", {"events": [], "clip": CLIPS[0], "speeds": [1]}, "speeds"),
    ],
)
def test_value_that_answers_nothing_is_refused_and_not_stored(store, people, kind, value, message):
    store.add_questions([NewQuestion(kind=kind, clips=CLIPS if kind == "compare" else CLIPS[:1])])
    with pytest.raises(ValueError, match=message):
        answer_next(store, people[0], value)
    assert store.history() == []
    assert store.progress().leased == 1  # the lease is still held, for a right answer


@pytest.mark.parametrize(("given", "stored"), [(float("nan"), 0), (-5, 0), (1e12, 7 * 24 * 3600)])
def test_claimed_seconds_are_brought_into_range(store, people, given, stored):
    store.add_questions([pair()])
    assert answer_next(store, people[0], FIRST, seconds=given).seconds == stored


def test_the_database_itself_refuses_to_change_history(store, people):
    store.add_questions([pair()])
    answer_next(store, people[0], FIRST)
    for statement in (
        "UPDATE answer_events SET seconds = 1",
        "DELETE FROM answer_events",
        "UPDATE audit SET detail = ''",
        "DELETE FROM audit",
    ):
        with pytest.raises(DBAPIError, match="is only added to"):
            store.database.write(lambda connection, sql=statement: connection.execute(text(sql)))
    assert [event.value for event in store.history()] == [FIRST]


def test_answers_are_the_history_folded(store, people):
    """Replaying the events gives exactly what stands."""
    store.add_questions([pair(overlap=3) for _ in range(4)])
    for round_ in range(4):
        for person in people:
            answer_next(store, person, (FIRST, SECOND, TIE)[(round_ + person) % 3])
    store.undo(people[0])
    store.revise(people[1], 2, "r", TIE)
    answer_next(store, people[0], TIE)
    folded = {}
    for event in store.history():
        folded[event.question, event.annotator] = (event.change, event.value)
    stands = {(a.question, a.annotator): (a.change, a.value) for a in store.answers()}
    assert stands == folded and len(stands) == 12
