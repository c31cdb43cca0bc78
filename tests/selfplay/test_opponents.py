"""Weights of opponents, worked out by hand."""

import numpy as np
import pytest

from simrl.selfplay.opponents import opponent_weights

RATES = np.array([0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        # (1 - x)^2 = 1, 0.25, 0: of 1.25 in all.
        ("pfsp-hard", [0.8, 0.2, 0.0]),
        # x (1 - x) = 0, 0.25, 0.
        ("pfsp-variance", [0.0, 1.0, 0.0]),
        ("uniform", [1 / 3, 1 / 3, 1 / 3]),
        ("latest", [0.0, 0.0, 1.0]),
    ],
)
def test_weights(choice, expected):
    assert opponent_weights(choice, RATES) == pytest.approx(expected)


def test_power_sharpens():
    # 0.5^1 and 1^1: 1/3 and 2/3.
    assert opponent_weights("pfsp-hard", np.array([0.5, 0.0]), power=1.0) == pytest.approx(
        [1 / 3, 2 / 3]
    )


def test_a_learner_that_beats_everybody_meets_all_alike():
    assert opponent_weights("pfsp-hard", np.ones(4)) == pytest.approx([0.25] * 4)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"unknown opponent choice 'best'; the choices are latest"):
        opponent_weights("best", RATES)
    with pytest.raises(ValueError, match="non-empty"):
        opponent_weights("uniform", np.zeros(0))
