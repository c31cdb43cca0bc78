"""Run folders as training leaves them, with numbers that a test can look for."""

import json

import numpy as np
import pytest

from simrl.core.replay import Replay
from simrl.learn.checkpoint import Checkpoints
from simrl.rollout.intervals import wilson
from simrl.runs.config import EvalConfig, TrainConfig, save_config
from simrl.runs.report import write_report
from simrl.selfplay.league import LeagueConfig
from simrl.selfplay.payoff import Payoff
from simrl.selfplay.rating import SkillRatings


def game_figures(wins, draws, losses):
    games = wins + draws + losses
    rate, low, high = wilson(wins, games)
    return {
        "wins": wins,
        "draws": draws,
        "losses": losses,
        "win_rate": rate,
        "low": low,
        "high": high,
        "length": 7.0,
    }


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def run_folder(tmp_path):
    """A self-play run: 300 updates, two evaluations, a league and one replay."""
    return make_run(tmp_path / "runs" / "my run")


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """The report of such a run; read it only."""
    return write_report(make_run(tmp_path_factory.mktemp("runs") / "my run"))


def make_run(folder):
    folder.mkdir(parents=True)
    config = TrainConfig(
        env="tic-tac-toe",
        seed=11,
        league=LeagueConfig(scripted_share=0.1, scripted=("tactical",)),
        evaluation=EvalConfig(opponents=("tactical", "random"), games=50),
    )
    save_config(config, folder / "config.yaml")
    metrics = [
        {
            "step": 1000 * (update + 1),
            "rollout/return": -1.0 + update / 150,
            "loss/policy": -0.01,
            "loss/entropy": 2.0 - update / 300,
            "loss/explained_variance": update / 300,
            "time/steps_per_s": 2500.0,
            "time/env_share": 0.25,
            "time/act_share": 0.25,
            "time/learn_share": 0.4,
            "time/minutes": (update + 1) / 150,
            "time/fraction_done": (update + 1) / 300,
            "league/win_rate/tactical": 0.3,
            "league/elo": float(update),
        }
        for update in range(300)
    ]
    write_lines(folder / "metrics.jsonl", metrics)
    opponents = (
        {"tactical": game_figures(5, 5, 40), "random": game_figures(25, 5, 20)},
        {"tactical": game_figures(20, 15, 15), "random": game_figures(47, 2, 1)},
    )
    lines = [
        {"step": 300_000 * k, "minutes": 2.0 * k, "opponents": row}
        for k, row in enumerate(opponents)
    ]
    write_lines(folder / "evaluation.jsonl", lines)
    payoff, skill = Payoff(["learner"]), SkillRatings()
    for name, wins, losses in (
        ("tactical", 10, 30),
        ("snapshot-000000000000", 18, 2),
        ("snapshot-000000150000", 12, 8),
    ):
        payoff.record("learner", name, 1, games=wins)
        payoff.record("learner", name, -1, games=losses)
        skill.record("learner", name, 1)
    state = {"payoff": payoff.state_dict(), "skill": skill.state_dict()}
    Checkpoints(folder / "checkpoints").save(300_000, {"parts": {"league": state}})
    replay = Replay("tic-tac-toe", {}, b"", np.zeros((5, 2, 1), np.int64), ("a", "b"))
    replay.save(folder / "replays" / "game #1.jsonl")
    return folder


@pytest.fixture
def alone_folder(tmp_path):
    """A run of a task without opponents."""
    folder = tmp_path / "alone"
    folder.mkdir()
    save_config(TrainConfig(env="cart-pole"), folder / "config.yaml")
    metrics = [
        {"step": 100 * k, "rollout/return": 5.0 * k, "time/minutes": 0.1 * k} for k in (1, 2)
    ]
    write_lines(folder / "metrics.jsonl", metrics)
    lines = [
        {
            "step": 200 * k,
            "minutes": 0.2 * k,
            "return": 20.0 + 431.5 * k,
            "low": 18.0,
            "high": 470.0,
        }
        for k in range(2)
    ]
    write_lines(folder / "evaluation.jsonl", lines)
    return folder
