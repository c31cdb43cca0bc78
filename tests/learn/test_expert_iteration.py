"""The loop of expert iteration with a search that tests can see through."""

import copy

import pytest
import torch

from simrl.core.plugins import make_env
from simrl.core.policy import PolicyOutput
from simrl.learn.checkpoint import Checkpoints, flatten
from simrl.learn.expert_iteration import (
    EvaluationGate,
    ExpertIteration,
    ExpertIterationConfig,
)
from simrl.learn.exploration import ExplorationConfig, ExploringPolicy
from simrl.learn.loop import LoopConfig
from simrl.learn.replay import SearchReplay
from simrl.learn.search_learner import SearchLearner, SearchLearnerConfig
from simrl.learn.self_play import SelfPlayRecorder
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.nn.encoders import EncoderConfig
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.seating import Seating

ENV = "tic-tac-toe"


def make_net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = ActorCriticConfig(hidden=(16,), encoder=EncoderConfig(maps="flat"))
        return ActorCritic(make_env(ENV, 1).spec, config)


class Hint:
    """Stand in for a search: what it prefers is the network's policy, sharpened."""

    def __init__(self, net):
        self.net = net
        self.reads = net.reads

    def initial_state(self, num_rows):
        return {}

    def act(self, obs, state, rng, *, deterministic=False):
        dist, value, _ = self.net.act_step(obs, {})
        action, _ = dist.sample(rng, deterministic=deterministic)
        policy = (2.0 * dist.logits).masked_fill(~dist.mask, -torch.inf).softmax(-1)[:, :-1]
        extras = {
            "searched": ~obs["action_mask"][:, -1],
            "search_policy": policy,
            "search_policy_value": value[:, 0],
        }
        return PolicyOutput(action, {}, extras)


def build(folder=None, *, steps=4096, num_envs=16, reanalyse=0.0, gate=None, minibatch_size=64):
    net, player = make_net(), make_net()
    env = make_env(ENV, num_envs)
    replay = SearchReplay(1000)
    recorder = SelfPlayRecorder(env.spec, num_envs, net.reads, replay.add)
    policy = ExploringPolicy(
        Hint(player), ExplorationConfig(random_share=0.3, random_moves=2, sampled_moves=2)
    )
    engine = RolloutEngine(
        env, Seating.self_play(env, policy, train=False), seed=1, observers=[recorder]
    )

    def again(positions, rng):
        noise = torch.rand(positions.policy.shape, generator=rng)
        noise *= positions.obs["action_mask"][:, :-1]
        return noise / noise.sum(-1, keepdim=True), torch.full((len(positions),), 0.25)

    return ExpertIteration(
        engine,
        recorder,
        replay,
        SearchLearner(net, SearchLearnerConfig(minibatch_size=minibatch_size), seed=2),
        player,
        ExpertIterationConfig(
            draws=2.0,
            warmup=200,
            reanalyse=reanalyse,
            gate=None if gate is None else 0.55,
            gate_games=4,
            gate_updates=2,
        ),
        LoopConfig(unroll=4, steps=steps, checkpoint_updates=1),
        seed=3,
        reanalyse=again,
        gate=gate,
        checkpoints=Checkpoints(folder) if folder else None,
    )


def test_resuming_continues_bit_for_bit(tmp_path):
    whole = build(tmp_path / "whole", reanalyse=0.5)
    whole.run()
    part = build(tmp_path / "part", reanalyse=0.5)
    part.run(stop=lambda: part.progress.steps >= 2048)
    assert 2048 <= part.progress.steps < 4096
    resumed = build(tmp_path / "part", reanalyse=0.5)
    resumed.load_state_dict(Checkpoints(tmp_path / "part").load_newest()[1])
    resumed.run()
    assert whole.replay.added > 1000  # the ring has gone round
    states = [loop.state_dict()["parts"] for loop in (whole, resumed)]
    plain, tensors = zip(*(flatten(state) for state in states), strict=True)
    assert plain[0] == plain[1]
    assert tensors[0].keys() == tensors[1].keys()
    assert len(tensors[0]) > 40
    assert [
        name for name in tensors[0] if not torch.equal(tensors[0][name], tensors[1][name])
    ] == []


def test_the_search_that_plays_follows_the_learner():
    loop = build()
    metrics = {}
    while loop.learner.updates == 0:
        metrics = loop.update()
    for name, value in loop.player.state_dict().items():
        assert torch.equal(value, loop.learner.net.state_dict()[name]), name
    assert not torch.equal(loop.player.head.weight, make_net().head.weight)
    assert metrics["loss/policy"] > metrics["loss/policy_kl"] > 0
    assert metrics["replay/added"] == loop.replay.added >= 200


