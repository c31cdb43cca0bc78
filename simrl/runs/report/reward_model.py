"""One HTML page about a reward model: does it rank, does it know how sure it is, is it true?"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from simrl.preferences.scores import PairScores, RewardScores
from simrl.rollout.intervals import wilson
from simrl.runs.report.charts import Series, line_chart
from simrl.runs.report.reward_model_charts import reliability_diagram, return_scatter
from simrl.runs.report.tables import interval, percent

COIN_NLL, COIN_BRIER = math.log(2.0), 0.25
FEW_PAIRS = 100
"""Held-out pairs below which the page warns that its figures are unsure."""

HISTORY = {
    "reward/accuracy": "pairs learned from",
    "reward/held_out_accuracy": "held-out pairs",
}
LOSSES = {"reward/loss": "pairs learned from", "reward/held_out_nll": "held-out pairs"}


@dataclass(frozen=True)
class RewardModelRecord:
    """Hold what the page tells; everything but the title may be missing."""

    title: str
    """Name of the run or the model."""
    essentials: str = ""
    """One line about how the model was made."""
    scores: RewardScores | None = None
    """Scores on held-out pairs, by set: "on policy", "off policy" (`score_reward_model`)."""
    distances: Mapping[str, float] = field(default_factory=dict)
    """Distance to the true reward by name, "EPIC" and "DARD"; {} where it is not known."""
    returns: tuple[np.ndarray, np.ndarray] | None = None
    """True and learned return of some segments `[M]`, for a scatter plot."""
    agreement: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Agreement with people by name or pseudonym: "share", "kappa", "pairs"."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Counts by name, in the order to show: "asked", "answered", "ties", "skipped", ..."""
    history: Sequence[Mapping[str, float]] = ()
    """One line of logged figures for each fit, oldest first: "labels", "reward/..."."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Resolved config, shown as YAML."""
    reservations: Sequence[str] = ()
    """Further sentences about what the page cannot say."""


def reward_model_report(record: RewardModelRecord) -> str:
    """Return the whole page as HTML that needs nothing beside it."""
    title = html.escape(record.title)
    sections = [
        f"<header><h1>{title}</h1><p class='soft'>{html.escape(record.essentials)}</p></header>",
        _tiles(record),
        _pairs(record.scores),
        _calibration(record.scores),
        _truth(record),
        _people(record),
        _labels(record),
        _history(record),
        _reservations(record),
        _config(record),
    ]
    style = (files("simrl.runs.report") / "style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{style}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _tiles(record: RewardModelRecord) -> str:
    tiles = []
    if record.scores is not None:
        for name, scores in record.scores.before.items():
            low, high = _accuracy_interval(scores)
            tiles.append((f"ranked right, {name}", percent(scores.accuracy), interval(low, high)))
        for name, after in list(record.scores.after.items())[:1]:
            before = record.scores.before[name]
            tiles.append(
                (f"calibration error, {name}", f"{after.ece:.3f}", f"{before.ece:.3f} as learned")
            )
    for name, value in record.distances.items():
        tiles.append(
            (f"{name} to the true reward", _number(value), "0 is the same, 1 the opposite")
        )
    if record.agreement:
        total = sum(figures["pairs"] for figures in record.agreement.values())
        share = sum(f["share"] * f["pairs"] for f in record.agreement.values()) / max(total, 1)
        tiles.append(("agrees with people", percent(share), f"{total:,.0f} answers"))
    if "answered" in record.labels:
        note = f"of {record.labels['asked']:,} asked" if "asked" in record.labels else ""
        tiles.append(("answers", f"{record.labels['answered']:,}", note))
    cells = "".join(
        f'<div class="tile"><span class="soft">{html.escape(label)}</span>'
        f"<b>{html.escape(value)}</b><small>{html.escape(note)}</small></div>"
        for label, value, note in tiles
    )
    return f'<div class="tiles">{cells}</div>' if tiles else ""


def _pairs(scores: RewardScores | None) -> str:
    if scores is None or not scores.before:
        return ""
    rows = []
    for name, before in scores.before.items():
        after = scores.after[name]
        low, high = _accuracy_interval(before)
        rows.append(
            f"<tr><th>{html.escape(name)}</th><td>{before.pairs:,}</td><td>{before.ties:,}</td>"
            f"<td><b>{percent(before.accuracy)}</b></td><td>{interval(low, high)}</td>"
            f"<td>{_number(before.auc)}</td>"
            f"<td>{before.nll:.3f}</td><td>{after.nll:.3f}</td>"
            f"<td>{before.brier:.3f}</td><td>{after.brier:.3f}</td>"
            f"<td>{before.ece:.3f}</td><td>{after.ece:.3f}</td></tr>"
        )
    head = (
        "<th></th><th>pairs</th><th>ties</th><th>ranked right</th><th>95 % interval</th>"
        "<th>AUC</th><th>NLL</th><th>calibrated</th><th>Brier</th><th>calibrated</th>"
        "<th>ECE</th><th>calibrated</th>"
    )
    return (
        "<h2>Held-out pairs</h2><p>Pairs of trajectories of which the model learned no part. Ties "
        "do not count as ranked; in AUC a tie should score between the two sides. A coin has NLL "
        f"{COIN_NLL:.3f} and Brier {COIN_BRIER}.</p>{_table(head, rows)}"
    )


def _calibration(scores: RewardScores | None) -> str:
    if scores is None or not scores.before:
        return ""
    figures = "".join(
        f"<figure><h3>{html.escape(name)}</h3>"
        f"{reliability_diagram(before.reliability, scores.after[name].reliability, name)}"
        f"<figcaption>ECE {before.ece:.3f} as learned, {scores.after[name].ece:.3f} calibrated."
        "</figcaption></figure>"
        for name, before in scores.before.items()
    )
    fitted = (
        f"Logits are divided by a temperature of {scores.temperature:.2f}, fitted on other "
        "held-out pairs."
        if scores.temperature != 1.0
        else "No temperature was fitted, so both lines are the same."
    )
    return (
        "<h2>Calibration</h2><p>Of the pairs of which the model says 70 %, 70 % should go that "
        f"way: the dashed line. {fitted} The area of a dot grows with the pairs in its bin.</p>"
        f'<div class="charts">{figures}</div>'
    )


def _truth(record: RewardModelRecord) -> str:
    if not record.distances and record.returns is None:
        return ""
    text, cells = "", []
    if record.distances:
        rows = [
            f"<tr><th>{html.escape(name)}</th><td><b>{_number(value)}</b></td></tr>"
            for name, value in record.distances.items()
        ]
        cells.append(_table("<th>distance</th><th>value</th>", rows))
        text = (
            "<p>Distances do not see scale or potential shaping; 0 orders policies alike, 0.71 is "
            "unrelated, 1 is the opposite. EPIC compares states of all play with each other, DARD "
            "only what one action or another does next, which is harder to learn from whole "
            "segments.</p>"
        )
    if record.returns is not None:
        true, learned = record.returns
        cells.append(
            f"<figure><h3>Learned return of segments</h3>{return_scatter(true, learned)}"
            f"<figcaption>Correlation {_number(_correlation(true, learned))} over {len(true):,} "
            "segments.</figcaption></figure>"
        )
    columns = cells if len(cells) > 1 else [*cells, "<div></div>"]
    return f'<h2>Against the true reward</h2>{text}<div class="charts">{"".join(columns)}</div>'


def _people(record: RewardModelRecord) -> str:
    if not record.agreement:
        return ""
    rows = [
        f"<tr><th>{html.escape(name)}</th><td>{figures['pairs']:,.0f}</td>"
        f"<td><b>{percent(figures['share'])}</b></td><td>{_number(figures['kappa'])}</td></tr>"
        for name, figures in record.agreement.items()
    ]
    head = "<th></th><th>answers</th><th>same answer</th><th>Cohen's kappa</th>"
    return (
        "<h2>Agreement with people</h2><p>As two annotators are compared; kappa is what remains "
        f"beyond chance.</p>{_table(head, rows)}"
    )


def _labels(record: RewardModelRecord) -> str:
    if not record.labels:
        return ""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in record.labels)
    row = "".join(f"<td>{count:,}</td>" for count in record.labels.values())
    return f"<h2>Questions and answers</h2>{_table(head, [f'<tr>{row}</tr>'])}"


