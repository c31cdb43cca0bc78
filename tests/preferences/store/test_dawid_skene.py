"""Dawid-Skene against known annotators, another implementation, and cases worked by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from simrl.preferences.store.dawid_skene import dawid_skene

GOLDEN = json.loads(Path(__file__).with_name("golden").joinpath("dawid_skene.json").read_text())


def test_it_finds_what_crowd_kit_finds():
    found = dawid_skene(
        np.array(GOLDEN["labels"]), 3, smoothing=0, iterations=1000, tolerance=1e-10
    )
    np.testing.assert_allclose(found.posterior, GOLDEN["posterior"], atol=1e-8)
    np.testing.assert_allclose(found.prior, GOLDEN["prior"], atol=1e-8)
    np.testing.assert_allclose(found.confusion, GOLDEN["confusion"], atol=1e-8)


def test_it_finds_the_annotators_that_made_the_labels():
    """Four annotators of known confusion label 4,000 items; the estimate comes back near them."""
    rng = np.random.default_rng(3)
    truth = rng.choice(2, 4000, p=[0.7, 0.3])
    confusion = np.array(
        [
            [[0.95, 0.05], [0.10, 0.90]],
            [[0.80, 0.20], [0.20, 0.80]],
            [[0.60, 0.40], [0.05, 0.95]],  # says 1 too often
            [[0.10, 0.90], [0.85, 0.15]],  # mixes the two up
        ]
    )
    said_one = rng.random((4, 4000)) < confusion[:, truth, 1]
    found = dawid_skene(said_one.astype(int), 2)
    # The standard error of a rate from 1,200 items is 0.014; estimating the truth too widens it.
    np.testing.assert_allclose(found.confusion, confusion, atol=0.06)
    np.testing.assert_allclose(found.prior, [0.7, 0.3], atol=0.04)
    np.testing.assert_allclose(found.accuracy, [0.935, 0.80, 0.705, 0.115], atol=0.05)
    votes_right = ((said_one.mean(0) > 0.5) == truth).mean()
    assert (found.labels == truth).mean() > max(votes_right + 0.03, 0.93)


def test_unanimous_labels_are_the_truth_and_everybody_is_right():
    labels = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 1, -1, 0]])
    found = dawid_skene(labels, 2, smoothing=0)
    np.testing.assert_allclose(found.posterior, [[1, 0], [0, 1], [0, 1], [1, 0]], atol=1e-9)
    np.testing.assert_allclose(found.accuracy, 1.0)
    # Each of the four items had probability 1/2 and was then labelled without error.
    assert found.log_likelihood == pytest.approx(4 * np.log(0.5))


def test_smoothing_doubts_annotators_with_few_labels():
    labels = np.array([[0, 1, 0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1, 0, 1], [0, *[-1] * 7]])
    sure, doubting = (dawid_skene(labels, 2, smoothing=value).accuracy for value in (0, 0.5))
    assert sure[2] == pytest.approx(0.75)  # right in class 0; in class 1, never asked, even odds
    assert doubting[2] < doubting[0] < 1


def test_item_without_labels_gets_the_shares_of_the_classes():
    labels = np.array([[0, 0, 0, 1, -1], [0, 0, 0, 1, -1]])
    found = dawid_skene(labels, 2, smoothing=0, iterations=500, tolerance=1e-12)
    np.testing.assert_allclose(found.posterior[4], found.prior, atol=1e-6)
    np.testing.assert_allclose(found.prior, [0.75, 0.25], atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(3, int), r"\[annotators, items\]"),
        (np.zeros((0, 3), int), "not empty"),
        (np.array([[0, 2]]), r"0\.\.1"),
        (np.array([[-2, 0]]), r"0\.\.1"),
    ],
)
def test_tables_that_hold_no_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        dawid_skene(labels, 2)
