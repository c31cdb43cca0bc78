"""Models of stable-baselines3 in files: what they say, how they are named, what is refused."""

import zipfile

import pytest
import torch

pytest.importorskip("stable_baselines3")
from stable_baselines3 import DDPG, SAC

from simrl.adapters.sb3_files import load_policy, read_facts, save_model, split_name
from simrl.adapters.stable_baselines3 import SB3VecEnv
from simrl.core.checks import check_policy
from simrl.core.plugins import make_env

OPTIONS = {"seconds": 0.4, "mass": (0.9, 1.1)}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Return the file of a SAC that has learned a little on a robot."""
    env = make_env("cartpole-swingup", 4, **OPTIONS)
    model = SAC(
        "MlpPolicy",
        SB3VecEnv(env),
        learning_starts=20,
        buffer_size=100,
        policy_kwargs={"net_arch": [16]},
        seed=0,
        device="cpu",
    )
    model.learn(40)
    path = tmp_path_factory.mktemp("models") / "deep" / "sac.zip"
    save_model(model, path, {"env": "cartpole-swingup", "env_options": OPTIONS, "steps": 40})
    return path


def test_a_model_says_what_it_was_trained_on_and_plays_there(file):
    assert read_facts(file) == {"env": "cartpole-swingup", "env_options": OPTIONS, "steps": 40}
    env = make_env("cartpole-swingup", 2, **OPTIONS)
    policy = load_policy(f"sac:{file}", env.spec)
    check_policy(policy, make_env("cartpole-swingup", 3, **OPTIONS), num_steps=4)
    rows = {"policy": env.reset(0)["policy"][:, 0]}
    given = policy.model.predict(rows["policy"].numpy(), deterministic=True)[0]
    action = policy.act(rows, {}, torch.Generator(), deterministic=True).action
    assert action.numpy() == pytest.approx(given)


def test_what_does_not_fit_is_told(file, tmp_path):
    spec = make_env("cartpole-swingup", 1, **OPTIONS).spec
    with pytest.raises(ValueError, match="trained in cartpole-swingup, it cannot act in car-lane"):
        load_policy(f"sac:{file}", make_env("car-lane", 1).spec)
    with pytest.raises(ValueError, match="cannot be read as DDPG"):
        load_policy(f"ddpg:{file}", spec)
    with pytest.raises(ValueError, match=r"say which learner .* sac:sac\.zip; they are sac, td3"):
        split_name(str(file))
    with pytest.raises(ValueError, match="there is no file"):
        split_name("sac:nowhere.zip")
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("letter.txt", "hello")
    with pytest.raises(ValueError, match="no model of stable-baselines3"):
        read_facts(other)


def test_a_model_that_says_nothing_is_refused_by_what_it_sees(tmp_path):
    env = make_env("identity-continuous", 2)
    model = DDPG("MlpPolicy", SB3VecEnv(env), buffer_size=10, device="cpu")
    model.save(tmp_path / "plain.zip")
    assert read_facts(tmp_path / "plain.zip") == {}
    load_policy(f"ddpg:{tmp_path}/plain.zip", env.spec)
    with pytest.raises(ValueError, match=r"plain\.zip: the model's observation_space is Box"):
        load_policy(f"ddpg:{tmp_path}/plain.zip", make_env("car-lane", 1).spec)
