"""A platoon with delay: who passes disturbances on, from which delay and which headway on.

    python scripts/studies/platoon_delay.py [--json]

Ten cars; the first brakes hard, changes its speed in steps, or swings it as a sine, and all others
start at their gaps, so that it is the only disturbance.  Four controllers meet the same drives:
feedback alone (acc), feedback and the predecessor's announcement (cacc), and model-predictive
control that is blind to the delays or compensates for them (platoon-mpc).  For the two linear laws
theory says exactly how errors pass from car to car (see `string_stability`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tyro
from matplotlib.axes import Axes
from string_stability import Cars, Factor, acc_factor, best_headway, cacc_factor, least_headway
from study import (
    COLOURS,
    Findings,
    StudyArguments,
    cell,
    line,
    mean,
    panels,
    percent,
    piece,
    play,
    save,
    share,
)

from simrl.compare.statistics import Estimate
from simrl.core import EnvSpec
from simrl.core.plugins import make_env
from simrl.runs.policies import named_policy

CONTROLLERS = {
    "acc": "acc",
    "cacc": "cacc",
    "mpc, blind": "platoon-mpc:compensate=false",
    "mpc, compensated": "platoon-mpc",
}
THEORY: dict[str, Factor] = {"acc": acc_factor, "cacc": cacc_factor}
DEFAULT: dict[str, Any] = {"headway": 0.6, "actuation_delay": 0.2, "comm_delay": 0.2}
SWEEPS: dict[str, tuple[float, ...]] = {
    "actuation_delay": (0.0, 0.1, 0.2, 0.3, 0.4),
    "headway": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2),
    "comm_delay": (0.1, 0.2, 0.3, 0.4),
}
"""Option of the platoon and its values; the others stay at `DEFAULT`."""
DRIVES = ("brake", "steps", "sine")
LINEAR = ("steps", "sine")
"""Drives in which commands keep well within their limits."""
EPISODES = 12
"""Episodes of each drive."""
FREQUENCIES = (0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
"""Angular frequencies of the leader's speed [rad/s]."""


def drive(name: str, options: dict[str, Any], episodes: int) -> dict[str, np.ndarray]:
    """Play a controller; return figures of each follower `[N, 9]` and collisions `[N]`."""
    options = {"spread": 0.0, **options}
    env = make_env("platoon", episodes, **options)
    course = play(env, named_policy(CONTROLLERS[name], env.spec, options), seed=0)
    inside = course.during()[1:, :, None]
    cars = course.states[:, :, env.spec.physics["state"]["cars"]]
    acceleration = cars.reshape(*cars.shape[:2], -1, 3)[:, :, 1:, 2]
    jerk = np.where(inside, np.diff(acceleration, axis=0) / env.spec.step_seconds, 0.0)
    return {
        "norm": course.metrics["error_norm"],
        "rmse": course.metrics["rmse"],
        "gap": course.metrics["min_gap"],
        "hit": course.metrics["collision"][:, 0],
        "jerk": np.sqrt((jerk**2).sum(0) / inside.sum(0)),
        "seconds": course.seconds / (episodes * env.spec.num_agents),
    }


def swing(name: str, frequency: float) -> dict[str, np.ndarray]:
    """Return by which factor a sine of the leader's speed passes from car to car, once settled."""
    options = {**DEFAULT, "spread": 0.0, "profile": "sine", "frequency": frequency}
    options["max_steps"] = 1000
    env = make_env("platoon", 1, **options)
    course = play(env, named_policy(CONTROLLERS[name], env.spec, options), seed=0)
    error = spacing_error(env.spec, course.states[600:, 0])
    size = np.sqrt((error**2).mean(0))
    return {"factor": size[1:] / size[:-1]}


def spacing_error(spec: EnvSpec, states: np.ndarray) -> np.ndarray:
    """Return the spacing error of each follower `[T, 9]` [m] in states `[T, S]`."""
    facts = spec.physics
    cars = states[:, facts["state"]["cars"]].reshape(len(states), -1, 3)
    gap = cars[:, :-1, 0] - facts["length"] - cars[:, 1:, 0]
    return np.asarray(gap - facts["standstill"] - facts["headway"] * cars[:, 1:, 1])


