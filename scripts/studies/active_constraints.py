"""MPC against LQR with and without active constraints: a cart-pole, disturbed less and more.

    python scripts/studies/active_constraints.py [--json]

Three controllers minimise the same quadratic cost: the regulator, whose force is clipped; linear
MPC, which ends in the regulator's cost-to-go, so that without active limits it is the regulator;
and nonlinear MPC with the same weights.  Two disturbances grow until limits are active and beyond:

- `spin`: the pole is struck and turns at some rad/s; what binds is the force of 10 N;
- `roll`: the cart rolls at some m/s along a rail on which it is to stay within 0.8 m of the middle;
  what binds is the position.  Both MPCs know that limit, and it may be violated at a price.

An episode ends early where the pole tips by more than 0.8 rad or the cart leaves its track of 2 m.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import tyro
from matplotlib.axes import Axes
from study import (
    COLOURS,
    Findings,
    StudyArguments,
    cell,
    decision_seconds,
    line,
    mean,
    panels,
    percent,
    piece,
    play,
    ratio,
    save,
    share,
)
from torch import Tensor

from simrl.core import Policy, VecEnv
from simrl.core.plugins import make_env
from simrl.runs.policies import named_policy

SCENARIOS = 32
SECONDS = 5.0
STATE_COST = np.array([2.0, 10.0, 0.2, 0.2])
"""Cost of squared position [1/m^2], angle [1/rad^2] and their rates: the regulator's own."""
FORCE_COST = 0.02
FORCE = 10.0  # [N]
SPREAD = np.array([0.2, 0.05, 0.2, 0.2])
"""Largest size of the random part of a start: m, rad, m/s, rad/s."""
HORIZON = 50
SAME_COST = "{x: 2.0, angle: 10.0, x_velocity: 0.2, angle_velocity: 0.2, force: 0.02}"
NMPC = f"nmpc:horizon={HORIZON}:dt=0.02:terminal=riccati:weights={SAME_COST}"
LINEAR = "linear-mpc:horizon={}:state_low={{qpos: [-{}, -.inf]}}:state_high={{qpos: [{}, .inf]}}"
BEYOND = 0.01
"""How far the cart may pass the limit before it counts as a violation [m]."""


@dataclass(frozen=True)
class Disturbance:
    """Say what is disturbed, by how much, and which position limit holds."""

    column: int
    """Number of the disturbed state: 2 the cart's speed, 3 the pole's."""
    sizes: tuple[float, ...]
    limit: float
    """Where the cart is to stay [m]."""
    label: str


DISTURBANCES = {
    "spin": Disturbance(
        3, (0.25, 0.5, 1.0, 1.5, 1.75, 2.0, 2.25, 2.5), 1.95, "pole's speed at the start [rad/s]"
    ),
    "roll": Disturbance(
        2, (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0), 0.8, "cart's speed at the start [m/s]"
    ),
}
CONTROLLERS = ("lqr", "linear-mpc", "nmpc")


def start_states(env: VecEnv, kind: Disturbance, size: float) -> Tensor:
    """Return starts `[N, S]`: at rest but for small random parts, and struck to either side."""
    rng = np.random.default_rng(0)
    z = rng.uniform(-1.0, 1.0, (env.num_envs, 4)) * SPREAD
    z[:, kind.column] += size * rng.choice((-1.0, 1.0), env.num_envs)
    env.reset(0)
    states, parts = env.snapshot(), env.spec.physics["state"]
    states[:, parts["qpos"]] = torch.from_numpy(z[:, :2])
    states[:, parts["qvel"]] = torch.from_numpy(z[:, 2:])
    return states


def build(name: str, kind: Disturbance, rows: int) -> tuple[VecEnv, Policy]:
    """Build the environment and a controller that knows the limit."""
    env = make_env("cartpole-balance", rows, seconds=SECONDS)
    told = {
        "lqr": "lqr",
        "linear-mpc": LINEAR.format(HORIZON, kind.limit, kind.limit),
        "nmpc": NMPC,
    }
    # The nonlinear model keeps 0.1 m away from the end of the track that it is told.
    physics = {**env.spec.physics, "x_limit": kind.limit + 0.1}
    return env, named_policy(told[name], replace(env.spec, physics=physics), {})


def measure(name: str, kind: Disturbance, size: float) -> dict[str, np.ndarray]:
    """Return cost, failure, time at the force's limit [s], excess of position [m], each `[N]`."""
    env, policy = build(name, kind, SCENARIOS)
    found = play(env, policy, seed=0, starts=start_states(env, kind, size))
    inside, force = found.during(), found.actions[:, :, 0, 0]
    parts = env.spec.physics["state"]
    state = np.concatenate(
        [found.states[:, :, parts["qpos"]], found.states[:, :, parts["qvel"]]], 2
    )
    cost = (state**2 * STATE_COST).sum(2) + FORCE_COST * force**2
    excess = np.where(inside, np.abs(state[:, :, 0]) - kind.limit, -np.inf)
    return {
        "cost": (cost * inside).sum(0),
        "failed": found.terminated.astype(float),
        "at_limit": ((np.abs(force) > FORCE - 1e-3) & inside).sum(0) * env.spec.step_seconds,
        "excess": np.maximum(excess.max(0), 0.0),
    }


def measured(args: StudyArguments, name: str, which: str, size: float) -> dict[str, np.ndarray]:
    """Return what was measured of a controller at one size."""
    kind = DISTURBANCES[which]
    facts: dict[str, Any] = {"who": name, "which": which, "size": size, "limit": kind.limit}
    facts |= {"scenarios": SCENARIOS, "horizon": HORIZON, "seconds": SECONDS}
    return piece(args.out / "constraints", "course", facts, lambda: measure(name, kind, size))


