"""Rate what a run of expert iteration was on its way: an Elo curve of its frozen snapshots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simrl.core.files import write_atomic
from simrl.core.plugins import make_env
from simrl.core.policy import Policy
from simrl.learn.checkpoint import Checkpoints
from simrl.learn.metrics import read_metrics
from simrl.runs.expert import expert_config
from simrl.runs.expert_search import Game
from simrl.runs.policies import named_policy
from simrl.runs.training import make_net
from simrl.selfplay.rating import Rating
from simrl.selfplay.tournament import round_robin

ELO_FILE = "elo.json"
"""Where a run's folder keeps its newest Elo curve."""

LAST = "last"
"""Name of a run's newest network among the players."""


@dataclass(frozen=True)
class EloPoint:
    """Hold one player's rating; its interval is that of its own, with the mean of all fixed."""

    player: str
    """Name of the snapshot or of the other player."""
    steps: int | None
    """Searched positions until then; None for other players."""
    minutes: float | None
    """Minutes of training until then [min]; None for other players."""
    elo: float
    """Rating; the first snapshot's is 0."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""


def elo_curve(
    folder: Path | str,
    opponents: Sequence[str] = (),
    *,
    count: int = 6,
    simulations: int | None = None,
    games: int = 40,
    seed: int = 1,
) -> list[EloPoint]:
    """Let `count` snapshots of a run and `opponents` all play each other, and rate them.

    Snapshots search with `simulations`, by default as many as in the run's evaluations.  The result
    is also written to `elo.json` in the run's folder.  ValueError if the folder is no run of expert
    iteration or has fewer than two snapshots, or names an unknown opponent.
    """
    folder = Path(folder)
    config = expert_config(folder)
    env = make_env(config.env, min(games, config.num_envs), **config.env_options)
    states = snapshot_weights(folder, count)
    game = Game.of(config.env, config.env_options, env.spec, config.gamma)
    play = config.play if simulations is None else replace(config.play, simulations=simulations)
    players: dict[str, Policy] = {}
    for name, (_, weights) in states.items():
        net = make_net(config.train_config(), env)
        net.load_state_dict(weights)
        players[name] = game.measured(net.eval(), play, varied=True)
    for name in opponents:
        players[name] = named_policy(name, env.spec, config.env_options)
    ratings = round_robin(env, players, games=games, seed=seed).elo()
    minutes = {
        int(line["step"]): float(line["time/minutes"])
        for line in read_metrics(folder)
        if "time/minutes" in line  # the last evaluation's line does not tell
    }
    origin = ratings[next(iter(states))].mean
    points = [
        _point(name, steps, _minutes_at(minutes, steps), ratings[name], origin)
        for name, (steps, _) in states.items()
    ] + [_point(name, None, None, ratings[name], origin) for name in opponents]
    facts = {
        "games": games,
        "simulations": play.simulations,
        "points": [vars(point) for point in points],
    }
    write_atomic(folder / ELO_FILE, json.dumps(facts, indent=2) + "\n")
    return points


def snapshot_weights(folder: Path | str, count: int) -> dict[str, tuple[int, Any]]:
    """Return up to `count` states of a run, evenly spread: name -> (steps, weights).

    The first snapshot and the newest state are among them.  ValueError if there are fewer than two.
    """
    step, state = Checkpoints(Path(folder) / "checkpoints").load_newest()
    parts = state["parts"]
    if "snapshots" not in parts or count < 2:
        raise ValueError(f"{folder}: an Elo curve needs a run of expert iteration and two states")
    named = {
        name: (int(name.removeprefix("snapshot-")), weights)
        for name, weights in parts["snapshots"]["snapshots"].items()
    }
    named[LAST] = (step, parts["learner"]["net"])
    names = sorted(named, key=lambda name: named[name][0])
    if len(names) < 2:
        raise ValueError(f"{folder} has {len(names)} snapshot: an Elo curve needs two")
    picks = {round(i * (len(names) - 1) / (count - 1)) for i in range(count)}
    return {names[i]: named[names[i]] for i in sorted(picks)}


def _point(
    name: str, steps: int | None, minutes: float | None, rating: Rating, origin: float
) -> EloPoint:
    return EloPoint(
        name, steps, minutes, rating.mean - origin, rating.low - origin, rating.high - origin
    )


def _minutes_at(minutes: dict[int, float], steps: int) -> float | None:
    """Return the minutes logged at or before `steps`."""
    known = [step for step in minutes if step <= steps]
    return minutes[max(known)] if known else None
