"""Corrections: the sum is played, the correction is learned from, and both memories go on."""

from dataclasses import replace

import pytest
import torch

from simrl.core.checks import check_policy
from simrl.core.plugins import controller_plugin, make_env
from simrl.core.policy import PolicyOutput
from simrl.learn.loop import LoopConfig
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOConfig, PPOLearner
from simrl.learn.residual import ResidualPolicy, residual_spec
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.rollout import RolloutEngine, Seating, evaluate
from simrl.runs.config import EvalConfig, TrainConfig
from simrl.runs.policies import load_run_policy, named_policy
from simrl.runs.training import resume_run, start_run


class Clock:
    """Push the cart by as many newtons as steps have gone by."""

    reads = frozenset({"state"})

    def initial_state(self, num_rows):
        return {"steps": torch.zeros(num_rows, 1)}

    def act(self, obs, state, rng, *, deterministic=False):
        return PolicyOutput(state["steps"].clone(), {"steps": state["steps"] + 1})


class Constant:
    """Correct by a fixed number."""

    reads = frozenset({"policy"})

    def __init__(self, value):
        self.value = value

    def initial_state(self, num_rows):
        return {}

    def act(self, obs, state, rng, *, deterministic=False):
        action = torch.full((len(obs["policy"]), 1), self.value)
        return PolicyOutput(action, {}, {"log_prob": torch.zeros(len(action))})


def test_the_sum_is_played_and_the_correction_learned_from():
    env = make_env("cartpole-balance", 2, seconds=0.12)  # six steps; forces within 10 N
    policy = ResidualPolicy(env.spec, Clock(), Constant(7.5))
    assert policy.reads == {"state", "policy"}
    played = []
    step = env.step
    env.step = lambda action: (played.append(action.flatten().tolist()), step(action))[1]
    buffer = RolloutEngine(env, Seating.self_play(env, policy), seed=0).collect(8)
    # 0 + 7.5, 1 + 7.5, 2 + 7.5, then the bound; the clock starts anew with the episode.
    assert [row[0] for row in played] == [7.5, 8.5, 9.5, 10, 10, 10, 7.5, 8.5]
    assert (buffer.action == 7.5).all()
    assert buffer.start_state["base/steps"].shape == (2, 1)


def test_the_contract_of_policies_is_kept():
    env = make_env("cartpole-balance", 4)
    check_policy(ResidualPolicy(env.spec, Clock(), Constant(0.5)), env)


def test_corrections_are_a_share_of_half_the_range():
    spec = make_env("quadrotor-track", 1).spec  # thrusts from 0 to 4.5 N
    actions = residual_spec(spec, 0.2).actions
    assert actions.low == pytest.approx([-0.45] * 4)
    assert actions.high == pytest.approx([0.45] * 4)
    assert actions.names == spec.actions.names


@pytest.mark.parametrize("limit", [0.0, 3.0])
def test_limits_that_make_no_sense_are_refused(limit):
    with pytest.raises(ValueError, match="above 0 and at most 2"):
        residual_spec(make_env("quadrotor-track", 1).spec, limit)


def test_discrete_actions_are_refused():
    with pytest.raises(ValueError, match="cart-pole: a correction adds to continuous actions"):
        residual_spec(make_env("cart-pole", 1).spec, 0.2)


@pytest.mark.parametrize("critic", ["separate", "shared"])
def test_the_learner_sees_its_own_part_alone(critic):
    env = make_env("quadrotor-track", 4)
    plugin = controller_plugin("lqr")
    base = plugin.make(env.spec, plugin.config())
    torch.manual_seed(0)
    config = ActorCriticConfig(hidden=(16,), critic=critic, recurrent="gru", recurrent_width=8)
    net = ActorCritic(residual_spec(env.spec, 0.1), config)
    policy = ResidualPolicy(env.spec, base, NetworkPolicy(net))
    engine = RolloutEngine(env, Seating.self_play(env, policy), seed=0)
    buffer = engine.collect(8)
    assert "state" in buffer.obs
    learner = PPOLearner(net, PPOConfig(minibatch_size=1000, epochs=1))
    assert set(next(learner.prepare(buffer).minibatches(99, torch.Generator())).obs) == {"policy"}
    metrics = learner.update(buffer)
    assert metrics["loss/approx_kl"] == pytest.approx(0.0, abs=1e-5)  # one pass: every ratio is 1


