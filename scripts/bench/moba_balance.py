"""Measure the balance of the MOBA: macro against macro over the hero pool, and the scripted ladder.

    python scripts/bench/moba_balance.py [--games 2000] [--ladder-games 200] [--seed 0] [--json]

Games are played by the kernels alone, sides swapped, heroes drawn at random. The bars: 90 % of
games end by the crystal, the median lasts 4-10 minutes of game time, each side wins 50 ± 3 %, no
hero wins less than 30 % or more than 70 %, and each level beats the one below in 80 % of games.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from report import add_json_flag, report

from simrl.rollout.intervals import wilson
from simrl_envs.moba.bots import LEVELS
from simrl_envs.moba.bots.arena import GameResults, draw_heroes, play_games
from simrl_envs.moba.tables import Tables, load_tables

SLICES = 2
"""Threads that play games; the kernels release the interpreter's lock."""


def main() -> None:
    """Play the games and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=int, default=2000, help="games of macro against macro")
    parser.add_argument("--ladder-games", type=int, default=200, help="games of each ladder pair")
    parser.add_argument("--seed", type=int, default=0, help="seed of heroes and games")
    add_json_flag(parser)
    options = parser.parse_args()
    if options.games < 2 or options.ladder_games < 2:
        parser.error("at least two games are needed, since sides are swapped")

    tables = load_tables()
    start = time.perf_counter()
    figures, notes = balance_figures(tables, options.games, options.seed)
    for step in range(1, len(LEVELS)):
        rate, low, high = ladder_step(tables, step, options.ladder_games, options.seed)
        name = f"ladder_{step}_over_{step - 1}"
        figures |= {name: rate, f"{name}_low": low, f"{name}_high": high}
        notes[name] = f"{LEVELS[step]} beats {LEVELS[step - 1]}; bar 0.80"
        notes[f"{name}_low"] = "Wilson 95 % interval"
    figures["seconds"] = time.perf_counter() - start
    report(figures, json_flag=options.json, title="Balance of the MOBA, 1v1", notes=notes)


def balance_figures(
    tables: Tables, num_games: int, seed: int
) -> tuple[dict[str, float], dict[str, str]]:
    """Play macro against macro; return figures and their notes."""
    heroes = draw_heroes(tables, num_games, seed)
    results = play_in_threads(tables, ("macro", "macro"), heroes, seed)
    winner = np.concatenate([result.winner for result in results])
    minutes = np.concatenate([result.minutes for result in results])
    by_crystal = np.concatenate([result.by_crystal for result in results])
    decided = winner >= 0
    figures = {
        "ended_by_crystal": float(by_crystal.mean()),
        "median_minutes": float(np.median(minutes)),
        "blue_win_rate": float((winner[decided] == 0).mean()),
    }
    notes = {
        "ended_by_crystal": "bar 0.90",
        "median_minutes": "bar 4-10",
        "blue_win_rate": "of decided games; bar 0.50 ± 0.03",
        "hero_win_rate_min": "of decided games against another hero; bar 0.30",
        "hero_win_rate_max": "bar 0.70",
    }
    rates = hero_win_rates(heroes[decided], winner[decided], len(tables.heroes))
    figures |= {"hero_win_rate_min": float(rates.min()), "hero_win_rate_max": float(rates.max())}
    for name, rate in zip(tables.heroes, rates, strict=True):
        figures[f"win_rate_{name}"] = float(rate)
    return figures, notes


def hero_win_rates(heroes: np.ndarray, winner: np.ndarray, num_heroes: int) -> np.ndarray:
    """Return the win rate of each hero over the games that were not against itself.

    Args:
        heroes: Hero of each agent, int64 `[G, 2]`.
        winner: Winning team of each game, `[G]`.
        num_heroes: Size of the pool.
    """
    differ = heroes[:, 0] != heroes[:, 1]
    heroes, winner = heroes[differ], winner[differ]
    played = np.bincount(heroes.ravel(), minlength=num_heroes)
    won = np.bincount(heroes[np.arange(len(heroes)), winner], minlength=num_heroes)
    return won / np.maximum(played, 1)


def ladder_step(tables: Tables, step: int, num_games: int, seed: int) -> tuple[float, float, float]:
    """Return the win rate of one level over the one below, with its Wilson interval.

    A game that nobody wins counts against the stronger level.
    """
    strong, weak = LEVELS[step], LEVELS[step - 1]
    heroes = draw_heroes(tables, num_games, seed + step)
    as_blue, as_red = heroes[0::2], heroes[1::2]
    pairs = ((strong, weak), as_blue), ((weak, strong), as_red)
    with ThreadPoolExecutor(SLICES) as pool:
        blue, red = pool.map(lambda job: play_games(tables, job[0], job[1], seed), pairs)
    wins = int((blue.winner == 0).sum() + (red.winner == 1).sum())
    return wilson(wins, num_games)


def play_in_threads(
    tables: Tables, levels: tuple[str, str], heroes: np.ndarray, seed: int
) -> list[GameResults]:
    """Play games in `SLICES` threads; the result depends on the seed alone."""
    parts = np.array_split(heroes, SLICES)
    with ThreadPoolExecutor(SLICES) as pool:
        jobs = [
            pool.submit(play_games, tables, levels, part, seed * SLICES + index)
            for index, part in enumerate(parts)
        ]
        return [job.result() for job in jobs]


if __name__ == "__main__":
    main()
