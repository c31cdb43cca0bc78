"""Compiled boards against the readable rules, and what toys' dynamics show."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from simrl.core import ObservedDynamics, TurnDynamics
from simrl.core.checks import check_turn_rules, random_action
from simrl.core.plugins import env_plugin, make_env
from simrl.core.seeding import torch_generator

BOARDS = ["tic-tac-toe", "connect-four"]
TOYS = [
    "counting",
    "identity",
    "identity-heads",
    "identity-continuous",
    "memory",
    "rock-paper-scissors",
    *BOARDS,
    "cart-pole",
    "double-integrator",
    "pendulum",
]


def _dynamics(name):
    plugin = env_plugin(name)
    return plugin.dynamics(plugin.config())


@pytest.mark.parametrize("name", BOARDS)
def test_compiled_boards_play_as_the_rules_say(name):
    check_turn_rules(_dynamics(name), make_env(name, 32), num_steps=100, seed=3)


@pytest.mark.parametrize(("name", "moves"), [("tic-tac-toe", 9), ("connect-four", 7)])
def test_moves_leave_waiting_out(name, moves):
    rules = _dynamics(name).turn_rules
    assert (rules.num_actions, rules.wait) == (moves, moves)


@pytest.mark.parametrize(
    ("name", "moves", "winner"),
    [
        ("tic-tac-toe", [0, 3, 1, 4, 2], 1),  # the upper row
        ("tic-tac-toe", [0, 2, 1, 4, 8, 6], 2),  # the rising diagonal
        ("tic-tac-toe", [0, 1, 2, 4, 3, 5, 7, 6, 8], 0),  # a full board without a line
        ("connect-four", [0, 1, 0, 1, 0, 1, 0], 1),  # a column
        ("connect-four", [0, 1, 1, 2, 2, 3, 2, 3, 3, 0, 3], 1),  # a rising diagonal
        ("connect-four", [6, 0, 6, 1, 6, 2, 5, 3], 2),  # the bottom row
        # The last stone stands inside its row, and beside the edge another begins: 5 and 6 in one
        # row, 0 in the row below, are no line.
        ("connect-four", [6, 0, 5, 0, 4, 0, 3], 1),
    ],
)
def test_compiled_games_played_by_hand(name, moves, winner):
    rules = _dynamics(name).turn_rules
    env = make_env(name, 1)
    env.reset(0)
    state, reward = env.snapshot()[0].numpy(), np.zeros(2, np.float32)
    overs = [rules.play(state, move, reward) for move in moves]
    assert overs == [0] * (len(moves) - 1) + [1]
    assert reward.tolist() == [[0, 0], [1, -1], [-1, 1]][winner]
    assert rules.legal(state, np.zeros(rules.num_actions, bool)) == 0


def test_a_row_does_not_go_on_around_the_edge():
    # Columns 4, 5, 6 of the bottom row and 0 of the row above it follow each other in the record.
    rules = _dynamics("connect-four").turn_rules
    env = make_env("connect-four", 1)
    env.reset(0)
    state, reward = env.snapshot()[0].numpy(), np.zeros(2, np.float32)
    assert [rules.play(state, move, reward) for move in [4, 0, 5, 1, 6, 1, 0]] == [0] * 7


def test_the_count_of_steps_carries_into_its_second_byte():
    rules = _dynamics("tic-tac-toe").turn_rules
    env = make_env("tic-tac-toe", 1)
    env.reset(0)
    state = env.snapshot()[0].numpy()
    state[8:12] = [254, 255, 0, 0]  # even: the first player moves
    rules.play(state, 0, np.zeros(2, np.float32))
    rules.play(state, 1, np.zeros(2, np.float32))
    assert state[8:12].view("<i4")[0] == 65536


@pytest.mark.parametrize("name", TOYS)
def test_dynamics_show_what_the_environment_shows(name):
    env, dynamics = make_env(name, 5), _dynamics(name)
    assert isinstance(dynamics, ObservedDynamics)
    assert isinstance(dynamics, TurnDynamics) == (name in BOARDS)
    rng = torch_generator(0, "test")
    obs = env.reset(0)
    for _ in range(12):
        state = env.snapshot()
        seen = dynamics.observe(state)
        assert set(seen) == set(obs) | {"state"}
        for group, value in obs.items():
            assert torch.equal(seen[group], value), group
        obs = env.step(random_action(env.spec, obs, rng)).obs


def test_states_that_do_not_fit_are_refused():
    dynamics = _dynamics("tic-tac-toe")
    for call in (
        dynamics.observe,
        dynamics.mover,
        lambda s: dynamics.step(s, torch.zeros(1, 2, 1)),
    ):
        with pytest.raises(ValueError, match=r"tic-tac-toe: expected uint8 states \[B, 26\], got"):
            call(torch.zeros(1, 99, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"got torch.float32 \(1, 26\)"):
        dynamics.observe(torch.zeros(1, 26))


def test_nobody_pays_for_compiled_rules_unasked():
    code = (
        "import sys; from simrl.core.plugins import env_plugin; "
        "d = env_plugin('connect-four').dynamics(env_plugin('connect-four').config()); "
        "assert 'simrl_envs.toy.compiled.boards' not in sys.modules; d.turn_rules; "
        "assert 'simrl_envs.toy.compiled.boards' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
