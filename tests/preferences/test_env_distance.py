"""Distances to an environment's own reward, by its snapshots."""

import pytest
import torch

from simrl.core.plugins import make_env
from simrl.preferences.env_distance import ENDED, RewardProbe, play_states, reward_distances
from simrl.preferences.reward_model import RewardEnsemble, RewardModelConfig


class Formula(RewardEnsemble):
    """A learned reward that is what a function says."""

    def __init__(self, spec, function):
        super().__init__(spec, RewardModelConfig(members=1, hidden=(2,)))
        self.function = function

    def reward(self, obs, action, *, pessimism=0.0):
        return self.function(obs, action)


def cost(obs, action):
    return obs[..., 0] ** 2 + 0.1 * obs[..., 1] ** 2 + 0.1 * action[..., 0] ** 2


@pytest.fixture(scope="module")
def setting():
    """A mass on a line, whose cost is known, and 150 states of random play."""
    env = make_env("double-integrator", 50)
    rng = torch.Generator().manual_seed(0)
    states = play_states(
        env, lambda _: torch.rand(50, 1, 1, generator=rng) * 10 - 5, 40, 150, seed=1
    )
    assert states.shape == (150, env.spec.state_size)
    return env, states


def distances(setting, function, **options):
    env, states = setting
    return reward_distances(env, Formula(env.spec, function), states, gamma=0.9, **options)


def test_the_true_reward_in_other_units_is_at_distance_zero(setting):
    found = distances(setting, lambda obs, action: 4.0 - 3.0 * cost(obs, action))
    assert found == {"EPIC": pytest.approx(0.0, abs=1e-3), "DARD": pytest.approx(0.0, abs=1e-3)}


def test_the_opposite_is_at_distance_one(setting):
    found = distances(setting, cost)
    assert found == {"EPIC": pytest.approx(1.0), "DARD": pytest.approx(1.0)}


def test_half_the_truth_is_between(setting):
    place = distances(setting, lambda obs, action: -(obs[..., 0] ** 2))
    effort = distances(setting, lambda obs, action: -(action[..., 0] ** 2))
    noise = distances(
        setting, lambda obs, action: torch.sin(1e3 * obs[..., 1] + 7e2 * action[..., 0])
    )
    # Between states of all play the place is most of the cost.  Between what one force or another
    # does next, the effort is: within a step the place hardly moves.  What has nothing to do with
    # the cost is near sqrt(1 / 2) by both.
    assert 0.005 < place["EPIC"] < 0.3 < effort["EPIC"]
    assert 0.005 < effort["DARD"] < 0.3 < place["DARD"]
    assert 0.6 < noise["EPIC"] < 0.8 and 0.6 < noise["DARD"] < 0.8


def test_the_end_of_an_episode_is_absorbing():
    env = make_env("cart-pole", 8)
    ensemble = Formula(env.spec, lambda obs, action: torch.zeros(obs.shape[:-1]))
    with torch.no_grad():
        ensemble.absorbing_raw.fill_(0.5)
        ensemble.terminates.fill_(True)
    states = play_states(env, lambda obs: torch.zeros(8, 1, 1, dtype=torch.int64), 12, 1000, seed=0)
    probe = RewardProbe(env, ensemble, seat=0, num_draws=2, seed=0)
    state = probe.add(states)
    following = probe.follow(state, torch.zeros_like(state))
    ended = following == ENDED
    assert 0 < ended.sum() < len(state)  # pushing one way, a pole falls after about 10 steps
    zero = torch.zeros_like(state)
    assert (probe.true(state, zero, zero) == 1.0).all()
    behind = torch.full((3,), ENDED)
    assert probe.true(behind, zero[:3], zero[:3]).tolist() == [0.0] * 3
    wanted = ensemble.absorbing_reward()
    assert wanted != 0 and probe.learned(behind, zero[:3], zero[:3]).tolist() == [wanted] * 3
    assert (probe.follow(behind, zero[:3]) == ENDED).all()


def test_legal_moves_are_made_in_games_of_two():
    env = make_env("connect-four", 16)
    states = play_states(env, lambda obs: obs["action_mask"].long().argmax(-1, True), 6, 64, seed=0)
    ensemble = RewardEnsemble(env.spec, RewardModelConfig(members=2, hidden=(4,)))
    found = reward_distances(env, ensemble, states, gamma=0.9, seat=1, num_actions=3)
    assert set(found) == {"EPIC", "DARD"}


def test_what_is_wrong_is_named(setting):
    env, states = setting
    ensemble = Formula(env.spec, cost)
    with pytest.raises(ValueError, match="there is no seat 1; the seats are 0 to 0"):
        reward_distances(env, ensemble, states, gamma=0.9, seat=1)
    with pytest.raises(ValueError, match="at least two states, got 1"):
        reward_distances(env, ensemble, states[:1], gamma=0.9)
    with pytest.raises(ValueError, match="num_actions must be at least 2"):
        reward_distances(env, ensemble, states, gamma=0.9, num_actions=1)
