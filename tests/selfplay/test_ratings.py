"""Payoffs and ratings against numbers worked out by hand."""

import math

import pytest

from simrl.selfplay.payoff import Payoff
from simrl.selfplay.rating import SkillRatings, elo


def test_payoff_counts_both_ways():
    payoff = Payoff(["a", "b"])
    for outcome in (1, 1, 0, -1):
        payoff.record("a", "b", outcome)
    # Two wins and half a draw of four games; the other side has one win and half a draw.
    assert payoff.games("a", "b") == payoff.games("b", "a") == 4
    assert payoff.win_rate("a", "b")[0] == pytest.approx(2.5 / 4)
    assert payoff.win_rate("b", "a")[0] == pytest.approx(1.5 / 4)
    table = payoff.table()
    assert table[0, 1] == pytest.approx(0.625)
    assert math.isnan(table[0, 0])


def test_wilson_interval_of_a_win_rate():
    payoff = Payoff()
    payoff.record("a", "b", 1, games=8)
    payoff.record("a", "b", -1, games=2)
    # p = 0.8, n = 10, z = 1.96: centre (0.8 + 0.19208) / 1.38416 = 0.71674 and half width
    # 1.96 / 1.38416 * sqrt(0.016 + 0.009604) = 0.22658.
    rate, low, high = payoff.win_rate("a", "b")
    assert rate == pytest.approx(0.8)
    assert low == pytest.approx(0.71674 - 0.22658, abs=2e-4)
    assert high == pytest.approx(0.71674 + 0.22658, abs=2e-4)


def test_old_games_fade():
    payoff = Payoff()
    payoff.record("a", "b", 1, games=10)
    payoff.forget(0.4)
    payoff.record("a", "b", -1, games=6)
    assert payoff.games("a", "b") == pytest.approx(12)
    assert payoff.win_rate("a", "b")[0] == pytest.approx(0.5)


def test_payoff_survives_a_round_trip_and_new_players():
    payoff = Payoff(["a"])
    payoff.record("a", "b", 1, games=3)
    payoff.record("c", "b", 0)
    copy = Payoff()
    copy.load_state_dict(payoff.state_dict())
    copy.add("d")
    assert copy.names == ["a", "b", "c", "d"]
    assert copy.games("a", "b") == 3
    assert copy.win_rate("b", "c")[0] == 0.5
    assert payoff.names == ["a", "b", "c"]


def test_payoff_names_what_is_wrong():
    payoff = Payoff(["a", "b"])
    with pytest.raises(ValueError, match=r"unknown player 'x'; the players are a, b"):
        payoff.games("a", "x")
    with pytest.raises(ValueError, match="outcome must be 1, 0 or -1"):
        payoff.record("a", "b", 0.5)


def test_ten_to_one_is_400_points_of_elo():
    payoff = Payoff()
    payoff.record("a", "b", 1, games=100_000)
    payoff.record("a", "b", -1, games=10_000)
    ratings = elo(payoff)
    assert ratings["a"].mean - ratings["b"].mean == pytest.approx(400.0, abs=0.1)
    assert ratings["a"].mean + ratings["b"].mean == pytest.approx(0.0, abs=1e-6)


def test_elo_interval():
    payoff = Payoff()
    payoff.record("a", "b", 1, games=1000)
    payoff.record("a", "b", -1, games=100)
    # The log-odds of 1,100 games at p = 10/11 have variance 1 / (1100 * 10 / 121) = 0.011, so the
    # gap has deviation 0.10488; either rating has half of that: 0.05244 * 173.72 * 1.96 = 17.86.
    rating = elo(payoff)["a"]
    assert rating.high - rating.mean == pytest.approx(17.86, abs=0.1)
    assert rating.mean - rating.low == pytest.approx(17.86, abs=0.1)


def test_elo_is_transitive_over_players_that_never_met():
    payoff = Payoff()
    for pair in (("a", "b"), ("b", "c")):
        payoff.record(*pair, 1, games=100_000)
        payoff.record(*pair, -1, games=10_000)
    ratings = elo(payoff)
    assert ratings["a"].mean - ratings["c"].mean == pytest.approx(800.0, abs=1.0)


def test_an_unbeaten_player_stays_finite_and_draws_are_even():
    payoff = Payoff()
    payoff.record("a", "b", 1, games=50)
    ratings = elo(payoff)
    assert 400 < ratings["a"].mean - ratings["b"].mean < 3000
    even = Payoff()
    even.record("a", "b", 0, games=50)
    assert elo(even)["a"].mean == pytest.approx(0.0, abs=1e-6)
    assert elo(Payoff()) == {}


def test_openskill_orders_players_and_survives_a_round_trip():
    skill = SkillRatings()
    for _ in range(20):
        skill.record("strong", "middle", 1)
        skill.record("middle", "weak", 1)
    ratings = skill.ratings()
    assert ratings["strong"].mean > ratings["middle"].mean > ratings["weak"].mean
    assert ratings["strong"].low < ratings["strong"].mean < ratings["strong"].high
    copy = SkillRatings()
    copy.load_state_dict(skill.state_dict())
    skill.record("weak", "strong", 1)
    copy.record("weak", "strong", 1)
    assert copy.ratings() == skill.ratings()


def test_a_copied_player_starts_at_the_mean_with_a_newcomers_doubt():
    skill = SkillRatings()
    for _ in range(10):
        skill.record("learner", "other", 1)
    skill.copy("learner", "snapshot")
    ratings = skill.ratings()
    assert ratings["snapshot"].mean == ratings["learner"].mean
    width = {name: rating.high - rating.low for name, rating in ratings.items()}
    assert width["snapshot"] > width["learner"]