def times(args: StudyArguments, name: str) -> np.ndarray:
    """Return the processor time of each decision for one robot while it is disturbed [s]."""
    kind = DISTURBANCES["roll"]

    def one() -> dict[str, np.ndarray]:
        env, policy = build(name, kind, 1)
        starts = start_states(env, kind, 1.5)
        return {"seconds": decision_seconds(env, policy, starts=starts)}

    return piece(args.out / "constraints", "decisions", {"who": name}, one)["seconds"]


def tabulate(args: StudyArguments, findings: Findings, which: str) -> None:
    """Tabulate one disturbance: limits, failures, violations, cost over the regulator's."""
    kind, rows = DISTURBANCES[which], []
    for size in kind.sizes:
        found = {name: measured(args, name, which, size) for name in CONTROLLERS}
        fine = np.all([own["failed"] == 0 for own in found.values()], axis=0)
        at_limit = mean(found["lqr"]["at_limit"])
        row = [f"{size:g}", f"{1e3 * at_limit.value:.0f} ms"]
        findings.keep(f"{which}_{size:g}_lqr_at_limit_s", at_limit)
        for name in CONTROLLERS:
            row.append(harm(findings, f"{which}_{size:g}_{name}", which, found[name]))
        for name in CONTROLLERS[1:]:
            if fine.sum() < 5:
                row.append("-")
                continue
            own = ratio(found[name]["cost"][fine], found["lqr"]["cost"][fine])
            row.append(cell(findings.keep(f"{which}_{size:g}_{name}_cost_ratio", own), 4))
        rows.append([*row, f"{int(fine.sum())}"])
    what = "fails" if which == "spin" else "beyond 0.8 m, by in the mean"
    head = [kind.label, "LQR at the force's limit", *(f"{name} {what}" for name in CONTROLLERS)]
    head += [f"cost of {name} over LQR's" for name in CONTROLLERS[1:]]
    findings.table(f"Disturbance: {which}", [*head, "scenarios that all survive"], rows)


def harm(findings: Findings, label: str, which: str, found: dict[str, np.ndarray]) -> str:
    """Keep how many episodes failed, or how many passed the limit and by how much; say it."""
    failed = findings.keep(f"{label}_failed", share(found["failed"]))
    if which == "spin":
        return percent(failed)
    beyond = findings.keep(f"{label}_beyond", share(found["excess"] > BEYOND))
    excess = findings.keep(f"{label}_excess_m", mean(found["excess"]))
    return percent(beyond) + (f", {100 * excess.value:.1f} cm" if beyond.value else "")


def plot(args: StudyArguments) -> None:
    """Draw cost ratios and failures or violations over the size of both disturbances."""
    figure, axes = panels(2, 2)
    for column, (which, kind) in enumerate(DISTURBANCES.items()):
        draw_costs(args, axes[column], which, kind)
        below = axes[2 + column]
        for name, colour in zip(CONTROLLERS, COLOURS, strict=False):
            found = [measured(args, name, which, size) for size in kind.sizes]
            if which == "spin":
                values = [share(own["failed"]) for own in found]
            else:
                values = [mean(100 * own["excess"]) for own in found]
            line(below, kind.sizes, values, name, colour)
        word = "share of episodes that fail" if which == "spin" else "cart beyond 0.8 m [cm]"
        below.set(xlabel=kind.label, ylabel=word)
        below.legend(fontsize=8)
    save(figure, args, "study-constraints")


def draw_costs(args: StudyArguments, axes: Axes, which: str, kind: Disturbance) -> None:
    """Draw the cost of both MPCs over the regulator's, and when its force is at its limit."""
    every = {
        size: {name: measured(args, name, which, size) for name in CONTROLLERS}
        for size in kind.sizes
    }
    for name, colour in zip(CONTROLLERS[1:], COLOURS[1:], strict=False):
        sizes, values = [], []
        for size, found in every.items():
            fine = np.all([own["failed"] == 0 for own in found.values()], axis=0)
            if fine.sum() >= 5:
                sizes.append(size)
                values.append(ratio(found[name]["cost"][fine], found["lqr"]["cost"][fine]))
        line(axes, sizes, values, name, colour)
    axes.axhline(1.0, color="k", linestyle="--", linewidth=0.8)
    axes.set(xlabel=kind.label, ylabel="cost over LQR's, of survivors")
    other = axes.twinx()
    clipped = [1e3 * found["lqr"]["at_limit"].mean() for found in every.values()]
    other.plot(kind.sizes, clipped, color="0.6", linestyle=":", linewidth=1.2)
    other.set_ylabel("LQR at the force's limit [ms]", color="0.5")
    axes.legend(fontsize=8)


def main(args: StudyArguments) -> None:
    """Measure what is missing, then print and draw."""
    findings = Findings()
    for which in DISTURBANCES:
        tabulate(args, findings, which)
    rows = []
    for name in CONTROLLERS:
        p50, p99 = np.percentile(1e3 * times(args, name), (50, 99))
        findings.figures |= {f"{name}_p50_ms": float(p50), f"{name}_p99_ms": float(p99)}
        rows.append([name, f"{p50:.2f} ms", f"{p99:.2f} ms"])
    findings.table("Processor time of a decision for one robot", ["", "p50", "p99"], rows)
    plot(args)
    findings.show(args, "MPC against LQR with and without active constraints")


if __name__ == "__main__":
    main(tyro.cli(StudyArguments))
