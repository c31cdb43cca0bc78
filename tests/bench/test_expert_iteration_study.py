"""The study of expert iteration, on a training and matches cut short."""

import dataclasses
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyspiel")


@pytest.mark.slow
def test_it_trains_plays_and_rates(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts" / "bench"))
    for name in [name for name in sys.modules if name.startswith("search_studies")]:
        monkeypatch.delitem(sys.modules, name)
    from search_studies import expert_iteration

    full = expert_iteration.preset("connect-four")
    short = dataclasses.replace(
        full,
        num_envs=64,
        iteration=dataclasses.replace(full.iteration, warmup=1000),
        loop=dataclasses.replace(full.loop, steps=4000),
        snapshot_steps=1000,
    )
    monkeypatch.setattr(expert_iteration, "preset", lambda name: short)
    monkeypatch.setattr(expert_iteration, "OPPONENT_SIMULATIONS", 20)
    monkeypatch.setattr(expert_iteration, "SIMULATIONS", (8, expert_iteration.HEADLINE))
    monkeypatch.setattr(expert_iteration, "GAMES", 8)
    monkeypatch.setattr(expert_iteration, "ELO_GAMES", 2)
    measured = expert_iteration.study(range(1))
    figures = measured.figures
    assert set(figures) == {
        "expert_iteration_win_rate",
        "expert_iteration_win_rate_8",
        "expert_iteration_train_min",
        "expert_iteration_cpu_min",
    }
    assert 0.0 <= figures["expert_iteration_win_rate"] <= 1.0
    assert 0.0 < figures["expert_iteration_train_min"] < 10.0
    assert "against 20 of OpenSpiel's" in measured.notes["expert_iteration_win_rate"]
    players = [point["player"] for point in measured.curves["seed 0"]]
    assert players[-2:] == ["open-spiel:100", "open-spiel:20"]
    assert "last" in players
    anchor = measured.curves["seed 0"][-1]
    assert anchor["elo"] == pytest.approx(0.0)
