"""OpenSpiel's bot in our board games: it sees the board that we see, and plays it well."""

import pytest
import torch

from simrl.core.plugins import env_plugin, make_env, make_scripted
from simrl.rollout.evaluate import evaluate

pytest.importorskip("pyspiel")

from simrl.adapters.open_spiel import OpenSpielConfig, OpenSpielMCTS


def play(name, moves):
    """Return the observation after `moves`, with the seat of the agent whose turn it is."""
    env = make_env(name, 1)
    obs = env.reset(0)
    wait = env.spec.actions.heads[0].size - 1
    for turn, move in enumerate(moves):
        action = torch.full((1, 2, 1), wait)
        action[0, turn % 2, 0] = move
        obs = env.step(action).obs
    return env, obs


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("connect-four", [3, 3, 2, 3, 6, 0, 0, 1]),
        ("connect-four", [3, 3, 2, 3, 6, 0, 0]),
        ("tic-tac-toe", [4, 0, 8]),
        ("tic-tac-toe", [4, 0, 8, 5]),
    ],
)
def test_positions_are_those_that_openspiel_reaches_by_the_same_moves(name, moves):
    env, obs = play(name, moves)
    bot = OpenSpielMCTS(env.spec)
    seat = len(moves) % 2
    position = bot.position(obs["policy"][0, seat], seat)
    reached = bot.game.new_initial_state()
    for move in moves:
        reached.apply_action(move)
    assert str(position) == str(reached)
    assert position.current_player() == reached.current_player() == seat
    assert position.legal_actions() == reached.legal_actions()


@pytest.mark.parametrize(
    ("moves", "expected"),
    [([0, 6, 0, 6, 0, 5], 0), ([0, 6, 0, 6, 0], 0), ([1, 0, 2, 0, 5, 0, 5], 0)],
    ids=["wins", "blocks", "wins as second"],
)
def test_it_sees_what_one_move_decides(moves, expected):
    env, obs = play("connect-four", moves)
    seat = len(moves) % 2
    rows = {group: obs[group][:, seat] for group in ("policy", "action_mask")}
    rows["seat"] = torch.tensor([seat])
    bot = OpenSpielMCTS(env.spec, OpenSpielConfig(simulations=200))
    rng = torch.Generator().manual_seed(0)
    assert bot.act(rows, {}, rng).action.tolist() == [[expected]]


def test_games_against_the_tactical_policy_and_the_same_seed_twice():
    env = make_env("tic-tac-toe", 20)
    tactical = make_scripted("tic-tac-toe", "tactical")
    bot = OpenSpielMCTS(env.spec, OpenSpielConfig(simulations=500))
    results = [
        evaluate(env, bot, {"tactical": tactical}, games=20, seed=3).score("tactical")
        for _ in range(2)
    ]
    assert results[0].losses == 0
    assert results[0].wins > 0
    assert (results[0].episodes.length == results[1].episodes.length).all()


def test_mistakes():
    spec = env_plugin("cart-pole").make(env_plugin("cart-pole").config(), 1).spec
    with pytest.raises(ValueError, match="cart-pole cannot be translated for OpenSpiel; these can"):
        OpenSpielMCTS(spec)
    with pytest.raises(ValueError, match="simulations must be positive, got 0"):
        OpenSpielConfig(simulations=0)
