"""Connect four by expert iteration, against OpenSpiel's tree search with random rollouts.

A network is trained from nothing by the preset of `simrl expert train connect-four`.  Then its
search plays OpenSpiel's C++ bot at 1,000 simulations a move, solver on: sides change game by game,
and neither keeps its tree from move to move.  A win rate counts wins alone; draws are told apart.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from studies import Measured

from simrl.adapters.open_spiel import OpenSpielConfig, OpenSpielMCTS
from simrl.core.env import VecEnv
from simrl.core.plugins import make_env
from simrl.core.policy import Policy
from simrl.core.seeding import child_seed
from simrl.rollout.evaluate import Score, evaluate
from simrl.rollout.intervals import wilson
from simrl.runs.expert import ExpertConfig, ExpertRun, start_expert
from simrl.runs.expert_elo import snapshot_weights
from simrl.runs.expert_presets import preset
from simrl.runs.expert_search import Game
from simrl.runs.training import make_net
from simrl.selfplay.tournament import round_robin

OPPONENT_SIMULATIONS = 1000
SIMULATIONS = (50, 200, 1000)
"""Simulations a move with which the trained network plays."""
HEADLINE = 1000
"""As many as the opponent has."""
GAMES = 400
ELO_GAMES = 40
ELO_STATES = 6


def study(seeds: Sequence[int]) -> Measured:
    """Train once for each seed, and play; figures are means over the seeds, times the longest."""
    figures: dict[str, float] = {}
    notes: dict[str, str] = {}
    scores: dict[int, list[Score]] = {simulations: [] for simulations in SIMULATIONS}
    wall, processor, curves = [], [], {}
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            config = dataclasses.replace(preset("connect-four"), seed=seed)
            run, minutes, busy = train(config, Path(folder) / "run")
            wall.append(minutes)
            processor.append(busy)
            for simulations in SIMULATIONS:
                scores[simulations].append(
                    against_open_spiel(run, simulations, games=GAMES, seed=seed)
                )
            curves[f"seed {seed}"] = elo_points(run, seed)
    for simulations, found in scores.items():
        ending = "" if simulations == HEADLINE else f"_{simulations}"
        name = f"expert_iteration_win_rate{ending}"
        games = sum(score.games for score in found)
        wins, draws = sum(score.wins for score in found), sum(score.draws for score in found)
        rate, low, high = wilson(wins, games)
        figures[name] = rate
        notes[name] = (
            f"{simulations} simulations against {OPPONENT_SIMULATIONS} of OpenSpiel's: "
            f"{wins} won, {draws} drawn, {games - wins - draws} lost; "
            f"95 % of {low:.3f} to {high:.3f}"
        )
    figures["expert_iteration_train_min"] = max(wall)
    notes["expert_iteration_train_min"] = "wall clock of the whole training; bar: at most 60"
    figures["expert_iteration_cpu_min"] = max(processor)
    notes["expert_iteration_cpu_min"] = "processor time of the same, all threads added up"
    return Measured(figures, notes, curves)


def train(config: ExpertConfig, folder: Path) -> tuple[ExpertRun, float, float]:
    """Train, and return the run and its minutes: wall clock and processor time.

    Everything between the first move and the last checkpoint counts; the preset's own evaluations
    are left out, since they teach it nothing.
    """
    never = dataclasses.replace(config.evaluation, every_minutes=1e9)
    run = start_expert(dataclasses.replace(config, evaluation=never), folder)
    started, busy = time.perf_counter(), time.process_time()
    run.loop.run()
    wall, processor = time.perf_counter() - started, time.process_time() - busy
    if run.loop.writer is not None:
        run.loop.writer.close()
    return run, wall / 60.0, processor / 60.0


def against_open_spiel(run: ExpertRun, simulations: int, *, games: int, seed: int) -> Score:
    """Let the run's network play OpenSpiel's bot, sides swapped."""
    env, game = _stage(run, min(games, 200))
    bot = OpenSpielMCTS(env.spec, OpenSpielConfig(simulations=OPPONENT_SIMULATIONS))
    play = dataclasses.replace(run.expert.play, simulations=simulations)
    policy = game.measured(run.loop.learner.net, play)
    seed = child_seed(seed, f"open-spiel/{simulations}")
    return evaluate(env, policy, {"open-spiel": bot}, games=games, seed=seed).score("open-spiel")


def elo_points(run: ExpertRun, seed: int) -> list[dict[str, float | str]]:
    """Rate snapshots of the run and two of OpenSpiel's bots, everybody against everybody."""
    assert run.folder is not None
    env, game = _stage(run, ELO_GAMES)
    players: dict[str, Policy] = {}
    steps: dict[str, int] = {}
    for name, (step, weights) in snapshot_weights(run.folder, ELO_STATES).items():
        net = make_net(run.config, env)
        net.load_state_dict(weights)
        players[name], steps[name] = game.measured(net, run.expert.play, varied=True), step
    for budget in (100, OPPONENT_SIMULATIONS):
        bot = OpenSpielMCTS(env.spec, OpenSpielConfig(simulations=budget))
        players[f"open-spiel:{budget}"] = bot
    ratings = round_robin(env, players, games=ELO_GAMES, seed=seed).elo()
    origin = ratings[f"open-spiel:{OPPONENT_SIMULATIONS}"].mean
    return [
        {
            "player": name,
            "steps": steps.get(name, -1),
            "elo": rating.mean - origin,
            "low": rating.low - origin,
            "high": rating.high - origin,
        }
        for name, rating in ratings.items()
    ]


def _stage(run: ExpertRun, num_envs: int) -> tuple[VecEnv, Game]:
    env = make_env(run.config.env, num_envs, **run.config.env_options)
    game = Game.of(run.config.env, run.config.env_options, env.spec, run.expert.gamma)
    return env, game
