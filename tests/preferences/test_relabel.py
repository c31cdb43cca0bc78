"""Learned rewards in a buffer, against hand arithmetic."""

import dataclasses

import pytest
import torch

from simrl.core.plugins import make_env
from simrl.learn.returns import group_weights, grouped_rewards
from simrl.preferences.relabel import (
    RelabelByReward,
    RelabelConfig,
    RelabelledEnv,
    relabelled_env,
    relabelled_spec,
)
from simrl.preferences.reward_model import RewardEnsemble, RewardModelConfig
from simrl.rollout import RolloutEngine, Seating
from simrl.rollout.random import RandomPolicy


class FirstColumn:
    """Stand in for an ensemble: the reward is the first observation, the deviation known."""

    def __init__(self, *, absorbing: float, terminates: bool = True, deviation: float = 0.0):
        self.terminates = torch.tensor(terminates)
        self.absorbing, self.deviation = absorbing, deviation

    def reward(self, obs, action, *, pessimism=0.0):
        return obs[..., 0] - pessimism * self.deviation

    def absorbing_reward(self, *, pessimism=0.0):
        return self.absorbing - pessimism * self.deviation


class Watcher(RandomPolicy):
    """Act at random, and have the buffer keep what a network would read."""

    def __init__(self, spec):
        super().__init__(spec)
        self.reads = self.reads | {"policy"}


def buffer_of(env, steps=40):
    seating = Seating.self_play(env, Watcher(env.spec))
    return RolloutEngine(env, seating, seed=0).collect(steps)


def test_reward_is_replaced_and_termination_earns_the_absorbing_return():
    env = make_env("cart-pole", 16)
    buffer = buffer_of(env)
    assert bool(buffer.terminated.any()) and bool((buffer.reward == 1).all())
    obs = buffer.obs["policy"][..., 0].clone()
    relabel = RelabelByReward(FirstColumn(absorbing=-0.5), env.spec, gamma=0.9)
    figures = relabel(buffer)
    # 0.9 / (1 - 0.9) = 9 steps' worth of -0.5 for ever.
    expected = obs + torch.where(buffer.terminated, -4.5, 0.0)
    assert torch.allclose(buffer.reward, expected)
    assert figures["prefs/correlation"] == 0.0  # the task pays 1 always
    assert figures["prefs/reward"] == pytest.approx(float(expected.mean()))


def test_absorbing_return_is_that_of_absorbing_steps_played_out():
    """The discounted return is that of the learned rewards and then the absorbing one for ever."""
    env = make_env("cart-pole", 4)
    buffer = buffer_of(env, 60)
    learned, gamma = buffer.obs["policy"][..., 0].clone(), 0.95
    RelabelByReward(FirstColumn(absorbing=0.3), env.spec, gamma=gamma)(buffer)
    end = int(buffer.terminated[:, 0].nonzero()[0])
    total = sum(gamma**t * float(buffer.reward[t, 0]) for t in range(end + 1))
    steps = [float(learned[t, 0]) for t in range(end + 1)] + [0.3] * 2000
    assert total == pytest.approx(sum(gamma**t * r for t, r in enumerate(steps)), rel=1e-4)


def test_nothing_is_said_of_terminations_that_were_never_seen():
    env = make_env("cart-pole", 8)
    buffer = buffer_of(env)
    unseen = FirstColumn(absorbing=-0.5, terminates=False)
    RelabelByReward(unseen, env.spec, gamma=0.9)(buffer)
    assert torch.equal(buffer.reward, buffer.obs["policy"][..., 0])


def test_undiscounted_absorbing_reward_is_refused():
    env = make_env("cart-pole", 8)
    buffer = buffer_of(env)
    with pytest.raises(ValueError, match="discount below 1"):
        RelabelByReward(FirstColumn(absorbing=-0.5), env.spec, gamma=1.0)(buffer)
    RelabelByReward(FirstColumn(absorbing=0.0), env.spec, gamma=1.0)(buffer)
    assert torch.isfinite(buffer.reward).all()


def test_time_limits_pay_nothing_extra():
    env = make_env("pendulum", 4, max_steps=10)
    buffer = buffer_of(env)
    assert bool(buffer.truncated.any())
    RelabelByReward(FirstColumn(absorbing=-0.5), env.spec, gamma=0.9)(buffer)
    assert torch.equal(buffer.reward, buffer.obs["policy"][..., 0])