def measured(
    args: StudyArguments, name: str, options: dict[str, Any], drives: Sequence[str] = DRIVES
) -> dict[str, np.ndarray]:
    """Return the figures of a controller over some drives under one setting."""
    parts = []
    for profile in drives:
        facts = {**DEFAULT, **options, "profile": profile}
        key = {"who": CONTROLLERS[name], "episodes": EPISODES, **facts}
        found = piece(args.out / "platoon", "drive", key, lambda f=facts: drive(name, f, EPISODES))
        parts.append(found)
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def growth(args: StudyArguments, name: str, options: dict[str, Any]) -> Estimate:
    """Return the mean factor from car to car: (last error / second error)^(1/7) of each episode.

    It leaves out the first follower, who hears a person instead of a controller, and the braking,
    in which commands saturate.  An episode with a collision counts until then.
    """
    norm = measured(args, name, options, LINEAR)["norm"]
    return mean((norm[:, -1] / norm[:, 1]) ** (1.0 / (norm.shape[1] - 2)))


def largest(norm: np.ndarray) -> Estimate:
    """Return the mean over episodes of the largest factor between two successive cars."""
    return mean((norm[:, 1:] / norm[:, :-1]).max(axis=1))


def sweep_table(args: StudyArguments, findings: Findings, option: str) -> None:
    """Tabulate a sweep: factor from car to car, and episodes with a collision."""
    rows = []
    for value in SWEEPS[option]:
        row = [f"{value:.1f} s"]
        for name in CONTROLLERS:
            label = f"{option}_{round(1000 * value)}ms_{_slug(name)}"
            factor = findings.keep(f"factor_{label}", growth(args, name, {option: value}))
            braking = measured(args, name, {option: value}, ("brake",))
            hits = findings.keep(f"collisions_{label}", share(braking["hit"] > 0))
            row.append(cell(factor) + (f"; {100 * hits.value:.0f} %" if hits.value else ""))
        rows.append(row)
    words = option.replace("comm", "communication").replace("_", " ")
    title = f"Mean factor from car to car over the {words}; share of brakings with a collision"
    findings.table(title, [words, *CONTROLLERS], rows)


def default_table(args: StudyArguments, findings: Findings) -> None:
    """Tabulate the default setting: spacing, safety, comfort, time of a decision."""
    rows = []
    for name in CONTROLLERS:
        found = measured(args, name, {})
        slug = _slug(name)
        braking = measured(args, name, {}, ("brake",))
        figures = {
            "largest": largest(measured(args, name, {}, LINEAR)["norm"]),
            "rmse": mean(found["rmse"].mean(axis=1)),
            "gap": mean(braking["gap"].min(axis=1)),
            "hit": share(braking["hit"] > 0),
            "jerk": mean(found["jerk"].mean(axis=1)),
        }
        for key, value in figures.items():
            findings.keep(f"{key}_{slug}", value)
        act = float(np.median(found["seconds"]) * 1e6)
        findings.figures[f"act_us_{slug}"] = act
        shown = [percent(v) if key == "hit" else cell(v) for key, v in figures.items()]
        rows.append([name, *shown, f"{act:.0f} µs"])
    head = ["", "largest factor", "spacing RMSE [m]", "least gap, braking [m]"]
    head += ["brakings with a collision", "RMS jerk [m/s³]", "a car's decision"]
    findings.table("200 ms of both delays, headway 0.6 s", head, rows)


def theory_table(findings: Findings) -> dict[str, list[float]]:
    """Tabulate the least headways that theory allows; return them over the actuation delay."""
    ages = round(DEFAULT["comm_delay"] / Cars.seconds)
    limits: dict[str, list[float]] = {"acc": [], "acc, best gains": [], "cacc": []}
    rows = []
    for value in SWEEPS["actuation_delay"]:
        steps = round(value / Cars.seconds)
        found = {
            "acc": least_headway(acc_factor, steps),
            "acc, best gains": best_headway(steps)[0],
            "cacc": least_headway(cacc_factor, steps, ages),
        }
        for name, limit in found.items():
            limits[name].append(limit)
            if np.isfinite(limit):
                findings.figures[f"least_headway_{_slug(name)}_{round(1000 * value)}ms"] = limit
        shown = [f"{limit:.2f} s" if np.isfinite(limit) else "none" for limit in found.values()]
        rows.append([f"{value:.1f} s", *shown])
    findings.table("Least string-stable headway by theory", ["actuation delay", *limits], rows)
    by_age = []
    for value in SWEEPS["comm_delay"]:
        limit = least_headway(cacc_factor, 2, round(value / Cars.seconds))
        findings.figures[f"least_headway_cacc_heard_{round(1000 * value)}ms_ago"] = limit
        by_age.append([f"{value:.1f} s", f"{limit:.2f} s"])
    title = "The same at 200 ms of actuation delay, over the age of what is heard"
    findings.table(title, ["communication delay", "cacc"], by_age)
    return limits


