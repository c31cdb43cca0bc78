"""Learning on robots: missing runs are trained once, and figures come in both forms."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from simrl.learn.metrics import read_metrics
from simrl.runs.config import CONFIG_FILE, run_config, save_config
from simrl.runs.robot_recipes import measure_recipes, train_missing

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPTS / "learn_robots.py"))


def test_unknown_recipes_are_told(tmp_path):
    with pytest.raises(ValueError, match="the recipes are cartpole-swingup, "):
        measure_recipes(("go-kart",), (0,), tmp_path)


def test_a_run_without_a_checkpoint_is_told(tmp_path):
    begun = tmp_path / "hopper-seed-0"
    begun.mkdir()
    (begun / "config.yaml").write_text("env: hopper\n")
    with pytest.raises(ValueError, match="remove it to train it again"):
        train_missing("hopper", [0], tmp_path)


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on(tmp_path):
    (folder,) = train_missing("cartpole-swingup", [0], tmp_path, steps=8192)
    config = run_config(folder)
    longer = replace(config, loop=replace(config.loop, steps=16384))
    save_config(longer, folder / CONFIG_FILE)
    before = read_metrics(folder)
    train_missing("cartpole-swingup", [0], tmp_path)
    after = read_metrics(folder)
    assert after[: len(before)] == before
    assert after[-1]["step"] == 16384


@pytest.mark.slow
def test_a_recipe_may_begin_with_a_run_of_another(tmp_path):
    (folder,) = train_missing("quadruped-rough", [3], tmp_path, steps=8192)
    begun = tmp_path / "quadruped-velocity-seed-3"
    assert run_config(folder).init == str(begun)
    assert run_config(begun).seed == run_config(folder).seed == 3


@pytest.mark.slow
def test_what_is_missing_is_trained_once(script, tmp_path, capsys):
    arguments = script["Arguments"](
        recipes=("cartpole-swingup",), seeds=(0,), steps=8192, games=4, out=tmp_path, json=True
    )
    script["main"](arguments)
    first = json.loads(capsys.readouterr().out)["figures"]
    trained = (tmp_path / "cartpole-swingup-seed-0" / "metrics.jsonl").stat().st_mtime_ns
    script["main"](arguments)
    assert json.loads(capsys.readouterr().out)["figures"] == first
    assert (tmp_path / "cartpole-swingup-seed-0" / "metrics.jsonl").stat().st_mtime_ns == trained
    assert first["cartpole_cost_over_nmpc"] > 1.0
