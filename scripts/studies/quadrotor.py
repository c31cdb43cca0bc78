"""Fly a figure of eight with LQR, NMPC, MPPI and PPO, each tuned in as many trials.

    python scripts/studies/quadrotor.py [--trials 8] [--out runs/studies] [--json]

Each is tuned by random search on the same starts (quadrotor_trials.py); the best of each is
measured from fresh starts, compared in the scenarios of `simrl compare quadrotor-track`, and flown
once more with its compute time counted: an action that took t to compute is applied t later.  That
time is the processor's, so what else runs on the machine does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from compared import Comparison, bars, compare, tell
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from quadrotor_late import decision_ms, draw_samples, plain_costs, tell_late
from quadrotor_trials import (
    FRESH,
    OPTIONS,
    RANGES,
    TASK,
    Setting,
    controller_name,
    fly_named,
    ppo_config,
    settings,
    trial,
)
from study import (
    COLOURS,
    Findings,
    StudyArguments,
    cell,
    percent,
    piece,
    ratio,
    save,
    share,
    trained,
)

from simrl.compare.statistics import Estimate
from simrl.runs.robot_recipes import RUNS, train_missing

CHEAP = ("lqr", "nmpc")
"""Kinds whose trials take a second: tuned for longer, too, and compared as they ship."""


@dataclass(frozen=True)
class Arguments(StudyArguments):
    """Compare four ways to fly at equal tuning budget."""

    runs: Path = RUNS
    """Folder of the runs of the shipped preset; what is missing is trained."""
    trials: int = 8
    """Trials of each beside what ships."""
    long: int = 40
    """The same of those that are tuned for longer."""
    starts: int = 8
    """Starts of a trial."""
    trial_steps: int = 500_000
    """Agent-steps of a trial of PPO."""
    steps: int = 6_000_000
    """Agent-steps of PPO's best setting, as many as the preset's."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds of PPO's best setting, and of what ships."""
    fresh: int = 16
    """Starts from which the best settings are measured."""
    late: int = 4
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
    def label(self) -> str:
        """What it is called in tables."""
        return f"{self.kind}, {len(self.settings) - 1} trials"

    @property
    def slug(self) -> str:
        """What it is called in the names of figures."""
        return self.label.replace(", ", "_").replace(" ", "_")

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
    tuned = [tune(args, kind, args.trials) for kind in RANGES]
    entrants = {one.kind: one.members(args, one.best) for one in tuned}
    names = {kind: "+".join(members) for kind, members in entrants.items()}
    names |= {f"{one.kind}-shipped": one.kind for one in tuned if one.best and one.kind in CHEAP}
    comparison = compare(TASK, names, args.pieces / "comparison", ("--jobs", "1", "--videos", "0"))
    longer = [tune(args, kind, args.long) for kind in CHEAP]
    tell_trials(found, [*tuned, *longer])
    tell_fresh(args, found, [*tuned, *longer])
    tell(found, comparison, "quadrotor", "Quadrotor")
    curves = tell_late(args.pieces, args.late, found, entrants)
    plot(args, tuned, longer, comparison, curves)
    found.show(args, "quadrotor: LQR, NMPC, MPPI and PPO at equal tuning budget")


def tune(args: Arguments, kind: str, trials: int) -> Tuned:
    """Return the trials of a kind."""
    drawn = settings(kind, trials)
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
        rows.append([one.label, *shown.split(" | "), str(one.best), _said(one.settings[one.best])])
        found.figures[f"quadrotor_{one.slug}_tuning_cpu_s"] = float(one.cpu.sum())
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
        cells = [cell(found.keep(f"quadrotor_{one.slug}_{key}", v)) for key, v in values.items()]
        p50, p99 = decision_ms(args.pieces, one.members(args, one.best)[0])
        found.figures[f"quadrotor_{one.slug}_decision_ms"] = p50
        cells[2] = "1" if same else cells[2]
        ended = percent(share(best["ended"].ravel()))
        rows.append([one.label, *cells, ended, f"{p50:.2f}", f"{p99:.2f}"])
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


def plot(
    args: Arguments,
    tuned: Sequence[Tuned],
    longer: Sequence[Tuned],
    comparison: Comparison,
    curves: Mapping[str, Sequence[Estimate]],
) -> None:
    """Draw the search, MPPI's samples, and the scores by grid."""
    figure = Figure(figsize=(11.0, 7.2), layout="constrained")
    axes = figure.subplot_mosaic([["search", "samples"], ["grids", "grids"]])
    draw_search(axes["search"], tuned, longer)
    draw_samples(axes["samples"], curves)
    bars(axes["grids"], comparison)
    title = "tuned, in the scenarios of simrl compare (* beyond what controllers were made for)"
    axes["grids"].set_title(title, fontsize=10)
    save(figure, args, "study-quadrotor")


def draw_search(axes: Axes, tuned: Sequence[Tuned], longer: Sequence[Tuned]) -> None:
    """Draw the cheapest trial so far over processor time, and trials as points; longer ones dotted.

    What a kind's colour is follows from its place in `tuned`.
    """
    colours = {one.kind: colour for one, colour in zip(tuned, COLOURS, strict=False)}
    for one in longer:
        best = np.minimum.accumulate(one.costs)
        axes.plot(one.cpu.cumsum(), best, ":", drawstyle="steps-post", color=colours[one.kind])
    for one in tuned:
        spent, best = one.cpu.cumsum(), np.minimum.accumulate(one.costs)
        axes.plot(spent, best, drawstyle="steps-post", color=colours[one.kind], label=one.kind)
        axes.plot(spent, one.costs, ".", color=colours[one.kind], alpha=0.5, markersize=5)
    axes.set(xscale="log", yscale="log", xlabel="processor time of trials [s]")
    axes.set_ylabel("mean cost on the tuning starts")
    plain_costs(axes)
    axes.set_title("random search: each trial, and the best so far", fontsize=10)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
