"""Measure what the rollout engine adds to an environment: cart-pole with a policy of no cost.

Both sides run in turn in one process: a bare loop of `env.step`, and `RolloutEngine.collect` with
the buffer and the episode statistics. CPU time of the thread is counted, so other programs on the
machine disturb little, and the best of many short runs is kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from report import add_json_flag, report

from simrl.core import Obs, PolicyOutput, PolicyState, VecEnv
from simrl.core.plugins import make_env
from simrl.rollout import EpisodeStats, RolloutEngine, Seating

UNROLL = 128
REPEATS = 100


class Constant:
    """Push to the right, from tensors made beforehand."""

    reads = frozenset({"policy"})

    def __init__(self, num_rows: int) -> None:
        action = torch.ones(num_rows, 1, dtype=torch.int64)
        extras = {"log_prob": torch.zeros(num_rows), "value": torch.zeros(num_rows, 1)}
        self._output = PolicyOutput(action, {}, extras)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the same output always."""
        return self._output


def cpu_us(function: Callable[[], object]) -> float:
    """Return the thread's CPU time of one call [us]."""
    start = time.thread_time()
    function()
    return (time.thread_time() - start) * 1e6


def bare(env: VecEnv, action: torch.Tensor) -> None:
    """Step the environment and do nothing else."""
    for _ in range(UNROLL):
        env.step(action)


def measure(num_envs: int) -> dict[str, float]:
    """Return CPU times per step [us] for `num_envs` environments."""
    env, own = make_env("cart-pole", num_envs), make_env("cart-pole", num_envs)
    own.reset(0)
    action = torch.ones(num_envs, 1, 1, dtype=torch.int64)
    seating = Seating.self_play(env, Constant(num_envs))
    plain = RolloutEngine(env, seating, seed=0)
    watched_env = make_env("cart-pole", num_envs)
    watched = RolloutEngine(watched_env, seating, seed=0, observers=[EpisodeStats()])
    sides: dict[str, Callable[[], object]] = {
        "env": lambda: bare(own, action),
        "engine": lambda: plain.collect(UNROLL),
        "engine_with_stats": lambda: watched.collect(UNROLL),
    }
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(REPEATS):
        for name, side in sides.items():
            best[name] = min(best[name], cpu_us(side) / UNROLL)
    figures = {f"{name}_us_{num_envs}": value for name, value in best.items()}
    figures[f"overhead_us_{num_envs}"] = best["engine"] - best["env"]
    return figures


def main() -> None:
    """Measure 8 and 64 environments and print the figures."""
    parser = argparse.ArgumentParser(description="what the rollout engine adds to a step")
    add_json_flag(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = {**measure(8), **measure(64)}
    report(
        figures,
        json_flag=options.json,
        title="rollout engine, CPU time per step of all environments [us]",
        notes={"overhead_us_64": "engine minus env; bar: 40 or less"},
    )


if __name__ == "__main__":
    main()
