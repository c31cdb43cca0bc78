"""Learning from mirror images: numbers by hand, doubled batches, and even policies."""

from dataclasses import replace

import pytest
import torch

from simrl.core.actions import ContinuousActions
from simrl.core.plugins import make_env
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.learn.batch import Batch
from simrl.learn.mirror import Mirror
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOConfig, PPOLearner
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.rollout import RolloutEngine, Seating

IMAGES = {"policy": ([1, 0, 2], [1.0, 1.0, -1.0]), "action": ([1, 0], [-1.0, -1.0])}
SPEC = EnvSpec(
    "twins",
    1,
    {"policy": Layout((vector("x", Column("left"), Column("right"), Column("side")),))},
    ContinuousActions((-1.0, -1.0), (1.0, 1.0)),
    physics={"mirror": IMAGES},
)


def test_images_by_hand():
    mirror = Mirror.of(SPEC)
    assert mirror("policy", torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[2.0, 1.0, -3.0]]
    assert mirror("action", torch.tensor([0.5, -0.2])).tolist() == pytest.approx([0.2, -0.5])
    joined = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert mirror("policy", joined).tolist() == [2.0, 1.0, -3.0, 5.0, 4.0, -6.0]


@pytest.mark.parametrize("wrong", [([1, 2, 0], [1.0] * 3), ([1, 0], [1.0, -1.0])])
def test_what_is_no_reflection_is_refused(wrong):
    with pytest.raises(ValueError, match="'policy', taken twice, is another"):
        Mirror({"policy": wrong})


def collected(critic="separate", history=0, hidden=16, steps=5):
    env = make_env("quadruped-velocity", 6, physics_step=0.005, threads=1)
    torch.manual_seed(0)
    config = ActorCriticConfig(hidden=(hidden,), critic=critic, history=history, normalise_obs=True)
    net = ActorCritic(env.spec, config)
    engine = RolloutEngine(env, Seating.self_play(env, NetworkPolicy(net)), seed=0)
    return env, net, engine.collect(5)


@pytest.mark.parametrize(("critic", "history"), [("privileged", 0), ("separate", 2)])
def test_every_sample_stands_beside_its_image(critic, history):
    env, net, buffer = collected(critic, history)
    learner = PPOLearner(net, PPOConfig(mirror=True, minibatch_size=1000))
    batch = learner.prepare(buffer)
    (all_,) = batch.minibatches(1000, torch.Generator().manual_seed(0))
    assert len(all_.log_prob) == 2 * 30
    order = torch.argsort(all_.advantage, stable=True)  # a sample and its image share it
    mirror = Mirror.of(env.spec)
    pairs = order.unflatten(0, (30, 2))
    for name, value in (("action", all_.action), *((k, v[0]) for k, v in all_.obs.items())):
        left, right = value[pairs[:, 0]], value[pairs[:, 1]]
        assert torch.allclose(mirror(name, left), right, atol=1e-5), name
    for value in (all_.advantage, all_.returns[:, 0], all_.value[:, 0]):
        assert torch.equal(value[pairs[:, 0]], value[pairs[:, 1]])
    # Before learning nothing has moved, neither for the samples nor for their images.
    dist, _ = net.sequence(all_.obs, {}, all_.episode_start)
    assert torch.allclose(dist.log_prob(all_.action), all_.log_prob, atol=1e-4)
    gap = all_.log_prob[pairs[:, 0]] - all_.log_prob[pairs[:, 1]]
    assert float(gap.abs().max()) > 1e-2  # this policy is uneven


def test_policies_grow_even():
    gaps = {}
    for wanted in (True, False):
        env, net, buffer = collected(hidden=64, steps=20)
        settings = PPOConfig(
            mirror=wanted, minibatch_size=120, epochs=150, clip=0.9, learning_rate=3e-3
        )
        PPOLearner(net, settings).update(buffer)
        mirror, x = Mirror.of(env.spec), buffer.obs["policy"].flatten(0, 1)
        with torch.no_grad():
            ours = net.act_step({"policy": x}, {})[0].mean
            image = net.act_step({"policy": mirror("policy", x)}, {})[0].mean
        gap = (mirror("action", ours) - image).square().mean()
        gaps[wanted] = float(gap / ours.square().mean())
    assert gaps[True] < 0.6 * gaps[False]


def test_without_a_mirror_batches_stay_as_they_are():
    _, net, buffer = collected()
    batch = PPOLearner(net, PPOConfig()).prepare(buffer)
    assert batch.mirror is None
    doubled = replace(batch, mirror=Mirror.of(net.spec))
    assert isinstance(doubled, Batch)
    sizes = [
        sum(len(part.log_prob) for part in each.minibatches(7, torch.Generator()))
        for each in (batch, doubled)
    ]
    assert sizes == [30, 60]


def test_memories_have_no_image():
    env = make_env("quadruped-velocity", 1)
    net = ActorCritic(env.spec, ActorCriticConfig(recurrent="gru"))
    with pytest.raises(ValueError, match="a recurrent memory has no mirror image"):
        PPOLearner(net, PPOConfig(mirror=True))
