"""Controllers that a trained run guides, by the names that people type."""

from dataclasses import replace

import pytest
import torch

from simrl.core.checks import check_policy
from simrl.core.plugins import make_env
from simrl.core.seeding import torch_generator
from simrl.learn.loop import LoopConfig
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOConfig
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.rollout import evaluate
from simrl.runs.config import PREFERENCES_FILE, EvalConfig, TrainConfig, save_config
from simrl.runs.guides import load_guide
from simrl.runs.policies import load_run_network, named_policy
from simrl.runs.training import start_run

PENDULUM = TrainConfig(
    env="pendulum",
    num_envs=32,
    net=ActorCriticConfig(hidden=(32,), activation="tanh", critic="separate", normalise_obs=True),
    ppo=PPOConfig(
        learning_rate=2e-3,
        epochs=8,
        minibatch_size=256,
        gamma=0.95,
        gae_lambda=0.9,
        entropy_coef=0.0,
        normalise_value=True,
        threads=1,
    ),
    loop=LoopConfig(unroll=8, steps=512),
    evaluation=EvalConfig(games=2),
)
QUADRUPED = replace(
    PENDULUM,
    env="quadruped-velocity",
    num_envs=2,
    net=ActorCriticConfig(hidden=(8,), critic="privileged", normalise_obs=True),
    loop=LoopConfig(unroll=4, steps=8),
)


def trained(config, folder):
    run = start_run(config, folder)
    run.loop.run()
    run.loop.writer.close()
    return folder


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory):
    return trained(PENDULUM, tmp_path_factory.mktemp("runs") / "pendulum")


@pytest.mark.parametrize("config", [PENDULUM, QUADRUPED], ids=lambda config: config.env)
def test_the_value_is_the_networks_own_of_what_the_environment_shows(config, tmp_path):
    folder = trained(config, tmp_path / "run")
    env = make_env(config.env, 5)
    obs = env.reset(4)
    net = load_run_network(folder)
    shown = {name: obs[name][:, 0].clone() for name in net.reads}
    said = NetworkPolicy(net).act(shown, {}, torch_generator(0, "test")).extras["value"]
    guide = load_guide(str(folder), env.spec, {})
    assert guide.gamma == 0.95 and guide.name == str(folder)
    assert torch.allclose(guide.value(env.snapshot()), said.sum(-1), rtol=1e-5, atol=1e-5)
    assert len(said.unique()) > 1  # it does depend on what is seen


def test_a_guided_controller_is_a_policy_like_any_other(pendulum):
    env = make_env("pendulum", 4)
    for name in (f"mppi:{pendulum}:horizon=4:samples=8", f"cem:{pendulum}@newest:horizon=3"):
        check_policy(named_policy(name, env.spec, {}), env)
    drawn = named_policy(f"mppi:{pendulum}:horizon=4:guide_plans=3", env.spec, {})
    check_policy(drawn, env, rows_independent=False)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("mppi:{}:samples=8:gamma=0.9", "learned its values at gamma 0.95, .* plans at 0.9"),
        ("mppi:{}:sampels=8", "mppi has no option 'sampels'"),
        ("mppi:{}@12", "12"),
        ("mppi:no-such-run:samples=8", "got 'no-such-run', and no run's folder is called so"),
        ("nmpc:{}", "nmpc cannot be guided by a run; cem, mppi, predictive-sampling can"),
    ],
)
def test_a_mistyped_guide_gets_one_clear_error(pendulum, name, problem):
    spec = make_env("pendulum", 1).spec
    with pytest.raises(ValueError, match=problem):
        named_policy(name.format(pendulum), spec, {})


def test_a_run_of_another_task_or_layout_is_named(pendulum, tmp_path):
    arm = make_env("arm-reach", 1).spec
    with pytest.raises(ValueError, match="was trained in pendulum, it cannot act in arm-reach"):
        named_policy(f"mppi:{pendulum}", arm, {})
    car = tmp_path / "car"
    save_config(TrainConfig(env="car-lane", env_options={"reward": "distance"}), _folder(car))
    lane = make_env("car-lane", 1).spec
    with pytest.raises(ValueError, match=r"car was trained with reward_weights \(1\.0, .* fit"):
        named_policy(f"mppi:{car}", lane, {})
    camera = make_env("car-lane", 1, reward="distance", observations="camera").spec
    with pytest.raises(ValueError, match="another layout of the observations 'policy'"):
        named_policy(f"mppi:{car}", camera, {})
    slow = replace(make_env("pendulum", 1).spec, step_seconds=0.1)
    with pytest.raises(ValueError, match=r"trained with step_seconds 0\.05, here it is 0\.1"):
        named_policy(f"mppi:{pendulum}", slow, {})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"ppo": PPOConfig(reward_clip=1.0)}, "run clips rewards, so its values are not those"),
        ({"ppo": PPOConfig(group_gamma={"reward": 0.5})}, "discounts groups of rewards"),
        ({"base": "swing", "base_command": (1.0,)}, "commands a controller"),
    ],
)
def test_values_of_another_objective_are_refused(changes, problem, tmp_path):
    save_config(replace(PENDULUM, **changes), _folder(tmp_path / "run"))
    with pytest.raises(ValueError, match=problem):
        load_guide(str(tmp_path / "run"), make_env("pendulum", 1).spec, {})


def test_learned_rewards_and_memories_are_refused(pendulum, tmp_path):
    spec = make_env("pendulum", 1).spec
    save_config(PENDULUM, _folder(tmp_path / "taste"))
    (tmp_path / "taste" / PREFERENCES_FILE).write_text("{}")
    with pytest.raises(ValueError, match="taste learned from a learned reward"):
        load_guide(str(tmp_path / "taste"), spec, {})
    recurrent = ActorCriticConfig(hidden=(8,), recurrent="gru", recurrent_width=8)
    config = replace(PENDULUM, net=recurrent, loop=LoopConfig(unroll=8, steps=256))
    folder = trained(config, tmp_path / "memory")
    with pytest.raises(ValueError, match="memory has a memory, so no value follows"):
        load_guide(str(folder), spec, {})


@pytest.mark.slow
def test_a_short_plan_on_top_of_a_poor_policy_is_better_than_either(tmp_path):
    loop = LoopConfig(unroll=32, steps=30_000)
    folder = trained(replace(PENDULUM, loop=loop), tmp_path / "poor")
    env = make_env("pendulum", 20)
    returns = {
        name: evaluate(env, named_policy(name, env.spec, {}), games=20, seed=1, deterministic=True)
        .score()
        .mean_return
        for name in (str(folder), "mppi:horizon=5", f"mppi:{folder}:horizon=5")
    }
    policy, plan, both = returns.values()
    # -1019, -1348 and -332 when this was written; doing nothing costs about 1,400.
    assert both > 0.5 * policy and both > 0.5 * plan


def _folder(path):
    path.mkdir()
    return path / "config.yaml"
