"""Behaviour cloning: scripted policies are imitated, memory included, and training resumes."""

import copy
import math

import pytest
import torch

from simrl.core import PolicyOutput
from simrl.core.plugins import make_env, make_scripted
from simrl.learn.cloning import CloningConfig, CloningLearner
from simrl.learn.demonstrations import Demonstrations, collect_demonstrations
from simrl.learn.policy import NetworkPolicy
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.rollout import RandomPolicy, RolloutEngine, Seating


def make_net(env, **config):
    torch.manual_seed(0)
    return ActorCritic(env.spec, ActorCriticConfig(**config))


def mean_return(env, net, seed=5):
    engine = RolloutEngine(env, Seating.self_play(env, NetworkPolicy(net), train=False), seed=seed)
    return engine.run_episodes(env.num_envs, deterministic=True).returns.mean()


def test_tic_tac_toe_tactics_are_cloned():
    env = make_env("tic-tac-toe", 64)
    net = make_net(env, hidden=(128,))
    expert = make_scripted("tic-tac-toe", "tactical")
    # Against itself a deterministic expert plays one and the same game; chance shows it more.
    data = collect_demonstrations(
        env, expert, net, steps=240, seed=1, deterministic=True, opponent=RandomPolicy(env.spec)
    )
    assert data.weight.shape == (240, 64)  # one seat in each environment
    learner = CloningLearner(net, CloningConfig(epochs=12, learning_rate=2e-3))
    before = learner.measure(learner.split(data)[1])
    metrics = learner.fit(data)
    assert before["agreement"] < 0.4
    assert metrics["eval/agreement"] > 0.93
    assert metrics["eval/log_likelihood"] > -0.25 > before["log_likelihood"]


def test_cart_pole_balance_is_cloned_and_balances():
    env = make_env("cart-pole", 16)
    net = make_net(env, hidden=(32,), activation="tanh", normalise_obs=True)
    data = collect_demonstrations(
        env, make_scripted("cart-pole", "balance"), net, steps=256, seed=1
    )
    metrics = CloningLearner(net, CloningConfig(epochs=15, learning_rate=3e-3)).fit(data)
    assert metrics["eval/agreement"] > 0.9
    assert mean_return(env, net) > 400
    assert float(net.normaliser.count) == 256 * 14  # the held-out lanes stay unseen


def test_the_lqr_controller_is_cloned():
    env = make_env("double-integrator", 32)
    net = make_net(env, hidden=(64,), activation="tanh")
    expert = make_scripted("double-integrator", "lqr")
    data = collect_demonstrations(env, expert, net, steps=100, seed=1)
    learner = CloningLearner(net, CloningConfig(epochs=60, learning_rate=3e-3))
    before = learner.measure(data)["rmse"]
    metrics = learner.fit(data)
    assert metrics["eval/rmse"] < 0.03 < 0.06 < before
    assert float(net.log_std.detach()) >= -3.0  # bounded, though the expert never varies
    engine = RolloutEngine(env, Seating.self_play(env, expert, train=False), seed=5)
    best = engine.run_episodes(32).returns.mean()
    assert mean_return(env, net) == pytest.approx(best, rel=0.1)


class Recall:
    """Answer the memory task by what was seen when the episode began."""

    reads = frozenset({"policy", "action_mask"})

    def __init__(self, env):
        self.env = env
        layout = env.spec.observations["policy"]
        self.names = layout.names()

    def initial_state(self, num_rows):
        return {"cue": torch.zeros(num_rows, 4)}

    def act(self, obs, state, rng, *, deterministic=False):
        seen = obs["policy"][:, [i for i, name in enumerate(self.names) if "cue" in name]]
        cue = torch.where(seen.sum(-1, keepdim=True) > 0, seen, state["cue"])
        return PolicyOutput(cue.argmax(-1, keepdim=True), {"cue": cue})


def test_only_a_network_with_memory_can_clone_one_that_remembers():
    env = make_env("memory", 64)
    agreement = {}
    for recurrent in ("gru", "none"):
        net = make_net(env, hidden=(32,), recurrent=recurrent, recurrent_width=32)
        data = collect_demonstrations(env, Recall(env), net, steps=40, seed=1)
        # Sequences shorter than an episode: the memory at their starts must be carried over.
        config = CloningConfig(epochs=60, learning_rate=1e-2, sequence=20, minibatch_size=320)
        agreement[recurrent] = CloningLearner(net, config).fit(data)["eval/agreement"]
    assert agreement["gru"] > 0.97
    assert agreement["none"] < 0.5  # it knows the cue in one of seven steps, and guesses else


