"""Intervals, profiles and tests agree with rliable, scipy, statsmodels and numbers by hand."""

import numpy as np
import pytest

from simrl.compare.statistics import (
    Resampling,
    aggregate,
    cvar,
    difference,
    estimate,
    holm,
    iqm,
    mean_difference,
    mean_of_known,
    paired_test,
    probability_of_improvement,
    profile,
)

RNG = np.random.default_rng(3)
RLIABLE = {
    "iqm": 0.22480585420659557,
    "improvement": 0.5125000000000001,
    "profile": [1.0, 0.8666666666666667, 0.5666666666666667, 0.16666666666666666, 0.0],
    "interval": (0.285, 0.6628),
}


def test_the_interquartile_mean_by_hand():
    # 8 scores: the lowest and the highest two are cut, 3 4 5 6 stay.
    assert iqm(np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 100.0]])) == 4.5


def test_cvar_by_hand():
    # 5 % of 40 values are the two largest: 39 and 38.
    assert cvar(np.arange(40.0)) == 38.5
    assert cvar(np.array([3.0])) == 3.0
    with pytest.raises(ValueError, match="at least one"):
        cvar(np.zeros(0))


def test_holm_by_hand_and_against_statsmodels():
    # 0.01 * 3, then max(0.03, 0.02 * 2), then max(0.04, 0.04).
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    multipletests = pytest.importorskip("statsmodels.stats.multitest").multipletests
    p = RNG.uniform(size=20) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for trial in range(200):
        scores = np.random.default_rng(trial).normal(size=(1, 60))
        found = aggregate(scores, Resampling(np.zeros(60), seed=trial, num_draws=300), "a")
        hits += found.low < 0.0 < found.high
    assert 180 <= hits <= 198  # 95 % of 200 is 190, give or take three deviations


def test_seeds_and_scenarios_are_separate_levels():
    # Seeds differ by far more than scenarios do: an interval that took the 400 episodes for
    # independent would be far too narrow.
    levels = RNG.normal(size=(4, 1)) * np.ones((1, 100))
    draws = Resampling(np.zeros(100), seed=0)
    wide = aggregate(levels, draws, "a")
    assert wide.high - wide.low > 0.5 * np.ptp(levels)
    # One seed shows no spread between seeds: its scenarios are all alike.
    narrow = aggregate(levels[:1], draws, "a")
    assert narrow.high == narrow.low == narrow.value


def test_strata_are_resampled_by_themselves():
    # Two strata without spread inside: no draw can change their balance.
    strata = np.repeat([0, 1], 10)
    scores = strata[None].astype(float)
    found = aggregate(scores, Resampling(strata, seed=0), "a")
    assert found.low == found.high == found.value == 0.5
    pooled = aggregate(scores, Resampling(np.zeros(20), seed=0), "a")
    assert pooled.high - pooled.low > 0.2


def test_differences_are_paired():
    hard = RNG.normal(size=(1, 50)) * 10.0  # scenarios differ much, the controllers little
    better = hard + 0.1
    draws = Resampling(np.zeros(50), seed=1)
    found = difference(better, hard, draws, ("a", "b"))
    assert found.value == pytest.approx(0.1)
    assert found.above and found.high - found.low < 1e-9
    found = mean_difference(hard, better, draws, ("b", "a"))
    assert found.below and found.value == pytest.approx(-0.1)


def test_probability_of_improvement_by_hand():
    first = np.array([[1.0, 2.0, 3.0, 4.0]])
    second = np.array([[0.0, 2.0, 4.0, 0.0]])  # won, tied, lost, won
    draws = Resampling(np.zeros(4), seed=0)
    found = probability_of_improvement(first, second, draws, ("a", "b"))
    assert found.value == 0.625
    other = probability_of_improvement(second, first, draws, ("b", "a"))
    assert other.value == 0.375
    assert other.low == pytest.approx(1.0 - found.high)


def test_a_profile_by_hand():
    scores = np.array([[0.1, 0.5], [0.5, 0.9]])
    share, low, high = profile(
        scores, np.array([0.0, 0.1, 0.5, 0.9]), Resampling([0, 0], seed=0), "a"
    )
    assert share.tolist() == [1.0, 0.75, 0.25, 0.0]
    assert (low <= share).all() and (share <= high).all()


