"""Measure simulations a second of tree search beside mctx and OpenSpiel, all in one run.

    python scripts/bench/search_speed.py [--seconds 6] [--json]

Connect four, 64 simulations, a network 84 -> 128 -> 128 -> 7 + 1 with the same weights on both
sides; mid-game positions.  mctx steps its own connect four in jax and uses both cores, as jax does
by default; our side uses up to two threads.  Both sides take turns, and the best time of each
counts, since other programs share the machine.  Needs the packages `mctx` and `open_spiel`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from report import add_json_flag, report
from search_studies.speed_games import kilobyte_game, mctx_search, positions, uniform_game

from simrl.core.seeding import torch_generator
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.search import (
    NetworkEvaluator,
    RolloutEvaluator,
    SearchConfig,
    TurnModel,
    UctConfig,
    flat_spec,
    search,
)

SIMULATIONS = 64
ROLLOUT_SIMULATIONS, ROLLOUT_POSITIONS = 1000, 16
HIDDEN = (128, 128)


def make_net(spec: Any) -> ActorCritic:
    """Build the network from a fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ActorCritic(flat_spec(spec), ActorCriticConfig(hidden=HIDDEN, policy_gain=1.0))


def best_times(runs: list[Callable[[], object]], seconds: float) -> list[float]:
    """Return the best wall time of each of `runs` [s], after about `seconds` for each of them.

    They take turns that last equally long, so that each side meets the same share of quiet moments
    of a shared machine, and so that short runs are not timed with the other side's data in the
    caches.
    """
    first = []
    for run in runs:
        run()  # compiles
        begin = time.perf_counter()
        run()
        first.append(time.perf_counter() - begin)
    turn = max(0.05, *first)
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(max(3, round(seconds / turn))):
        for index, run in enumerate(runs):
            until = time.perf_counter() + turn
            begin = 0.0
            while begin < until:
                begin = time.perf_counter()
                run()
                times[index].append(time.perf_counter() - begin)
    return [min(part) for part in times]


def ours(model: TurnModel, evaluator: Any, state: torch.Tensor, config: SearchConfig) -> Any:
    """Return a function that searches once."""
    rng = torch_generator(0, "search")
    return lambda: search(model, evaluator, state, config, rng)


def against_mctx(seconds: float) -> dict[str, float]:
    """Return the ratios to mctx, and simulations a second of both sides."""
    dynamics, spec = uniform_game()
    model, net = TurnModel(dynamics, spec), make_net(spec)
    evaluator = NetworkEvaluator(net, dynamics, spec)
    figures = {}
    for rule, rows in (
        ("gumbel", 1),
        ("gumbel", 32),
        ("gumbel", 256),
        ("gumbel", 1024),
        ("puct", 256),
    ):
        config = SearchConfig(simulations=SIMULATIONS, rule=rule)  # type: ignore[arg-type]
        state = positions(model, rows)
        theirs = mctx_search(net, model.view.look(state), rule, SIMULATIONS)
        runs = [ours(model, evaluator, state, config), theirs]
        mine, other = best_times(runs, seconds)
        work = rows * SIMULATIONS
        figures[f"{rule}_ratio_b{rows}"] = other / mine
        figures[f"{rule}_sims_per_s_b{rows}"] = work / mine
        figures[f"{rule}_mctx_sims_per_s_b{rows}"] = work / other
    return figures


def slowdown(seconds: float) -> dict[str, float]:
    """Return how many times fewer simulations a second 128 give than 32, at 256 positions."""
    dynamics, spec = uniform_game()
    model, evaluator = TurnModel(dynamics, spec), NetworkEvaluator(make_net(spec), dynamics, spec)
    state = positions(model, 256)
    runs = [ours(model, evaluator, state, SearchConfig(simulations=n)) for n in (32, 128)]
    few, many = best_times(runs, seconds)
    return {"n128_slowdown": many / few / 4}


def kilobyte(seconds: float) -> dict[str, float]:
    """Return simulations a second with positions of 1 KB, at 256 positions."""
    dynamics, spec = kilobyte_game()
    model, evaluator = TurnModel(dynamics, spec), NetworkEvaluator(make_net(spec), dynamics, spec)
    rng = np.random.Generator(np.random.PCG64(0))
    state = torch.from_numpy(rng.integers(0, 2, (256, spec.state_size), np.uint8))
    state[:, -8:] = 0
    (best,) = best_times([ours(model, evaluator, state, SearchConfig())], seconds)
    return {"sims_per_s_1kb": 256 * 64 / best}


def against_openspiel(seconds: float) -> dict[str, float]:
    """Return the ratio to OpenSpiel's C++ search with random rollouts, one thread each."""
    import pyspiel

    dynamics, spec = uniform_game()
    model, evaluator = TurnModel(dynamics, spec), RolloutEvaluator(dynamics, spec)
    config = SearchConfig(simulations=ROLLOUT_SIMULATIONS, rule="uct", uct=UctConfig(2.0))
    states = positions(model, ROLLOUT_POSITIONS, keep_moves=True)
    game, rng = pyspiel.load_game("connect_four"), torch_generator(0, "search")
    bot = pyspiel.MCTSBot(
        game, pyspiel.RandomRolloutEvaluator(1, 0), 2.0, ROLLOUT_SIMULATIONS, 1000, False, 0, False
    )
    played = []
    for moves in states[1]:
        state = game.new_initial_state()
        for move in moves:
            state.apply_action(move)
        played.append(state)

    def mine() -> None:
        for row in range(ROLLOUT_POSITIONS):
            search(model, evaluator, states[0][row : row + 1], config, rng)

    def theirs() -> None:
        for state in played:
            bot.mcts_search(state)

    one, two = best_times([mine, theirs], seconds)
    work = ROLLOUT_POSITIONS * ROLLOUT_SIMULATIONS
    return {
        "rollout_ratio_openspiel": two / one,
        "rollout_sims_per_s": work / one,
        "rollout_openspiel_sims_per_s": work / two,
    }


NOTES = {
    "gumbel_ratio_b1": "times mctx, one position; bar 1.5",
    "gumbel_ratio_b32": "times mctx, 32 positions; bar 2",
    "gumbel_ratio_b256": "times mctx, 256 positions; bar 3",
    "gumbel_ratio_b1024": "times mctx, 1024 positions; bar 3.5",
    "puct_ratio_b256": "times mctx's muzero_policy; bar 5",
    "n128_slowdown": "simulations/s at N = 32 over those at N = 128, 256 positions; bar 1.5",
    "sims_per_s_1kb": "positions of 1 KB, B = 256; bar 300,000",
    "rollout_ratio_openspiel": "random rollouts, one thread, times OpenSpiel's C++; bar 1.5",
}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="time for each side of each figure"
    )
    parser.add_argument(
        "--only", default="", help="parts to run: mctx, slowdown, kilobyte, rollout"
    )
    add_json_flag(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = {
        "mctx": against_mctx,
        "slowdown": slowdown,
        "kilobyte": kilobyte,
        "rollout": against_openspiel,
    }
    figures: dict[str, float] = {}
    for name, part in parts.items():
        if name in (options.only or name).split(","):
            figures |= part(options.seconds)
    report(
        figures,
        json_flag=options.json,
        title="Simulations a second of tree search, connect four",
        notes={name: note for name, note in NOTES.items() if name in figures},
        packages=("mctx", "jax", "open_spiel"),
    )


if __name__ == "__main__":
    main()
