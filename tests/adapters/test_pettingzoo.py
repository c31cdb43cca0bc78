"""PettingZoo's own checkers over our environments."""

import importlib
import re
import sys
import warnings

import pytest

pytest.importorskip("pettingzoo")
from pettingzoo.test import parallel_api_test, parallel_seed_test

from simrl.adapters.pettingzoo import ParallelPettingZoo
from simrl.core.plugins import env_names, make_env


@pytest.mark.parametrize("name", env_names())
def test_parallel_api(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        parallel_api_test(ParallelPettingZoo(make_env(name, 1)), num_cycles=100)


@pytest.mark.parametrize("name", env_names())
def test_parallel_seed(name):
    parallel_seed_test(lambda: ParallelPettingZoo(make_env(name, 1)), num_cycles=100)


def test_masks_stand_where_pettingzoo_looks_for_them():
    env = ParallelPettingZoo(make_env("tic-tac-toe", 1))
    obs, infos = env.reset(seed=0)
    assert env.agents == ["blue", "red"]
    assert obs["blue"]["action_mask"].tolist() == [1] * 9 + [0]
    assert infos["red"]["action_mask"].tolist() == [0] * 9 + [1]
    assert env.observation_space("blue").contains(obs["blue"])


def test_a_game_ends_for_both_with_its_last_board():
    env = ParallelPettingZoo(make_env("tic-tac-toe", 1), on_illegal="raise")
    env.reset(seed=0)
    for ply, move in enumerate([0, 3, 1, 4, 2]):
        actions = {"blue": 9, "red": 9}
        actions[("blue", "red")[ply % 2]] = move
        obs, reward, terminated, truncated, _ = env.step(actions)
    assert reward == {"blue": 1.0, "red": -1.0}
    assert terminated == {"blue": True, "red": True}
    assert truncated == {"blue": False, "red": False}
    assert env.agents == []
    # Own stones of the first player: the upper row.
    assert obs["blue"]["observation"][:9].tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_errors_are_clear():
    with pytest.raises(ValueError, match="one row, got 2"):
        ParallelPettingZoo(make_env("tic-tac-toe", 2))
    env = ParallelPettingZoo(make_env("tic-tac-toe", 1))
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"no action for \['red'\]"):
        env.step({"blue": 0})


@pytest.mark.parametrize(
    ("library", "extra"),
    [("pettingzoo", "simrl[pettingzoo]"), ("stable_baselines3", "simrl[sb3]")],
)
def test_missing_extra_is_named(monkeypatch, library, extra):
    name = f"simrl.adapters.{library}"
    for module in [key for key in sys.modules if key.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError, match=re.escape(f"pip install '{extra}'")) as caught:
        importlib.import_module(name)
    assert "\n" not in str(caught.value)
