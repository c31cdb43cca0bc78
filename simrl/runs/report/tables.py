"""Show results as HTML tables: evaluation, who beat whom, ratings."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from simrl.runs.report.charts import short_number
from simrl.selfplay.league import LEARNER
from simrl.selfplay.payoff import Payoff
from simrl.selfplay.rating import Rating, elo


def percent(value: float) -> str:
    """Write a rate in percent, without decimals."""
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"


def interval(low: float, high: float) -> str:
    """Write an interval of rates in percent."""
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def player_label(name: str) -> str:
    """Write a player's name as people read it: a snapshot by its agent-steps, "1.5M steps"."""
    kind, _, steps = name.partition("-")
    if kind != "snapshot" or not steps.isdigit():
        return name
    return f"past self at {short_number(int(steps))} steps"


def evaluation_table(evaluations: Sequence[Mapping[str, Any]]) -> str:
    """Return the last evaluation, with the first beside it, as a table."""
    first, last = evaluations[0], evaluations[-1]
    if not last.get("opponents"):
        return _return_table(first, last)
    rows = []
    for name, figures in last["opponents"].items():
        early = first.get("opponents", {}).get(name) if len(evaluations) > 1 else None
        games = sum(int(figures[key]) for key in ("wins", "draws", "losses"))
        rows.append(
            f"<tr><th>{html.escape(name)}</th><td><b>{percent(figures['win_rate'])}</b></td>"
            f"<td>{interval(figures['low'], figures['high'])}</td>"
            f'<td class="bar">{_bar(figures)}</td>'
            f"<td>{percent(early['win_rate']) if early else '-'}</td>"
            f"<td>{games}</td><td>{figures['wins']}</td>"
            f"<td>{figures['draws']}</td><td>{figures['losses']}</td></tr>"
        )
    head = (
        f"<th>against</th><th>win rate</th><th>95 % interval</th><th></th>"
        f"<th>at {_minute(first)}</th><th>games</th><th>won</th><th>drawn</th><th>lost</th>"
    )
    return _table(head, rows)


def payoff_table(payoff: Payoff) -> str:
    """Return who beat whom as an annotated heat map; a draw counts as half a win.

    Where only one player met the others, as in a league, its column alone is shown.
    """
    met = [name for name in payoff.names if any(_met(payoff, name, o) for o in payoff.names)]
    hubs = [name for name in met if sum(_met(payoff, name, o) for o in met if o != name) > 1]
    star = len(met) > 3 and len(hubs) <= 1
    columns = hubs if star and hubs else met
    rows = [name for name in met if name not in columns] if star else met
    head = "<th></th>" + "".join(
        f"<th><span>{html.escape(player_label(n))}</span></th>" for n in columns
    )
    if star:
        head = f"<th></th><th>{html.escape(player_label(columns[0]))} wins against</th>"
        body = [
            f"<tr><th>{html.escape(player_label(row))}</th>{_cell(payoff, columns[0], row)}</tr>"
            for row in rows
        ]
    else:
        body = [
            f"<tr><th>{html.escape(player_label(row))}</th>"
            + "".join(_cell(payoff, row, column) for column in columns)
            + "</tr>"
            for row in rows
        ]
    kind = "heat star" if star else "heat"
    return (
        f'<table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def rating_table(payoff: Payoff, skill: Mapping[str, Rating]) -> str:
    """Return everybody's Elo and openskill ratings with their intervals, best first."""
    ratings = elo(payoff)
    rows = []
    for name in sorted(ratings, key=lambda n: -ratings[n].mean):
        games = sum(payoff.games(name, other) for other in payoff.names if other != name)
        other = skill.get(name)
        text = html.escape(player_label(name))
        rows.append(
            f"<tr><th>{f'<b>{text}</b>' if name == LEARNER else text}</th>"
            f"<td>{ratings[name].mean:+.0f}</td>"
            f"<td>{ratings[name].low:+.0f} to {ratings[name].high:+.0f}</td>"
            + (
                f"<td>{other.mean:.1f}</td><td>{other.low:.1f} to {other.high:.1f}</td>"
                if other
                else "<td>-</td><td>-</td>"
            )
            + f"<td>{games:,.0f}</td></tr>"
        )
    head = (
        "<th>player</th><th>Elo</th><th>95 % interval</th><th>openskill</th>"
        "<th>± 2 deviations</th><th>games</th>"
    )
    return _table(head, rows)


def _return_table(first: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    row = (
        f"<tr><th>mean return</th><td><b>{last['return']:.4g}</b></td>"
        f"<td>{last['low']:.4g} to {last['high']:.4g}</td><td>{first['return']:.4g}</td></tr>"
    )
    head = f"<th></th><th>value</th><th>95 % interval</th><th>at {_minute(first)}</th>"
    return _table(head, [row])


def _table(head: str, rows: Sequence[str]) -> str:
    return (
        f'<div class="card"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _bar(figures: Mapping[str, float]) -> str:
    """Draw a win rate as a dot on its interval, with a tick at one half."""
    low, high, rate = (100 * float(figures[name]) for name in ("low", "high", "win_rate"))
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<path d="M0 5H100" stroke="var(--faint)" stroke-width="1"/>'
        '<path d="M50 1V9" stroke="var(--soft)" stroke-width=".4"/>'
        f'<path d="M{low:.1f} 5H{high:.1f}" stroke="var(--c0)" stroke-width="5" opacity=".4"/>'
        f'<path d="M{rate - 0.5:.1f} 5h1" stroke="var(--c0)" stroke-width="8"/></svg>'
    )


def _cell(payoff: Payoff, row: str, column: str) -> str:
    if row == column or not _met(payoff, row, column):
        return '<td class="none">·</td>'
    rate, low, high = payoff.win_rate(row, column)
    games = payoff.games(row, column)
    red, green, blue = (0, 114, 178) if rate >= 0.5 else (213, 94, 0)
    strength = 0.08 + 0.8 * abs(rate - 0.5)
    title = f"{row} against {column}: {percent(rate)} ({interval(low, high)}) in {games:.0f} games"
    return (
        f'<td style="background:rgba({red},{green},{blue},{strength:.2f})" '
        f'title="{html.escape(title, quote=True)}">{percent(rate)}'
        f"<small>{interval(low, high)}</small></td>"
    )


def _met(payoff: Payoff, first: str, second: str) -> bool:
    return first != second and payoff.games(first, second) > 0


def _minute(evaluation: Mapping[str, Any]) -> str:
    return f"{evaluation['minutes']:.1f} min"
