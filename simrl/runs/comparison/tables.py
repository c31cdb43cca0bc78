"""A comparison's tables, as HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from simrl.compare.statistics import Estimate
from simrl.compare.summary import FAR, Summary, Winner
from simrl.compare.table import Table
from simrl.runs.comparison.words import (
    FIGURES,
    axis_name,
    axis_value,
    colour,
    dot,
    escape,
    number,
    p_value,
    single,
    with_interval,
)


def figure_table(summary: Summary, where: str) -> str:
    """Return one row for each controller, one column for each figure that any of them has."""
    figures = summary.figures[where]
    present = {name for own in figures.values() for name in own}
    if "rmse" in present:  # where errors are known, a sum of rewards says little
        present.discard("return")
    shown = {name: text for name, text in FIGURES.items() if name in present}
    head = "<th>controller</th>" + "".join(
        f'<th title="{escape(text.note)}">{escape(text.heading)}</th>' for text in shown.values()
    )
    rows = []
    for index, (label, own) in enumerate(figures.items()):
        cells = []
        for name, text in shown.items():
            mark = " class='best'" if _best(figures, name, text.higher) == label else ""
            cells.append(f"<td{mark}>{with_interval(own.get(name), text.factor)}</td>")
        rows.append(f"<tr><th>{dot(index)}{escape(label)}</th>{''.join(cells)}</tr>")
    return _table(head, rows)


def pair_table(summary: Summary) -> str:
    """Return who scores above whom: probability, lead, corrected p-value."""
    rows = []
    for pair in summary.pairs:
        sure = pair.p_holm < 0.05
        rows.append(
            f"<tr><td>{escape(pair.first)} over {escape(pair.second)}</td>"
            f"<td>{escape(pair.where)}</td>"
            f"<td class='bar'>{_interval_bar(pair.improvement, 0.0, 1.0, 0.5)}</td>"
            f"<td>{with_interval(pair.improvement)}</td><td>{with_interval(pair.lead)}</td>"
            f"<td>{'<b>' if sure else ''}{p_value(pair.p_holm)}{'</b>' if sure else ''}</td></tr>"
        )
    head = (
        "<th>does the first score above the second?</th><th>scenarios</th><th>0 to 1</th>"
        "<th>probability</th><th>lead in score</th><th>p, corrected</th>"
    )
    return _table(head, rows)


def winner_table(winners: Sequence[Winner], labels: Sequence[str], *, points: bool = False) -> str:
    """Return who was best where, with the lead's interval; "even" where that holds 0."""
    rows = []
    for winner in winners:
        place = escape(winner.grid)
        if points and winner.point:
            at = ", ".join(f"{axis} {axis_value(axis, v)}" for axis, v in winner.point.items())
            place += f" <small>{escape(at)}</small>"
        best = f"{dot(labels.index(winner.best))}{escape(winner.best)}"
        if winner.lead is None:
            verdict, lead = best, "-"
        else:
            verdict = f"<b>{best}</b>" if winner.clear else "<span class='soft'>even</span>"
            lead = with_interval(winner.lead)
        scores = "".join(f"<td>{number(winner.scores[label])}</td>" for label in labels)
        rows.append(
            f"<tr><th>{place}</th><td>{_set(winner.where)}</td><td>{winner.count}</td>"
            f"<td class='name'>{verdict}</td><td>{lead}</td>{scores}</tr>"
        )
    head = (
        "<th>scenarios</th><th></th><th>number</th><th>best</th><th>lead over the second</th>"
        + "".join(f"<th>{dot(i)}{escape(label)}</th>" for i, label in enumerate(labels))
    )
    return _table(head, rows)


def limit_table(table: Table) -> str:
    """Return how often, how long and how far each controller passed each limit; "" if none is."""
    suffix = "_violation_seconds"
    limits = [name.removesuffix(suffix) for name in table.names() if name.endswith(suffix)]
    rows = []
    for limit in limits:
        for index, label in enumerate(table.labels):
            if f"{limit}{suffix}" not in table.figures[index]:
                continue
            count = table.figure(index, f"{limit}_violations")
            seconds = table.figure(index, f"{limit}{suffix}")
            over = table.figure(index, f"{limit}_over")
            cells = ""
            for which in (~table.far, table.far):
                if which.any():
                    some = 100.0 * float((count[:, which] > 0).mean())
                    mean, time = float(count[:, which].mean()), float(seconds[:, which].mean())
                    worst = float(over[:, which].max())
                    cells += (
                        f"<td>{some:.0f} %</td><td>{number(mean)}</td><td>{number(time)}</td>"
                        f"<td>{number(worst)}</td>"
                    )
                else:
                    cells += "<td>-</td>" * 4
            rows.append(
                f"<tr><th>{escape(limit.replace('_', ' '))}</th>"
                f"<td class='name'>{dot(index)}{escape(label)}</td>{cells}</tr>"
            )
    if not rows:
        return ""
    four = "<th>episodes</th><th>times</th><th>seconds</th><th>worst by</th>"
    head = (
        "<th>limit</th><th></th>"
        + four.replace("<th>e", "<th>nominal: e")
        + four.replace("<th>e", "<th>beyond: e")
    )
    return _table(head, rows)


def timing_table(summary: Summary) -> str:
    """Return how long a decision takes for one robot, against the length of a step."""
    rows = []
    for index, (label, times) in enumerate(summary.timing.items()):
        if not times:
            continue
        deadline = f"{times['deadline_ms']:.3g}" if times["deadline_ms"] > 0 else "-"
        rows.append(
            f"<tr><th>{dot(index)}{escape(label)}</th>"
            + "".join(f"<td>{times[key]:.3g}</td>" for key in ("p50_ms", "p99_ms", "max_ms"))
            + f"<td>{deadline}</td><td>{100 * times['misses']:.2g} %</td>"
            f"<td>{times['decisions']:,.0f}</td></tr>"
        )
    head = (
        "<th>one decision</th><th>p50, ms</th><th>p99, ms</th><th>longest, ms</th>"
        "<th>step, ms</th><th>missed it</th><th>decisions</th>"
    )
    return _table(head, rows)