def test_positions_are_drawn_as_often_as_asked():
    loop = build()
    while loop.replay.added < 200:
        loop.update()
    before, steps = loop.learner.updates, loop.progress.steps
    for _ in range(10):
        loop.update()
    # Two draws of each position in minibatches of 64: one minibatch for 32 positions.
    expected = (loop.progress.steps - steps) / 32
    assert abs(loop.learner.updates - before - expected) <= 1


def test_reanalysing_changes_targets_of_old_positions_and_nothing_else():
    loop = build(reanalyse=0.5)
    while loop.replay.added < 200:
        loop.update()
    before = copy.deepcopy(loop.replay.state_dict()["positions"])
    assert loop._reanalyse(100) == 50
    after = loop.replay.state_dict()["positions"]
    # A position with one legal move keeps its policy, and one drawn before its value.
    changed = (before["policy"] != after["policy"]).any(-1) | (before["value"] != after["value"])
    assert 25 < int(changed.sum()) <= 50  # some are drawn twice
    assert set(after["value"][changed].tolist()) == {0.25}
    assert torch.allclose(after["policy"][changed].sum(-1), torch.ones(int(changed.sum())))
    for name in before.keys() - {"policy", "value"}:
        assert torch.equal(before[name], after[name]), name


class Always:
    """Play the first legal move, or the last."""

    reads = frozenset({"action_mask"})

    def __init__(self, last):
        self.last = last

    def initial_state(self, num_rows):
        return {}

    def act(self, obs, state, rng, *, deterministic=False):
        mask = obs["action_mask"].float()
        order = torch.arange(mask.shape[1]) if self.last else torch.arange(mask.shape[1], 0, -1)
        return PolicyOutput((mask * (1 + order)).argmax(-1, keepdim=True))


class Scripted:
    """Give scores that were written down beforehand."""

    def __init__(self, scores):
        self.scores = list(scores)
        self.matches = []

    def score(self, match):
        self.matches.append(match)
        return self.scores.pop(0)


def test_the_gate_lets_only_a_better_network_play():
    gate = Scripted([0.5, 0.54, 0.55, 0.2])
    loop = build(gate=gate)
    first = copy.deepcopy(loop.player.state_dict())
    passed = []
    while gate.scores:
        metrics = loop.update()
        if "gate/score" in metrics:
            passed.append((metrics["gate/score"], metrics["gate/passed"]))
            same = all(torch.equal(x, first[name]) for name, x in loop.player.state_dict().items())
            assert same == (len(passed) < 3)
    assert passed == [(0.5, 0.0), (0.54, 0.0), (0.55, 1.0), (0.2, 0.0)]
    assert all(match % 2 == 0 for match in gate.matches)
    assert not torch.equal(loop.player.head.weight, loop.learner.net.head.weight)


def test_a_match_of_the_gate():
    # First legal against last legal move: 0, 8, 1, 7, 2 gives whoever moves first the upper or the
    # lower row, so sides swapped each wins half of the games.
    env = make_env(ENV, 4)
    gate = EvaluationGate(env, Always(False), Always(True), games=4, seed=1)
    assert gate.score(1) == 0.5

    class Smart(Always):
        """As first player take the upper row, as second the diagonal 6, 4, 2."""

        def act(self, obs, state, rng, *, deterministic=False):
            wish = torch.tensor([[0, 1, 2, 4, 7, 5, 3, 6, 8, 9], [6, 4, 2, 0, 1, 3, 5, 7, 8, 9]])
            rank = wish.argsort(-1)[obs["seat"]]
            mask = obs["action_mask"]
            return PolicyOutput(torch.where(mask, -rank, -99).argmax(-1, keepdim=True))

    better = EvaluationGate(env, Smart(False), Always(True), games=4, seed=1).score(1)
    worse = EvaluationGate(env, Always(True), Smart(False), games=4, seed=1).score(1)
    assert (better, worse) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draws": 0.0}, r"draws must be positive, got 0\.0"),
        ({"warmup": 0}, "warmup must be positive, got 0"),
        ({"reanalyse": -1.0}, "reanalyse must not be negative"),
        ({"gate": 1.5}, r"gate must be from 0 to 1, got 1\.5"),
        ({"gate_games": 3}, "gate_games must be even, got 3"),
    ],
)
def test_settings_that_are_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        ExpertIterationConfig(**change)


def test_what_the_config_asks_for_must_be_given():
    loop = build()
    parts = (loop.engine, loop.recorder, loop.replay, loop.learner, loop.player)
    with pytest.raises(ValueError, match="no search for it was given"):
        ExpertIteration(*parts, ExpertIterationConfig(reanalyse=1.0), loop.config)
    with pytest.raises(ValueError, match="no match for it was given"):
        ExpertIteration(*parts, ExpertIterationConfig(gate=0.55), loop.config)
