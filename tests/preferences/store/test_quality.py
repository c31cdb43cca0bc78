"""Agreement by published examples, and each person's figures by hand."""

import math

import numpy as np
import pytest

from simrl.preferences.store import Answer, NewQuestion, Question
from simrl.preferences.store.agreement import (
    cohen_kappa,
    cohen_kappas,
    fleiss_kappa,
    krippendorff_alpha,
)
from simrl.preferences.store.quality import Share, aggregate, label_table, measure, quality_report

CLIPS = ("a" * 16, "b" * 16)


def test_cohen_of_the_textbook_table():
    """50 grant proposals, two readers: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: kappa 0.4."""
    first = np.repeat([1, 1, 0, 0], [20, 5, 10, 15])
    second = np.repeat([1, 0, 1, 0], [20, 5, 10, 15])
    assert cohen_kappa(first, second) == pytest.approx(0.4)
    # What only one of them labelled says nothing.
    padded = [np.append(first, [1, -1]), np.append(second, [-1, 0])]
    assert cohen_kappa(*padded) == pytest.approx(0.4)
    table = cohen_kappas(np.array([*padded, np.full(52, -1)]))
    assert table[0, 1] == table[1, 0] == pytest.approx(0.4)
    assert np.isnan(table[2]).all() and np.isnan(np.diag(table)).all()


def test_fleiss_of_the_published_table():
    """Fleiss 1971's form of 14 raters, 10 subjects, 5 classes: kappa 0.210."""
    counts = [
        *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
        *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
    ]
    labels = np.stack([np.repeat(range(5), row) for row in counts], 1)  # [14, 10]
    kappa, items = fleiss_kappa(labels, 5)
    assert kappa == pytest.approx(0.210, abs=5e-4) and items == 10
    # An item with fewer labels cannot take part.
    less = np.concatenate([labels, np.array([[0, 1, *[-1] * 12]]).T], 1)
    assert fleiss_kappa(less, 5) == (pytest.approx(kappa), 10)


