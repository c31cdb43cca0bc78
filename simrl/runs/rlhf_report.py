"""Tell how far an RLHF run may trust its reward model: proxy and gold against distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simrl.learn.metrics import read_metrics
from simrl.preferences.overoptimisation import Overoptimisation, fit_overoptimisation
from simrl.runs.rlhf_steps import GOLD_START

COLUMNS = ("kl", "distance", "proxy", "gold", "length")
"""Figures of `simrl.runs.rlhf_steps.GoldRecord`."""


@dataclass(frozen=True)
class GoldCurve:
    """Hold proxy and gold of an RLHF run, one entry for each update in which episodes ended."""

    step: np.ndarray
    """Agent-steps `[K]`."""
    kl: np.ndarray
    """KL of an episode to the reference `[K]` [nat]."""
    distance: np.ndarray
    """Its square root `[K]`."""
    proxy: np.ndarray
    """Mean learned return of the episodes `[K]`."""
    gold: np.ndarray
    """Mean true return of the episodes `[K]`."""
    length: np.ndarray
    """Mean steps of the episodes `[K]`."""
    start: float
    """Mean true return of the reference, over whole episodes."""

    @property
    def fit(self) -> Overoptimisation:
        """Fit R = d (alpha - beta log d) to the gain in gold over the reference.

        ValueError if too few updates went far enough.
        """
        return fit_overoptimisation(self.distance, self.gold - self.start)


def gold_curve(folder: Path | str) -> GoldCurve:
    """Read the record of an RLHF run; ValueError if it has none."""
    metrics = read_metrics(folder)
    lines = [line for line in metrics if "rlhf/gold" in line]
    starts = [line[GOLD_START] for line in metrics if GOLD_START in line]
    if not lines or not starts:
        raise ValueError(f"{folder} has no record of true rewards: it is no RLHF run, or a new one")
    columns = {name: np.array([line[f"rlhf/{name}"] for line in lines]) for name in COLUMNS}
    steps = np.array([line["step"] for line in lines])
    return GoldCurve(step=steps, start=float(starts[0]), **columns)


def rlhf_figures(folder: Path | str) -> dict[str, Any]:
    """Return the run's last figures and, where it can be fitted, the curve of over-optimisation."""
    curve = gold_curve(folder)
    figures: dict[str, Any] = {name: float(getattr(curve, name)[-1]) for name in COLUMNS}
    figures |= {"gold_start": curve.start, "gold_best": float(curve.gold.max())}
    try:
        fit = curve.fit
    except ValueError as error:
        return figures | {"fit": str(error)}
    figures |= {"alpha": fit.alpha, "beta": fit.beta, "r_squared": fit.r_squared}
    if fit.peak is not None and math.isfinite(fit.peak):
        figures |= {"peak_distance": fit.peak, "past_peak": bool(curve.distance[-1] > fit.peak)}
    return figures


def gold_chart(folder: Path | str) -> str:
    """Draw gold, its fit with the peak marked, and the proxy, against the distance: an `<svg>`."""
    from matplotlib.axes import Axes

    from simrl.runs.report.charts import FAINT, INK, LINE, chart, style

    curve = gold_curve(folder)

    def draw(axes: Axes) -> None:
        start = curve.start
        axes.plot(curve.distance, curve.gold, "o", ms=3, color=LINE[0], label="gold")
        low, high = float(curve.proxy.min()), float(curve.proxy.max())
        span = float(np.ptp(curve.gold)) or 1.0
        scaled = curve.gold.min() + (curve.proxy - low) / ((high - low) or 1.0) * span
        axes.plot(curve.distance, scaled, "o", ms=2, color=LINE[1], label="proxy, to scale")
        try:
            fit = curve.fit
        except ValueError:
            fit = None
        if fit is not None:
            line = np.linspace(0.0, float(curve.distance.max()), 200)
            axes.plot(
                line, start + fit.gain(line), color=LINE[2], lw=1.4, label="d (alpha - beta log d)"
            )
            if fit.peak is not None and fit.peak <= curve.distance.max():
                axes.axvline(fit.peak, color=FAINT, lw=1.0, ls="--")
                axes.text(fit.peak, axes.get_ylim()[0], " peak", color=INK, fontsize=8)
        style(axes, "√KL to the reference", percent=False)
        axes.legend(frameon=False, labelcolor=INK, loc="best", fontsize=8, handlelength=1.4)

    return chart(draw, title="true and learned reward against the distance travelled", wide=True)
