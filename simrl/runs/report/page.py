"""Put a run's report together: one HTML page that needs nothing beside it."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import yaml

from simrl.core.files import write_atomic
from simrl.core.plugins import env_plugin
from simrl.core.replay import load_replay
from simrl.runs.config import to_dict
from simrl.runs.report.charts import short_number
from simrl.runs.report.curves import learning_curves
from simrl.runs.report.limits import limits
from simrl.runs.report.record import RunRecord, read_run
from simrl.runs.report.tables import (
    evaluation_table,
    interval,
    payoff_table,
    percent,
    rating_table,
)

REPORT_FILE = "report.html"


def write_report(folder: Path | str, out: Path | str | None = None) -> Path:
    """Write the report of a run, and a page beside each of its replays; return the report's path.

    Default: `report.html` in the run's folder.  ValueError if the folder is no run or damaged,
    OSError if nothing can be written.
    """
    record = read_run(folder)
    path = Path(out) if out is not None else record.folder / REPORT_FILE
    pages = replay_pages(record)
    write_atomic(path, report_page(record, pages, path.parent))
    return path


def replay_pages(record: RunRecord) -> dict[Path, Path | None]:
    """Write a page beside each replay; None where its environment has none or it is damaged."""
    pages: dict[Path, Path | None] = {}
    for replay_path in record.replays:
        pages[replay_path] = None
        try:
            replay = load_replay(replay_path)
            build = env_plugin(replay.env).replay_page
            if build is None:
                continue
            page = replay_path.with_suffix(".html")
            write_atomic(page, build(replay))
            pages[replay_path] = page
        except ValueError:
            continue
    return pages


def report_page(record: RunRecord, pages: Mapping[Path, Path | None], base: Path) -> str:
    """Return the whole page; links to replays are relative to the folder `base`."""
    title = html.escape(f"{record.config.env}: {record.folder.resolve().name}")
    sections = [
        f"<header><h1>{title}</h1><p class='soft'>{html.escape(_essentials(record))}</p></header>",
        _tiles(record),
        _evaluation(record),
        _replays(pages, base),
        _curves(record),
        _league(record),
        _reservations(record),
        _config(record),
        _origin(record),
    ]
    style = (files("simrl.runs.report") / "style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{style}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _essentials(record: RunRecord) -> str:
    config = record.config
    memory = "" if config.net.recurrent == "none" else f", {config.net.recurrent.upper()}"
    league = "self-play league" if config.league else "no opponents in training"
    return (
        f"PPO{memory}, {config.num_envs} environments, unroll {config.loop.unroll}, "
        f"learning rate {config.ppo.learning_rate:g}, gamma {config.ppo.gamma:g}, {league}, "
        f"seed {config.seed}, {config.device}"
    )


def _tiles(record: RunRecord) -> str:
    tiles = []
    for name, figures in list(_last_opponents(record).items())[-4:]:
        tiles.append(
            (
                f"wins against {name}",
                percent(figures["win_rate"]),
                interval(figures["low"], figures["high"]),
            )
        )
    if record.evaluations and "return" in record.evaluations[-1]:
        last = record.evaluations[-1]
        tiles.append(
            ("mean return", f"{last['return']:.4g}", f"{last['low']:.4g} to {last['high']:.4g}")
        )
    if record.metrics:
        steps, minutes = record.metrics[-1]["step"], record.last("time/minutes") or 0.0
        speed = f"{steps / (60.0 * minutes):,.0f} per second" if minutes > 0 else ""
        tiles.append(
            ("agent-steps", short_number(round(steps, -4)) if steps > 1e6 else f"{steps:,}", speed)
        )
        tiles.append(("training", f"{minutes:.1f} min", f"{len(record.metrics):,} updates"))
        shares = [record.mean(f"time/{name}_share") or 0.0 for name in ("env", "act", "learn")]
        tiles.append(
            (
                "time in learning",
                percent(shares[2]),
                f"environment {percent(shares[0])}, acting {percent(shares[1])}",
            )
        )
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><span class="soft">{html.escape(label)}</span>'
            f"<b>{html.escape(value)}</b><small>{html.escape(note)}</small></div>"
            for label, value, note in tiles
        )
        + "</div>"
    )


def _evaluation(record: RunRecord) -> str:
    if not record.evaluations:
        return ""
    last = record.evaluations[-1]
    how = "its likeliest actions" if record.config.evaluation.deterministic else "sampled actions"
    text = f"After {last['minutes']:.1f} minutes and {last['step']:,} agent-steps, with {how}."
    if last.get("opponents"):
        text += " Sides are swapped half way; a draw counts as not won."
    return f"<h2>Last evaluation</h2><p>{text}</p>{evaluation_table(record.evaluations)}"


def _replays(pages: Mapping[Path, Path | None], base: Path) -> str:
    if not pages:
        return ""
    items = []
    for replay, page in reversed(list(pages.items())):
        link = quote(os.path.relpath(page or replay, base).replace(os.sep, "/"))
        note = "" if page else f" <code>simrl watch {html.escape(str(replay))}</code>"
        items.append(f'<li><a href="{link}">{html.escape(replay.stem)}</a>{note}</li>')
    return f"<h2>Games to watch</h2><ul>{''.join(items)}</ul>"


def _curves(record: RunRecord) -> str:
    if not record.metrics and not record.evaluations:
        return ""
    switch = (
        '<div class="axis"><span class="soft">over</span>'
        '<label><input type="radio" name="x" id="x-steps" checked> agent-steps</label>'
        '<label><input type="radio" name="x" id="x-minutes"> minutes</label></div>'
        '<p class="soft">Long curves are drawn as the mean of each few updates, in a band from '
        "their 10 % to their 90 % quantile.</p>"
    )
    return f"<h2>Learning curves</h2>{switch}{learning_curves(record)}"


def _league(record: RunRecord) -> str:
    if record.payoff is None:
        return ""
    if not (record.payoff.wins.any() or record.payoff.draws.any()):
        return "<h2>League</h2><p>No game against an opponent has ended yet.</p>"
    return (
        "<h2>League</h2><p>Win rates in training games, a draw counted as half a win, with 95 % "
        "Wilson intervals; point at a cell for its number of games.</p>"
        f'<div class="card">{payoff_table(record.payoff)}</div>'
        "<h3 style='margin-top:1.2rem'>Ratings</h3><p>Elo is fitted to all games at once; 400 "
        "points are odds of ten to one, and the mean is 0.</p>"
        f"{rating_table(record.payoff, record.skill)}"
    )


def _reservations(record: RunRecord) -> str:
    items = "".join(f"<li>{html.escape(text)}</li>" for text in limits(record))
    return f'<h2>What this page cannot say</h2><div class="card warn"><ul>{items}</ul></div>'


def _config(record: RunRecord) -> str:
    text = yaml.safe_dump(to_dict(record.config), sort_keys=False)
    return (
        "<h2>Config</h2><details><summary>All fields</summary>"
        f"<pre>{html.escape(text)}</pre></details>"
    )


def _origin(record: RunRecord) -> str:
    pairs = {**record.machine, **record.versions}
    items = "".join(
        f"<dt>{html.escape(str(name)).replace('_', ' ')}</dt><dd>{html.escape(str(value))}</dd>"
        for name, value in pairs.items()
    )
    return f"<h2>Machine and versions</h2><dl>{items}</dl>"


def _last_opponents(record: RunRecord) -> Mapping[str, Mapping[str, float]]:
    found: Mapping[str, Mapping[str, float]] = (
        record.evaluations[-1].get("opponents", {}) if record.evaluations else {}
    )
    return found
