"""Questions, and how far labelling has come."""

import pytest

from simrl.preferences.store import NewQuestion, RefusedError, clip_provenance

CLIPS = ("a" * 16, "b" * 16)


def pair(**changes):
    return NewQuestion(**{"kind": "compare", "clips": CLIPS, **changes})


def test_question_comes_back_as_it_was_asked(store, clock):
    asked = pair(
        prompt="Which is <b>better</b>? 'x' -- ü 👍",
        settings={"fps": 30, "deep": [1, {"a": None}]},
        overlap=3,
        batch="round 1",
        priority=0.5,
        gold={"choice": "tie"},
        provenance={"clips": [{"env": "moba-1v1", "seed": 3}] * 2},
    )
    (id_,) = store.add_questions([asked])
    question = store.question(id_)
    for name in vars(asked):
        assert getattr(question, name) == getattr(asked, name), name
    assert (question.id, question.state, question.created) == (id_, "open", clock.now)
    assert question.for_quality
    assert store.questions() == [question]


def test_questions_are_listed_by_kind_and_state(store):
    first, second, third = store.add_questions([pair(), NewQuestion(kind="text", clips=()), pair()])
    store.close_questions([third])
    assert [q.id for q in store.questions("compare")] == [first, third]
    assert [q.id for q in store.questions("compare", "open")] == [first]
    assert [q.id for q in store.questions(state="open")] == [first, second]
    with pytest.raises(ValueError, match="unknown kind 'pair'; the kinds are compare"):
        store.questions("pair")
    with pytest.raises(ValueError, match="unknown state 'new'; the states are open"):
        store.questions(state="new")
    with pytest.raises(RefusedError, match="no question 99"):
        store.question(99)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "pair"}, "unknown kind 'pair'; the kinds are compare, rate"),
        ({"clips": CLIPS[:1]}, "compare has 2 clips, got 1"),
        ({"kind": "rate"}, "rate has 1 clips, got 2"),
        ({"clips": ("../../etc/passwd", CLIPS[0])}, "16 hexadecimal digits"),
        ({"clips": ("A" * 16, CLIPS[0])}, "16 hexadecimal digits"),
        ({"overlap": 0}, "overlap must be from 1 to 1000, got 0"),
        ({"priority": float("nan")}, "priority must be finite"),
        ({"prompt": "a\0"}, "prompt has a zero character"),
        ({"settings": {"x": float("inf")}}, "settings must be plain JSON"),
        ({"settings": {"x": "\0"}}, "settings has a zero character"),
        ({"settings": {"sides": "left"}}, "sides must be"),
        ({"provenance": {"x": {1, 2}}}, "provenance must be plain JSON"),
        ({"provenance": {"x": "y" * 200_001}}, "200000 characters"),
        ({"gold": {"choice": "left"}}, "unknown choice 'left'"),
        ({"attention": True}, "needs its right answer as gold"),
        ({"repeat_of": 99}, "repeats 99, which does not exist"),
        (
            {"kind": "rate", "clips": CLIPS[:1], "settings": {"low": 3, "high": 3}},
            "whole numbers low < high",
        ),
    ],
)
def test_question_that_cannot_be_asked_is_refused_with_all_its_batch(store, change, message):
    with pytest.raises(ValueError, match=message) as refused:
        store.add_questions([pair(), pair(**change)])
    assert "question 1" in str(refused.value)
    assert store.questions() == []


def test_repeat_must_show_the_same_clips(store):
    (id_,) = store.add_questions([pair()])
    store.add_questions([pair(repeat_of=id_, clips=CLIPS[::-1])])
    with pytest.raises(ValueError, match="needs its kind and clips"):
        store.add_questions([pair(repeat_of=id_, clips=("c" * 16, "d" * 16))])


def test_provenance_keeps_what_names_the_play():
    meta = {"id": CLIPS[0], "env": "moba-1v1", "seed": 7, "policies": ["a", "b"], "steps": 30}
    assert clip_provenance([meta]) == {
        "clips": [
            {"env": "moba-1v1", "seed": 7, "policies": ["a", "b"], "snapshot": CLIPS[0]},
        ]
    }


def test_progress_counts_for_all_and_for_each(store, people, clock):
    store.add_questions([pair(overlap=2), pair(), pair(), pair()])
    first = store.lease(people[0])
    store.answer(people[0], first, "k", {"choice": "tie"}, seconds=1)
    store.lease(people[0])
    skipped = store.lease(people[1], exclude=[1])
    store.skip(skipped, people[1])
    store.close_questions([4])
    overall = store.progress()
    assert (overall.open, overall.answered, overall.skipped) == (3, 1, 1)
    assert (overall.leased, overall.total, overall.done) == (1, 3, 0)
    # Ann may still be asked 2 and 3; Ben 1 and the one of 2 and 3 that he did not skip.
    assert store.progress(people[0]).open == 2
    assert store.progress(people[1]).open == 2
    assert store.progress(people[2]).open == 3
    assert [store.progress(person).answered for person in people] == [1, 0, 0]
    clock.now += 1000
    assert store.progress().leased == 0  # the lease has run out


def test_pace_and_time_left_come_from_the_last_five_minutes(store, people, clock):
    store.add_questions([pair() for _ in range(20)])
    assert store.progress().per_minute == 0 and store.progress().minutes_left is None
    for number in range(5):
        store.answer(people[0], store.lease(people[0]), f"k{number}", {"choice": "tie"}, seconds=1)
        clock.now += 6
    # Five answers, one each 6 s, and 6 s since the last: 4 in the 30 s after the first.
    progress = store.progress(people[0])
    assert progress.per_minute == pytest.approx(8.0)
    assert progress.minutes_left == pytest.approx(15 / 8)
    assert store.progress(people[1]).per_minute == 0
    clock.now += 300
    assert store.progress(people[0]).per_minute == 0


def test_repeat_counts_as_open_only_for_who_answered_the_original(store, people):
    (original,) = store.add_questions([pair()])
    store.add_questions([pair(repeat_of=original)])
    assert store.progress(people[0]).open == 1
    store.answer(people[0], store.lease(people[0]), "k", {"choice": "tie"}, seconds=1)
    assert store.progress(people[0]).open == 1  # now the repeat
    assert store.progress(people[1]).open == 0