def test_the_memory_at_the_start_of_a_piece_is_the_one_carried_there():
    env = make_env("memory", 4)
    net = make_net(env, hidden=(8,), recurrent="lstm", recurrent_width=8)
    data = collect_demonstrations(env, Recall(env), net, steps=23, seed=1)
    learner = CloningLearner(net, CloningConfig(sequence=5, held_out=0.25))
    cut = torch.cat(
        [
            learner._distribution(part, state)
            .log_prob(part.action.flatten(0, 1))
            .unflatten(0, part.weight.shape)
            for part, state in learner._parts(data)
        ],
        dim=1,
    )
    start = net.initial_state(4)
    whole = net.sequence(data.obs, start, data.episode_start)[0].log_prob(data.action.flatten(0, 1))
    # Piece k of lane l stands at column 4 k + l; its steps are 5 k to 5 k + 4.
    for k in range(5):
        length = min(5, 23 - 5 * k)
        got = cut[:length, 4 * k : 4 * k + 4]
        torch.testing.assert_close(got, whole.unflatten(0, (23, 4))[5 * k : 5 * k + length])


def test_training_resumes_bit_for_bit():
    env = make_env("cart-pole", 8)
    net = make_net(env, hidden=(16,))
    data = collect_demonstrations(env, make_scripted("cart-pole", "balance"), net, steps=64, seed=1)
    config = CloningConfig(minibatch_size=64, held_out=0.25)
    first = CloningLearner(net, config, seed=3)
    first.epoch(data)
    state = {
        "net": {k: v.clone() for k, v in first.state_dict()["net"].items()},
        "optimiser": copy.deepcopy(first.state_dict()["optimiser"]),
        "generator": first.state_dict()["generator"].clone(),
        "epochs": first.epochs,
    }
    expected = first.epoch(data)
    second = CloningLearner(make_net(env, hidden=(16,)), config, seed=3)
    second.load_state_dict(state)
    assert second.epoch(data) == expected
    for a, b in zip(net.parameters(), second.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_forced_moves_and_padding_do_not_count():
    env = make_env("tic-tac-toe", 2)
    net = make_net(env, hidden=(8,))
    data = collect_demonstrations(
        env, make_scripted("tic-tac-toe", "tactical"), net, steps=4, seed=1
    )
    learner = CloningLearner(net, CloningConfig(held_out=0.0))
    whole = learner.measure(data)
    # Four lanes: each waits in two of four steps, which a fresh net "predicts" with certainty.
    mask = data.obs["action_mask"]
    choice = mask.sum(-1) > 1
    assert int(choice.sum()) == 8
    rows = net.sequence(data.obs, {}, data.episode_start)[0].log_prob(data.action.flatten(0, 1))
    assert whole["log_likelihood"] == pytest.approx(float(rows[choice.flatten()].mean().detach()))
    short = Demonstrations(
        {name: value[:3, :1] for name, value in data.obs.items()},
        data.action[:3, :1],
        data.episode_start[:3, :1],
        data.weight[:3, :1],
    )
    joined = Demonstrations.cat([data, short])
    assert joined.weight.shape == (4, 5)
    assert joined.num_steps == 16 + 3
    assert math.isclose(float(joined.weight[3, 4]), 0.0)


def test_padding_is_not_in_the_scale_of_observations():
    env = make_env("cart-pole", 2)
    net = make_net(env, hidden=(8,), normalise_obs=True)
    lanes = [
        Demonstrations(
            obs={"policy": torch.full((steps, 1, 4), value)},
            action=torch.zeros(steps, 1, 1, dtype=torch.int64),
            episode_start=torch.arange(steps)[:, None] == 0,
            weight=torch.ones(steps, 1),
        )
        for steps, value in ((9, 0.0), (1, 10.0))
    ]
    CloningLearner(net, CloningConfig(held_out=0.0)).epoch(Demonstrations.cat(lanes))
    assert float(net.normaliser.count) == 10
    assert torch.allclose(net.normaliser.mean, torch.ones(4, dtype=torch.float64))


@pytest.mark.gpu
@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_a_network_on_a_gpu_clones_what_was_recorded_on_the_cpu(memory):
    env = make_env("cart-pole", 8)
    net = make_net(env, hidden=(16,), normalise_obs=True, recurrent=memory)
    data = collect_demonstrations(env, make_scripted("cart-pole", "balance"), net, steps=64, seed=1)
    config = CloningConfig(epochs=3, learning_rate=3e-3, sequence=16, held_out=0.25)
    metrics = CloningLearner(net.to("cuda"), config).fit(data)
    assert metrics["eval/agreement"] > 0.6 and data.action.device.type == "cpu"


def test_errors_name_the_trouble():
    env = make_env("cart-pole", 1)
    net = make_net(env, hidden=(8,))
    data = collect_demonstrations(env, make_scripted("cart-pole", "balance"), net, steps=8, seed=1)
    with pytest.raises(ValueError, match="1 lanes cannot be split"):
        CloningLearner(net).epoch(data)
    with pytest.raises(ValueError, match="held_out must be"):
        CloningConfig(held_out=1.0)
    with pytest.raises(ValueError, match="no demonstrations"):
        Demonstrations.cat([])
