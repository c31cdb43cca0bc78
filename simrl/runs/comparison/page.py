"""Put a comparison's report together: one HTML page that needs nothing beside it."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from pathlib import Path

import yaml

from simrl.compare.plan import PLAN_FILE
from simrl.compare.run import MakePolicy
from simrl.compare.summary import FAR, FEWEST, NOMINAL, Summary
from simrl.compare.table import Table
from simrl.core.files import write_atomic
from simrl.runs.comparison import charts, tables
from simrl.runs.comparison.verdict import verdict
from simrl.runs.comparison.videos import chosen_scenarios, embedded, write_videos
from simrl.runs.comparison.words import FIGURES, axis_name, escape
from simrl.runs.machine import VERSIONED_PACKAGES, machine, versions

REPORT_FILE = "report.html"
COURSES = 3
"""Scenarios whose course is drawn."""


def write_report(
    summary: Summary,
    folder: Path | str,
    make_policy: MakePolicy,
    command: str,
    *,
    videos: int = 2,
) -> list[str]:
    """Write `report.html` into the comparison's folder; return notes on what it had to leave out.

    Args:
        summary: What the comparison says.
        folder: Its folder.
        make_policy: Builds the policies, for the videos.
        command: What was typed, to be repeated.
        videos: Scenarios that are shown as videos.
    """
    folder = Path(folder)
    table = summary.table
    shown = chosen_scenarios(table, videos)
    written, note = write_videos(table, shown, make_policy, folder) if shown else ({}, "")
    page = comparison_page(summary, command, written)
    write_atomic(folder / REPORT_FILE, page)
    return [note] if note else []


def comparison_page(summary: Summary, command: str, videos: dict[int, Path] | None = None) -> str:
    """Return the whole page."""
    table = summary.table
    title = escape(f"{table.plan.task}: {', '.join(table.labels)}")
    sections = [
        f"<header><h1>{title}</h1><p class='soft'>{escape(_essentials(summary))}</p></header>",
        _verdict(summary),
        _figures(summary),
        _winners(summary),
        _pairs(summary),
        _profiles(table),
        _along_axes(table),
        _maps(table),
        _timing(summary),
        _courses(table),
        _videos(table, videos or {}),
        _limits(summary),
        _points(summary),
        _origin(table, command),
    ]
    style = (files("simrl.runs.report") / "style.css").read_text(encoding="utf-8")
    own = (files("simrl.runs.comparison") / "style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{style}{own}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def axes_of(table: Table, grid: str) -> list[str]:
    """Return the axes of a grid that have several values, those with most values last."""
    members = [s for s in table.scenarios if s.grid == grid]
    sizes = {
        axis: len({repr(scenario.point[axis]) for scenario in members}) for axis in members[0].point
    }
    return [axis for axis, size in sorted(sizes.items(), key=lambda item: item[1]) if size > 1]


def _essentials(summary: Summary) -> str:
    plan = summary.table.plan
    counts = " and ".join(f"{count} {name}" for name, count in summary.counts.items())
    time = (
        "compute time counts: an action that took t to compute was applied t later"
        if plan.real_time
        else "compute time does not count"
    )
    return f"{counts} scenarios, the same for every controller; {time}; seed {plan.seed}"


def _verdict(summary: Summary) -> str:
    items = "".join(f"<li>{sentence}</li>" for sentence in verdict(summary))
    bars = [
        f"<figure><h3>Score, {escape(where)}</h3>{tables.score_bars(summary, where)}</figure>"
        for where in summary.figures
    ]
    return (
        f"<h2>What it shows</h2><div class='card said'><ul>{items}</ul></div>"
        f"<div class='charts'>{''.join(bars)}</div>"
    )


def _figures(summary: Summary) -> str:
    judge = summary.table.plan.judge
    score = (
        f"The score of an episode is 1 - rmse / {judge.worst:g}, at least 0, and 0 where it ended "
        "early."
        if judge.worst > 0
        else "The score of an episode is 1 for success, else 0."
    )
    notes = "; ".join(
        f"<b>{escape(text.heading)}</b> {escape(text.note)}"
        for name, text in FIGURES.items()
        if any(name in own for sets in summary.figures.values() for own in sets.values())
        and name != "return"
    )
    body = "".join(
        f"<h3 class='set'>{escape(where.capitalize())}: {summary.counts[where]} scenarios</h3>"
        f"{tables.figure_table(summary, where)}"
        for where in summary.figures
    )
    watched = tables.limit_table(summary.table)
    if watched:
        body += f"<h3 class='set'>Limits</h3>{watched}"
    return (
        f"<h2>Figures</h2><p>{score} Small numbers are 95 % intervals; the best of a column is "
        f"marked.</p>{body}<p class='soft'>{notes}.</p>"
    )


def _winners(summary: Summary) -> str:
    if len(summary.table.labels) < 2:
        return ""
    return (
        "<h2>Best by scenario</h2><p>Mean scores in each grid. A lead counts where its paired "
        "95 % interval is above 0, in at least "
        f"{FEWEST} scenarios; else the two ahead are even.</p>"
        f"{tables.winner_table(summary.winners, summary.table.labels)}"
    )


def _points(summary: Summary) -> str:
    table = tables.winner_table(summary.points, summary.table.labels, points=True)
    return (
        "<h2>Every point of every grid</h2><details><summary>Mean scores and leads at "
        f"{len(summary.points)} points</summary>{table}</details>"
    )


def _pairs(summary: Summary) -> str:
    if not summary.pairs:
        return ""
    return (
        "<h2>Pairs</h2><p>Probability that the first scores above the second in a scenario, ties "
        "counted half; its lead in the interquartile mean; and the p-value of Wilcoxon's "
        "signed-rank test over the paired scenarios, corrected by Holm for the "
        f"{len(summary.pairs)} tests on this page.</p>{tables.pair_table(summary)}"
    )


def _profiles(table: Table) -> str:
    figures = []
    for name, which in ((NOMINAL, ~table.far), (FAR, table.far)):
        if which.any():
            svg = charts.profile_chart(table, which, name)
            figures.append(f"<figure><h3>{escape(name.capitalize())}</h3>{svg}</figure>")
    return (
        "<h2>Performance profiles</h2><p>Share of episodes that score above each level; a curve "
        "that lies above another is better at every level. Bands are pointwise 95 %.</p>"
        f"<div class='charts'>{''.join(figures)}</div>"
    )


def _along_axes(table: Table) -> str:
    figures = []
    for grid in dict.fromkeys(table.grids):
        axes = axes_of(table, str(grid))
        if len(axes) != 1:
            continue
        figure = tables.heat_figure(table, str(grid))
        svg = charts.axis_chart(table, str(grid), axes[0], figure)
        name = f"{grid}: {figure} over {axis_name(axes[0])}"
        figures.append(f"<figure><h3>{escape(name)}</h3>{svg}</figure>")
    if not figures:
        return ""
    return (
        "<h2>Along one axis</h2><p>Where everybody succeeds the score is drawn, with the middle "
        "half of the episodes; else the rate of success, or of recovery from pushes, with its "
        "Wilson interval. Shaded values are "
        f"out of distribution.</p><div class='charts'>{''.join(figures)}</div>"
    )


def _maps(table: Table) -> str:
    parts = []
    for grid in dict.fromkeys(table.grids):
        axes = axes_of(table, str(grid))
        if len(axes) < 2:
            continue
        first, second = axes[-2:]
        if second == "push":
            first, second = second, first
        rest = ", ".join(axis_name(axis) for axis in axes[:-2])
        others = f", mean over the {rest}" if rest else ""
        figure = tables.heat_figure(table, str(grid))
        parts.append(
            f"<h3 class='set'>{escape(str(grid))}: {figure} in percent{escape(others)}</h3>"
            f"<p class='soft'>Down: {escape(axis_name(first))}. Across: "
            f"{escape(axis_name(second))}.</p>"
            f"{tables.heat_maps(table, str(grid), (first, second))}"
        )
    return f"<h2>Heat maps</h2>{''.join(parts)}" if parts else ""


def _timing(summary: Summary) -> str:
    table = summary.table
    if not any(len(values) for values in table.act_seconds):
        return ""
    how = (
        "Every decision of every episode, each robot decided for by itself; what it took is what "
        "its action was late."
        if table.plan.real_time
        else "One robot by itself in the first scenario; the first calls, which compile, are left "
        "out."
    )
    steps = [deadline for deadline in table.deadlines if deadline > 0]
    svg = charts.time_chart(table.labels, table.act_seconds, min(steps, default=0.0))
    return (
        f"<h2>Compute time</h2><p>{how} The dashed line is the length of the shortest step.</p>"
        f"{tables.timing_table(summary)}<div class='charts' style='margin-top:.8rem'>"
        f"<figure class='wide'><h3>Times of decisions</h3><div>{svg}</div></figure></div>"
    )


def _courses(table: Table) -> str:
    if not charts.has_errors(table):
        return ""
    figures = []
    for number in chosen_scenarios(table, COURSES):
        name = escape(table.scenarios[number].name)
        if charts.has_paths(table):
            figures.append(
                f"<figure><h3>{name}: seen from above</h3>{charts.path_chart(table, number)}"
                "</figure>"
            )
        figures.append(
            f"<figure><h3>{name}: error</h3>{charts.error_chart(table, number)}</figure>"
        )
    return (
        "<h2>Tracking</h2><p>A nominal scenario, and those that part the controllers most. A cross "
        f"marks an episode that ended early.</p><div class='charts'>{''.join(figures)}</div>"
    )


def _videos(table: Table, videos: dict[int, Path]) -> str:
    if not videos:
        return ""
    figures = "".join(
        f"<figure class='wide'><h3>{escape(table.scenarios[number].name)}</h3>"
        f"{embedded(path)}</figure>"
        for number, path in videos.items()
    )
    return (
        "<h2>Side by side</h2><p>The same scenarios, played once more. An episode that has ended "
        f"stands still in grey.</p><div class='charts'>{figures}</div>"
    )


def _limits(summary: Summary) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in summary.limits)
    return f'<h2>What this page cannot say</h2><div class="card warn"><ul>{items}</ul></div>'


def _origin(table: Table, command: str) -> str:
    packages = (*VERSIONED_PACKAGES, "mujoco", "scipy", "casadi", "stable-baselines3")
    pairs = {**machine(), **versions(packages)}
    items = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>"
        for name, value in pairs.items()
    )
    plan = json.loads(json.dumps(table.plan.to_dict()))
    text = yaml.safe_dump(plan, sort_keys=False, default_flow_style=None, width=100)
    return (
        f"<h2>Do it again</h2><pre>{html.escape(command)}</pre><p>Every episode stands in "
        f"<code>episodes.parquet</code>, this page's figures in <code>summary.json</code>, the "
        f"plan in <code>{PLAN_FILE}</code>.</p><details><summary>The whole plan: controllers, "
        f"options, grids</summary><pre>{html.escape(text)}</pre></details>"
        f"<h3 class='set'>Machine and versions</h3><dl>{items}</dl>"
    )