def test_pessimism_and_clip_apply():
    env = make_env("pendulum", 4)
    buffer = buffer_of(env, 5)
    model = FirstColumn(absorbing=0.0, deviation=2.0)
    config = RelabelConfig(pessimism=0.5, clip=1.2)
    RelabelByReward(model, env.spec, config, gamma=0.9)(buffer)
    assert torch.allclose(buffer.reward, (buffer.obs["policy"][..., 0] - 1.0).clamp(-1.2, 1.2))


def test_an_ensemble_reward_arrives_as_it_is():
    env = make_env("pendulum", 4)
    buffer = buffer_of(env, 5)
    ensemble = RewardEnsemble(env.spec, RewardModelConfig(members=2, hidden=(16,)))
    RelabelByReward(ensemble, env.spec, gamma=0.9)(buffer)
    expected = ensemble.reward(buffer.obs["policy"], buffer.action)
    assert torch.equal(buffer.reward, expected) and expected.std() > 0


def test_added_reward_has_a_value_group_of_its_own():
    plain = make_env("double-integrator", 3)
    config = RelabelConfig(mode="add", weight=2.0)
    env = relabelled_env(plain, config)
    assert env.spec.reward_terms == ("position", "velocity", "effort", "preference")
    assert env.spec.value_groups == ("state", "effort", "preference")
    buffer = buffer_of(env, 6)
    task = buffer.reward.clone()
    assert bool((buffer.reward_terms[..., 3] == 0).all())
    RelabelByReward(FirstColumn(absorbing=0.0), env.spec, config, gamma=0.9)(buffer)
    learned = buffer.obs["policy"][..., 0]
    assert torch.equal(buffer.reward_terms[..., 3], learned)
    assert torch.allclose(buffer.reward, task + 2.0 * learned)
    grouped = grouped_rewards(env.spec, buffer)
    assert torch.allclose(grouped[..., 2], 2.0 * learned)
    assert torch.allclose(grouped[..., :2].sum(-1), task, atol=1e-5)


def test_replacing_several_groups_merges_them():
    plain = make_env("double-integrator", 3)
    env = relabelled_env(plain, RelabelConfig())
    assert isinstance(env, RelabelledEnv) and len(env.spec.value_groups) == 1
    assert group_weights(env.spec).shape == (3, 1)
    buffer = buffer_of(env, 4)
    RelabelByReward(FirstColumn(absorbing=0.0), env.spec, gamma=0.9)(buffer)
    assert torch.equal(grouped_rewards(env.spec, buffer)[..., 0], buffer.obs["policy"][..., 0])
    with pytest.raises(ValueError, match="groups state, effort"):
        RelabelByReward(FirstColumn(absorbing=0.0), plain.spec, gamma=0.9)


def test_one_group_needs_no_view():
    env = make_env("pendulum", 2)
    assert relabelled_env(env, RelabelConfig()) is env


def test_view_plays_as_the_environment_does():
    plain = make_env("double-integrator", 3)
    view = relabelled_env(make_env("double-integrator", 3), RelabelConfig(mode="add"))
    assert torch.equal(plain.reset(4)["policy"], view.reset(4)["policy"])
    view.request(["state"])
    for _ in range(5):
        action = torch.rand(3, 1, 1)
        one, other = plain.step(action), view.step(action)
        assert torch.equal(one.obs["policy"], other.obs["policy"])
        assert torch.equal(one.reward_terms, other.reward_terms[..., :3])
    kept = view.snapshot()
    assert torch.equal(kept, plain.snapshot())
    view.step(torch.rand(3, 1, 1))
    assert torch.equal(view.restore(kept)["policy"], plain.restore(kept)["policy"])
    assert (view.render(0) == plain.render(0)).all()


def test_names_that_do_not_fit_are_told():
    spec = make_env("double-integrator", 1).spec
    add = RelabelConfig(mode="add")
    with pytest.raises(ValueError, match="has a reward term or group 'preference' already"):
        relabelled_spec(relabelled_spec(spec, add), add)
    with pytest.raises(ValueError, match="does not itemise its reward"):
        relabelled_spec(make_env("pendulum", 1).spec, add)
    with pytest.raises(ValueError, match="no reward term 'preference'"):
        RelabelByReward(FirstColumn(absorbing=0.0), spec, add, gamma=0.9)
    with pytest.raises(ValueError, match="unknown mode 'mix'; the modes are replace, add"):
        dataclasses.replace(add, mode="mix")