def heat_maps(table: Table, grid: str, axes: tuple[str, str]) -> str:
    """Return a heat map over two axes of a grid for each controller."""
    figure = heat_figure(table, grid)
    maps = []
    for index, label in enumerate(table.labels):
        body = _heat_map(table, index, grid, axes, figure)
        maps.append(
            f"<figure><h3>{dot(index)}{escape(label)}</h3><div class='scroll'>{body}</div></figure>"
        )
    return f"<div class='maps'>{''.join(maps)}</div>"


def heat_figure(table: Table, grid: str) -> str:
    """Return what a grid's map shows: recovery from pushes, else success, or the score.

    The score is shown where everybody always succeeds.
    """
    members = table.grids == grid
    if all("recovered" in own for own in table.figures):
        found = [table.figure(index, "recovered", members) for index in range(len(table.labels))]
        if not any(np.isnan(values).any() for values in found):
            return "recovered"
    found = [table.figure(index, "success", members) for index in range(len(table.labels))]
    even = all(np.nanmin(values) == np.nanmax(values) == 1.0 for values in found)
    return "score" if even else "success"


def _heat_map(table: Table, index: int, grid: str, axes: tuple[str, str], figure: str) -> str:
    members = table.members(grid)
    values = table.figure(index, figure)
    scores = table.figure(index, "score")
    columns = _values(table, members, axes[1])
    lines = []
    for first in _values(table, members, axes[0]):
        cells, far = [], False
        for second in columns:
            chosen = [
                n
                for n in members
                if table.scenarios[n].point[axes[0]] == first
                and table.scenarios[n].point[axes[1]] == second
            ]
            far = far or all(table.scenarios[n].out_of_distribution for n in chosen)
            mean, score = float(values[:, chosen].mean()), float(scores[:, chosen].mean())
            where = f"{axes[0]} {axis_value(axes[0], first)}, {axis_value(axes[1], second)}"
            title = f"{where}: {figure} {mean:.2f}, score {score:.2f}, {len(chosen)} scenarios"
            cells.append(
                f'<td style="background:{_shade(mean)}" title="{escape(title)}">'
                f"{100 * mean:.0f}</td>"
            )
        mark = " <small>beyond</small>" if far else ""
        lines.append(f"<tr><th>{axis_value(axes[0], first)}{mark}</th>{''.join(cells)}</tr>")
    head = f"<th>{escape(axis_name(axes[0]))}</th>" + "".join(
        f"<th>{axis_value(axes[1], value)}</th>" for value in columns
    )
    return (
        f"<table class='heat'><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _values(table: Table, members: Sequence[int], axis: str) -> list[object]:
    found = list(dict.fromkeys(table.scenarios[n].point[axis] for n in members))
    return sorted(found, key=lambda value: (single(value) is None, single(value) or 0.0))


def _shade(share: float) -> str:
    """Return a background from orange (0) to blue (1)."""
    red, green, blue = (0, 114, 178) if share >= 0.5 else (213, 94, 0)
    return f"rgba({red},{green},{blue},{0.08 + 0.9 * abs(share - 0.5):.2f})"


def score_bars(summary: Summary, where: str) -> str:
    """Draw each controller's score as a dot on its interval, from 0 to 1."""
    rows = []
    for index, (label, own) in enumerate(summary.figures[where].items()):
        rows.append(
            f"<tr><th>{dot(index)}{escape(label)}</th>"
            f"<td class='bar'>{_interval_bar(own['score'], 0.0, 1.0, None, colour(index))}</td>"
            f"<td>{with_interval(own['score'])}</td></tr>"
        )
    return f"<table class='bars'><tbody>{''.join(rows)}</tbody></table>"


def _interval_bar(
    estimate: Estimate, low: float, high: float, tick: float | None, ink: str = "var(--c0)"
) -> str:
    if math.isnan(estimate.low):
        return ""
    a, value, b = (
        100.0 * (x - low) / (high - low) for x in (estimate.low, estimate.value, estimate.high)
    )
    mark = (
        ""
        if tick is None
        else (
            f'<path d="M{100 * (tick - low) / (high - low):.1f} 1V9" stroke="var(--soft)" '
            'stroke-width=".4"/>'
        )
    )
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="M0 5H100" stroke="var(--faint)" stroke-width="1"/>{mark}'
        f'<path d="M{a:.2f} 5H{max(b, a + 0.2):.2f}" stroke="{ink}" stroke-width="5" '
        f'opacity=".4"/><path d="M{value - 0.4:.2f} 5h.8" stroke="{ink}" stroke-width="9"/></svg>'
    )


def _best(
    figures: Mapping[str, Mapping[str, Estimate]], name: str, higher: bool | None
) -> str | None:
    """Name the one controller with the best value of a figure; None if several share it."""
    if higher is None or len(figures) < 2:
        return None
    values = {label: own[name].value for label, own in figures.items() if name in own}
    best = (max if higher else min)(values.values())
    holders = [label for label, value in values.items() if value == best]
    return holders[0] if len(holders) == 1 and len(values) > 1 else None


def _set(where: str) -> str:
    return "<span class='far'>beyond</span>" if where == FAR else "nominal"


def _table(head: str, rows: Sequence[str]) -> str:
    return (
        f'<div class="card"><table class="wide"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
