"""Every command helps, works, and names a mistake in one line with exit code 2."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

from simrl.cli import COMMANDS
from simrl.cli.arguments import condense
from simrl.cli.players import split_names, stage_for
from simrl.core.replay import load_replay
from simrl.runs.config import TrainConfig, save_config
from simrl.runs.options import parse_options


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the run that may be written into."""
    return shutil.copytree(trained, tmp_path / "run")


def assert_one_line(result, *parts):
    code, _, err = result
    assert code == 2
    assert len(err.strip().splitlines()) == 1, err
    for part in parts:
        assert part in err


@pytest.mark.parametrize("command", COMMANDS)
def test_help(simrl, command):
    code, out, _ = simrl(command, "--help")
    assert code == 0
    assert "usage" in out
    assert command in out


def test_no_words_list_the_commands(simrl):
    code, out, _ = simrl()
    assert code == 0
    assert all(name in out for name in COMMANDS)


def test_unknown_command(simrl):
    assert_one_line(simrl("evalute"), "unknown command 'evalute'", *COMMANDS)


def test_unknown_preset(simrl):
    assert_one_line(simrl("train", "moba"), "unknown preset 'moba'", "moba-1v1", "cart-pole")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("train", "cart-pole", "--num-env", "3"), ("--num-env", "perhaps you meant --num-envs")),
        (("train", "cart-pole", "--seed", "x"), ("--seed", "'x'")),
        (("train", "cart-pole", "--net.critic", "odd"), ("'odd'", "separate", "privileged")),
        (("train", "cart-pole", "--option", "a=[1"), ("option a", "not YAML")),
        (("train", "cart-pole", "--option", "a=1"), ("cart-pole", "no option 'a'", "max_steps")),
        (("evaluate", "--gamez", "3"), ("--gamez", "perhaps you meant --games")),
        (("play",), ("Missing",)),
        (("watch",), ("Missing",)),
        (("report", "--bogus"), ("report", "Missing")),
        (("list", "--bogus"), ("--bogus",)),
    ],
)
def test_mistyped_fields(simrl, words, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_line(simrl(*words), *parts)
    assert list(tmp_path.iterdir()) == []


def test_both_kinds_of_error_boxes_are_condensed():
    body = ["No option --a, 3", "{rule}", "Perhaps you meant:", "    --ab, -b INT", "    Text."]
    framed = ["╭─ Title ─╮", *(f"│ {line} │".replace("{rule}", "─" * 9) for line in body), "╰───╯"]
    plain = [" Title   ", " ------- ", *(f"  {line}".replace("{rule}", "---") for line in body)]
    for box in (framed, plain):
        assert condense("\n".join(box)) == "No option --a, 3; perhaps you meant --ab"


def test_unknown_opponent(simrl, trained):
    result = simrl("evaluate", trained, "--opponents", "nobody")
    assert_one_line(result, "unknown policy 'nobody'", "tactical", "random")


def test_unknown_environment_and_option(simrl):
    assert_one_line(
        simrl("play", "random", "random", "--env", "go"), "unknown environment 'go'", "tic-tac-toe"
    )
    assert_one_line(
        simrl("play", "random", "--env", "rock-paper-scissors", "--option", "round=3"),
        "no option 'round'",
        "rounds",
    )


@pytest.mark.parametrize("command", ["evaluate", "play", "report"])
def test_unknown_run(simrl, command, tmp_path):
    assert_one_line(simrl(command, tmp_path / "none"), "none", "run")


@pytest.mark.parametrize("command", ["evaluate", "play", "report"])
def test_a_folder_that_is_no_run(simrl, command, tmp_path):
    assert_one_line(simrl(command, tmp_path), "is not a run", "config.yaml")


def test_a_run_of_another_environment(simrl, trained):
    result = simrl("evaluate", trained, "--env", "connect-four", "--opponents", "random")
    assert_one_line(result, "was trained in tic-tac-toe", "cannot play connect-four")


def test_evaluate_prints_a_table(simrl, trained):
    code, out, _ = simrl("evaluate", trained, "--games", "10")
    assert code == 0
    # The opponents of the run's config, and the interval beside each rate.
    assert all(name in out for name in ("tactical", "random", "95 %"))


def test_evaluate_prints_json(simrl, trained):
    words = ("evaluate", trained, "--opponents", f"random,{trained}@newest", "--games", "10")
    code, out, _ = simrl(*words, "--seed", "7", "--json")
    assert code == 0
    content = json.loads(out)
    assert content["seed"] == 7
    assert list(content["opponents"]) == ["random", f"{trained}@newest"]
    row = content["opponents"]["random"]
    assert row["wins"] + row["draws"] + row["losses"] == 10
    assert row["low"] <= row["win_rate"] == row["wins"] / 10 <= row["high"]
    assert row["act_p50_ms"] > 0
    again = json.loads(simrl(*words, "--seed", "7", "--json")[1])
    assert again["opponents"]["random"]["wins"] == row["wins"]


def test_evaluate_a_scripted_policy_alone(simrl):
    code, out, _ = simrl("evaluate", "balance", "--env", "cart-pole", "--games", "3", "--json")
    assert code == 0
    content = json.loads(out)
    # The scripted balance holds the pole to the time limit: 500 steps of reward 1.
    assert content["mean_return"] == 500.0
    assert content["mean_minutes"] == pytest.approx(500 * 0.02 / 60)


def test_evaluate_tells_the_metrics_of_a_task(simrl):
    words = ("evaluate", "driver", "--env", "car-lane", "--option", "max_steps=5", "--games", "2")
    code, out, _ = simrl(*words)
    # Five steps at target speed from a start on the road: nothing is hit, and nobody leaves it.
    assert code == 0
    assert "success" in out
    metrics = json.loads(simrl(*words, "--json")[1])["metrics"]
    assert metrics["collision"] == metrics["off_road"] == 0.0


def test_evaluate_alone_takes_no_opponents(simrl):
    assert_one_line(
        simrl("evaluate", "balance", "--env", "cart-pole", "--opponents", "random"), "one team"
    )


def test_odd_numbers_of_games(simrl, trained):
    assert_one_line(simrl("evaluate", trained, "--games", "7"), "even", "7 games")
    assert_one_line(simrl("evaluate", trained, "--games", "0"), "at least 1")


def test_round_robin(simrl, trained):
    words = ("evaluate", trained, "--round-robin", "tactical,random", "--games", "10")
    code, out, _ = simrl(*words, "--json")
    assert code == 0
    content = json.loads(out)
    assert content["players"] == [str(trained), "tactical", "random"]
    wins, draws = np.array(content["wins"]), np.array(content["draws"])
    games = wins + wins.T + draws
    assert (games + 10 * np.eye(3) == 10).all()
    assert set(content["elo"]) == set(content["openskill"]) == set(content["players"])
    code, out, _ = simrl(*words)
    assert code == 0
    assert "Elo" in out
    assert_one_line(simrl("evaluate"), "--round-robin")


def test_play_writes_a_replay_and_says_who_won(simrl, trained, tmp_path):
    out = tmp_path / "game.jsonl"
    code, said, _ = simrl("play", trained, "tactical", "--seed", "2", "--out", out)
    assert code == 0
    assert f"simrl watch {out}" in said
    replay = load_replay(out)
    assert replay.policies == ("tiny", "tactical")
    assert ("won" in said) == (max(replay.metrics["outcome"]) > 0)
    # The network says what it expects and considers; the script says nothing.
    for name in ("value", "button_probs"):
        assert np.isfinite(replay.extras[name][:, 0]).all()
        assert np.isnan(replay.extras[name][:, 1]).all()
    assert replay.extras["button_probs"][:, 0].sum(-1) == pytest.approx(1.0, abs=1e-3)


def test_play_goes_to_the_runs_replays(simrl, copy):
    assert simrl("play", copy, f"{copy}@snapshot-000000000000")[0] == 0
    files = list((copy / "replays").glob("*.jsonl"))
    assert [load_replay(path).env for path in files] == ["tic-tac-toe"]


def test_play_the_same_policy_twice_and_alone(simrl, tmp_path):
    out = tmp_path / "a.jsonl"
    assert simrl("play", "random", "--env", "tic-tac-toe", "--out", out)[0] == 0
    assert load_replay(out).policies == ("random", "random (2)")
    code, said, _ = simrl("play", "balance", "--env", "cart-pole", "--out", out)
    assert code == 0
    assert "return 500" in said
    assert_one_line(simrl("play", "balance", "random", "--env", "cart-pole"), "one team")


def test_play_options(simrl, tmp_path):
    out = tmp_path / "a.jsonl"
    env = ("--env", "rock-paper-scissors", "--out", out)
    assert simrl("play", "random", "random", "--option", "rounds=4", *env)[0] == 0
    assert load_replay(out).config == {"rounds": 4}
    assert len(load_replay(out).actions) == 4
    assert_one_line(simrl("play", "random", "--option", "rounds", *env), "NAME=VALUE")
    assert_one_line(simrl("play", "random", "--heroes", "a,b", *env), "no heroes")
    assert_one_line(simrl("play", "random", "--html", "x.html", *env), "no replay page")


def test_watch_names_a_missing_replay(simrl, tmp_path):
    assert_one_line(simrl("watch", tmp_path / "x.jsonl"), "does not exist")


def test_a_damaged_run(simrl, copy):
    (copy / "config.yaml").write_text("env: tic-tac-toe\nnum_envz: 3\n")
    for command in ("evaluate", "report", "play"):
        assert_one_line(simrl(command, copy), "config.yaml", "num_envz")


def test_damaged_checkpoints(simrl, copy):
    for path in (copy / "checkpoints").glob("*/tensors.safetensors"):
        path.write_bytes(b"half")
    assert_one_line(simrl("evaluate", copy, "--opponents", "random"), "damaged", "checkpoints")
    # The report still tells what the other files hold, and says what is missing.
    code, _, _ = simrl("report", copy)
    assert code == 0
    assert "cannot be read" in (copy / "report.html").read_text()


def test_a_config_that_does_not_fit_the_weights(simrl, copy):
    path = copy / "config.yaml"
    text = path.read_text()
    hidden = "  hidden:\n  - 16\n"
    assert text.count(hidden) == 1
    path.write_text(text.replace(hidden, hidden.replace("16", "8")))
    assert_one_line(simrl("evaluate", copy, "--opponents", "random"), "do not fit its config")
    assert_one_line(simrl("train", "connect-four", "--resume", copy), "does not fit its config")
    path.write_text(text.replace(hidden, "  hidden: 5\n"))
    assert_one_line(simrl("evaluate", copy, "--opponents", "random"), "config.yaml")


@pytest.mark.parametrize("name", ["metrics.jsonl", "evaluation.jsonl"])
@pytest.mark.parametrize("line", ["[]", "{}", "3"])
def test_lines_that_are_no_records(simrl, copy, name, line):
    (copy / name).write_text(f"{line}\n" + (copy / name).read_text())
    assert_one_line(simrl("report", copy), name, "line 1")


def test_damaged_metrics(simrl, copy):
    path = copy / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["{half", *lines]))
    assert_one_line(simrl("report", copy), "metrics.jsonl", "line 1")


