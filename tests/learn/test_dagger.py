"""DAgger: labels are the expert's, the clone leads, and ends nearer the expert than by cloning."""

import pytest
import torch

from simrl.core.plugins import controller_plugin, make_env
from simrl.core.policy import PolicyOutput
from simrl.learn.cloning import CloningConfig, CloningLearner
from simrl.learn.dagger import AdvisedPolicy, DaggerConfig, dagger
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.rollout import RolloutEngine, Seating, evaluate


class Counter:
    """Answer with the number of its call in the episode, plus a constant."""

    reads = frozenset({"policy"})

    def __init__(self, start):
        self.start = start

    def initial_state(self, num_rows):
        return {"calls": torch.zeros(num_rows, 1)}

    def act(self, obs, state, rng, *, deterministic=False):
        return PolicyOutput(state["calls"] + self.start, {"calls": state["calls"] + 1})


class Constant:
    """Always do the same."""

    reads = frozenset({"policy"})

    def __init__(self, size):
        self.size = size

    def initial_state(self, num_rows):
        return {}

    def act(self, obs, state, rng, *, deterministic=False):
        return PolicyOutput(torch.zeros(len(obs["policy"]), self.size), state)


def test_labels_are_the_experts_whoever_acts():
    env = make_env("cartpole-balance", 400, seconds=0.06)  # three steps; forces within 10 N
    policy = AdvisedPolicy(Counter(-5.0), Counter(1.0), 0.25)
    played = []
    step = env.step
    env.step = lambda action: (played.append(action[:, 0, 0].clone()), step(action))[1]
    buffer = RolloutEngine(env, Seating.self_play(env, policy), seed=0).collect(4)
    labels = [1.0, 2.0, 3.0, 1.0]  # its memory goes on along the clone's path, and starts anew
    assert buffer.action[:, :, 0].tolist() == [[label] * 400 for label in labels]
    for action, label in zip(played, labels, strict=True):
        by_expert = action == label
        assert ((action == label - 6.0) | by_expert).all()
        assert 0.15 < by_expert.float().mean() < 0.35


def clone(env, config, seed=0):
    torch.manual_seed(seed)
    plugin = controller_plugin("lqr")
    expert = plugin.make(env.spec, plugin.config())
    net = ActorCritic(env.spec, ActorCriticConfig(hidden=(64,), normalise_obs=True))
    learner = CloningLearner(net, CloningConfig(epochs=10, minibatch_size=256), seed=seed)
    rounds = []
    told = dagger(
        env, expert, learner, config, seed=seed, after_round=lambda *given: rounds.append(given[0])
    )
    assert rounds == list(range(config.rounds))
    return net, expert, told


def test_a_privileged_critic_gets_its_group():
    env = make_env("quadruped-velocity", 2, control="position", seconds=1.0)
    net = ActorCritic(
        env.spec, ActorCriticConfig(hidden=(8,), critic="privileged", normalise_obs=True)
    )
    before = net.critic.normaliser.state_dict()
    before = {name: value.clone() for name, value in before.items()}
    learner = CloningLearner(net, CloningConfig(epochs=1, held_out=0.0))
    still = Constant(env.spec.actions.size)
    dagger(env, still, learner, DaggerConfig(rounds=1, steps=4))
    after = net.critic.normaliser.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_clone_learns_where_it_goes_itself():
    from simrl.learn.policy import NetworkPolicy

    env = make_env("quadrotor-hover", 16, seconds=4.0)
    errors = {}
    for name, config in (
        ("cloning", DaggerConfig(rounds=1, steps=100)),
        ("dagger", DaggerConfig(rounds=4, steps=100, expert_share=0.2)),
    ):
        net, expert, told = clone(env, config)
        score = evaluate(
            make_env("quadrotor-hover", 16, seconds=4.0),
            NetworkPolicy(net),
            games=16,
            seed=7,
            deterministic=True,
        ).score()
        errors[name] = score.mean_return
    best = evaluate(
        make_env("quadrotor-hover", 16, seconds=4.0), expert, games=16, seed=7, deterministic=True
    ).score()
    assert [round_["expert_share"] for round_ in told] == pytest.approx([1.0, 0.2, 0.04, 0.008])
    gap = {name: best.mean_return - value for name, value in errors.items()}
    assert gap["dagger"] < 0.7 * gap["cloning"]
    assert gap["dagger"] < 0.1 * best.mean_return


def test_the_same_seed_gives_the_same_clone():
    env = make_env("cartpole-balance", 8, seconds=1.0)
    config = DaggerConfig(rounds=2, steps=30)
    nets = [clone(env, config, seed=3)[0] for _ in range(2)]
    for left, right in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"expert_share": 1.5}, "expert_share must be within 0 and 1"),
        ({"keep_rounds": -1}, "keep_rounds must be at least 0"),
    ],
)
def test_wrong_settings_are_told(wrong, message):
    with pytest.raises(ValueError, match=message):
        DaggerConfig(**wrong)
