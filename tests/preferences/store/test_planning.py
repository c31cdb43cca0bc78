"""Checks are strewn between questions at their rates, and can be answered."""

from collections import Counter

import pytest

from simrl.preferences.store import NewQuestion
from simrl.preferences.store.planning import CheckRates, add_with_checks
from simrl.preferences.store.quality import quality_report


def clip(number):
    return f"{number:016x}"


def pairs(number):
    return [
        NewQuestion(
            kind="compare",
            clips=(clip(2 * i), clip(2 * i + 1)),
            provenance={"clips": [{"seed": 2 * i}, {"seed": 2 * i + 1}]},
        )
        for i in range(number)
    ]


def gold(number):
    return [
        NewQuestion(kind="compare", clips=(clip(10**6 + i), clip(i)), gold={"choice": "second"})
        for i in range(number)
    ]


def kind_of(question):
    if question.attention:
        return "attention"
    if question.repeat_of is not None:
        return "repeat"
    return "plain" if question.gold is None else "gold"


def test_rates_hold_and_the_plain_ids_come_back(store):
    rates = CheckRates(gold=0.1, repeat=0.2, attention=0.05, people=3)
    ids = add_with_checks(store, pairs(400), rates, gold=gold(100), seed=1)
    questions = {question.id: question for question in store.questions()}
    counts = Counter(kind_of(question) for question in questions.values())
    assert [questions[id_].clips for id_ in ids] == [pair.clips for pair in pairs(400)]
    assert counts["plain"] == 400
    # Expected 40, 80 and 20, give or take four standard deviations (6.0, 8.0, 4.4).
    assert 16 <= counts["gold"] <= 64 and 48 <= counts["repeat"] <= 112
    assert 3 <= counts["attention"] <= 37
    overlaps = {kind_of(q): q.overlap for q in questions.values()}
    assert overlaps == {"plain": 1, "repeat": 1, "gold": 3, "attention": 3}


def test_repeats_come_later_once_each_and_with_both_kinds_of_sides(store):
    rates = CheckRates(gold=0, repeat=1, attention=0, repeat_gap=5)
    ids = add_with_checks(store, pairs(100), rates, seed=2)
    repeats = [question for question in store.questions() if question.repeat_of is not None]
    originals = [question.repeat_of for question in repeats]
    assert len(set(originals)) == len(originals) == 95
    for repeat in repeats:
        between = [id_ for id_ in ids if repeat.repeat_of < id_ < repeat.id]
        assert len(between) >= 5
    sides = Counter(repeat.settings["sides"] for repeat in repeats)
    assert min(sides["same"], sides["other"]) >= 25


def test_attention_checks_show_one_clip_twice(store):
    add_with_checks(store, pairs(20), CheckRates(0, 0, 1), seed=3)
    checks = [question for question in store.questions() if question.attention]
    assert len(checks) == 20
    for check in checks:
        assert check.clips[0] == check.clips[1] and check.gold == {"choice": "tie"}
        assert check.provenance["clips"][0] == {"seed": int(check.clips[0], 16)}


def test_a_careful_person_passes_every_check(store, people):
    add_with_checks(store, pairs(30), CheckRates(0.3, 0.3, 0.3), gold=gold(30), seed=4)
    number = 0
    while lease := store.lease(people[0]):
        first, second = lease.question.clips
        choice = "tie" if first == second else ("first" if first > second else "second")
        if lease.question.gold and not lease.question.attention:
            choice = "second"
        number += 1
        store.answer(people[0], lease, f"k{number}", {"choice": choice}, seconds=1)
    assert number == len(store.questions())
    (person,) = quality_report(store).annotators
    for share in (person.gold, person.attention, person.consistency):
        assert share.of > 0 and share.value == 1
    assert len(store.answers()) == 30


def test_same_seed_plans_the_same(store):
    for _ in range(2):
        add_with_checks(store, pairs(50), CheckRates(), gold=gold(9), seed=5)
    kinds = [kind_of(question) for question in store.questions()]
    assert kinds[: len(kinds) // 2] == kinds[len(kinds) // 2 :]


def test_plans_that_cannot_be_are_refused_and_add_nothing(store):
    with pytest.raises(ValueError, match="gold must be from 0 to 1, got 2"):
        CheckRates(gold=2)
    with pytest.raises(ValueError, match="people must be at least 1"):
        CheckRates(people=0)
    with pytest.raises(ValueError, match="gold question 1 has no known answer"):
        add_with_checks(store, pairs(3), CheckRates(), gold=[*gold(1), *pairs(1)])
    with pytest.raises(ValueError, match="question 2: unknown kind"):
        add_with_checks(store, [*pairs(2), NewQuestion(kind="x", clips=())], CheckRates())
    assert store.questions() == []
