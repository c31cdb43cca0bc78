"""Measure how many plans a second sampling MPC makes for the quadruped: complete acts of one row.

    python scripts/bench/sampling_speed.py [--threads 2] [--plans 200] [--json]

A plan is one call of MPPI's `act` for one robot: 30 samples of 40 steps are drawn, rolled out in
MuJoCo with rewards, weighed, and the plan is shifted.  The model is the task's planning
model (pyramidal cones, few solver iterations, coarse steps); the robot walks in its environment
meanwhile, so contacts come and go.  The best of several stretches counts, since other programs
share the machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

import numpy as np
import torch
from report import add_json_flag, report

from simrl.core.plugins import controller_plugin, make_env
from simrl.core.seeding import torch_generator

BAR = 60.0
"""Plans a second on two threads."""
SAMPLES, HORIZON = 30, 40
STRETCHES = 8


def act_times(threads: int, plans: int, options: Mapping[str, float]) -> np.ndarray:
    """Return the wall times of `plans` acts [s]."""
    env = make_env("quadruped-velocity", 1, threads=threads, **options)
    plugin = controller_plugin("mppi")
    policy = plugin.make(
        env.spec, plugin.config(samples=SAMPLES, horizon=HORIZON, knots=8, iterations=1)
    )
    env.request(["policy", "state"])
    obs, rng = env.reset(0), torch_generator(0, "policy")
    memory, times = policy.initial_state(1), []
    for _ in range(plans):
        rows = {"state": obs["state"], "seat": torch.zeros(1, dtype=torch.int64)}
        begin = time.perf_counter()
        output = policy.act(rows, memory, rng)
        times.append(time.perf_counter() - begin)
        step = env.step(output.action[:, None])
        fresh = policy.initial_state(1)
        memory = fresh if bool(step.done) else dict(output.state)
        obs = step.obs
    return np.array(times)


def mppi_figures(threads: int = 2, plans: int = 200) -> dict[str, float]:
    """Return plans a second of MPPI on the quadruped, 30 samples x 40 steps, and their times."""
    torch.set_num_threads(1)
    figures = {}
    fine = {"control_step": 0.01, "physics_step": 0.005}
    for suffix, options in (("", fine), ("_20ms", {})):
        times = act_times(threads, plans, options)
        stretches = [part.mean() for part in np.array_split(times[5:], STRETCHES)]
        figures[f"mppi_plans_per_s{suffix}"] = 1.0 / float(min(stretches))
        p50, p99 = np.percentile(times[5:] * 1e3, (50, 99))
        figures |= {f"mppi_p50_ms{suffix}": float(p50), f"mppi_p99_ms{suffix}": float(p99)}
    return figures


NOTES = {
    "mppi_plans_per_s": f"30 samples x 40 steps of 10 ms, one physics step each; bar {BAR:.0f}",
    "mppi_p50_ms": "one complete act",
    "mppi_plans_per_s_20ms": "the same with control steps of 20 ms, two physics steps each",
}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2, help="threads that roll plans out")
    parser.add_argument("--plans", type=int, default=200, help="plans to time")
    add_json_flag(parser)
    options = parser.parse_args()
    report(
        mppi_figures(options.threads, options.plans),
        json_flag=options.json,
        title="Sampling MPC on the quadruped",
        notes=NOTES,
        packages=("mujoco",),
    )


if __name__ == "__main__":
    main()
