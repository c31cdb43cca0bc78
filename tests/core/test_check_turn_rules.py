"""Every promise of compiled rules, broken on purpose: check_turn_rules has to notice."""

import dataclasses

import numpy as np
import pytest
import torch
from numba import njit, types

from simrl.core.checks import CheckFailed, check_turn_rules
from simrl.core.plugins import env_plugin, make_env
from simrl.core.turn_rules import LEGAL, MOVER, OBSERVE, PLAY

GAME = "tic-tac-toe"
STEPS, ENDED, OWNER = 8, 12, 16  # where they begin in the record of 26 bytes
RULES = env_plugin(GAME).dynamics(env_plugin(GAME).config()).turn_rules
play, mover, legal, observe = RULES.play, RULES.mover, RULES.legal, RULES.observe


@njit(PLAY)
def leaves_the_count(state, action, reward):
    over = play(state, action, reward)
    state[STEPS] -= 1
    return over


@njit(PLAY)
def pays_the_other(state, action, reward):
    over = play(state, action, reward)
    reward[:] = -reward
    return over


@njit(PLAY)
def never_ends(state, action, reward):
    play(state, action, reward)
    return 0


@njit(PLAY)
def pays_at_the_end_alone(state, action, reward):
    scratch = np.zeros(2, np.float32)
    over = play(state, action, scratch)
    if over:
        reward[:] = scratch
    return over


@njit(MOVER)
def always_first(state):
    return 0


@njit(LEGAL)
def counts_one_more(state, mask):
    return legal(state, mask) + 1


@njit(LEGAL)
def allows_the_taken(state, mask):
    legal(state, mask)
    mask[:] = True
    return 9


@njit(LEGAL)
def writes_only_legal(state, mask):
    count = 0
    for cell in range(9):
        if state[OWNER + cell] == 0:
            mask[cell] = True
            count += 1
    return count


@njit(LEGAL)
def goes_on_after_the_end(state, mask):
    count = 0
    for cell in range(9):
        mask[cell] = state[OWNER + cell] == 0
        count += mask[cell]
    return count


@njit(OBSERVE)
def sees_as_the_other(state, obs):
    observe(state, obs)
    obs[:18] = np.concatenate((obs[9:18], obs[:9]))


@njit(OBSERVE)
def forgets_the_turn(state, obs):
    seen = np.zeros(19, np.float32)
    observe(state, seen)
    obs[:18] = seen[:18]


@njit(OBSERVE)
def changes_what_it_sees(state, obs):
    observe(state, obs)
    state[0] += 1


@njit
def compiled_for_whatever(state):
    return 0


@njit(types.int64(types.uint8[:]))
def takes_other_arrays(state):
    return 0


BROKEN = [
    ({"play": leaves_the_count}, "state of play against dynamics"),
    ({"play": pays_the_other}, "reward of play against dynamics"),
    ({"play": never_ends}, "play returned 0, the dynamics say 1"),
    ({"play": pays_at_the_end_alone}, "reward of play against dynamics"),
    ({"mover": always_first}, "mover is 0, dynamics.mover says 1"),
    ({"legal": counts_one_more}, "legal returned 10 for"),
    ({"legal": allows_the_taken}, "legal actions"),
    ({"legal": writes_only_legal}, "legal left flags unwritten"),
    ({"legal": goes_on_after_the_end}, "an ended game has legal actions"),
    ({"observe": sees_as_the_other}, "observe"),
    ({"observe": forgets_the_turn}, "observe"),
    ({"observe": changes_what_it_sees}, "looking changed the state"),
    ({"mover": compiled_for_whatever}, "mover must be compiled for"),
    ({"mover": takes_other_arrays}, "mover must be compiled for"),
    ({"state_size": 27}, "state_size is 27, the spec says 26"),
    ({"obs_size": 18}, "obs_size is 18, the spec says 19"),
    ({"num_agents": 1}, "num_agents is 1, the spec says 2"),
    ({"num_actions": 11}, "num_actions is 11, the first head has 10"),
    ({"wait": 8}, "wait is 8"),
]


class Changed:
    """The game's dynamics with other compiled rules."""

    def __init__(self, **changes):
        plugin = env_plugin(GAME)
        inner = plugin.dynamics(plugin.config())
        self.step, self.observe, self.mover = inner.step, inner.observe, inner.mover
        self.turn_rules = dataclasses.replace(RULES, **changes)


@pytest.mark.parametrize(("changes", "message"), BROKEN)
def test_broken_rules_are_found(changes, message):
    with pytest.raises(CheckFailed, match=message):
        check_turn_rules(Changed(**changes), make_env(GAME, 6))


def test_sound_rules_pass():
    check_turn_rules(Changed(), make_env(GAME, 6))


def test_broken_dynamics_are_found():
    unlike = Changed()
    unlike.mover = lambda state: torch.zeros(len(state), dtype=torch.int64)
    with pytest.raises(CheckFailed, match=r"mover is 1, dynamics\.mover says 0"):
        check_turn_rules(unlike, make_env(GAME, 6))
    blind = Changed()
    seen = blind.observe
    blind.observe = lambda state: {**seen(state), "policy": seen(state)["policy"].flip(1)}
    with pytest.raises(CheckFailed, match=r"policy of dynamics\.observe against env"):
        check_turn_rules(blind, make_env(GAME, 6))


def test_too_few_steps_prove_nothing():
    with pytest.raises(CheckFailed, match="no game ended within 4 steps"):
        check_turn_rules(Changed(), make_env(GAME, 6), num_steps=4)


def test_what_has_no_turns_is_refused():
    plugin = env_plugin("rock-paper-scissors")
    dynamics = plugin.dynamics(plugin.config())
    with pytest.raises(CheckFailed, match="no TurnDynamics"):
        check_turn_rules(dynamics, make_env("rock-paper-scissors", 2))
    bare = Changed()
    bare.turn_rules = None
    with pytest.raises(CheckFailed, match="have no turn_rules"):
        check_turn_rules(bare, make_env(GAME, 2))