def test_krippendorff_of_the_published_example():
    """Krippendorff 2011, Computing alpha-reliability, example C: four observers with gaps.

    Nominal alpha is 0.743, ordinal 0.815, interval 0.849.
    """
    o = -1
    labels = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, o, o, o],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, o, 3],
            [o, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, o],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, o],
        ]
    )
    assert krippendorff_alpha(labels) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(labels, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(labels, "interval") == pytest.approx(0.849, abs=5e-4)


def test_agreement_is_undefined_without_overlap_or_variety():
    alone = np.array([[0, 1, -1], [-1, -1, 1]])
    same = np.zeros((2, 3), int)
    for labels in (alone, same):
        assert math.isnan(krippendorff_alpha(labels))
        assert math.isnan(cohen_kappa(*labels))
        assert math.isnan(fleiss_kappa(labels, 2)[0])


def question(id_, **changes):
    values = {"kind": "compare", "clips": CLIPS, "id": id_, "state": "done", "created": 0.0}
    return Question(**{**values, **changes})


def answer(question_id, annotator, value, *, seconds=1.0, swapped=False, kind="compare"):
    if isinstance(value, str):
        value = {"choice": value}
    return Answer(
        0, 0, question_id, annotator, f"p{annotator}", kind, CLIPS, value, seconds, 0.0, swapped
    )


def test_figures_of_each_person_by_hand():
    questions = [
        *(question(1), question(2), question(3)),
        question(4, gold={"choice": "first"}),
        question(5, gold={"choice": "second"}),
        question(6, gold={"choice": "tie"}, clips=CLIPS[:1] * 2, attention=True),
        question(7, repeat_of=1),
        question(8, repeat_of=2, clips=CLIPS[::-1]),
    ]
    ann = [
        answer(1, 1, "first", seconds=2, swapped=False),  # left
        answer(2, 1, "second", seconds=4, swapped=True),  # left
        answer(3, 1, "incomparable", seconds=9),
        answer(4, 1, "first", seconds=6, swapped=True),  # right; right answer
        answer(5, 1, "first", seconds=8, swapped=False),  # left; wrong answer
        answer(6, 1, "tie", seconds=1),
        answer(7, 1, "first", seconds=3, swapped=True),  # right; as before, sides changed
    ]
    # Question 8 shows the clips in the other order: her "second" of 2 is its "first". Swapped, the
    # screen is as question 2's was unswapped; she saw that swapped, so sides changed. She says
    # "second", the clip that she did not choose before.
    odd = Answer(0, 0, 8, 1, "p1", "compare", CLIPS[::-1], {"choice": "second"}, 5.0, 0.0, True)
    ben = [answer(1, 2, "first"), answer(2, 2, "first"), answer(3, 2, "incomparable")]
    cat = [answer(1, 3, "second"), answer(9, 3, {"up": True}, kind="thumbs")]
    report = measure(
        [*ann, odd, *ben, *cat], {q.id: q for q in [*questions, question(9, kind="thumbs")]}
    )
    first, second, third = report.annotators
    assert (first.annotator, first.pseudonym, first.answered) == (1, "p1", 8)
    assert first.median_seconds == 4.5  # of 1 2 3 4 5 6 8 9
    assert first.gold == Share(1, 2) and first.attention == Share(1, 1)
    # Pairs with others: question 1 ben same, cat not; 2 ben not; 3 ben same.
    assert first.agreement == Share(2, 4)
    assert second.agreement == Share(2, 4) and third.agreement == Share(0, 2)
    assert first.consistency == Share(1, 2)
    # 7 was first shown unswapped and then swapped. 8 swapped shows (a, b); 2 swapped showed (b, a).
    assert first.consistency_swapped == Share(1, 2)
    # Sided: 1 left, 2 left, 4 right, 5 left, 7 right, 8 "second" swapped: left.
    assert first.left == Share(4, 6)
    assert first.side_bias == pytest.approx(1 / 3)
    # Two-sided, 4 of 6 fair coins: (1 + 6 + 15) * 2 / 64.
    assert first.side_bias_p == pytest.approx(0.6875)
    assert third.answered == 2 and math.isnan(third.gold.value)
    kinds = {row.kind: row for row in report.agreement}
    assert kinds["compare"].questions == 3 and kinds["thumbs"].questions == 0
    assert math.isnan(kinds["thumbs"].cohen)


def test_always_left_shows_as_bias_not_due_to_chance():
    answers = [answer(i, 1, "second" if i % 2 else "first", swapped=bool(i % 2)) for i in range(12)]
    (person,) = measure(answers, {i: question(i) for i in range(12)}).annotators
    assert person.side_bias == 1
    assert person.side_bias_p == pytest.approx(2 / 2**12)


def test_the_contrary_person_is_found_by_the_others():
    rng = np.random.default_rng(0)
    answers = []
    for item in range(40):
        truth = rng.integers(2)
        for person, skill in ((1, 0.95), (2, 0.9), (3, 0.9), (4, 0.1)):
            right = rng.random() < skill
            answers.append(answer(item, person, ("first", "second")[truth if right else 1 - truth]))
    report = measure(answers, {i: question(i) for i in range(40)})
    accuracy = [person.estimated_accuracy for person in report.annotators]
    assert min(accuracy[:3]) > 0.8 and accuracy[3] < 0.3
    weighed = aggregate(answers)
    assert set(weighed) == set(range(40)) and set(weighed[0]) == {"first", "second"}
    assert all(sum(shares.values()) == pytest.approx(1) for shares in weighed.values())


def test_ratings_are_classes_in_order():
    answers = [
        answer(1, 1, {"rating": 7}, kind="rate"),
        answer(1, 2, {"rating": 3}, kind="rate"),
        answer(2, 1, {"rating": 3}, kind="rate"),
        answer(3, 1, None, kind="rate"),
    ]
    table = label_table(answers, "rate")
    assert (table.annotators, table.questions, table.classes) == ((1, 2), (1, 2), (3, 7))
    assert table.labels.tolist() == [[1, 0], [0, -1]]
    with pytest.raises(ValueError, match="kind 'text' are no classes; compare, rate"):
        label_table(answers, "text")


def test_report_of_a_store_counts_what_stands(store, people):
    assert quality_report(store).annotators == ()
    store.add_questions(
        [
            NewQuestion(kind="compare", clips=CLIPS, overlap=2, gold={"choice": "first"}),
            NewQuestion(kind="text", clips=()),
        ]
    )
    for person, choice in zip(people[:2], ("first", "second"), strict=True):
        lease = store.lease(person)
        store.answer(person, lease, f"k{person}", {"choice": choice}, seconds=2)
    store.answer(people[0], store.lease(people[0]), "t", {"text": "so"}, seconds=4)
    first, second = quality_report(store).annotators
    assert (first.answered, first.gold, second.gold) == (2, Share(1, 1), Share(0, 1))
    assert first.agreement == Share(0, 1)
    store.undo(people[1])
    (only,) = quality_report(store).annotators
    assert only.annotator == people[0]
