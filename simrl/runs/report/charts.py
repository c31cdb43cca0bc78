"""Draw line charts as inline SVG that takes its colours from the page's style sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

MAX_POINTS = 120
"""Points of a curve; longer ones are drawn as bins."""

NUM_COLOURS = 8
# Stand-ins that no real colour equals: the page's style sheet says what they look like.
INK, FAINT = "#010203", "#010204"
LINE = tuple(f"#0102{16 + index:02x}" for index in range(NUM_COLOURS))


@dataclass(frozen=True)
class Series:
    """Hold one named curve, with a band around it if `low` and `high` are given."""

    name: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    dots: bool = False
    """Whether each point is marked: for few and separate measurements."""


def binned(series: Series, max_points: int = MAX_POINTS) -> Series:
    """Shorten a long curve: the mean of each bin of points, with a band from 10 % to 90 %."""
    if len(series.x) <= max_points or series.low is not None:
        return series
    parts = np.array_split(np.arange(len(series.x)), max_points)
    ys = [series.y[part] for part in parts]
    return Series(
        series.name,
        np.array([series.x[part].mean() for part in parts]),
        np.array([y.mean() for y in ys]),
        np.array([np.quantile(y, 0.1) for y in ys]),
        np.array([np.quantile(y, 0.9) for y in ys]),
    )


def line_chart(
    curves: Sequence[Series],
    x_label: str,
    *,
    title: str,
    percent: bool = False,
    wide: bool = False,
) -> str:
    """Draw curves over one axis and return an `<svg>` element for an HTML page.

    Colours are CSS variables: --ink, --faint, --c0 to --c7.  With `percent` the vertical axis runs
    from 0 to 1 and is labelled in percent.
    """

    def draw(axes: Axes) -> None:
        for index, curve in enumerate(curves):
            _draw(axes, binned(curve), LINE[index % NUM_COLOURS])
        style(axes, x_label, percent)
        if len(curves) > 1:
            axes.legend(frameon=False, labelcolor=INK, loc="best", fontsize=8, handlelength=1.4)

    return chart(draw, title=title, wide=wide)


def chart(draw: Callable[[Axes], None], *, title: str, wide: bool = False) -> str:
    """Return what `draw` puts on one pair of axes as an `<svg>` element for an HTML page.

    Use the colours `INK`, `FAINT` and `LINE` alone: they become the style sheet's.
    """
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "simrl", "font.size": 9.0}):
        # Fixed margins: layout engines measure every text and take most of the time.
        figure = Figure(figsize=(8.6, 3.2) if wide else (3.7, 2.3))
        left, bottom = (0.055, 0.15) if wide else (0.135, 0.2)
        figure.subplots_adjust(left=left, bottom=bottom, right=0.985, top=0.97)
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True)
    return _for_page(buffer.getvalue(), title)


def standalone(svg: str) -> str:
    """Turn what `chart` returned into the text of a file: with names, colours, a white ground."""
    css = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    light = css[: css.index("}")]
    colours = dict(re.findall(r"(--\w+): (#\w+);", light)) | {"--font": "sans-serif"}
    svg = re.sub(r"var\((--\w+)\)", lambda match: colours[match[1]], svg)
    names = "xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'"
    svg = svg.replace("<svg", f"<svg {names}", 1)
    ground = f'<rect width="100%" height="100%" fill="{colours["--card"]}"/>'
    return re.sub(r"(<svg[^>]*>)", lambda match: match[1] + ground, svg, count=1) + "\n"


def short_number(value: float) -> str:
    """Write a number in few characters: 1.5M, 20k, 0.003."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.3g}"


def _draw(axes: Axes, curve: Series, colour: str) -> None:
    marker = "o" if curve.dots or len(curve.x) == 1 else None
    axes.plot(curve.x, curve.y, color=colour, lw=1.6, marker=marker, ms=3.5, label=curve.name)
    if curve.low is not None and curve.high is not None:
        axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, lw=0)
        if len(curve.x) == 1:
            axes.vlines(curve.x, curve.low, curve.high, color=colour, lw=1.6)


def style(axes: Axes, x_label: str, percent: bool) -> None:
    """Give the axes the page's look; with `percent` the vertical one runs from 0 to 1."""
    axes.set_xlabel(x_label, color=INK)
    axes.grid(axis="y", color=FAINT, lw=0.6)
    axes.tick_params(colors=INK, length=0, labelsize=8)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(FAINT)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.margins(x=0.02)
    if percent:
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


def _for_page(svg: str, title: str) -> str:
    """Cut what an HTML page does not need, and put the style sheet's colours and font."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", svg)
    for colour, name in ((INK, "ink"), (FAINT, "faint")):
        svg = svg.replace(colour, f"var(--{name})")
    for index, colour in enumerate(LINE):
        svg = svg.replace(colour, f"var(--c{index})")
    return svg.strip()
