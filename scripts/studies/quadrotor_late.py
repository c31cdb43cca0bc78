"""Fly with compute time counted: an action that took t to compute is applied t later.

The time is the processor's, on one thread, so what else runs on the machine does not count.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from quadrotor_trials import OPTIONS, TASK
from study import COLOURS, Findings, cell, decision_seconds, piece, ratio

from simrl.compare.grid_file import find_grids
from simrl.compare.play import Stage, play
from simrl.compare.statistics import Estimate
from simrl.core.plugins import make_env
from simrl.runs.controllers import make_member
from simrl.runs.policies import named_policy
from simrl.runs.robot_scores import most_return

SAMPLES = (8, 32, 64, 128)
"""Samples of MPPI, else as tuned, with which its compute time is counted."""


def decision_ms(pieces: Path, name: str) -> tuple[float, float]:
    """Return the median and the 99th percentile of the processor time of a decision [ms]."""

    def make() -> dict[str, np.ndarray]:
        env = make_env(TASK, 1, **OPTIONS)
        return {"seconds": decision_seconds(env, named_policy(name, env.spec, OPTIONS))}

    seconds = piece(pieces, "decision", {"who": name, **OPTIONS}, make)["seconds"]
    p50, p99 = np.percentile(1e3 * seconds, [50, 99])
    return float(p50), float(p99)


def in_scenarios(pieces: Path, name: str, count: int, *, late: bool) -> dict[str, np.ndarray]:
    """Return "cost" and "misses" of each nominal scenario `[M]`; `late`: its time counts."""

    def make() -> dict[str, np.ndarray]:
        grids = find_grids(TASK, "nominal")
        scenarios = grids.scenarios(0)[:count]
        stage = Stage(TASK, {}, late, threads=1)
        env = stage.make(stage.configs(scenarios))
        options = {**scenarios[0].options, "threads": 1}
        played = play(
            stage,
            scenarios,
            lambda env: make_member(name, env.spec, options),
            grids.judge,
            seed=0,
            clock=time.process_time,
        )
        misses = played.columns.get("deadline_misses", np.zeros(len(scenarios)))
        return {
            "cost": most_return(env.spec) - played.columns["return"],
            "rmse": played.columns["rmse"],
            "ended": played.columns["terminated"],
            "misses": misses,
        }

    facts = {"who": name, "late": late, "scenarios": count}
    return piece(pieces, "late", facts, make)


def tell_late(
    pieces: Path, count: int, found: Findings, entrants: Mapping[str, Sequence[str]]
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
            figures = in_scenarios(pieces, name, count, late=late)
            value = ratio(figures["cost"], np.ones(count))
            found.keep(f"quadrotor_{slug}_{'late' if late else 'at_once'}_cost", value)
            costs.append(figures["cost"])
            if label.startswith("mppi"):
                curve.append(value)
            crashed = f"; {100 * figures['ended'].mean():.0f} % crash"
            row.append(cell(value) + (crashed if figures["ended"].any() else ""))
        misses = 100 * figures["misses"].mean()
        p50, p99 = decision_ms(pieces, name)
        over = found.keep(f"quadrotor_{slug}_late_over_at_once", ratio(costs[1], costs[0]))
        rows.append([*row, cell(over), f"{p50:.2f}", f"{p99:.2f}", f"{misses:.0f} %"])
    head = ["who", *curves, "ratio", "decision p50 [ms]", "p99 [ms]", "longer than a step"]
    found.table(f"Quadrotor: cost in {count} nominal scenarios", head, rows)
    return curves


def with_samples(name: str, samples: int) -> str:
    """Return the name of an MPPI with so many samples instead of its own."""
    kept = [word for word in name.split(":") if not word.startswith("samples=")]
    return ":".join([*kept, f"samples={samples}"])


def draw_samples(axes: Axes, curves: Mapping[str, Sequence[Estimate]]) -> None:
    """Draw MPPI's cost over its samples, with and without its compute time."""
    for (label, values), colour in zip(curves.items(), ("k", COLOURS[2]), strict=True):
        heights = [value.value for value in values]
        axes.plot(SAMPLES, heights, "o-", color=colour, label=label, markersize=4)
    axes.set(xscale="log", yscale="log", xlabel="samples of MPPI", ylabel="mean cost")
    axes.set_xticks(SAMPLES, [str(samples) for samples in SAMPLES])
    axes.xaxis.minorticks_off()
    plain_costs(axes)
    axes.set_title("MPPI's actions at once, and as late as its computing makes them", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def plain_costs(axes: Axes) -> None:
    """Write costs on a logarithmic axis as plain numbers."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
