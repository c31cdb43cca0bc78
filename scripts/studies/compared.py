"""Turn a `simrl compare` into tables and a plot for docs/studies.md."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from study import COLOURS, Findings, StudyArguments, cell, percent, save

from simrl.compare.statistics import Estimate

NOMINAL, FAR = "nominal", "out of distribution"
SHOWN = {
    "score": "score",
    "success": "success",
    "rmse": "error",
    "cost_of_transport": "cost of transport",
    "recovery_seconds": "recovery [s]",
    "mean_power": "power [W]",
}
"""Figures of the first table, and what they are called there."""
KEPT = ("score", "success", "rmse")
"""Figures that `--json` prints."""


@dataclass(frozen=True)
class Comparison:
    """Hold what a comparison found."""

    labels: tuple[str, ...]
    summary: Mapping[str, Any]

    def estimate(self, where: str, label: str, name: str) -> Estimate | None:
        """Return a figure; None if the controller does not have it there."""
        found = self.summary["figures"].get(where, {}).get(label, {}).get(name)
        if found is None or found["value"] is None:
            return None
        bounds = [float("nan") if x is None else x for x in (found["low"], found["high"])]
        return Estimate(found["value"], *bounds)


def compare(
    task: str, controllers: Mapping[str, str], out: Path, more: Sequence[str] = ()
) -> Comparison:
    """Run or continue `simrl compare` of labelled controllers in `out`, and read what it found."""
    command = [sys.executable, "-m", "simrl.cli", "compare", task, "--out", str(out), "--json"]
    command += ["--controllers", ",".join(f"{key}={name}" for key, name in controllers.items())]
    subprocess.run([*command, *more], check=True, stdout=subprocess.DEVNULL)
    return Comparison(tuple(controllers), json.loads((out / "summary.json").read_text()))


def tell(found: Findings, comparison: Comparison, name: str, title: str) -> None:
    """Add tables: figures in and out of distribution, scores by grid, time of a decision."""
    for where in comparison.summary["figures"]:
        short = "far_" if where == FAR else ""
        count = comparison.summary["scenarios"][where]
        columns = [key for key in SHOWN if _has(comparison, where, key)]
        rows = []
        for label in comparison.labels:
            cells = [label]
            for key in columns:
                value = comparison.estimate(where, label, key)
                cells.append("-" if value is None else _cell(key, value))
                if value is not None and key in KEPT:
                    found.keep(f"{name}_{short}{label.replace('-', '_')}_{key}", value)
            rows.append(cells)
        head = ["controller", *(SHOWN[key] for key in columns)]
        found.table(f"{title}: {count} scenarios, {where}", head, rows)
    found.table(f"{title}: mean score by grid", *_by_grid(comparison))
    found.table(
        f"{title}: time of one decision",
        ["controller", "p50 [ms]", "p99 [ms]", "step [ms]"],
        [
            [label, *(f"{timing[key]:.2f}" for key in ("p50_ms", "p99_ms", "deadline_ms"))]
            for label, timing in comparison.summary["timing"].items()
        ],
    )


def _by_grid(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the scores of each grid; what leads clearly is bold."""
    rows = []
    for winner in comparison.summary["winners"]:
        cells = [f"{winner['grid']}{_mark(winner)}", str(winner["count"])]
        for label in comparison.labels:
            said = f"{winner['scores'][label]:.2f}"
            cells.append(f"**{said}**" if winner["clear"] and label == winner["best"] else said)
        rows.append(cells)
    return ["grid", "scenarios", *comparison.labels], rows


def draw(comparison: Comparison, args: StudyArguments, name: str, title: str) -> None:
    """Draw the mean score of every controller in every grid."""
    figure = Figure(figsize=(11.0, 3.8), layout="constrained")
    axes = figure.add_subplot()
    bars(axes, comparison)
    axes.set_title(f"{title} (* beyond what controllers were made for)", fontsize=10)
    save(figure, args, name)


def bars(axes: Axes, comparison: Comparison) -> None:
    """Draw the mean score of every controller in every grid as bars, the legend below."""
    winners = comparison.summary["winners"]
    width = 0.8 / len(comparison.labels)
    for index, label in enumerate(comparison.labels):
        at = [row + (index + 0.5) * width - 0.4 for row in range(len(winners))]
        heights = [winner["scores"][label] for winner in winners]
        axes.bar(at, heights, 0.9 * width, label=label, color=COLOURS[index])
    names = [f"{w['grid']}{_mark(w)}".replace("-", "-\n") for w in winners]
    axes.set_xticks(range(len(winners)), names, fontsize=8)
    axes.set_ylabel("mean score")
    axes.set_ylim(0.0, 1.0)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=len(comparison.labels))


def _mark(winner: Mapping[str, Any]) -> str:
    return " *" if winner["where"] == FAR else ""


def _has(comparison: Comparison, where: str, name: str) -> bool:
    return any(comparison.estimate(where, label, name) for label in comparison.labels)


def _cell(name: str, value: Estimate) -> str:
    return percent(value) if name == "success" else cell(value)
