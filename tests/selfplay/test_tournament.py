"""A tournament whose results are known beforehand."""

import pytest
import torch

from simrl.core import PolicyOutput
from simrl.core.plugins import make_env, make_scripted
from simrl.rollout.random import RandomPolicy
from simrl.selfplay.tournament import round_robin


class Always:
    reads = frozenset({"policy"})

    def __init__(self, choice):
        self.choice = choice

    def initial_state(self, num_rows):
        return {}

    def act(self, obs, state, rng, *, deterministic=False):
        return PolicyOutput(torch.full((len(obs["policy"]), 1), self.choice))


def test_rock_paper_scissors_is_a_circle():
    env = make_env("rock-paper-scissors", 4)
    players = {name: Always(k) for k, name in enumerate(("rock", "paper", "scissors"))}
    standings = round_robin(env, players, games=10, seed=0)
    payoff = standings.payoff
    for winner, loser in (("paper", "rock"), ("scissors", "paper"), ("rock", "scissors")):
        # Ten wins of ten, so from both sides.
        assert payoff.games(winner, loser) == 10
        assert payoff.win_rate(winner, loser)[0] == 1.0
    # Nobody stands above anybody in a circle.
    assert all(abs(rating.mean) < 1.0 for rating in standings.elo().values())
    assert set(standings.skill.ratings()) == set(players)


def test_the_same_seed_gives_the_same_table_and_skill_tells():
    env = make_env("tic-tac-toe", 20)
    players = {
        "random": RandomPolicy(env.spec),
        "tactical": make_scripted("tic-tac-toe", "tactical"),
    }
    first = round_robin(env, players, games=60, seed=4)
    again = round_robin(env, players, games=60, seed=4)
    assert (first.payoff.wins == again.payoff.wins).all()
    assert first.payoff.win_rate("tactical", "random")[1] > 0.6
    assert first.elo()["tactical"].low > first.elo()["random"].high


def test_impossible_tournaments():
    env = make_env("rock-paper-scissors", 4)
    with pytest.raises(ValueError, match="at least two policies, got alone"):
        round_robin(env, {"alone": Always(0)}, games=10, seed=0)
    with pytest.raises(ValueError, match="even number of games"):
        round_robin(env, {"a": Always(0), "b": Always(1)}, games=5, seed=0)
