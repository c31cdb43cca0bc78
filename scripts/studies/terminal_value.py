"""Terminal value: how far to plan, against what is known of the end of the plan.

    python scripts/studies/terminal_value.py [--json]

A sampling planner (mppi) swings a cart-pole up with horizons from one step to fifty.  Its plans end
in nothing, or in the critic of a run of PPO that was trained for a while, longer, or longest; the
policies of these runs play alone, too.  Planning one step with a policy's own value is a step of
Newton's method towards the optimum, and more steps only improve where it starts (Bertsekas 2022,
"Lessons from AlphaZero for Optimal, Model Predictive, and Adaptive Control").

The runs lie in `--runs`, and are trained there if they are missing (a few minutes of one core).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from study import (
    COLOURS,
    Findings,
    StudyArguments,
    cell,
    line,
    mean,
    panels,
    piece,
    play,
    ratio,
    save,
)

from simrl.compare.statistics import Estimate
from simrl.core.plugins import make_env
from simrl.runs.guides import load_guide
from simrl.runs.policies import named_policy
from simrl.runs.robot_recipes import train_missing

TASK = "cartpole-swingup"
SECONDS = 6.0
STARTS = 24
HORIZONS = (1, 2, 3, 5, 10, 20, 35, 50)
LONGEST = 100
"""Horizon of the planner that all costs are told over."""
SAMPLES = 32
TRAINED = (300_000, 1_000_000, 3_000_000)
"""Agent-steps of the runs, each trained to the end of its own schedule."""


@dataclass(frozen=True)
class Arguments(StudyArguments):
    """Measure horizons against terminal values."""

    runs: Path = Path("runs/studies/terminal")
    """Folder of the runs."""


def costs(name: str) -> dict[str, np.ndarray]:
    """Return what each episode of a policy costs `[N]`: what its rewards lack to 1 a step."""
    env = make_env(TASK, STARTS, seconds=SECONDS)
    found = play(env, named_policy(name, env.spec, {}), seed=1)
    most = sum(weight for weight in env.spec.reward_weights if weight > 0)
    return {
        "cost": most * env.spec.max_steps - found.rewards.sum(axis=(0, 2)),
        "seconds": found.seconds / STARTS,
    }


def measured(args: Arguments, name: str, run: Path | None = None) -> dict[str, np.ndarray]:
    """Return costs and times of `name`, in which RUN stands for the folder of a run."""
    facts: dict[str, Any] = {"who": name, "run": run.parent.name if run else ""}
    facts |= {"starts": STARTS, "seconds": SECONDS}
    full = name.replace("RUN", str(run))
    return piece(args.out / "terminal", "cost", facts, lambda: costs(full))


def planner(horizon: int, guide: str = "") -> str:
    """Name the planner with a horizon; `guide` are its words about a run."""
    run = "RUN:" if guide else ""
    return f"mppi:{run}horizon={horizon}:samples={SAMPLES}{guide}"


VALUE = ":guide_plans=0"
"""The run's critic ends plans; its policy proposes none."""
BOTH = ":guide_plans=1"
"""The policy proposes a plan, too."""
POLICY = ":guide_plans=1:guide_value=false"
"""The policy proposes, and plans end in nothing."""


def explained(run: Path) -> dict[str, np.ndarray]:
    """Return how much of the returns of a run's policy its critic explains, over states `[N]`.

    The states are those of the first two seconds of episodes, so that eight seconds follow, which
    is nearly all that counts at the run's discount.
    """
    env = make_env(TASK, STARTS)
    guide = load_guide(str(run), env.spec, {})
    found = play(env, named_policy(str(run), env.spec, {}), seed=1)
    earned = np.zeros(STARTS)
    returns = np.empty(found.rewards.shape[:2])
    for step in reversed(range(len(returns))):
        earned = found.rewards[step, :, 0] + guide.gamma * earned
        returns[step] = earned
    early = slice(0, round(2.0 / env.spec.step_seconds), 5)
    states = torch.from_numpy(found.states[early].reshape(-1, env.spec.state_size))
    said = guide.value(states).double().numpy()
    wanted = returns[early].ravel()
    return {"share": np.array(1.0 - np.mean((said - wanted) ** 2) / np.var(wanted))}