@pytest.mark.parametrize("words", [("report",), ("play",)])
def test_a_full_disk_loses_nothing(simrl, copy, monkeypatch, words):
    (copy / "report.html").write_text("the old report")
    before = sorted(path for path in copy.rglob("*") if path.is_file())

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert_one_line(simrl(*words, copy), "No space left on device")
    assert sorted(path for path in copy.rglob("*") if path.is_file()) == before
    assert (copy / "report.html").read_text() == "the old report"


def test_debug_shows_the_traceback(simrl, tmp_path):
    with pytest.raises(ValueError, match="is not a run"):
        simrl("--debug", "report", tmp_path)


def test_options_and_lists():
    assert parse_options(["a=1", "b=[x, y]", "c=true", "d=0.5", "e=text", "f="]) == {
        "a": 1,
        "b": ("x", "y"),
        "c": True,
        "d": 0.5,
        "e": "text",
        "f": None,
    }
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_options(["=1"])
    with pytest.raises(ValueError, match="not YAML"):
        parse_options(["a=[1"])
    assert split_names("a, b,,a") == ["a", "b"]


def test_options_given_replace_those_of_the_run(tmp_path):
    config = TrainConfig(env="rock-paper-scissors", env_options={"rounds": 3})
    save_config(config, tmp_path / "config.yaml")
    assert stage_for([f"{tmp_path}@newest"], None, []).options == {"rounds": 3}
    stage = stage_for(["random", str(tmp_path)], None, ["rounds=5"])
    assert (stage.env, stage.options) == ("rock-paper-scissors", {"rounds": 5})