def config():
    return TrainConfig(
        env="quadrotor-track",
        env_options={"seconds": 1.0},
        num_envs=8,
        base="lqr",
        base_limit=0.1,
        net=ActorCriticConfig(hidden=(16,), critic="separate", initial_log_std=-1.0),
        ppo=PPOConfig(minibatch_size=64, epochs=2),
        loop=LoopConfig(unroll=16, steps=8 * 16 * 4, checkpoint_updates=1),
        evaluation=EvalConfig(games=8, deterministic=True),
    )


def test_runs_correct_a_controller_and_are_played_as_the_sum(tmp_path):
    run = start_run(config(), tmp_path / "run")
    run.loop.run(stop=lambda: run.loop.progress.updates == 2)
    env = make_env("quadrotor-track", 8, seconds=1.0)
    plugin = controller_plugin("lqr")
    alone = evaluate(
        env, plugin.make(env.spec, plugin.config()), games=8, seed=3, deterministic=True
    ).score()
    policy = load_run_policy(tmp_path / "run")
    assert isinstance(policy, ResidualPolicy)
    both = evaluate(env, policy, games=8, seed=3, deterministic=True).score()
    # Hardly trained, it does about as well as the controller, which a net alone is far from.
    assert both.mean_return != alone.mean_return
    assert both.mean_return == pytest.approx(alone.mean_return, abs=2.0)
    resumed = resume_run(tmp_path / "run")
    straight = start_run(config(), tmp_path / "straight")
    resumed.loop.run()
    straight.loop.run()
    for left, right in zip(resumed.net.parameters(), straight.net.parameters(), strict=True):
        assert torch.equal(left, right)


def test_a_run_begins_with_the_weights_of_another(tmp_path):
    first = start_run(config(), tmp_path / "first")
    first.loop.run(stop=lambda: first.loop.progress.updates == 1)
    second = start_run(replace(config(), init=str(tmp_path / "first"), seed=9), tmp_path / "second")
    for left, right in zip(first.net.parameters(), second.net.parameters(), strict=True):
        assert torch.equal(left, right)
    wider = replace(config(), init=str(tmp_path / "first"), net=ActorCriticConfig(hidden=(17,)))
    with pytest.raises(ValueError, match="does not fit"):
        start_run(wider, tmp_path / "third")


@pytest.mark.parametrize("command", [(), (0.1, 0.1, 0.1)])
def test_the_base_is_that_of_the_task_that_is_played(command, tmp_path):
    """Late torques are part of the state: a base of the trained task would read wrong columns."""
    torques = {"control": "torque", "control_step": 0.004, "physics_step": 0.004, "seconds": 1}
    start_run(
        TrainConfig(
            "quadruped-velocity",
            {**torques, "latency": (0.0, 0.008), "observation_noise": 1.0},
            num_envs=2,
            base="mpc-wbc",
            base_command=command,
            net=ActorCriticConfig(hidden=(8,)),
            ppo=PPOConfig(minibatch_size=8, epochs=1),
            loop=LoopConfig(unroll=4, steps=8),
        ),
        tmp_path / "run",
    ).loop.run()
    env = make_env("quadruped-velocity", 2, **torques)
    base = named_policy("mpc-wbc", env.spec, torques)
    policy = named_policy(str(tmp_path / "run"), env.spec, torques)
    obs = env.reset(seed=0)
    rows = {k: v if k == "state" else v[:, 0] for k, v in obs.items()}
    rows["seat"] = torch.zeros(2, dtype=torch.int64)
    alone, both = (
        one.act(rows, one.initial_state(2), torch.Generator().manual_seed(0), deterministic=True)
        for one in (base, policy)
    )
    # Untrained, a correction is small, and so is what a changed command does at the first step.
    assert (alone.action - both.action).abs().max() < 5.0
    assert alone.action.abs().max() > 1.0