def _history(record: RewardModelRecord) -> str:
    if len(record.history) < 2:
        return ""
    figures = []
    for title, keys, caption, share in (
        ("Ranked right", HISTORY, "Share of pairs, at the end of each fit.", True),
        ("Loss", LOSSES, "Mean loss at the end of each fit [nat]; a coin has 0.693.", False),
    ):
        curves = [_curve(record.history, key, name) for key, name in keys.items()]
        curves = [curve for curve in curves if len(curve.x)]
        if curves:
            chart = line_chart(curves, "answers", title=title, percent=share)
            figures.append(
                f"<figure><h3>{title}</h3>{chart}<figcaption>{caption}</figcaption></figure>"
            )
    return f'<h2>Fits</h2><div class="charts">{"".join(figures)}</div>' if figures else ""


def _curve(history: Sequence[Mapping[str, float]], key: str, name: str) -> Series:
    lines = [line for line in history if key in line and not math.isnan(line[key])]
    x = np.array([line.get("labels", line.get("reward/pairs", 0.0)) for line in lines], float)
    return Series(name, x, np.array([line[key] for line in lines], float), dots=len(lines) < 40)


def _reservations(record: RewardModelRecord) -> str:
    found = list(record.reservations)
    if record.scores is None or not record.scores.before:
        found.append(
            "No pairs were held out by trajectory, so nothing says how the model ranks new."
        )
    else:
        for name, scores in record.scores.before.items():
            if scores.pairs < FEW_PAIRS:
                found.append(
                    f"{scores.pairs} pairs {name} are few: their calibration error leans high."
                )
        if "on policy" not in record.scores.before:
            found.append("No pairs of the newest play were scored, where the reward is used.")
    if not record.distances:
        found.append(
            "There is no distance to a true reward here: none is known, or none was measured."
        )
    found.append(
        "A reward that ranks well can still be exploited by a policy that goes where no pair was "
        "labelled."
    )
    items = "".join(f"<li>{html.escape(text)}</li>" for text in found)
    return f'<h2>What this page cannot say</h2><div class="card warn"><ul>{items}</ul></div>'


def _config(record: RewardModelRecord) -> str:
    if not record.config:
        return ""
    text = yaml.safe_dump(dict(record.config), sort_keys=False)
    return (
        "<h2>Config</h2><details><summary>All fields</summary>"
        f"<pre>{html.escape(text)}</pre></details>"
    )


def _accuracy_interval(scores: PairScores) -> tuple[float, float]:
    decided = scores.pairs - scores.ties
    if not decided:
        return 0.0, 1.0
    return wilson(round(scores.accuracy * decided), decided)[1:]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 2 or first.std() == 0.0 or second.std() == 0.0:
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _table(head: str, rows: Sequence[str]) -> str:
    return (
        f'<div class="card"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
