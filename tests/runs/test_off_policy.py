"""Off-policy runs: what is kept, what a file says, the car's preset, what is refused."""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("stable_baselines3")

from simrl.adapters.sb3_files import load_policy, read_facts
from simrl.core.plugins import make_env
from simrl.runs import off_policy
from simrl.runs.off_policy import PRESETS, OffPolicyConfig, make_model, train
from simrl.runs.robot_recipes import measure_recipes

SHORT = OffPolicyConfig(
    env="identity-continuous",
    learner="td3",
    steps=600,
    learning_starts=100,
    updates=1,
    batch_size=32,
    hidden=(16,),
    gamma=0.0,
)


@pytest.mark.parametrize("learner", ["sac", "td3", "ddpg"])
def test_each_learner_changes_its_weights_and_leaves_a_policy(learner, tmp_path):
    config = replace(SHORT, learner=learner, steps=160)
    weights = {name: w.clone() for name, w in make_model(config).policy.named_parameters()}
    facts = train(config, tmp_path / "model.zip")
    assert facts["kept_steps"] == 160 and facts["minutes"] >= facts["kept_minutes"] > 0.0
    told = read_facts(tmp_path / "model.zip")
    assert told["learner"] == learner and told["minutes"] == pytest.approx(facts["minutes"])
    policy = load_policy(f"{learner}:{tmp_path}/model.zip", make_env(config.env, 1).spec)
    actor = {name: w for name, w in policy.model.policy.named_parameters() if "actor" in name}
    assert any((w != weights[name]).any() for name, w in actor.items())


def test_the_same_seed_leaves_the_same_weights(tmp_path):
    states = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(replace(SHORT, steps=200, seed=seed), tmp_path / f"{name}.zip")
        policy = load_policy(f"td3:{tmp_path}/{name}.zip", make_env(SHORT.env, 1).spec)
        states.append(torch.cat([w.flatten() for w in policy.model.policy.parameters()]))
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_the_best_model_is_kept_not_the_last(tmp_path, monkeypatch):
    values = iter([(0.0, 1.0), (0.0, 5.0), (0.0, 4.0)])
    monkeypatch.setattr(off_policy._Keeper, "_evaluate", lambda self: (next(values), {"x": 1.0}))
    lines = []
    facts = train(replace(SHORT, check_steps=200), tmp_path / "best.zip", lines.append)
    assert facts["kept_steps"] == 400 and len(lines) == 3 and "600 steps" in lines[2]
    policy = load_policy(f"td3:{tmp_path}/best.zip", make_env(SHORT.env, 1).spec)
    assert policy.model.num_timesteps == 400


def test_exploration_is_a_share_of_the_range():
    model = make_model(replace(SHORT, learner="ddpg", noise=0.3))
    assert model.action_noise._sigma.tolist() == [0.3] * make_env(SHORT.env, 1).spec.actions.size


def test_what_cannot_be_trained_is_told(tmp_path):
    with pytest.raises(ValueError, match="cart-pole: sac needs continuous actions"):
        train(OffPolicyConfig(env="cart-pole"), tmp_path / "x.zip")
    with pytest.raises(ValueError, match="no metric 'laps'; its metrics are"):
        train(replace(SHORT, check_steps=10, check_metric="laps"), tmp_path / "x.zip")
    with pytest.raises(ValueError, match="they are sac, td3, ddpg"):
        OffPolicyConfig(env="car-lane", learner="ppo")
    with pytest.raises(ValueError, match="steps must be at least 1"):
        replace(SHORT, steps=0)


def test_the_cars_preset_is_trained_once_and_measured_by_laps(tmp_path, monkeypatch):
    config = PRESETS["car-lane-camera"]()
    small = replace(
        config,
        env_options={**config.env_options, "max_steps": 40},
        learning_starts=24,
        num_envs=4,
        updates=1,
        check_steps=40,
        check_games=2,
    )
    monkeypatch.setitem(PRESETS, "car-lane-camera", lambda: small)
    figures = measure_recipes(("car-lane-camera",), (0, 1), tmp_path, steps=60, games=2)
    assert figures["car_lap_done"] == 0.0  # nobody comes around in two seconds
    assert figures["car_train_min"] > 0.0
    written = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("*.zip"))]
    assert len(written) == 2
    assert measure_recipes(("car-lane-camera",), (0, 1), tmp_path, steps=60, games=2) == figures
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("*.zip"))] == written
