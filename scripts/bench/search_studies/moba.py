"""The 1v1 MOBA: search over a trained policy's own actions against the same policy without it.

Both sides have the same weights and change corners in every second game; both draw their actions.
`SIMRL_MOBA_RUN` names the run; without it one is trained for as many steps as `TRAIN_STEPS` says
and kept in `runs/`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from studies import Measured

from simrl.core.plugins import make_env
from simrl.rollout.evaluate import Score, evaluate
from simrl.rollout.intervals import wilson
from simrl.runs.agent_search import agent_search_policy
from simrl.runs.config import is_run
from simrl.runs.policies import load_run_policy
from simrl.runs.presets import moba_1v1
from simrl.runs.training import start_run
from simrl.search.agent_policy import AgentSearchConfig

ENV = "moba-1v1"
OPTIONS = {"threads": 1}
GAMES = 50
"""Games of each seed."""
TRAIN_STEPS = 5_000_000
SEARCH = AgentSearchConfig()
"""The defaults: 4 candidates of 2 decisions, 2 rollouts of 6 decisions each, every 2nd decision."""


def study(seeds: Sequence[int]) -> Measured:
    """Play the search against its own prior."""
    folder = trained_run()
    scores, seconds, decisions = [], 0.0, 0
    for seed in seeds:
        begin = time.process_time()
        scores.append(play(folder, seed))
        seconds += time.process_time() - begin
        decisions += int(scores[-1].episodes.length.sum())
    games = sum(score.games for score in scores)
    wins = sum(score.wins for score in scores)
    rate, low, high = wilson(wins, games)
    acting = float(np.mean([s.act_times.p50_ms for s in scores])) / GAMES
    return Measured(
        {
            "moba_search_win_rate": rate,
            "moba_search_win_rate_low": low,
            "moba_search_ms": 1e3 * seconds / decisions,
        },
        {
            "moba_search_win_rate": f"{wins} of {games} games, to {high:.3f}; bar 0.60; "
            + fights(scores),
            "moba_search_win_rate_low": "lower end of its 95 % Wilson interval; bar 0.50",
            "moba_search_ms": "processor time of a decision of a game, all of it: search, opponent "
            f"and game; {GAMES} games at once on one thread; half of the policy's calls take "
            f"more than {acting:.2f} ms of wall time for each game",
        },
        {"seeds": [{"seed": s, "wins": x.wins} for s, x in zip(seeds, scores, strict=True)]},
    )


def play(folder: Path, seed: int) -> Score:
    """Play the games of one seed."""
    env = make_env(ENV, GAMES, **OPTIONS)
    searching = agent_search_policy(folder, "newest", env.spec, OPTIONS, SEARCH)
    bare = load_run_policy(folder, "newest")
    return evaluate(env, searching, {"bare": bare}, games=GAMES, seed=seed).score("bare")


def fights(scores: Sequence[Score]) -> str:
    """Tell what the searching side did in a game, against what the other did."""
    parts = []
    for name in ("kills", "last_hits", "damage_to_heroes", "towers_taken"):
        own, other = [], []
        for score in scores:
            table = score.episodes
            seats = table.seats_of("policy")
            own.append(table.mean_over_seats(name, seats))
            other.append(table.mean_over_seats(name, ~seats))
        mine, theirs = float(np.concatenate(own).mean()), float(np.concatenate(other).mean())
        parts.append(f"{name.replace('_', ' ')} {mine:.4g} against {theirs:.4g}")
    return ", ".join(parts)


def trained_run() -> Path:
    """Return the run to search with; train one if there is none."""
    given = os.environ.get("SIMRL_MOBA_RUN")
    return Path(given) if given else run_of(TRAIN_STEPS)


def run_of(steps: int, seed: int = 0) -> Path:
    """Return the folder of a run of so many steps; train it if it is not there."""
    folder = Path(f"runs/bench-moba-1v1-{steps}-{seed}")
    if is_run(folder):
        return folder
    config = moba_1v1()
    loop = replace(config.loop, steps=steps, minutes=None)
    never = replace(config.evaluation, every_minutes=1e6)
    start_run(replace(config, seed=seed, loop=loop, evaluation=never), folder).loop.run()
    return folder
