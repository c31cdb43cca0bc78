"""Measure nonlinear and sampling MPC: real-time iteration against ipopt and fatrop, and MPPI.

The quadrotor flies the same figures of eight under each solver, N = 20. What is timed is the whole
`act` of one row, on one core: reading the state, asking for the reference, planning. The inner
solve is printed apart, and so is piqp's multistage solver on the same quadratic programs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from control_success import success_figures
from report import add_json_flag, report
from sampling_speed import mppi_figures

from simrl.core.plugins import make_env
from simrl_controllers.nonlinear import NmpcConfig, NmpcPolicy
from simrl_controllers.nonlinear.sparse import assemble
from simrl_controllers.qp import QPSettings, QPWorkspace

HORIZON = 20
SEEDS = (0, 1, 2)
WARM_UP = 20
"""First steps of each flight whose times do not count: the plan begins from a guess."""
BUILD = """
import time
import torch
from simrl.core.plugins import controller_plugin, make_env
torch.set_num_threads(1)
env = make_env("quadrotor-track", 1)
obs = env.reset(0)
start = time.perf_counter()
plugin = controller_plugin("nmpc")
policy = plugin.make(env.spec, plugin.config(horizon=20))
state = policy.initial_state(1)
policy.act({"state": obs["state"]}, state, torch.Generator())
print(time.perf_counter() - start)
"""


def fly(solver: str) -> dict[str, np.ndarray | float]:
    """Fly one episode for each seed; return times of `act` and solve [ms] and the mean RMSE [m]."""
    acts, solves, errors = [], [], []
    for seed in SEEDS:
        env = make_env("quadrotor-track", 1)
        policy = NmpcPolicy(env.spec, NmpcConfig(solver=solver, horizon=HORIZON))
        memory, rng = policy.initial_state(1), torch.Generator()
        obs, done, step_index = env.reset(seed), False, 0
        while not done:
            seen = {"state": obs["state"]}
            start = time.perf_counter()
            output = policy.act(seen, memory, rng, deterministic=True)
            taken = time.perf_counter() - start
            if step_index >= WARM_UP:
                acts.append(1e3 * taken)
                solves.append(1e3 * float(output.extras["solve_time"][0]))
            memory = output.state
            step = env.step(output.action[:, None])
            obs, done, step_index = step.obs, bool(step.done[0]), step_index + 1
        errors.append(float(step.metrics["rmse"].flatten()[0]))
    return {"act": np.array(acts), "solve": np.array(solves), "rmse": float(np.mean(errors))}


def build_seconds(environment: dict[str, str] | None = None) -> float:
    """Time a fresh process from the import of the controller to its first action [s].

    The kernels, which know no model, come from Numba's cache as `make setup` left it; the model's
    own code is made anew.
    """
    done = subprocess.run(
        [sys.executable, "-c", BUILD],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    return float(done.stdout)


def first_build_seconds() -> float:
    """Time the same where no kernel was ever compiled."""
    with tempfile.TemporaryDirectory() as folder:
        return build_seconds({"NUMBA_CACHE_DIR": folder})


def piqp_ms(count: int = 300) -> float:
    """Return the median time of piqp's multistage solver on the flight's quadratic programs."""
    env = make_env("quadrotor-track", 1)
    policy = NmpcPolicy(env.spec, NmpcConfig(horizon=HORIZON))
    workspace = QPWorkspace("piqp", QPSettings(kkt_solver="sparse_multistage", check=False))
    memory, obs, times = policy.initial_state(1), env.reset(0), []
    for _ in range(count):
        output = policy.act({"state": obs["state"]}, memory, torch.Generator())
        problem = assemble(policy.last_qp)
        start = time.perf_counter()
        workspace.solve(**problem)
        times.append(1e3 * (time.perf_counter() - start))
        memory, obs = output.state, env.step(output.action[:, None]).obs
    return float(np.median(times[WARM_UP:]))


def main() -> None:
    """Fly with each solver and print the figures."""
    parser = argparse.ArgumentParser(description="nonlinear and sampling MPC")
    parser.add_argument("--skip-mppi", action="store_true", help="leave the sampling MPC out")
    parser.add_argument(
        "--first", action="store_true", help="also time the very first build, without any cache"
    )
    parser.add_argument(
        "--success", action="store_true", help="also measure success from 100 random starts"
    )
    add_json_flag(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = {"rti_build_s": build_seconds()}
    if options.first:
        figures["rti_first_build_s"] = first_build_seconds()
    flights = {solver: fly(solver) for solver in ("rti", "fatrop", "ipopt")}
    for solver, flight in flights.items():
        figures[f"{solver}_p50_ms"] = float(np.percentile(flight["act"], 50))
        figures[f"{solver}_p99_ms"] = float(np.percentile(flight["act"], 99))
        figures[f"{solver}_solve_p50_ms"] = float(np.percentile(flight["solve"], 50))
        figures[f"{solver}_rmse_m"] = float(flight["rmse"])
    figures["rti_rmse_over_ipopt"] = figures["rti_rmse_m"] / figures["ipopt_rmse_m"]
    figures["ipopt_over_rti"] = figures["ipopt_p50_ms"] / figures["rti_p50_ms"]
    figures["piqp_qp_p50_ms"] = piqp_ms()
    if not options.skip_mppi:
        figures |= mppi_figures()
    if options.success:
        figures |= success_figures()
    notes = {
        "rti_build_s": "import, symbols, machine code, first plan; bar: 2 or less",
        "rti_first_build_s": "the same once after installation, kernels compiled too",
        "rti_p50_ms": "whole act of one row; bar: 1.0 or less",
        "rti_p99_ms": "bar: 1.3 or less",
        "rti_rmse_over_ipopt": "bar: 1.02 or less",
        "piqp_qp_p50_ms": "piqp multistage on the same QPs, without assembly and linearisation",
        "mppi_plans_per_s": "quadruped, 30 samples x 40 steps, 2 threads; bar: 60 or more",
    }
    report(
        figures,
        json_flag=options.json,
        title="quadrotor figure-8, N = 20: model predictive control",
        notes={name: note for name, note in notes.items() if name in figures},
        packages=("casadi", "piqp", "mujoco"),
    )


if __name__ == "__main__":
    main()
