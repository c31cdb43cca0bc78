"""RLHF end to end on cart-pole, and its parts."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env
from simrl.learn.loop import LoopConfig
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOConfig, PPOLearner
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.preferences.clips import ClipLibrary, record_clips
from simrl.preferences.reward_model import RewardEnsemble, RewardModelConfig
from simrl.preferences.store import LabelStore, NewQuestion
from simrl.preferences.teachers import ScriptedTeacher, teacher_config
from simrl.rollout import RandomPolicy, RolloutEngine, Seating
from simrl.runs.policies import named_policy
from simrl.runs.rlhf import (
    RLHFConfig,
    answers_in,
    build_rlhf,
    deepspeed_ppo,
    preset,
    resume_rlhf,
    rlhf_config,
    start_rlhf,
)
from simrl.runs.rlhf_report import gold_chart, gold_curve, rlhf_figures
from simrl.runs.rlhf_steps import (
    GoldRecord,
    ask_pairs,
    critic_from_reward,
    fit_critic,
    record_segments,
)


def small(steps=14_000, **changes):
    config = preset("cart-pole")
    prefs = config.prefs
    prefs = replace(
        prefs,
        train=replace(prefs.train, loop=LoopConfig(unroll=32, steps=steps)),
        queries=replace(prefs.queries, labels=100),
    )
    return replace(config, prefs=prefs, critic_updates=4, **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "rlhf"
    lines = []
    built = start_rlhf(small(), folder, lines.append)
    start = {
        "reference": copy.deepcopy(built.reference.state_dict()),
        "reward": copy.deepcopy(built.ensemble.state_dict()),
        "net": copy.deepcopy(built.run.policy.net.state_dict()),
    }
    built.run.loop.run()
    return folder, built, start, lines


def test_cart_pole_is_learned_from_100_comparisons_without_its_reward(finished):
    folder, built, _, lines = finished
    curve = gold_curve(folder)
    assert curve.gold[:2].mean() < 60  # the hasty clone
    assert curve.gold[-3:].mean() > 2.0 * curve.gold[:2].mean()
    assert curve.proxy[-3:].mean() > curve.proxy[:2].mean()
    assert built.figures["reward/held_out_accuracy"] > 0.8
    assert built.figures["cloning/eval/agreement"] > 0.6
    assert [line[:6] for line in lines] == ["1 of 3", "2 of 3", "3 of 3"]


def test_the_policy_starts_at_the_reference_and_both_stay_frozen(finished):
    folder, built, start, _ = finished
    curve = gold_curve(folder)
    assert curve.kl[0] == pytest.approx(0.0, abs=1e-5)
    assert (curve.kl >= 0).all()
    assert curve.kl[-1] > 1.0
    assert np.allclose(curve.distance**2, curve.kl)
    for key, value in built.reference.state_dict().items():
        assert torch.equal(value, start["reference"][key]), key
    for key, value in built.ensemble.state_dict().items():
        assert torch.equal(value, start["reward"][key]), key
    # The policy's own part was the reference's before PPO, for all that the critic had learned.
    for key in ("trunk.0.weight", "head.weight"):
        assert torch.equal(start["net"][key], start["reference"][key])
        assert not torch.equal(built.run.policy.net.state_dict()[key], start["net"][key])


def test_the_run_is_a_run_like_any_other(finished):
    folder = finished[0]
    figures = rlhf_figures(folder)
    assert figures["gold_best"] >= figures["gold"]
    assert "alpha" in figures or "fit" in figures
    assert "<svg" in gold_chart(folder)
    env = make_env("cart-pole", 4)
    policy = named_policy(str(folder), env.spec, {})
    engine = RolloutEngine(env, Seating.self_play(env, policy, train=False), seed=0)
    assert engine.run_episodes(4).returns.mean() > 30
    assert rlhf_config(folder) == small()


def test_the_gain_is_over_whole_episodes_of_the_reference(finished):
    folder, built, _, _ = finished
    env = make_env("cart-pole", 64)
    seating = Seating.self_play(env, NetworkPolicy(built.reference, values=False), train=False)
    returns = RolloutEngine(env, seating, seed=3).run_episodes(512).returns
    curve = gold_curve(folder)
    error = returns.std() / 8  # of the mean of the 64 episodes that it was measured by
    assert abs(curve.start - returns.mean()) < 4 * error
    assert curve.gold[0] < curve.start  # no episode of the first batch is longer than the batch
    assert rlhf_figures(folder)["gold_start"] == curve.start


def test_it_resumes_bit_for_bit(tmp_path):
    config = small(steps=3 * 1024)
    whole = start_rlhf(config, tmp_path / "whole")
    whole.run.loop.run()
    cut = start_rlhf(config, tmp_path / "cut")
    cut.run.loop.update()
    cut.run.loop.save()
    resumed = resume_rlhf(tmp_path / "cut")
    resumed.run.loop.run()
    assert resumed.run.loop.progress.updates == whole.run.loop.progress.updates == 3
    for part in ("ensemble", "reference"):
        for key, value in getattr(whole, part).state_dict().items():
            assert torch.equal(value, getattr(resumed, part).state_dict()[key]), key
    for a, b in zip(
        whole.run.policy.net.parameters(), resumed.run.policy.net.parameters(), strict=True
    ):
        assert torch.equal(a, b)
    lines = gold_curve(tmp_path / "whole"), gold_curve(tmp_path / "cut")
    assert lines[0].gold.tolist() == lines[1].gold.tolist()


def test_it_ends_when_it_has_gone_too_far(tmp_path):
    built = start_rlhf(small(max_kl=0.5), tmp_path / "far")
    built.run.loop.run()
    curve = gold_curve(tmp_path / "far")
    assert curve.kl[-1] > 0.5
    assert (curve.kl[:-1] <= 0.5).all()
    assert built.run.loop.fraction_done < 1.0


def test_the_record_adds_up_episodes_by_hand():
    class Buffer:
        reward = torch.tensor([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
        terminated = torch.tensor([[False, False], [True, False], [False, False]])
        truncated = torch.tensor([[False, False], [False, False], [False, True]])

    def relabel(buffer):
        buffer.reward.mul_(10.0)
        return {"prefs/reward": 0.0}

    record = GoldRecord(relabel)
    record(Buffer())
    # Ended: lane 0 after 2 steps (gold 2), lane 1 after 3 (gold 6): means 4 and 2.5 steps.
    figures = record.after_update(None, {"rollout/reference_kl": 0.2})
    assert figures == pytest.approx(
        {
            "rlhf/gold": 4.0,
            "rlhf/proxy": 40.0,
            "rlhf/length": 2.5,
            "rlhf/kl": 0.5,
            "rlhf/distance": 0.5**0.5,
        }
    )

    class Next:
        def __init__(self):
            self.reward = torch.tensor([[5.0, 7.0]])
            self.terminated = torch.tensor([[True, False]])
            self.truncated = torch.zeros(1, 2, dtype=torch.bool)

    other = GoldRecord(relabel)
    other.load_state_dict(record.state_dict())
    for holder in (record, other):
        holder(Next())
        figures = holder.after_update(None, {"rollout/reference_kl": 0.0})
        assert (figures["rlhf/gold"], figures["rlhf/length"]) == (6.0, 2.0)  # 1 left over, and 5


def test_the_critic_takes_the_reward_models_layers():
    env = make_env("cart-pole", 8)
    obs = env.reset(0)["policy"][:, 0] * 10.0
    net = ActorCritic(
        env.spec, ActorCriticConfig(hidden=(16, 16), activation="tanh", critic="separate")
    )
    model = RewardModelConfig(members=2, hidden=(16, 16), activation="tanh", output="linear")
    ensemble = RewardEnsemble(env.spec, model, seed=1)
    ensemble.obs_shift.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0]))
    ensemble.obs_scale.copy_(torch.tensor([2.0, 0.5, 1.0, 3.0]))
    with torch.no_grad():
        ensemble.weights[0][:, :, 4:] = 0.0  # deaf to the action, so that both see the same
    assert critic_from_reward(net, ensemble)
    with torch.no_grad():
        net.critic.head.weight.copy_(ensemble.weights[-1][0])
        net.critic.head.bias.copy_(ensemble.biases[-1][0].squeeze(-1))
        value = net.critic({"policy": obs}, obs).squeeze(-1)
        expected = ensemble.member_rewards(obs, torch.zeros(8, 1, dtype=torch.int64))[0]
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
    other = ActorCritic(env.spec, ActorCriticConfig(hidden=(8,), critic="separate"))
    assert not critic_from_reward(other, ensemble)
    assert not critic_from_reward(ActorCritic(env.spec), ensemble)


@pytest.mark.parametrize("critic", ["shared", "separate"])
def test_fitting_the_critic_leaves_the_policy_alone(critic):
    env = make_env("cart-pole", 8)
    torch.manual_seed(0)
    net = ActorCritic(env.spec, ActorCriticConfig(hidden=(16,), critic=critic))
    reference = copy.deepcopy(net)
    learner = PPOLearner(net, PPOConfig(gamma=0.9, minibatch_size=64), reference=reference)
    engine = RolloutEngine(env, Seating.self_play(env, NetworkPolicy(net)), seed=0)

    def relabel(buffer):
        buffer.reward.copy_(buffer.obs["policy"][..., 0])
        return {}

    obs = {"policy": torch.randn(32, 4), "action_mask": torch.ones(32, 2, dtype=torch.bool)}
    before = net.act_step(obs, {})
    first = fit_critic(learner, engine, relabel, unroll=16, updates=1, learning_rate=1e-2, epochs=1)
    last = fit_critic(learner, engine, relabel, unroll=16, updates=20, learning_rate=1e-2, epochs=4)
    after = net.act_step(obs, {})
    assert torch.equal(before[0].logits, after[0].logits)
    assert not torch.equal(before[1], after[1])
    assert last["critic/explained_variance"] > max(0.4, first["critic/explained_variance"])


def test_pairs_are_split_by_trajectory():
    env = make_env("cart-pole", 16)
    segments = record_segments(
        env, RandomPolicy(env.spec), length=10, count=150, recording=3, seed=0
    )
    assert len(segments) >= 150
    teacher = ScriptedTeacher(teacher_config("oracle"), env.spec)
    data, held = ask_pairs(segments, teacher, 100, held_out=0.2, seed=1)
    assert (len(data), len(held)) == (80, 20)
    assert teacher.asked == 100
    seen = set(data.first.episode.tolist()) | set(data.second.episode.tolist())
    judged = set(held.first.episode.tolist()) | set(held.second.episode.tolist())
    assert not seen & judged
    # The teacher prefers the longer episode: cart-pole pays 1 a step.
    better = data.first.length.float() > data.second.length.float()
    assert (data.label[better] == 1.0).all()


def test_people_who_compared_clips_are_the_teachers(tmp_path):
    folder = tmp_path / "clips"
    library = ClipLibrary(folder)
    policies = {"agent": RandomPolicy(make_env("cart-pole", 1).spec)}
    clips = record_clips(library, "cart-pole", {}, policies, count=12, steps=8, seed=3)
    store = LabelStore.open(folder / "labels.db")
    pairs = list(zip(clips[::2], clips[1::2], strict=True))
    store.add_questions([NewQuestion(kind="compare", clips=pair) for pair in pairs])
    person = store.local_user().id
    for choice in ("first", "second", "tie", "incomparable", "first", "second"):
        lease = store.lease(person)
        store.answer(person, lease.id, f"key{lease.id}", {"choice": choice}, seconds=1.0)
    store.undo(person)
    store.close()
    data = answers_in(folder, "cart-pole")
    assert sorted(data.label.tolist()) == [0.0, 0.5, 1.0, 1.0]
    shown = [library.segments([first], data.first.num_steps).obs[0] for first, _ in pairs]
    assert all(any(torch.equal(obs, one) for one in shown) for obs in data.first.obs)
    config = small(data=str(folder), demonstration_steps=8)
    prefs = replace(config.prefs, teacher="human")
    prefs = replace(prefs, queries=replace(prefs.queries, held_out=0.0))
    figures = build_rlhf(replace(config, prefs=prefs, critic_updates=0)).figures
    assert figures["reward/pairs"] == 4.0
    with pytest.raises(ValueError, match="holds no answer that compares clips of pendulum"):
        answers_in(folder, "pendulum")
    with pytest.raises(ValueError, match=r"has no labels\.db"):
        answers_in(tmp_path, "cart-pole")
    with pytest.raises(ValueError, match="no preferences to learn from in nowhere"):
        answers_in(Path("nowhere"), "cart-pole")


def test_the_recipes_constants_and_errors():
    ppo = deepspeed_ppo(PPOConfig(gamma=0.99))
    assert (ppo.reference_coef, ppo.reward_clip, ppo.value_clip, ppo.epochs) == (0.1, 5.0, 0.2, 1)
    assert ppo.gamma == 0.99
    prefs = preset("cart-pole").prefs
    with pytest.raises(ValueError, match="a demonstrator to clone, a run to start from"):
        RLHFConfig(prefs)
    with pytest.raises(ValueError, match="give data"):
        RLHFConfig(replace(prefs, teacher="human"), demonstrator="balance")
    with pytest.raises(ValueError, match="unknown preset 'go'; the presets are cart-pole"):
        preset("go")