def test_against_what_rliable_says():
    # Figures of rliable 1.2.0 for these very scores; its bootstrap needs arch, which cannot be
    # imported beside pandas 3, so they stand here.  Its tasks are our scenarios, its runs seeds.
    rng = np.random.default_rng(11)
    a, b = rng.normal(0.2, 1.0, size=(5, 12)), rng.normal(0.0, 1.0, size=(4, 12))
    draws = Resampling(np.zeros(12), seed=0)
    assert iqm(a) == pytest.approx(RLIABLE["iqm"], rel=1e-12)
    found = probability_of_improvement(a, b, draws, ("a", "b"))
    assert found.value == pytest.approx(RLIABLE["improvement"], rel=1e-12)
    share = profile(a, np.linspace(-2, 2, 5), draws, "a")[0]
    assert share == pytest.approx(RLIABLE["profile"], rel=1e-12)
    # For the intervals its tasks are our strata and its runs the scenarios in them, 4000 draws.
    runs = rng.normal(np.linspace(0, 1, 4), 1.0, size=(30, 4))
    strata = np.repeat(np.arange(4), 30)
    stratified = Resampling(strata, seed=0, num_draws=4000)
    found = aggregate(runs.T.reshape(1, -1), stratified, "a")
    assert (found.low, found.high) == pytest.approx(RLIABLE["interval"], abs=0.02)


def test_probability_of_improvement_against_scipy():
    from scipy import stats

    a, b = RNG.integers(0, 4, size=(5, 6)), RNG.integers(0, 4, size=(3, 6))  # many ties
    expected = [stats.mannwhitneyu(a[:, m], b[:, m]).statistic / 15 for m in range(6)]
    found = probability_of_improvement(a, b, Resampling(np.zeros(6), seed=0), ("a", "b"))
    assert found.value == pytest.approx(np.mean(expected))


def test_the_bootstrap_against_scipys():
    from scipy import stats

    scores = RNG.normal(size=80)
    expected = stats.bootstrap(
        (scores,),
        lambda x, axis: stats.trim_mean(x, 0.25, axis=axis),
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    found = aggregate(scores[None], Resampling(np.zeros(80), seed=0, num_draws=4000), "a")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_the_paired_test_against_scipy():
    from scipy import stats

    first, second = RNG.normal(0.3, 1, size=(2, 40)), RNG.normal(0, 1, size=(3, 40))
    expected = stats.wilcoxon(
        first.mean(0), second.mean(0), zero_method="pratt", method="asymptotic"
    )
    assert paired_test(first, second) == pytest.approx(expected.pvalue)
    assert paired_test(first, first) == 1.0


def test_the_same_seed_gives_the_same_interval_and_names_keep_their_draws():
    scores = RNG.normal(size=(3, 20))
    found = [aggregate(scores, Resampling(np.zeros(20), seed=5), "a") for _ in range(2)]
    assert found[0] == found[1]
    assert found[0] != aggregate(scores, Resampling(np.zeros(20), seed=6), "a")


def test_what_is_wrong_with_scores_is_said():
    draws = Resampling(np.zeros(3), seed=0)
    with pytest.raises(ValueError, match="seed 0 in scenario 1 is not a number"):
        aggregate(np.array([[1.0, np.nan, 2.0]]), draws, "a")
    with pytest.raises(ValueError, match="4 scenarios, but the draws are of 3"):
        aggregate(np.zeros((1, 4)), draws, "a")
    with pytest.raises(ValueError, match=r"\[seeds, scenarios\]"):
        iqm(np.zeros(3))
    with pytest.raises(ValueError, match="at least one scenario"):
        Resampling(np.zeros(0), seed=0)
    assert estimate(1.0, np.arange(101.0)).low == pytest.approx(2.5)


def test_an_endless_error_is_among_the_worst():
    # A quarter of 8 is cut at each end, so two failures are left out, and three are not.
    scores = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, np.inf, np.inf]])
    assert iqm(scores) == 4.5
    scores[0, 5] = np.inf
    assert iqm(scores) == np.inf
    found = aggregate(scores, Resampling(np.zeros(8), seed=0), "a")
    assert found.low < found.value == found.high == np.inf


def test_the_mean_of_those_known():
    scores = np.array([[1.0, np.nan, 3.0], [2.0, np.nan, np.nan]])
    draws = Resampling(np.zeros(3), seed=0)
    found = mean_of_known(scores, draws, "a")
    assert found.value == 2.0
    assert 1.0 <= found.low < 2.0 < found.high <= 3.0
    assert mean_of_known(np.full((1, 3), np.nan), draws, "a") is None