def plot(args: StudyArguments, findings: Findings, limits: dict[str, list[float]]) -> None:
    """Draw the factor over frequency, delay and headway, and how near cars come in braking."""
    figure, (spectrum, delays, headways, gaps) = panels(2, 2)
    index = SWEEPS["actuation_delay"].index(DEFAULT["actuation_delay"])
    for name, colour in zip(CONTROLLERS, COLOURS, strict=False):
        draw_spectrum(args, findings, spectrum, name, colour)
        for axes, option in ((delays, "actuation_delay"), (headways, "headway")):
            values = SWEEPS[option]
            points = [growth(args, name, {option: value}) for value in values]
            line(axes, values, points, name, colour)
        if name in THEORY:
            label = f"{name}: limit by theory"
            limit = limits[name][index]
            headways.axvline(limit, color=colour, linestyle=":", linewidth=1.2, label=label)
        values = SWEEPS["headway"]
        brakings = [measured(args, name, {"headway": value}, ("brake",)) for value in values]
        line(gaps, values, [mean(found["gap"].min(axis=1)) for found in brakings], name, colour)
    for axes in (spectrum, delays, headways):
        axes.axhline(1.0, color="k", linestyle="--", linewidth=0.8)
    spectrum.set(xscale="log", xlabel="leader's frequency [rad/s]", ylabel="factor from car to car")
    spectrum.set_ylim(0.0, 1.45)
    delays.set(xlabel="actuation delay [s]", ylabel="mean factor from car to car")
    headways.set(xlabel="time headway [s]", ylabel="mean factor from car to car")
    gaps.set(xlabel="time headway [s]", ylabel="least gap in braking [m]")
    delays.legend(fontsize=8)
    dotted = [drawn for drawn in headways.lines if drawn.get_linestyle() == ":"]
    headways.legend(handles=dotted, fontsize=8)
    save(figure, args, "study-platoon")


def draw_spectrum(
    args: StudyArguments, findings: Findings, axes: Axes, name: str, colour: str
) -> None:
    """Draw the factor over the frequency: measured as points, and theory as a line.

    The figure `theory_gap` is the largest distance of a point from its line.
    """
    points = []
    for frequency in FREQUENCIES:
        key = {"who": CONTROLLERS[name], "frequency": frequency, **DEFAULT}
        found = piece(args.out / "platoon", "swing", key, lambda f=frequency: swing(name, f))
        points.append(float(found["factor"][1:].mean()))
    axes.plot(FREQUENCIES, points, "o", color=colour, markersize=4)
    if name not in THEORY:
        return
    cars, omega = Cars(DEFAULT["headway"], 2, 2), np.geomspace(0.1, 6.0, 300)
    axes.plot(omega, np.abs(THEORY[name](cars, omega)), color=colour, linewidth=1)
    expected = np.abs(THEORY[name](cars, np.array(FREQUENCIES)))
    gap = float(np.abs(np.array(points) - expected).max())
    findings.figures["theory_gap"] = max(gap, findings.figures.get("theory_gap", 0.0))


def _slug(name: str) -> str:
    return name.replace(", ", "_").replace(" ", "_")


def main(args: StudyArguments) -> None:
    """Measure what is missing, then print and draw."""
    findings = Findings()
    default_table(args, findings)
    for option in SWEEPS:
        sweep_table(args, findings, option)
    limits = theory_table(findings)
    plot(args, findings, limits)
    findings.show(args, "platoon with delay")


if __name__ == "__main__":
    main(tyro.cli(StudyArguments))
