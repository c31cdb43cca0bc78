"""A comparison's charts: profiles, figures along an axis, tracking errors, paths, times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from simrl.compare.statistics import profile
from simrl.compare.summary import resampling
from simrl.compare.table import Table
from simrl.rollout.intervals import wilson
from simrl.runs.comparison.words import axis_name, axis_value, escape, single
from simrl.runs.report.charts import FAINT, INK, LINE, NUM_COLOURS, chart, short_number, style

LEVELS = np.linspace(0.0, 1.0, 101)
"""Scores at which a profile is drawn."""


def profile_chart(table: Table, which: np.ndarray, name: str) -> str:
    """Draw the share of episodes that score above each level, with 95 % bands."""
    draws = resampling(table, which, name)

    def draw(axes: Axes) -> None:
        for index, label in enumerate(table.labels):
            share, low, high = profile(table.figure(index, "score", which), LEVELS, draws, label)
            axes.plot(LEVELS, share, color=_line(index), lw=1.6, label=label)
            axes.fill_between(LEVELS, low, high, color=_line(index), alpha=0.18, lw=0)
        style(axes, "score", percent=True)
        _legend(axes)

    return chart(draw, title=escape(f"Share of episodes above a score, {name}"))


def axis_chart(table: Table, grid: str, axis: str, figure: str) -> str:
    """Draw a figure along one axis of a grid; what lies beyond the distribution is shaded."""
    members = table.members(grid)
    values = sorted(
        dict.fromkeys(table.scenarios[n].point[axis] for n in members),
        key=lambda value: (single(value) is None, single(value) or 0.0),
    )
    groups = [[n for n in members if table.scenarios[n].point[axis] == v] for v in values]
    far = [all(table.scenarios[n].out_of_distribution for n in group) for group in groups]
    places = np.arange(len(values), dtype=np.float64)

    def draw(axes: Axes) -> None:
        for place in places[far]:
            axes.axvspan(place - 0.5, place + 0.5, color=FAINT, alpha=0.5, lw=0)
        count = len(table.labels)
        for index, label in enumerate(table.labels):
            shown = table.figure(index, figure)
            middle, low, high = zip(*(_spread(shown[:, g], figure) for g in groups), strict=True)
            x = places + 0.5 * (index - 0.5 * (count - 1)) / max(count, 3)
            axes.vlines(x, low, high, color=_line(index), lw=2.2, alpha=0.45)
            axes.plot(x, middle, color=_line(index), marker="o", ms=3.8, lw=1.0, label=label)
        style(axes, axis_name(axis), percent=True)
        axes.set_xticks(places, [axis_value(axis, value) for value in values])
        axes.set_xlim(-0.6, len(values) - 0.4)
        _legend(axes)

    return chart(draw, title=escape(f"{figure} over {axis_name(axis)}"))


def error_chart(table: Table, scenario: int) -> str:
    """Draw the tracking error of each controller over the time of one scenario."""

    def draw(axes: Axes) -> None:
        for index, label in enumerate(table.labels):
            times, error = _course(table, index, scenario)
            axes.plot(times, np.abs(error), color=_line(index), lw=1.2, label=label)
            if len(times) and bool(table.figure(index, "terminated")[0, scenario]):
                axes.plot(times[-1:], np.abs(error[-1:]), color=_line(index), marker="x", ms=7)
        style(axes, "time [s]", percent=False)
        axes.set_ylim(bottom=0.0)
        axes.set_ylabel("error", color=INK, fontsize=8)
        _legend(axes)

    return chart(draw, title=escape(f"Tracking error in {table.scenarios[scenario].name}"))


def path_chart(table: Table, scenario: int) -> str:
    """Draw where each controller went, seen from above, and where it should have gone."""

    def draw(axes: Axes) -> None:
        reference = _path(table, 0, scenario)
        axes.plot(reference[:, 2], reference[:, 3], color=INK, lw=1.0, ls=":", label="reference")
        for index, label in enumerate(table.labels):
            path = _path(table, index, scenario)
            axes.plot(path[:, 0], path[:, 1], color=_line(index), lw=1.2, label=label)
        style(axes, "x [m]", percent=False)
        axes.set_ylabel("y [m]", color=INK, fontsize=8)
        axes.set_aspect("equal", adjustable="datalim")
        _legend(axes)

    return chart(draw, title=escape(f"Paths in {table.scenarios[scenario].name}"))


def time_chart(labels: Sequence[str], seconds: Sequence[np.ndarray], deadline: float) -> str:
    """Draw histograms of how long decisions took, on a logarithmic axis, and the shortest step."""
    everything = np.concatenate([values for values in seconds if len(values)]) * 1e3
    low, high = np.log10(max(everything.min(), 1e-3)), np.log10(max(everything.max(), 2e-3))
    bins = np.linspace(low - 0.05, high + 0.05, 50).tolist()

    def draw(axes: Axes) -> None:
        for index, (label, values) in enumerate(zip(labels, seconds, strict=True)):
            if not len(values):
                continue
            spots = np.log10(np.maximum(values * 1e3, 1e-3))
            weights = np.full(len(spots), 1.0 / len(spots))
            axes.hist(spots, bins=bins, weights=weights, color=_line(index), alpha=0.5, label=label)
        if deadline > 0.0:
            axes.axvline(np.log10(deadline * 1e3), color=INK, lw=1.0, ls="--")
        style(axes, "time of a decision [ms]", percent=False)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short_number(10.0**x)))
        _legend(axes)

    return chart(draw, title="How long decisions took", wide=True)


def has_errors(table: Table) -> bool:
    """Tell whether all controllers have tracking errors over time."""
    return all("error" in traces for traces in table.traces)


def has_paths(table: Table) -> bool:
    """Tell whether all controllers have paths."""
    return all("path" in traces for traces in table.traces)


def _course(table: Table, index: int, scenario: int) -> tuple[np.ndarray, np.ndarray]:
    traces = table.traces[index]
    times, error = traces["times"][scenario], traces["error"][scenario]
    known = ~np.isnan(times)
    return times[known], error[known]


def _path(table: Table, index: int, scenario: int) -> np.ndarray:
    path = table.traces[index]["path"][scenario]
    kept: np.ndarray = path[~np.isnan(path[:, 0])]
    return kept


def _spread(values: np.ndarray, figure: str) -> tuple[float, float, float]:
    """Return the mean with its interval: Wilson's for shares, the middle half of scores."""
    if figure != "score":
        return wilson(float(values.sum()), values.size)
    low, high = np.percentile(values, (25, 75))
    return float(values.mean()), float(low), float(high)


def _line(index: int) -> str:
    return LINE[index % NUM_COLOURS]


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, labelcolor=INK, loc="best", fontsize=7.5, handlelength=1.3)
