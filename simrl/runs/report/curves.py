"""Choose the learning curves of a run and lay them out as figures."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simrl.runs.report.charts import Series, line_chart
from simrl.runs.report.record import RunRecord


@dataclass(frozen=True)
class Chart:
    """Say which metrics one figure shows."""

    title: str
    caption: str
    keys: tuple[tuple[str, str], ...]
    """Metric and its name in the legend; a metric that ends in "/" stands for all below it."""
    percent: bool = False


CHARTS = (
    Chart(
        "Wins in training",
        "League games of the learner, draws counted as half; old games fade.",
        (("league/win_rate/", ""),),
        percent=True,
    ),
    Chart(
        "League Elo",
        "Of the learner among everybody in the league.",
        (("league/elo", "learner"),),
    ),
    Chart("Return", "Mean over recent training episodes.", (("rollout/return", "return"),)),
    Chart("Episode length", "Steps, recent training episodes.", (("rollout/length", "length"),)),
    Chart("Policy loss", "Clipped surrogate; it has no floor.", (("loss/policy", "policy loss"),)),
    Chart("Value loss", "Falls as returns become predictable.", (("loss/value", "value loss"),)),
    Chart(
        "Entropy",
        "How undecided the policy is [nat]; a sudden fall is a collapse.",
        (("loss/entropy", "entropy"),),
    ),
    Chart(
        "KL divergence of an update",
        "How far one update moves the policy [nat]; above 0.05 is far.",
        (("loss/approx_kl", "approximate KL"),),
    ),
    Chart(
        "Clipped samples",
        "Share of samples whose ratio left the clip range.",
        (("loss/clip_fraction", "clipped"),),
        percent=True,
    ),
    Chart(
        "Explained variance",
        "1: values predict returns; 0: no better than their mean.",
        (("loss/explained_variance", "all"), ("loss/explained_variance/", "")),
    ),
    Chart(
        "Speed",
        "Agent-steps per second, learning included.",
        (("time/steps_per_s", "agent-steps/s"),),
    ),
    Chart(
        "Where the time goes",
        "Share of each update; the rest is bookkeeping.",
        (
            ("time/env_share", "environment"),
            ("time/act_share", "acting"),
            ("time/learn_share", "learning"),
        ),
        percent=True,
    ),
)


def learning_curves(record: RunRecord) -> str:
    """Return the figures of all learning curves, each by agent-steps and by minutes."""
    figures = [_evaluation_figure(record)]
    figures += [_figure(record, chart) for chart in CHARTS]
    return '<div class="charts">' + "".join(figures) + "</div>"


def evaluation_series(record: RunRecord, by: str) -> list[Series]:
    """Return a curve with its band per opponent, or of the return; `by` is "step" or "minutes"."""
    lines = record.evaluations
    names = dict.fromkeys(name for line in lines for name in line.get("opponents", {}))
    curves = [
        _banded(
            name,
            [
                (line[by], line["opponents"][name])
                for line in lines
                if name in line.get("opponents", {})
            ],
            "win_rate",
        )
        for name in names
    ]
    alone = [(line[by], line) for line in lines if "return" in line]
    return [*curves, _banded("return", alone, "return")] if alone else curves


def _banded(name: str, points: list[tuple[float, dict[str, float]]], key: str) -> Series:
    rate, low, high = (
        np.array([_number(figures.get(column)) for _, figures in points])
        for column in (key, "low", "high")
    )
    return Series(name, np.array([x for x, _ in points], float), rate, low, high, dots=True)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _evaluation_figure(record: RunRecord) -> str:
    curves = evaluation_series(record, "step")
    if not curves:
        return ""
    games = "opponents" in record.evaluations[-1] and bool(record.evaluations[-1]["opponents"])
    title = "Evaluation: win rate" if games else "Evaluation: mean return"
    caption = (
        "Games against scripted opponents, sides swapped half way; bands are 95 % Wilson intervals."
        if games
        else "Episodes of their own, not those of training; bands are 95 % intervals."
    )
    return _html_figure(
        title,
        caption,
        curves,
        evaluation_series(record, "minutes"),
        percent=games,
        wide=True,
    )


def _figure(record: RunRecord, chart: Chart) -> str:
    by_steps, by_minutes = [], []
    for key, label in chart.keys:
        found = record.keys(key) if key.endswith("/") else [key]
        for name in found:
            steps, minutes, values = record.column(name)
            if values.size:
                text = label or name.removeprefix(key)
                by_steps.append(Series(text, steps, values))
                by_minutes.append(Series(text, minutes, values))
    if not by_steps:
        return ""
    return _html_figure(chart.title, chart.caption, by_steps, by_minutes, percent=chart.percent)


def _html_figure(
    title: str,
    caption: str,
    by_steps: Sequence[Series],
    by_minutes: Sequence[Series],
    *,
    percent: bool,
    wide: bool = False,
) -> str:
    name = html.escape(title)
    drawn = [
        f'<div class="{kind}">'
        + line_chart(curves, label, title=f"{name} over {label}", percent=percent, wide=wide)
        + "</div>"
        for kind, label, curves in (
            ("by-steps", "agent-steps", by_steps),
            ("by-minutes", "minutes of training", by_minutes),
        )
    ]
    cls = ' class="wide"' if wide else ""
    return (
        f"<figure{cls}><h3>{name}</h3>{''.join(drawn)}"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
