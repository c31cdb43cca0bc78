"""Tables of a comparison for the terminal."""

from __future__ import annotations

import math

from rich.table import Table

from simrl.compare.statistics import Estimate
from simrl.compare.summary import Summary

FIGURES = (
    ("score", "score", 1.0),
    ("success", "success %", 100.0),
    ("rmse", "rmse", 1.0),
    ("cvar", "cvar", 1.0),
    ("return", "return", 1.0),
    ("cost_of_transport", "cost of transport", 1.0),
    ("energy", "energy J", 1.0),
    ("action_rate", "action rate 1/s", 1.0),
    ("violation_seconds", "violations s", 1.0),
    ("recovery_seconds", "recovery s", 1.0),
)
"""Figure, heading and factor, in the order of the rows."""


def figure_table(summary: Summary, where: str) -> Table:
    """Lay out the figures over one set of scenarios, one column for each controller."""
    figures = summary.figures[where]
    task = summary.table.plan.task
    table = Table(title=f"{task}, {where}: {summary.counts[where]} scenarios, 95 % intervals")
    table.add_column("figure")
    for label in figures:
        table.add_column(label, justify="right")
    for name, heading, factor in FIGURES:
        tracked = name == "return" and any("rmse" in own for own in figures.values())
        if any(name in own for own in figures.values()) and not tracked:
            cells = [written(own.get(name), factor) for own in figures.values()]
            table.add_row(heading, *cells)
    times = [summary.timing[label] for label in figures]
    table.add_row(
        "one decision, ms p50, p99",
        *(f"{own['p50_ms']:.2g}, {own['p99_ms']:.2g}" if own else "-" for own in times),
    )
    return table


def pair_table(summary: Summary) -> Table:
    """Lay out who scores above whom."""
    table = Table(title="Pairs: does the first score above the second?")
    for heading in ("scenarios", "first", "second"):
        table.add_column(heading)
    for heading in ("probability", "lead in score", "p (Holm)"):
        table.add_column(heading, justify="right")
    for pair in summary.pairs:
        table.add_row(
            pair.where,
            pair.first,
            pair.second,
            written(pair.improvement),
            written(pair.lead),
            f"{pair.p_holm:.2g}",
        )
    return table


def winner_table(summary: Summary) -> Table:
    """Lay out who was best in each grid, and whether that is clear."""
    table = Table(title="Best by scenario; a lead whose interval holds 0 is none")
    for heading in ("grid", "scenarios", "best"):
        table.add_column(heading)
    for heading in ("mean score", "lead over the second", "number"):
        table.add_column(heading, justify="right")
    for winner in summary.winners:
        best = winner.best if winner.clear else f"even ({winner.best} ahead)"
        if winner.lead is not None and winner.lead.value == 0.0:
            best = "even"
        lead = written(winner.lead)
        score = f"{winner.scores[winner.best]:.3g}"
        table.add_row(winner.grid, winner.where, best, score, lead, str(winner.count))
    return table


def written(estimate: Estimate | None, factor: float = 1.0) -> str:
    """Write a figure with its interval."""
    if estimate is None:
        return "-"
    value, low, high = (
        f"{factor * number:.3g}" for number in (estimate.value, estimate.low, estimate.high)
    )
    return value if math.isnan(estimate.low) else f"{value} ({low} to {high})"
