"""The scripts that people copy do what they say, with the settings of the preset."""

import runpy
from pathlib import Path

import pytest

from simrl.cli import main as simrl
from simrl.runs.presets import preset

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def train_moba():
    return runpy.run_path(str(SCRIPTS / "train_moba.py"))


def test_train_moba_has_the_settings_of_the_preset(train_moba):
    config = preset("moba-1v1")
    assert train_moba["NET"] == config.net
    assert train_moba["PPO"] == config.ppo
    assert train_moba["LEAGUE"] == config.league
    assert train_moba["OPPONENTS"] == config.evaluation.opponents
    assert train_moba["UNROLL"] == config.loop.unroll
    arguments = train_moba["Arguments"]()
    assert (arguments.num_envs, arguments.minutes) == (config.num_envs, config.loop.minutes)


@pytest.mark.slow
def test_what_train_moba_leaves_is_a_run(train_moba, tmp_path, capsys):
    out = tmp_path / "agent"
    train_moba["main"](train_moba["Arguments"](minutes=0.01, num_envs=8, games=2, out=out))
    said = capsys.readouterr().out
    assert all(f"{name}: won" in said for name in train_moba["OPPONENTS"])
    assert simrl(["evaluate", str(out), "--opponents", "random-legal", "--games", "2"]) == 0
    evaluate = runpy.run_path(str(SCRIPTS / "evaluate.py"))["main"]
    assert evaluate([str(out), "--opponents", "random-legal", "--games", "2"]) == 0
    assert "random-legal" in capsys.readouterr().out
