"""The games, against numbers that are known from elsewhere."""

import pytest
import torch

from simrl.core.checks import random_action, seat_rows
from simrl.core.plugins import env_plugin, make_env, make_scripted


def _positions(name, num_choices, num_plies):
    """Count distinct positions after each ply, by stepping every legal move of every one."""
    plugin = env_plugin(name)
    env = plugin.make(plugin.config(), 1)
    env.reset(0)
    dynamics = plugin.dynamics(plugin.config())
    rules, state, counts = dynamics.rules, env.snapshot(), [1]
    for ply in range(num_plies):
        games = state.numpy().view(rules.record)[:, 0]
        mask = rules.observe(games)["action_mask"][:, ply % 2, :num_choices]
        rows, moves = (torch.from_numpy(part) for part in mask.nonzero())
        action = torch.full((len(rows), 2, 1), num_choices)
        action[:, ply % 2, 0] = moves
        state = dynamics.step(state[rows], action)[0].unique(dim=0)
        counts.append(len(state))
    return counts


def test_tic_tac_toe_has_5478_positions():
    # Known: 5,478 legal positions, by ply 1, 9, 72, 252, 756, 1260, 1520, 1140, 390, 78.
    counts = _positions("tic-tac-toe", 9, 9)
    assert counts == [1, 9, 72, 252, 756, 1260, 1520, 1140, 390, 78]
    assert sum(counts) == 5478


def test_connect_four_position_counts():
    # OEIS A212693: positions after n plies; wins are possible from ply 7 on.
    assert _positions("connect-four", 7, 6) == [1, 7, 49, 238, 1120, 4263, 16422]


@pytest.mark.slow
def test_connect_four_position_counts_beyond_the_first_wins():
    assert _positions("connect-four", 7, 8)[7:] == [54859, 184275]


def _moves(env, moves):
    wait = env.spec.actions.heads[0].size - 1
    for ply, move in enumerate(moves):
        action = torch.full((1, 2, 1), wait)
        action[0, ply % 2, 0] = move
        step = env.step(action)
    return step


@pytest.mark.parametrize(
    ("name", "moves", "outcome"),
    [
        ("tic-tac-toe", [0, 3, 1, 4, 2], [1, -1]),  # the upper row
        ("tic-tac-toe", [0, 2, 1, 4, 8, 6], [-1, 1]),  # the rising diagonal, for the second
        ("tic-tac-toe", [0, 1, 2, 4, 3, 5, 7, 6, 8], [0, 0]),  # a full board without a line
        ("connect-four", [0, 1, 0, 1, 0, 1, 0], [1, -1]),  # a column
        ("connect-four", [0, 1, 1, 2, 2, 3, 2, 3, 3, 0, 3], [1, -1]),  # a rising diagonal
        ("connect-four", [6, 0, 6, 1, 6, 2, 5, 3], [-1, 1]),  # the bottom row, for the second
    ],
)
def test_games_played_by_hand(name, moves, outcome):
    env = make_env(name, 1)
    env.reset(0)
    step = _moves(env, moves)
    assert step.terminated.tolist() == [True]
    assert step.metrics["outcome"].tolist() == [outcome]
    assert step.reward.tolist() == [outcome]


def test_waiting_out_of_turn_is_the_only_legal_move():
    env = make_env("tic-tac-toe", 1)
    mask = env.reset(0)["action_mask"]
    assert mask[0, 0].tolist() == [True] * 9 + [False]
    assert mask[0, 1].tolist() == [False] * 9 + [True]
    with pytest.raises(ValueError, match="agent 1: value 0 of head 'move'"):
        env.step(torch.zeros(1, 2, 1, dtype=torch.int64))


def test_each_sees_the_board_from_its_own_side():
    env = make_env("tic-tac-toe", 1)
    env.reset(0)
    step = _moves(env, [4])
    first, second = step.obs["policy"][0]
    assert first.nonzero().flatten().tolist() == [4]  # own stone in the middle, not to move
    assert second.nonzero().flatten().tolist() == [9 + 4, 18]  # the other's stone, to move


@pytest.mark.parametrize("name", ["tic-tac-toe", "connect-four"])
def test_tactical_policy_beats_random_moves(name):
    env, policy = make_env(name, 100), make_scripted(name, "tactical")
    rng, obs, outcomes = torch.Generator().manual_seed(0), env.reset(0), []
    for _ in range(60):
        action = random_action(env.spec, obs, rng)
        rows = seat_rows(obs, policy.reads, 2)
        action[:, 1] = policy.act(rows, {}, rng).action.view(100, 2, 1)[:, 1]
        step = env.step(action)
        obs = step.obs
        outcomes.append(step.metrics["outcome"][step.done, 1].clone())
    result = torch.cat(outcomes)
    # As the second player; random play alone would score about -0.3 in tic-tac-toe.
    assert len(result) > 200 and result.mean() > 0.4


def test_tactical_policy_wins_before_it_blocks():
    # First: cells 0 and 1, second: 3 and 4, first to move: 2 wins, 5 would block.
    env, policy = make_env("tic-tac-toe", 1), make_scripted("tic-tac-toe", "tactical")
    env.reset(0)
    step = _moves(env, [0, 3, 1, 4])
    rows = seat_rows(step.obs, policy.reads, 2)
    action = policy.act(rows, {}, torch.Generator().manual_seed(0)).action
    assert action.tolist() == [[2], [9]]


def test_rock_paper_scissors_pays_by_the_circle():
    env = make_env("rock-paper-scissors", 9)
    env.reset(0)
    pairs = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    step = env.step(pairs[..., None])
    # rock-rock, rock-paper, rock-scissors, paper-rock, ...
    assert step.reward[:, 0].tolist() == [0, -1, 1, 1, 0, -1, -1, 1, 0]
    assert torch.equal(step.reward[:, 0], -step.reward[:, 1])
    assert torch.equal(step.metrics["outcome"], step.reward)
    assert step.terminated.all()


def test_rock_paper_scissors_match_of_three():
    env = make_env("rock-paper-scissors", 1, rounds=3)
    env.reset(0)
    env.step(torch.tensor([[[0], [2]]]))  # rock beats scissors: +1
    step = env.step(torch.tensor([[[1], [2]]]))  # paper loses to scissors: 0 in sum
    assert step.obs["policy"].tolist() == [[[0, 1, 0, 0, 0, 1], [0, 0, 1, 0, 1, 0]]]
    step = env.step(torch.tensor([[[1], [0]]]))  # paper beats rock: +1
    assert step.terminated.tolist() == [True]
    assert step.metrics["outcome"].tolist() == [[1, -1]]
