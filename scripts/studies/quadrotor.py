"""Fly a figure of eight with LQR, NMPC, MPPI and PPO, each tuned in as many trials.

    python scripts/studies/quadrotor.py [--trials 12] [--out runs/studies] [--json]

Each is tuned by random search on the same starts (quadrotor_trials.py); the best of each is
measured from fresh starts, compared in the scenarios of `simrl compare quadrotor-track`, and flown
once more with its compute time counted: an action that took t to compute is applied t later.  That
time is the processor's, so what else runs on the machine does not count.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from compared import Comparison, bars, compare, tell
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from quadrotor_trials import (
    FRESH,
    OPTIONS,
    RANGES,
    TASK,
    Setting,
    controller_name,
    fly_named,
    most_reward,
    ppo_config,
    settings,
    trial,
)
from study import (
    COLOURS,
    Findings,
    StudyArguments,
    cell,
    decision_seconds,
    percent,
    piece,
    ratio,
    save,
    share,
    trained,
)

from simrl.compare.grid_file import find_grids
from simrl.compare.play import Stage
from simrl.compare.play import play as play_scenarios
from simrl.compare.statistics import Estimate
from simrl.core.plugins import make_env
from simrl.runs.controllers import make_member
from simrl.runs.policies import named_policy
from simrl.runs.robot_recipes import RUNS, train_missing

SAMPLES = (8, 16, 32, 64, 128)
"""Samples of MPPI, else as tuned, with which its compute time is counted."""


@dataclass(frozen=True)
class Arguments(StudyArguments):
    """Compare four ways to fly at equal tuning budget."""

    runs: Path = RUNS
    """Folder of the runs of the shipped preset; what is missing is trained."""
    trials: int = 12
    """Trials of each beside what ships."""
    starts: int = 8
    """Starts of a trial."""
    trial_steps: int = 500_000
    """Agent-steps of a trial of PPO."""
    steps: int = 6_000_000
    """Agent-steps of PPO's best setting, as many as the preset's."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds of PPO's best setting, and of what ships."""
    fresh: int = 24
    """Starts from which the best settings are measured."""
    late: int = 6
    """Scenarios in which compute time is counted."""

    @property
    def pieces(self) -> Path:
        """Folder of this study."""
        return self.out / "quadrotor"


@dataclass(frozen=True)
class Tuned:
    """Hold the trials of one kind, the first of them what ships."""

    kind: str
    settings: Sequence[Setting]
    costs: np.ndarray
    """Mean cost of each trial on the tuning starts."""
    cpu: np.ndarray
    """Processor time of each trial [s]."""

    @property
    def best(self) -> int:
        """Number of the cheapest trial."""
        return int(self.costs.argmin())

    def members(self, args: Arguments, number: int) -> list[str]:
        """Name the policies of a trial's setting: one, or of PPO one for each training seed."""
        setting = self.settings[number]
        if self.kind != "ppo":
            return [controller_name(self.kind, setting)]
        if not setting:
            return [str(run) for run in train_missing(TASK, args.seeds, args.runs)]
        return [
            str(trained(ppo_config(setting, seed=seed, steps=args.steps), self._run(args, seed)))
            for seed in args.seeds
        ]

    def _run(self, args: Arguments, seed: int) -> Path:
        return args.pieces / f"ppo-trial-{self.best}-steps-{args.steps}-seed-{seed}"


def main(args: Arguments) -> None:
    """Tune, measure, compare, draw and print."""
    found = Findings()
    tuned = [tune(args, kind) for kind in RANGES]
    tell_trials(found, tuned)
    tell_fresh(args, found, tuned)
    entrants = {one.kind: one.members(args, one.best) for one in tuned}
    names = {kind: "+".join(members) for kind, members in entrants.items()}
    comparison = compare(TASK, names, args.pieces / "comparison", ("--jobs", "1"))
    tell(found, comparison, "quadrotor", "Quadrotor")
    curves = tell_late(args, found, entrants)
    plot(args, tuned, comparison, curves)
    found.show(args, "quadrotor: LQR, NMPC, MPPI and PPO at equal tuning budget")


def tune(args: Arguments, kind: str) -> Tuned:
    """Return the trials of a kind."""
    drawn = settings(kind, args.trials)
    done = [
        trial(args.pieces, kind, setting, starts=args.starts, steps=args.trial_steps)
        for setting in drawn
    ]
    costs = np.array([figures["cost"].mean() for figures in done])
    return Tuned(kind, drawn, costs, np.array([float(figures["cpu"]) for figures in done]))


