"""Query selection against hand numbers and brute force."""

import itertools
import math

import pytest
import torch

from simrl.preferences.segment import SegmentBatch
from simrl.preferences.selection import (
    SELECTORS,
    Candidates,
    disagreement,
    entropy,
    information_gain,
    k_centre,
    segment_features,
    select,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def candidates(probability, features=None, asked=None):
    """Make candidates whose members see these probabilities of "first"."""
    p = torch.tensor(probability)
    logit = torch.logit(p)
    features = torch.zeros(p.shape[1], 1) if features is None else torch.tensor(features)
    asked = torch.zeros(0, features.shape[1]) if asked is None else torch.tensor(asked)
    return Candidates(logit, torch.zeros_like(logit), logit, features, asked)


# Pair 0: all sure of the first; 1: all say toss-up; 2: sure and contrary; 3: mildly contrary.
FOUR = [[0.99, 0.5, 0.99, 0.6], [0.99, 0.5, 0.01, 0.4]]


def test_disagreement_is_the_deviation_of_the_probabilities():
    # Two values a and b deviate by |a - b| / 2 from their mean.
    assert torch.allclose(
        disagreement(candidates(FOUR)), torch.tensor([0, 0, 0.49, 0.1]), atol=1e-6
    )


def test_entropy_is_the_mean_of_each_models():
    # H(0.5) = ln 2 = 0.693147, H(0.99) = 0.056002, H(0.6) = 0.673012 [nat].
    expected = torch.tensor([0.056002, 0.693147, 0.056002, 0.673012])
    assert torch.allclose(entropy(candidates(FOUR)), expected, atol=1e-5)


def test_information_gain_wants_sure_models_that_contradict_each_other():
    # Pairs 2 and 3 have a mean of 0.5: ln 2 minus the mean entropy, 0.637145 and 0.020135.
    expected = torch.tensor([0.0, 0.0, 0.637145, 0.020135])
    assert torch.allclose(information_gain(candidates(FOUR)), expected, atol=1e-5)


def test_scores_are_finite_for_any_logit():
    logit = torch.tensor([[200.0, -200.0, 0.0], [200.0, 200.0, 0.0]])
    extreme = Candidates(logit, logit, logit, torch.zeros(3, 1), torch.zeros(0, 1))
    for score in (disagreement, entropy, information_gain):
        assert torch.isfinite(score(extreme)).all()
    assert math.isclose(float(information_gain(extreme)[1]), math.log(2), abs_tol=1e-5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("disagreement", [2, 3]), ("entropy", [1, 3]), ("information-gain", [2, 3])],
)
def test_scores_choose_the_highest(kind, expected):
    assert select(kind, candidates(FOUR), 2, generator()).tolist() == expected


def test_k_centre_takes_the_farthest_in_turn():
    features = torch.tensor([[0.0], [1.0], [5.0], [9.0], [10.0]])
    asked = torch.tensor([[0.0]])
    # From 0 the farthest is 10; then 5 (5 from both); then of 1 and 9, both 1 away, the first.
    assert k_centre(features, asked, 3, generator()).tolist() == [4, 2, 1]


def test_k_centre_is_within_twice_the_best_cover():
    features = torch.randn(12, 2, generator=generator(1))
    distance = torch.cdist(features, features)
    for count in (2, 3, 4):
        chosen = k_centre(features, torch.zeros(0, 2), count, generator())
        radius = distance[chosen].amin(0).max()
        best = min(
            distance[list(centres)].amin(0).max()
            for centres in itertools.combinations(range(12), count)
        )
        assert radius <= 2 * best + 1e-6
        assert len(set(chosen.tolist())) == count


def test_k_centre_never_repeats_equal_features():
    chosen = k_centre(torch.zeros(4, 2), torch.zeros(0, 2), 4, generator())
    assert sorted(chosen.tolist()) == [0, 1, 2, 3]


def test_products_spread_over_the_better_half():
    probability = [[0.5, 0.9, 0.9, 0.5, 0.9, 0.5], [0.5, 0.1, 0.1, 0.5, 0.1, 0.5]]
    features = [[100.0], [0.0], [1.0], [-100.0], [7.0], [50.0]]
    some = candidates(probability, features, asked=[[0.0]])
    # Models contradict each other on 1, 2 and 4; among these 4 lies farthest from what was asked.
    assert select("k-centre-disagreement", some, 2, generator()).tolist() == [4, 2]
    # They are all unsure of 0, 3 and 5.
    assert select("k-centre-entropy", some, 2, generator()).tolist() == [0, 3]
    assert select("k-centre", some, 2, generator()).tolist() == [0, 3]


def test_thompson_sets_two_models_favourites_side_by_side():
    # Model 0 likes segments a, model 1 likes segments b; the pairs are (a, a), (a, b), (b, a), ...
    likes_a, likes_b = torch.tensor([3.0, 3.0, 0.0, 0.0]), torch.tensor([3.0, 0.0, 3.0, 0.0])
    first = torch.stack([likes_a, 3.0 - likes_a])
    second = torch.stack([likes_b, 3.0 - likes_b])
    some = Candidates(first, second, first - second, torch.zeros(4, 1), torch.zeros(0, 1))
    # One draw is (0, 1) or (1, 0): model 0's favourite a against model 1's favourite b.
    chosen = {int(select("thompson", some, 1, generator(seed))) for seed in range(20)}
    assert chosen == {1, 2}
    assert len(set(select("thompson", some, 3, generator()).tolist())) == 3


def test_uniform_takes_every_candidate_alike():
    some = candidates([[0.5] * 5] * 2)
    counts = torch.zeros(5)
    for seed in range(600):
        counts[select("uniform", some, 2, generator(seed))] += 1
    assert counts.sum() == 1200 and (counts - 240).abs().max() < 50  # deviation 12


@pytest.mark.parametrize("kind", SELECTORS)
def test_every_rule_gives_different_candidates_and_repeats(kind):
    torch.manual_seed(0)
    features, asked = torch.randn(30, 4), torch.randn(5, 4)
    some = Candidates(torch.randn(3, 30), torch.randn(3, 30), torch.randn(3, 30), features, asked)
    chosen = select(kind, some, 7, generator(2))
    assert chosen.dtype == torch.int64 and len(set(chosen.tolist())) == 7
    assert torch.equal(chosen, select(kind, some, 7, generator(2)))
    assert sorted(select(kind, some, 99, generator()).tolist()) == list(range(30))


def test_unknown_rule_lists_the_rules():
    with pytest.raises(ValueError, match=r"unknown selection 'best'; the rules are uniform, dis"):
        select("best", candidates(FOUR), 1, generator())


def test_segment_features_summarise_the_steps_that_happened():
    obs = torch.tensor([[[1.0], [3.0], [99.0], [99.0]], [[2.0], [2.0], [2.0], [2.0]]])
    obs[0, 2:] = 0.0
    batch = SegmentBatch(
        obs=obs,
        action=torch.zeros(2, 4, 1),
        reward=torch.zeros(2, 4),
        reward_terms=torch.zeros(2, 4, 0),
        length=torch.tensor([2, 4]),
        terminated=torch.tensor([True, False]),
        episode=torch.tensor([0, 1]),
    )
    # Mean 2 and deviation 1 of the values 1 and 3; half of the steps happened.
    expected = torch.tensor([[2.0, 0.0, 1.0, 0.0, 0.5], [2.0, 0.0, 0.0, 0.0, 1.0]])
    assert torch.allclose(segment_features(batch), expected)
