"""Commanded controllers: what they are told, when it changes, sums of rewards, states, runs."""

import pytest
import torch

from simrl.core.actions import ContinuousActions
from simrl.core.checks import check_env, check_policy
from simrl.core.plugins import make_env
from simrl.core.policy import PolicyOutput
from simrl.learn.commanding import CommandedEnv, CommandedPolicy, command_spec
from simrl.learn.loop import LoopConfig
from simrl.learn.ppo import PPOConfig
from simrl.nn import ActorCriticConfig
from simrl.rollout import RolloutEngine, Seating, evaluate
from simrl.runs.config import EvalConfig, TrainConfig
from simrl.runs.policies import load_run_policy
from simrl.runs.training import resume_run, start_run

WALK = {"physics_step": 0.005, "seconds": 0.4, "threads": 1}  # twenty steps


class Told:
    """Lean by what the command says, and keep every command that was given; count its calls."""

    reads = frozenset({"state"})

    def __init__(self, spec):
        self.part = spec.physics["state"]["command"]
        self.middle = (torch.tensor(spec.actions.low) + torch.tensor(spec.actions.high)) / 2
        self.heard = []

    def initial_state(self, num_rows):
        return {"calls": torch.zeros(num_rows, dtype=torch.int64)}

    def act(self, obs, state, rng, *, deterministic=False):
        command = obs["state"][:, self.part].float()
        self.heard.append(command.clone())
        action = self.middle + 0.05 * command[:, :1] + 0.001 * state["calls"][:, None]
        return PolicyOutput(action, {"calls": state["calls"] + 1})


class Steps:
    """Change the command by one more with every decision."""

    reads = frozenset({"policy"})

    def initial_state(self, num_rows):
        return {"decisions": torch.zeros(num_rows, 1)}

    def act(self, obs, state, rng, *, deterministic=False):
        return PolicyOutput(state["decisions"].repeat(1, 3), {"decisions": state["decisions"] + 1})


def make(num_envs=3, **options):
    return make_env("quadruped-velocity", num_envs, **{**WALK, **options})


def test_a_decision_holds_for_its_steps_and_ends_with_the_episode():
    env = make(seconds=0.14)  # seven steps
    base = Told(env.spec)
    policy = CommandedPolicy(env.spec, base, Steps(), every=3)
    env.reset(0)
    engine = RolloutEngine(env, Seating.self_play(env, policy, train=False), seed=0)
    asked = []
    for _ in range(9):
        engine.step()
        asked.append(engine.env.snapshot()[:, base.part].float())
    first = base.heard[0]
    told = [(heard - first)[0, 0].item() for heard in base.heard[:7]]
    assert told == pytest.approx([0, 0, 0, 1, 1, 1, 2], abs=1e-5)
    # The next episode begins with its own command and with no change.
    assert torch.allclose(base.heard[7], asked[6], atol=1e-5)
    assert torch.allclose(base.heard[8], asked[6], atol=1e-5)


def test_an_environment_with_a_base_is_the_base_step_by_step():
    inner, plain = make(), make()
    base, alone = Told(inner.spec), Told(plain.spec)
    env = CommandedEnv(inner, base, (0.5, 0.2, 0.0), every=5)
    assert (env.spec.max_steps, env.spec.step_seconds) == (4, pytest.approx(0.1))
    assert env.spec.actions.names == ("vx", "vy", "yaw_rate")
    env.reset(2)
    obs, memory = plain.reset(2), alone.initial_state(3)
    change = torch.tensor([[[0.3, -0.9, 0.7]]]).repeat(3, 1, 1)  # beyond two of the ranges
    bounded = torch.tensor([0.3, -0.2, 0.0])
    for decision in range(4):
        step = env.step(change)
        total, terms = torch.zeros(3, 1), 0
        for _ in range(5):
            state = obs["state"].clone()
            state[:, alone.part] += bounded
            out = alone.act({"state": state}, memory, torch.Generator())
            memory = out.state
            expected = plain.step(out.action[:, None])
            obs = expected.obs
            total += expected.reward
            terms = terms + expected.reward_terms.clone()
        assert torch.allclose(step.reward, total, atol=1e-5)
        assert torch.allclose(step.reward_terms, terms, rtol=1e-4, atol=1e-4)
        assert torch.allclose(step.obs["policy"], obs["policy"], atol=1e-4)
        assert torch.equal(step.truncated, expected.truncated)
        assert bool(step.truncated.all()) == (decision == 3)
    assert torch.allclose(step.final_obs["policy"], expected.final_obs["policy"], atol=1e-4)
    assert torch.allclose(step.metrics["rmse"], expected.metrics["rmse"], atol=1e-4)


