"""Measure how fast robots are stepped, against EnvPool where it is installed.

Both sides step gymnasium's HalfCheetah-v5 and Ant-v5 with the same random actions, 64 environments
on 2 threads, observations, rewards and resets included.  They are measured in short turns, so that
what else runs on the machine slows both: the best turn counts as the speed, and the median over the
turns as the ratio.  Where many programs want the cores, start it with `chrt -r 1`: a batch is as
slow as its slowest thread.

    python scripts/bench/robot_speed.py [--json] [--seconds 0.5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from report import add_json_flag, report

from simrl.core.plugins import make_env

NUM_ENVS = 64
THREADS = 2
ROUNDS = 12
TASKS = {"HalfCheetah-v5": "halfcheetah", "Ant-v5": "ant"}
BARS = {"halfcheetah_steps_per_s": 45_000, "ant_steps_per_s": 8_000}
Step = Callable[[int], Any]


def main() -> None:
    """Measure every task on both sides and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of one turn")
    add_json_flag(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    notes = {name: f"bar: at least {bar:,}" for name, bar in BARS.items()}
    ratios = []
    for task, short in TASKS.items():
        sides: dict[str, Step] = {"ours": our_step(task)}
        theirs = envpool_step(task)
        if theirs is not None:
            sides["envpool"] = theirs
        speeds = measure(sides, options.seconds)
        figures[f"{short}_steps_per_s"] = max(speeds["ours"])
        if theirs is not None:
            ratio = np.median(np.array(speeds["ours"]) / np.array(speeds["envpool"]))
            figures[f"{short}_envpool_steps_per_s"] = max(speeds["envpool"])
            figures[f"{short}_envpool_ratio"] = float(ratio)
            ratios.append(figures[f"{short}_envpool_ratio"])
    title = f"Robot stepping, {NUM_ENVS} environments, {THREADS} threads"
    if ratios:
        figures["envpool_ratio"] = float(np.prod(ratios) ** (1 / len(ratios)))
        notes["envpool_ratio"] = "geometric mean of the tasks; bar: at least 1.5"
    else:
        title += "; EnvPool: n/a (it is not installed)"
    report(
        figures, json_flag=options.json, title=title, notes=notes, packages=("mujoco", "envpool")
    )


def our_step(task: str) -> Step:
    """Return a function that makes the step of a given number on our side."""
    env = make_env(f"gymnasium/{task}", NUM_ENVS, threads=THREADS)
    env.request(["policy"])
    env.reset(0)
    actions = [torch.from_numpy(a)[:, None] for a in random_actions(len(env.spec.actions.low))]
    return lambda index: env.step(actions[index % len(actions)])


def envpool_step(task: str) -> Step | None:
    """Return the same for EnvPool, or None where it cannot be imported."""
    try:
        import envpool
    except ImportError:
        return None
    pool = envpool.make(task, env_type="gymnasium", num_envs=NUM_ENVS, num_threads=THREADS)
    pool.reset()
    actions = [a.astype(np.float64) for a in random_actions(pool.action_space.shape[0])]
    return lambda index: pool.step(actions[index % len(actions)])


def random_actions(size: int) -> list[np.ndarray]:
    """Draw the actions that both sides get; the limits of both tasks are -1 and 1."""
    rng = np.random.default_rng(0)
    return list(rng.uniform(-1, 1, (64, NUM_ENVS, size)).astype(np.float32))


def measure(sides: dict[str, Step], seconds: float) -> dict[str, list[float]]:
    """Return the environment steps per second of each side in every turn."""
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, step in sides.items():
            for index in range(5):
                step(index)
            count, start = 0, time.perf_counter()
            while (spent := time.perf_counter() - start) < seconds:
                step(count)
                count += 1
            speeds[name].append(NUM_ENVS * count / spent)
    return speeds


if __name__ == "__main__":
    main()