def tell_runs(args: Arguments, findings: Findings, runs: dict[int, Path], best: np.ndarray) -> None:
    """Tabulate the runs: what their policies cost, what their critics explain, one-step plans."""
    rows = []
    for steps, run in runs.items():
        facts = {"run": run.parent.name, "starts": STARTS}
        known = piece(args.out / "terminal", "explained", facts, lambda r=run: explained(r))
        label = f"{steps // 1000}k"
        share = findings.figures[f"explained_{label}"] = float(known["share"])
        cells = [f"{steps / 1e6:g} M", f"{share:.2f}"]
        for key, name in (
            ("policy", "RUN"),
            ("one_step", planner(1, VALUE)),
            ("one_step_both", planner(1, BOTH)),
            ("five_steps", planner(5, VALUE)),
            ("five_steps_both", planner(5, BOTH)),
        ):
            found = ratio(measured(args, name, run)["cost"], best)
            cells.append(cell(findings.keep(f"{key}_{label}", found)))
        rows.append(cells)
    head = ["agent-steps", "returns explained by the critic", "policy alone"]
    head += ["1 step + value", "1 step + value + policy", "5 steps + value"]
    head += ["5 steps + value + policy"]
    findings.table(f"Cost over that of a horizon of {LONGEST} without a value", head, rows)


def tell_horizons(
    args: Arguments, findings: Findings, runs: dict[int, Path], best: np.ndarray
) -> dict[str, list[Estimate]]:
    """Tabulate cost over the horizon for each kind of end; return the curves."""
    last = runs[TRAINED[-1]]
    kinds: dict[str, tuple[str, Path | None]] = {"nothing": ("", None)}
    kinds |= {f"value, {steps / 1e6:g} M": (VALUE, run) for steps, run in runs.items()}
    kinds["policy begins, nothing ends"] = (POLICY, last)
    kinds["value and policy"] = (BOTH, last)
    curves: dict[str, list[Estimate]] = {kind: [] for kind in kinds}
    rows = []
    for horizon in HORIZONS:
        row = [str(horizon)]
        for kind, (words, run) in kinds.items():
            found = measured(args, planner(horizon, words), run)
            value = ratio(found["cost"], best)
            slug = kind.replace(", ", "_").replace(" ", "_").replace("_M", "M")
            findings.keep(f"{slug}_h{horizon}", value)
            curves[kind].append(value)
            row.append(cell(value))
        plain = measured(args, planner(horizon))["seconds"]
        row.append(f"{1e3 * np.median(plain):.2f} ms")
        rows.append(row)
    head = ["horizon", *kinds, "a decision, nothing (one of 24 at once)"]
    findings.table(f"Cost over that of a horizon of {LONGEST} without a value", head, rows)
    return curves


def plot(
    args: Arguments, runs: dict[int, Path], best: np.ndarray, curves: dict[str, list[Estimate]]
) -> None:
    """Draw cost over the horizon, and over training."""
    figure, (over_horizon, over_training) = panels(2, height=3.8)
    for (kind, values), colour in zip(curves.items(), COLOURS, strict=False):
        line(over_horizon, HORIZONS, values, kind, colour)
    over_horizon.axhline(1.0, color="k", linestyle="--", linewidth=0.8)
    over_horizon.set(xscale="log", xlabel="horizon [steps of 20 ms]")
    over_horizon.set_xticks(HORIZONS, [str(horizon) for horizon in HORIZONS])
    over_horizon.minorticks_off()
    over_horizon.set_ylabel(f"cost over that of horizon {LONGEST}")
    over_horizon.legend(fontsize=8, title="at the end of a plan", title_fontsize=8)
    names = {
        "policy alone": "RUN",
        "1 step + value": planner(1, VALUE),
        "1 step + value + policy": planner(1, BOTH),
        "5 steps + value": planner(5, VALUE),
        "20 steps + value": planner(20, VALUE),
    }
    steps = [count / 1e6 for count in runs]
    for (label, name), colour in zip(names.items(), COLOURS, strict=False):
        found = [ratio(measured(args, name, run)["cost"], best) for run in runs.values()]
        line(over_training, steps, found, label, colour)
    over_training.axhline(1.0, color="k", linestyle="--", linewidth=0.8)
    over_training.set(xscale="log", xlabel="training of policy and value [million agent-steps]")
    over_training.set_xticks(steps, [f"{count:g}" for count in steps])
    over_training.minorticks_off()
    over_training.legend(fontsize=8)
    save(figure, args, "study-terminal-value")


def main(args: Arguments) -> None:
    """Train and measure what is missing, then print and draw."""
    findings = Findings()
    runs = {
        steps: train_missing(TASK, [0], args.runs / f"steps-{steps}", steps=steps)[0]
        for steps in TRAINED
    }
    best = measured(args, planner(LONGEST))["cost"]
    findings.keep("cost_of_the_longest", mean(best))
    nmpc = findings.keep("nmpc", ratio(measured(args, "nmpc")["cost"], best))
    tell_runs(args, findings, runs, best)
    curves = tell_horizons(args, findings, runs, best)
    rows = [[cell(mean(best)), cell(nmpc)]]
    findings.table("For scale", [f"cost of a horizon of {LONGEST}", "nmpc over it"], rows)
    plot(args, runs, best, curves)
    findings.show(args, "terminal value: horizon against learned value")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
