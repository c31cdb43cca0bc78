"""Measure how often controllers succeed from random starts, at least two of them on each task.

    python scripts/bench/control_success.py [--starts 100] [--tasks swingup lane] [--most 2]

The figure of a task is the success rate of its second-best controller, so a bar that it meets is
met by at least two.  Every controller gets the same starts.  The table lists all of them with
Wilson 95 % intervals and with the time that one decision takes for one robot, which is the time of
a call shared among the rows that it decides for.

Sampling controllers plan with the task's own planning model, where MuJoCo is asked to integrate by
Euler's rule in steps as long as the control step: three times as fast, and exact enough to plan by.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from report import add_json_flag, report
from rich.console import Console
from rich.table import Table

from simrl.core import Dynamics, Policy, VecEnv
from simrl.core.plugins import controller_plugin, make_env
from simrl.rollout import evaluate
from simrl.rollout.intervals import wilson

BAR = 0.95


@dataclass(frozen=True)
class Entry:
    """Name one controller of a task."""

    controller: str
    """Its id."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of its config."""
    fast_model: bool = False
    """Whether it plans with the fast model of `fast_dynamics`."""


@dataclass(frozen=True)
class Trial:
    """Name one task and the controllers that are tried on it."""

    env: str
    """Id of the environment."""
    entries: tuple[Entry, ...]
    """The controllers."""
    rows: int = 50
    """Environments that are played side by side."""


@dataclass(frozen=True)
class Outcome:
    """Hold how one controller fared."""

    controller: str
    rate: float
    low: float
    high: float
    rmse: float
    p50_ms: float
    p99_ms: float


TRIALS = {
    "swingup": Trial(
        "cartpole-swingup",
        (
            Entry("nmpc"),
            Entry("mppi", fast_model=True),
            Entry("predictive-sampling", fast_model=True),
        ),
    ),
    "figure8": Trial(
        "quadrotor-track",
        (
            Entry("nmpc"),
            Entry("lqr"),
            Entry("linear-mpc"),
            Entry("mppi", fast_model=True),
        ),
    ),
    "lane": Trial(
        "car-lane",
        (
            Entry("nmpc"),
            Entry("mppi"),
            Entry("cem", {"samples": 32, "iterations": 2}),
        ),
        rows=20,
    ),
    "arm": Trial(
        "arm-track",
        (Entry("osc"), Entry("inverse-dynamics"), Entry("pd"), Entry("pid")),
        rows=100,
    ),
}


def success_figures(
    starts: int = 100, tasks: Sequence[str] = tuple(TRIALS), seed: int = 0, most: int = 2
) -> dict[str, float]:
    """Return `swingup_success` and so on: the rate of each task's second-best controller.

    Only the first `most` controllers of each task are tried, so that other scripts can ask quickly.
    """
    return summarise(measure_all(starts, tasks, seed, most))


def measure_all(
    starts: int, tasks: Sequence[str], seed: int, most: int
) -> dict[str, list[Outcome]]:
    """Return the outcomes of the first `most` controllers, best first, by task."""
    torch.set_num_threads(1)
    return {name: measure(TRIALS[name], starts, seed, most) for name in tasks}


def measure(trial: Trial, starts: int, seed: int, most: int) -> list[Outcome]:
    """Play the first `most` controllers of a trial from the same random starts."""
    outcomes = []
    for entry in trial.entries[:most]:
        env = make_env(trial.env, min(trial.rows, starts))
        outcomes.append(play(entry, build(entry, env), env, starts, seed))
    return sorted(outcomes, key=lambda outcome: -outcome.rate)


def play(entry: Entry, policy: Policy, env: VecEnv, starts: int, seed: int) -> Outcome:
    """Play `starts` episodes and count those that the task calls a success."""
    score = evaluate(env, policy, games=starts, seed=seed, deterministic=True).score()
    success = score.episodes.metric("success")
    rate, low, high = wilson(float((success.reshape(starts, -1) > 0.5).all(1).sum()), starts)
    times = score.act_times
    return Outcome(
        entry.controller,
        rate,
        low,
        high,
        score.metrics.get("rmse", float("nan")),
        times.p50_ms / times.rows,
        times.p99_ms / times.rows,
    )


def build(entry: Entry, env: VecEnv) -> Policy:
    """Build the controller of an entry."""
    plugin = controller_plugin(entry.controller)
    config = plugin.config(**entry.options)
    if not entry.fast_model:
        return plugin.make(env.spec, config)
    make: Any = plugin.make
    policy: Policy = make(env.spec, config, dynamics=fast_dynamics(env))
    return policy


def fast_dynamics(env: Any) -> Dynamics:
    """Return the model of a robot task with one Euler step for each control step."""
    from simrl_envs.robot.dynamics import RobotDynamics
    from simrl_envs.robot.taskfile import PlanningOptions

    options = PlanningOptions(timestep=env.spec.step_seconds, integrator="Euler", metrics=False)
    return RobotDynamics(env.task, None, options)


def summarise(outcomes: Mapping[str, list[Outcome]]) -> dict[str, float]:
    """Return the second-best rate of each task."""
    return {f"{name}_success": found[1].rate for name, found in outcomes.items()}


def show(outcomes: Mapping[str, list[Outcome]], starts: int) -> None:
    """Print every controller's outcome."""
    table = Table(title=f"Success from {starts} random starts", title_justify="left")
    table.add_column("task")
    table.add_column("controller")
    for name in ("success", "95 % interval", "rmse", "act p50 [ms]", "act p99 [ms]"):
        table.add_column(name, justify="right")
    for task, found in outcomes.items():
        for one in found:
            table.add_row(
                task,
                one.controller,
                f"{one.rate:.2f}",
                f"{one.low:.2f}-{one.high:.2f}",
                f"{one.rmse:.4f}",
                f"{one.p50_ms:.3f}",
                f"{one.p99_ms:.3f}",
            )
    Console(emoji=False).print(table)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--starts", type=int, default=100, help="random starts of each controller")
    parser.add_argument(
        "--tasks", nargs="+", choices=list(TRIALS), default=list(TRIALS), help="tasks to measure"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the starts")
    parser.add_argument(
        "--most", type=int, default=10, help="controllers to try on each task, from 2 on"
    )
    add_json_flag(parser)
    options = parser.parse_args()
    if options.starts < 2 or options.most < 2:
        parser.error("at least two starts and two controllers are needed")
    outcomes = measure_all(options.starts, options.tasks, options.seed, options.most)
    figures = summarise(outcomes)
    for task, found in outcomes.items():
        for one in found:
            key = f"{task}_{one.controller.replace('-', '_')}"
            figures |= {key: one.rate, f"{key}_p50_ms": one.p50_ms, f"{key}_p99_ms": one.p99_ms}
    if not options.json:
        show(outcomes, options.starts)
    report(
        figures,
        json_flag=options.json,
        title="Success of the second-best controller of each task",
        notes={f"{name}_success": f"bar {BAR}" for name in outcomes},
        packages=("mujoco", "casadi"),
    )


if __name__ == "__main__":
    main()
