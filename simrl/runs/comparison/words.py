"""How a comparison's names and numbers are written for people."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simrl.compare.statistics import Estimate

AXES = {
    "push": "push [N s]",
    "push_angle": "direction of the push",
    "push_start": "time of the push [s]",
    "payload": "payload [kg]",
    "latency": "actuator delay [s]",
    "friction": "friction",
    "mass": "mass, over the nominal",
    "motor_gain": "motor gain, over the nominal",
    "observation_noise": "sensor noise, over the task's",
    "terrain": "terrain",
    "command.vx": "commanded speed [m/s]",
    "command.vy": "commanded sideways speed [m/s]",
    "command.yaw_rate": "commanded yaw rate [rad/s]",
    "command.period": "period of the path [s]",
    "target_speed": "target speed [m/s]",
    "max_curvature": "curvature [1/m]",
    "num_obstacles": "obstacles",
    "moving_share": "share of moving obstacles",
}
"""What axes of the shipped grids are called; others keep their names."""


@dataclass(frozen=True)
class FigureText:
    """Say how one figure is shown."""

    heading: str
    note: str
    """What it means, in a line."""
    factor: float = 1.0
    higher: bool | None = None
    """Whether more is better; None if neither is."""


FIGURES: Mapping[str, FigureText] = {
    "score": FigureText("score", "interquartile mean; 1 is perfect, 0 the worst", 1.0, True),
    "success": FigureText("success, %", "the task's own rule; Wilson interval", 100.0, True),
    "rmse": FigureText("rmse", "interquartile mean; an early end counts as endless", 1.0, False),
    "cvar": FigureText("cvar", "mean of the worst 5 % of an episode's errors", 1.0, False),
    "recovered": FigureText("recovered, %", "pushed episodes that recovered", 100.0, True),
    "recovery_seconds": FigureText("recovery, s", "from the end of a push", 1.0, False),
    "cost_of_transport": FigureText(
        "cost of transport", "energy over weight and distance, of episodes that lasted", 1.0, False
    ),
    "energy": FigureText(
        "energy, J", "mechanical, brakes counted as effort, of episodes that lasted", 1.0, False
    ),
    "action_rate": FigureText(
        "action rate, 1/s", "change of the actions, as a share of their range", 1.0, False
    ),
    "return": FigureText("return", "sum of the task's rewards", 1.0, True),
    "violation_seconds": FigureText("violations, s", "time beyond a limit, an episode", 1.0, False),
}
"""The figures of the tables, in the order of their columns."""


def axis_name(axis: str) -> str:
    """Return what an axis is called."""
    return AXES.get(axis, axis)


def axis_value(axis: str, value: Any) -> str:
    """Write a value on an axis; directions in degrees."""
    number = single(value)
    if number is None:
        return str(value) if not isinstance(value, (tuple, list)) else " to ".join(map(str, value))
    if axis.endswith("angle"):
        return f"{math.degrees(number):.0f}°"
    return f"{number:g}"


def single(value: Any) -> float | None:
    """Return a number, or a range that is one; None for anything else."""
    if isinstance(value, (tuple, list)) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)


def number(value: float) -> str:
    """Write a figure in three digits; an endless one as ∞."""
    if math.isinf(value):
        return "∞"
    if math.isnan(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def with_interval(estimate: Estimate | None, factor: float = 1.0) -> str:
    """Write a figure with its interval below, as HTML."""
    if estimate is None:
        return "-"
    value, low, high = (factor * x for x in (estimate.value, estimate.low, estimate.high))
    if math.isnan(low):
        return f"<b>{number(value)}</b>"
    return f"<b>{number(value)}</b><small>{number(low)} to {number(high)}</small>"


def p_value(p: float) -> str:
    """Write a p-value."""
    return "&lt; 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def escape(text: str) -> str:
    """Make text safe for HTML, attributes included."""
    return html.escape(text, quote=True)


def colour(index: int) -> str:
    """Return the style sheet's colour of a controller."""
    return f"var(--c{index % 8})"


def dot(index: int) -> str:
    """Return a small mark in a controller's colour."""
    return f'<i class="dot" style="background:{colour(index)}"></i>'