def tell_trials(found: Findings, tuned: Sequence[Tuned]) -> None:
    """Tabulate what trials cost and took, and the best settings."""
    rows = []
    for one in tuned:
        low, middle, high = np.quantile(one.costs[1:], [0.0, 0.5, 1.0])
        shown = f"{one.costs[0]:.4g} | {low:.4g} | {middle:.4g} | {high:.4g} | {one.cpu.sum():.0f}"
        rows.append([one.kind, *shown.split(" | "), str(one.best), _said(one.settings[one.best])])
        found.figures[f"quadrotor_{one.kind}_tuning_cpu_s"] = float(one.cpu.sum())
    head = ["kind", "as shipped", "best trial", "median", "worst", "processor [s]", "best", "its"]
    found.table("Quadrotor: cost of trials on the tuning starts", head, rows)


def _said(setting: Setting) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in setting.items()) or "as shipped"


def tell_fresh(args: Arguments, found: Findings, tuned: Sequence[Tuned]) -> None:
    """Tabulate what ships and the best settings from fresh starts, and processor times."""
    rows = []
    for one in tuned:
        shipped, best = (fresh(args, one.members(args, number)) for number in (0, one.best))
        over = ratio(best["cost"], shipped["cost"].mean(0))
        same = one.best == 0
        values = {
            "shipped_cost": _mean(shipped["cost"]),
            "tuned_cost": _mean(best["cost"]),
            "tuned_over_shipped": over,
            "tuned_rmse_mm": _mean(1e3 * best["rmse"]),
        }
        cells = [cell(found.keep(f"quadrotor_{one.kind}_{key}", v)) for key, v in values.items()]
        p50, p99 = decision_ms(args, one.members(args, one.best)[0])
        found.figures[f"quadrotor_{one.kind}_decision_ms"] = p50
        cells[2] = "1" if same else cells[2]
        ended = percent(share(best["ended"].ravel()))
        rows.append([one.kind, *cells, ended, f"{p50:.2f}", f"{p99:.2f}"])
    head = ["kind", "cost as shipped", "cost tuned", "tuned over shipped", "tuned: error [mm]"]
    head += ["crashes", "decision p50 [ms]", "p99 [ms]"]
    found.table(f"Quadrotor: {args.fresh} fresh starts", head, rows)


def _mean(values: np.ndarray) -> Estimate:
    """Return the mean of `[K, M]`, training seeds resampled apart from scenarios."""
    return ratio(values, np.ones(values.shape[1]))


