"""EPIC and DARD: hand cases, and potential shaping at distance 0."""

import math

import pytest
import torch

from simrl.preferences.distance import (
    canonical_dard,
    canonical_epic,
    dard_distance,
    epic_distance,
    pearson_distance,
)

STATES, ACTIONS = 5, 3
GAMMA = 0.9
RNG = torch.Generator().manual_seed(0)
TABLE = torch.randn(STATES, ACTIONS, STATES, generator=RNG, dtype=torch.float64)
POTENTIAL = 10 * torch.randn(STATES, generator=RNG, dtype=torch.float64)
EVERY = tuple(x.flatten() for x in torch.meshgrid(*map(torch.arange, (5, 3, 5)), indexing="ij"))
PROFILE = tuple(
    x.flatten() for x in torch.meshgrid(torch.arange(3), torch.arange(5), indexing="ij")
)


def reward(state, action, following):
    return TABLE[state, action, following]


def shaped(state, action, following):
    return (
        3 * reward(state, action, following) + GAMMA * POTENTIAL[following] - POTENTIAL[state] + 7
    )


def model(state, action):
    return (2 * state + action) % STATES


def real_transitions():
    state, action = EVERY[0][::5], EVERY[1][::5]
    return state, action, model(state, action)


def test_pearson_by_hand():
    x = torch.tensor([1.0, 2.0, 3.0])
    assert pearson_distance(x, 5 * x - 2) == pytest.approx(0.0, abs=1e-7)
    assert pearson_distance(x, -x) == pytest.approx(1.0)
    # no correlation: sqrt(1 / 2)
    assert pearson_distance(x, torch.tensor([1.0, 0.0, 1.0])) == pytest.approx(math.sqrt(0.5))
    assert math.isnan(pearson_distance(x, torch.ones(3)))


def test_a_shaped_reward_is_at_distance_zero():
    plain = pearson_distance(reward(*EVERY), shaped(*EVERY))
    assert plain > 0.3  # without the canonical shift they look different
    assert epic_distance(reward, shaped, EVERY, PROFILE, GAMMA) == pytest.approx(0.0, abs=1e-6)
    dard = dard_distance(reward, shaped, real_transitions(), model, torch.arange(3), GAMMA)
    assert dard == pytest.approx(0.0, abs=1e-6)


def test_a_negative_reward_is_at_distance_one():
    def against(*rows):
        return -shaped(*rows)

    assert epic_distance(reward, against, EVERY, PROFILE, GAMMA) == pytest.approx(1.0)
    dard = dard_distance(reward, against, real_transitions(), model, torch.arange(3), GAMMA)
    assert dard == pytest.approx(1.0)


def test_another_discount_does_not_take_the_shaping_away():
    assert epic_distance(reward, shaped, EVERY, PROFILE, 0.5) > 0.05


def test_epic_by_hand():
    # Two states, one action, R(s, a, s') = 1 if s = 1: R(s, A, S') is 0 from state 0, 1 from state
    # 1, mean 1/2.  C = R + γ R(s') - R(s) - γ / 2: R and R(s) cancel, so it is ±γ / 2 by s'.
    state = torch.tensor([0, 0, 1, 1])
    following = torch.tensor([0, 1, 0, 1])
    action, both = torch.zeros(4, dtype=torch.int64), torch.tensor([0, 1])

    def at_one(state, action, following):
        return (state == 1).double()

    value = canonical_epic(
        at_one, (state, action, following), (torch.zeros(2, dtype=torch.int64), both), 0.8
    )
    assert value.tolist() == pytest.approx([-0.4, 0.4, -0.4, 0.4])


def test_dard_by_hand():
    # A walk on the line, actions -1 and 1; R = s' squared.  From s = 0 by 1 to s' = 1, γ = 0.5:
    # R = 1.  From s': S'' is 0 or 2, mean 2.  Instead of a: S' is -1 or 1, mean 1.  The last term
    # has the same S'': 2.  C = 1 + 0.5 * 2 - 1 - 0.5 * 2 = 0.
    def walk(state, action):
        return state + action

    def square(state, action, following):
        return following.square()

    actions = torch.tensor([-1.0, 1.0])
    at = tuple(torch.tensor([v]) for v in (0.0, 1.0, 1.0))
    assert canonical_dard(square, at, walk, actions, 0.5).tolist() == pytest.approx([0.0])

    # R = s s': R = 0.  From s' = 1: 1 * (0 or 2), mean 1.  From s: 0.  From S' = -1 or 1 to S'' = 0
    # or 2: mean of -0, -2, 0, 2 = 0.  C = 0.5 * 1.
    def product(state, action, following):
        return state * following

    assert canonical_dard(product, at, walk, actions, 0.5).tolist() == pytest.approx([0.5])


def test_dard_asks_about_nothing_far_away():
    seen = []

    def asked(state, action, following):
        seen.append((following - state).abs().max())
        return following.square()

    state = torch.arange(0.0, 1000.0, 100.0)
    action = torch.ones(10)
    transitions = (state, action, state + action)
    dard_distance(asked, asked, transitions, lambda s, a: s + a, torch.tensor([-1.0, 1.0]), GAMMA)
    assert max(seen) <= 3.0  # from S' = s - 1 to S'' = s + 2
    seen.clear()
    profile = (torch.tensor([1.0, -1.0]), torch.tensor([0.0, 900.0]))
    epic_distance(asked, asked, transitions, profile, GAMMA)
    assert max(seen) == 901.0  # EPIC pairs any state with any other


def test_parts_give_the_same(monkeypatch):
    whole = canonical_epic(reward, EVERY, PROFILE, GAMMA)
    dard = canonical_dard(reward, real_transitions(), model, torch.arange(3), GAMMA)
    monkeypatch.setattr("simrl.preferences.distance.ROWS", 20)
    torch.testing.assert_close(canonical_epic(reward, EVERY, PROFILE, GAMMA), whole)
    parts = canonical_dard(reward, real_transitions(), model, torch.arange(3), GAMMA)
    torch.testing.assert_close(parts, dard)
