"""The figures of one episode from what was measured in its steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from simrl.compare.judge import Judge
from simrl.compare.signals import ERROR, POWER, SPEED
from simrl.compare.statistics import cvar
from simrl.core.spec import EnvSpec


def episode_figures(
    series: Mapping[str, np.ndarray],
    change: np.ndarray,
    *,
    spec: EnvSpec,
    judge: Judge,
    limits: Mapping[str, float],
    terminated: bool,
    success: float | None,
    pushed_until: float | None,
) -> dict[str, float]:
    """Return the figures of an episode; those that it does not have are absent.

    Args:
        series: Each signal in each of its L steps `[L]`.
        change: Mean size of the change of the actions in each step, as a share of their range, over
            the length of a step `[L]` [1/s].
        spec: The environment.
        judge: How episodes are judged.
        limits: Largest allowed value of each watched signal.
        terminated: Whether it ended before its time limit.
        success: What the task says of success; None if it does not.
        pushed_until: When a push was over [s]; None if there was none.
    """
    step = spec.step_seconds or 1.0
    num_steps = len(change)
    found = {
        "seconds": num_steps * step,
        "success": float(not terminated) if success is None else float(success > 0.5),
        "action_rate": float(change[1:].mean()) if num_steps > 1 else 0.0,
    }
    if ERROR in series:
        found |= _tracking(series[ERROR], step, judge)
    found["score"] = score(found, judge, terminated)
    found |= _effort(series, step, spec)
    if limits:
        found |= violations(series, limits, step)
    if pushed_until is not None and judge.recovered > 0 and ERROR in series:
        after = recovery(series[ERROR], step, pushed_until, judge)
        found |= {"recovered": float(math.isfinite(after)), "recovery_seconds": after}
    return found


def score(figures: Mapping[str, float], judge: Judge, terminated: bool) -> float:
    """Return how good an episode was, from 0 to 1: 1 is no error, 0 the worst or an early end."""
    if not judge.worst > 0.0 or "rmse" not in figures:
        return figures["success"]
    if terminated:
        return 0.0
    return max(0.0, 1.0 - figures["rmse"] / judge.worst)


def violations(
    series: Mapping[str, np.ndarray], limits: Mapping[str, float], step: float
) -> dict[str, float]:
    """Return how often, for how long [s] and how far limits were exceeded, in all and for each.

    `NAME_over` is the largest excess, in the signal's unit.
    """
    found: dict[str, float] = {}
    anywhere = np.zeros(len(next(iter(series.values()))), np.bool_)
    count = 0
    for name, limit in limits.items():
        over = series[name] - limit
        beyond = over > 0.0
        anywhere |= beyond
        begun = int(beyond[0]) + int((beyond[1:] & ~beyond[:-1]).sum()) if len(beyond) else 0
        count += begun
        found[f"{name}_violations"] = float(begun)
        found[f"{name}_violation_seconds"] = float(beyond.sum() * step)
        found[f"{name}_over"] = float(max(0.0, over.max(initial=0.0)))
    return {
        "violations": float(count),
        "violation_seconds": float(anywhere.sum() * step),
        **found,
    }


def recovery(error: np.ndarray, step: float, pushed_until: float, judge: Judge) -> float:
    """Return the seconds from the end of a push until the error is small for good; NaN if never.

    Small for good: below `judge.recovered` for `judge.steady` seconds, within the episode.
    """
    begin = round(pushed_until / step)
    hold = max(1, round(judge.steady / step))
    small = error[begin:] < judge.recovered
    if len(small) < hold:
        return math.nan
    run = np.lib.stride_tricks.sliding_window_view(small, hold).all(axis=1)
    return float(run.argmax() * step) if run.any() else math.nan


def push_end(config: Any) -> float | None:
    """Return when the first push of an environment's config is over [s], if there is one."""
    push, start = getattr(config, "push", None), getattr(config, "push_start", None)
    if push is None or start is None or not push[1] > 0.0:
        return None
    return float(start) + float(getattr(config, "push_seconds", 0.0))


def _tracking(error: np.ndarray, step: float, judge: Judge) -> dict[str, float]:
    """Return the tracking error's figures after the time to settle, or of all of a short one."""
    settled = error[min(round(judge.settle / step), max(0, len(error) - 1)) :]
    size = np.abs(settled)
    return {
        "rmse": float(np.sqrt(np.mean(size * size))),
        "cvar": cvar(size),
        "largest_error": float(size.max()),
    }


def _effort(series: Mapping[str, np.ndarray], step: float, spec: EnvSpec) -> dict[str, float]:
    """Return energy [J], mean power [W] and, of what travels, the cost of transport."""
    if POWER not in series:
        return {}
    energy = float(series[POWER].sum() * step)
    found = {"energy": energy, "mean_power": energy / (len(series[POWER]) * step)}
    weight = spec.physics.get("mass", 0.0) * spec.physics.get("gravity", 0.0)
    if SPEED in series and weight > 0.0:
        distance = float(series[SPEED].sum() * step)
        if distance > 0.1:  # standing has no cost of transport
            found["cost_of_transport"] = energy / (weight * distance)
    return found