def test_what_follows_an_end_within_a_decision_is_not_counted():
    env = CommandedEnv(make(2), Told(make(1).spec), (0.0, 0.0, 0.0), every=5)
    env.reset(0)
    state = env.snapshot()
    up = env.inner.spec.physics["state"]["qpos"].start + 3
    state[0, up : up + 4] = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64)  # on its back
    env.restore(state)
    step = env.step(torch.zeros(2, 1, 3))
    assert step.terminated.tolist() == [True, False]
    # One step of the fallen row was paid, five of the other: "alive" counts them.
    alive = env.spec.reward_terms.index("alive")
    assert step.reward_terms[:, 0, alive].tolist() == [1.0, 5.0]
    calls = env._memory["calls"].tolist()
    assert calls == [4, 5]  # its base began anew with the next episode


def test_states_hold_the_memory_of_the_base():
    env = CommandedEnv(make(), Told(make(1).spec), (0.5, 0.5, 0.5), every=5)
    env.reset(0)
    change = torch.full((3, 1, 3), 0.2)
    env.step(change)
    state = env.snapshot()
    assert state.shape == (3, env.spec.state_size)
    first = env.step(change).obs["policy"].clone()
    env.restore(state[1:], torch.tensor([1, 2]))
    env.restore(state[:1], torch.tensor([0]))
    assert torch.equal(env.step(change).obs["policy"], first)


def test_both_keep_the_contracts():
    check_env(lambda rows: CommandedEnv(make(rows), Told(make(1).spec), (0.3, 0.1, 0.2), 5))
    env = make(4)
    check_policy(CommandedPolicy(env.spec, Told(env.spec), Steps(), 3), env)


def config(**more):
    return TrainConfig(
        env="quadruped-velocity",
        env_options={"control": "torque", "control_step": 0.004, "seconds": 0.4},
        num_envs=2,
        base="mpc-wbc",
        base_command=(0.3, 0.1, 0.3),
        base_every=10,
        net=ActorCriticConfig(hidden=(8,), critic="separate"),
        ppo=PPOConfig(minibatch_size=8, epochs=1),
        loop=LoopConfig(unroll=4, steps=24, checkpoint_updates=1),
        evaluation=EvalConfig(games=2, deterministic=True),
        **more,
    )


def test_runs_command_a_controller(tmp_path):
    run = start_run(config(), tmp_path / "run")
    run.loop.run(stop=lambda: run.loop.progress.updates == 1)
    assert isinstance(run.net.actions, ContinuousActions)
    assert run.net.actions.high == pytest.approx((0.3, 0.1, 0.3))
    resumed, straight = resume_run(tmp_path / "run"), start_run(config(), tmp_path / "straight")
    for one in (resumed, straight):
        one.loop.run()
    for left, right in zip(resumed.net.parameters(), straight.net.parameters(), strict=True):
        assert torch.equal(left, right)
    policy = load_run_policy(tmp_path / "run")
    assert isinstance(policy, CommandedPolicy)
    env = make_env("quadruped-velocity", 2, **config().env_options)
    score = evaluate(env, policy, games=2, seed=0, deterministic=True).score()
    assert score.mean_length == 100  # the controller stands and walks; a net alone would fall


@pytest.mark.parametrize(
    ("ranges", "every", "message"),
    [
        ((0.1, 0.1), 5, "its command is vx, vy, yaw_rate; give as many ranges"),
        ((0.1, 0.1, -1.0), 5, "from 0 on"),
        ((0.1, 0.1, 0.1), 7, "20 steps are no whole number of decisions of 7"),
    ],
)
def test_wrong_settings_are_told(ranges, every, message):
    with pytest.raises(ValueError, match=message):
        command_spec(make(1).spec, ranges, every)


def test_tasks_without_a_command_are_told():
    with pytest.raises(ValueError, match="cartpole-balance has no command"):
        command_spec(make_env("cartpole-balance", 1).spec, (0.1,), 5)
    with pytest.raises(ValueError, match="base_command needs a base"):
        TrainConfig(env="quadruped-velocity", base_command=(0.1,))
