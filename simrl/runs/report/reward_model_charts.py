"""Draw what a reward model's page shows: reliability diagrams and returns against returns."""

from __future__ import annotations

import html

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from simrl.preferences.calibration import Reliability
from simrl.runs.report.charts import FAINT, INK, LINE, chart, short_number, style

MAX_DOTS = 400
"""Segments of a scatter plot; of more, evenly spaced ones are drawn."""


def reliability_diagram(before: Reliability, after: Reliability, name: str) -> str:
    """Draw observed against predicted shares, before and after calibration, as an `<svg>`.

    An empty bin has no dot; the area of a dot grows with the pairs in its bin.
    """

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls="--", zorder=1)
        for table, colour, label in (
            (before, LINE[1], "as learned"),
            (after, LINE[0], "calibrated"),
        ):
            full = table.count > 0
            size = 6.0 + 120.0 * table.count[full] / max(1, table.count.max())
            axes.scatter(
                table.predicted[full],
                table.observed[full],
                s=size,
                color=colour,
                alpha=0.65,
                linewidths=0,
                zorder=3,
                label=label,
            )
        style(axes, "predicted", percent=True)
        axes.set_xlim(-0.04, 1.07)
        axes.set_ylim(-0.06, 1.06)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        legend = axes.legend(
            frameon=False, labelcolor=INK, loc="upper left", fontsize=8, handletextpad=0.1
        )
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([30.0])

    return chart(draw, title=html.escape(f"Observed against predicted, {name}", quote=True))


def return_scatter(true: np.ndarray, learned: np.ndarray) -> str:
    """Draw the learned return of segments `[M]` against their true return `[M]`, as an `<svg>`."""
    index = np.unique(np.linspace(0, max(0, len(true) - 1), MAX_DOTS).astype(np.int64))[: len(true)]

    def draw(axes: Axes) -> None:
        axes.scatter(true[index], learned[index], s=9, color=LINE[0], alpha=0.55, linewidths=0)
        style(axes, "true return", percent=False)
        axes.grid(axis="x", color=FAINT, lw=0.6)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))

    return chart(draw, title="Learned return against true return")