def fresh(args: Arguments, members: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the figures of each member from the fresh starts, each `[K, M]`."""
    done = []
    for name in members:
        facts = {"who": name, "starts": args.fresh, **OPTIONS}
        make = lambda n=name: fly_named(n, args.fresh, FRESH)  # noqa: E731
        done.append(piece(args.pieces, "fresh", facts, make))
    return {key: np.stack([figures[key] for figures in done]) for key in done[0]}


def decision_ms(args: Arguments, name: str) -> tuple[float, float]:
    """Return the median and the 99th percentile of the processor time of a decision [ms]."""

    def make() -> dict[str, np.ndarray]:
        env = make_env(TASK, 1, **OPTIONS)
        return {"seconds": decision_seconds(env, named_policy(name, env.spec, OPTIONS))}

    seconds = piece(args.pieces, "decision", {"who": name, **OPTIONS}, make)["seconds"]
    p50, p99 = np.percentile(1e3 * seconds, [50, 99])
    return float(p50), float(p99)


def in_scenarios(args: Arguments, name: str, *, late: bool) -> dict[str, np.ndarray]:
    """Return "cost" and "misses" of each nominal scenario `[M]`; `late`: its time counts."""

    def make() -> dict[str, np.ndarray]:
        grids = find_grids(TASK, "nominal")
        scenarios = grids.scenarios(0)[: args.late]
        stage = Stage(TASK, {}, late, threads=1)
        env = stage.make(stage.configs(scenarios))
        options = {**scenarios[0].options, "threads": 1}
        played = play_scenarios(
            stage,
            scenarios,
            lambda env: make_member(name, env.spec, options),
            grids.judge,
            seed=0,
            clock=time.process_time,
        )
        misses = played.columns.get("deadline_misses", np.zeros(len(scenarios)))
        return {
            "cost": most_reward(env) - played.columns["return"],
            "rmse": played.columns["rmse"],
            "ended": played.columns["terminated"],
            "misses": misses,
        }

    facts = {"who": name, "late": late, "scenarios": args.late}
    return piece(args.pieces, "late", facts, make)


def tell_late(
    args: Arguments, found: Findings, entrants: Mapping[str, Sequence[str]]
) -> dict[str, list[Estimate]]:
    """Tabulate costs with and without compute time; return MPPI's over its samples."""
    chosen = {kind: names[0] for kind, names in entrants.items() if kind != "mppi"}
    for samples in SAMPLES:
        chosen[f"mppi, {samples} samples"] = with_samples(entrants["mppi"][0], samples)
    curves: dict[str, list[Estimate]] = {"at once": [], "as late as it is": []}
    rows = []
    for label, name in chosen.items():
        slug = label.replace(", ", "_").replace(" ", "_")
        row, costs = [label], []
        for curve, late in zip(curves.values(), (False, True), strict=True):
            figures = in_scenarios(args, name, late=late)
            value = ratio(figures["cost"], np.ones(args.late))
            found.keep(f"quadrotor_{slug}_{'late' if late else 'at_once'}_cost", value)
            costs.append(figures["cost"])
            if label.startswith("mppi"):
                curve.append(value)
            crashed = f"; {100 * figures['ended'].mean():.0f} % crash"
            row.append(cell(value) + (crashed if figures["ended"].any() else ""))
        misses = 100 * figures["misses"].mean()
        p50, p99 = decision_ms(args, name)
        over = found.keep(f"quadrotor_{slug}_late_over_at_once", ratio(costs[1], costs[0]))
        rows.append([*row, cell(over), f"{p50:.2f}", f"{p99:.2f}", f"{misses:.0f} %"])
    head = ["who", *curves, "ratio", "decision p50 [ms]", "p99 [ms]", "longer than a step"]
    found.table(f"Quadrotor: cost in {args.late} nominal scenarios", head, rows)
    return curves


def with_samples(name: str, samples: int) -> str:
    """Return the name of an MPPI with so many samples instead of its own."""
    kept = [word for word in name.split(":") if not word.startswith("samples=")]
    return ":".join([*kept, f"samples={samples}"])


def plot(
    args: Arguments,
    tuned: Sequence[Tuned],
    comparison: Comparison,
    curves: Mapping[str, Sequence[Estimate]],
) -> None:
    """Draw the search, MPPI's samples, and the scores by grid."""
    figure = Figure(figsize=(11.0, 7.2), layout="constrained")
    axes = figure.subplot_mosaic([["search", "samples"], ["grids", "grids"]])
    draw_search(axes["search"], tuned)
    draw_samples(axes["samples"], curves)
    bars(axes["grids"], comparison)
    title = "tuned, in the scenarios of simrl compare (* beyond what controllers were made for)"
    axes["grids"].set_title(title, fontsize=10)
    save(figure, args, "study-quadrotor")


def draw_search(axes: Axes, tuned: Sequence[Tuned]) -> None:
    """Draw the cheapest trial so far over processor time, and all trials as points."""
    for one, colour in zip(tuned, COLOURS, strict=False):
        spent = one.cpu.cumsum()
        best = np.minimum.accumulate(one.costs)
        axes.plot(spent, best, drawstyle="steps-post", color=colour, label=one.kind)
        axes.plot(spent, one.costs, ".", color=colour, alpha=0.5, markersize=5)
    axes.set(xscale="log", yscale="log", xlabel="processor time of trials [s]")
    axes.set_ylabel("mean cost on the tuning starts")
    _plain(axes)
    axes.set_title("random search: each trial, and the best so far", fontsize=10)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)


def draw_samples(axes: Axes, curves: Mapping[str, Sequence[Estimate]]) -> None:
    """Draw MPPI's cost over its samples, with and without its compute time."""
    for (label, values), colour in zip(curves.items(), ("k", COLOURS[2]), strict=True):
        heights = [value.value for value in values]
        axes.plot(SAMPLES, heights, "o-", color=colour, label=label, markersize=4)
    axes.set(xscale="log", yscale="log", xlabel="samples of MPPI", ylabel="mean cost")
    axes.set_xticks(SAMPLES, [str(samples) for samples in SAMPLES])
    axes.xaxis.minorticks_off()
    _plain(axes)
    axes.set_title("MPPI's actions at once, and as late as its computing makes them", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _plain(axes: Axes) -> None:
    """Write costs on a logarithmic axis as plain numbers."""
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="y", which="both", labelsize=8)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
