"""Terminal value: how far to plan, against what is known of the end of the plan.

    python scripts/studies/terminal_value.py [--json]

Planners by sampling swing a pendulum and a cart-pole up, with horizons from one step to dozens.
Their plans end in nothing, or in the critic of a run of PPO that was trained for a while or for
longer; the policies of these runs play alone, too.  Planning one step with the value of a policy is
a step of Newton's method towards the optimum, and further steps move where it starts (Bertsekas
2022, "Lessons from AlphaZero for Optimal, Model Predictive, and Adaptive Control").

The runs lie in `--runs`, and are trained there if they are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from matplotlib.axes import Axes
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
    trained,
)

from simrl.compare.statistics import Estimate
from simrl.core.plugins import make_env
from simrl.learn.loop import LoopConfig
from simrl.learn.ppo import PPOConfig
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.runs.config import EvalConfig, TrainConfig
from simrl.runs.policies import named_policy
from simrl.runs.robot_presets import cartpole_swingup
from simrl.runs.robot_scores import most_return


@dataclass(frozen=True)
class Arguments(StudyArguments):
    """Measure horizons against terminal values."""

    runs: Path = Path("runs/studies/terminal-runs")
    """Folder of the runs."""


@dataclass(frozen=True)
class Task:
    """Say what is played, who plans, and what is trained."""

    env: str
    planner: str
    """Name of the planner before its horizon."""
    words: str
    """Its options after the horizon."""
    horizons: tuple[int, ...]
    """The last one, without a value, is what costs are told over."""
    config: TrainConfig
    """A training run, but for its seed and length."""
    trained: tuple[int, ...]
    """Lengths of the runs, in agent-steps."""
    seeds: tuple[int, ...]
    """Training seeds."""
    starts: int
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the environment."""

    def plan(self, horizon: int, guide: str = "") -> str:
        """Name the planner with a horizon; RUN stands for the run, `guide` are options about it."""
        run = "RUN:" if guide else ""
        return f"{self.planner}:{run}horizon={horizon}{self.words}{guide}"

    def run(self, args: Arguments, steps: int, seed: int) -> Path:
        """Return the folder of a run, trained if it is missing."""
        loop = LoopConfig(unroll=self.config.loop.unroll, steps=steps)
        config = replace(self.config, loop=loop, seed=seed)
        return trained(config, args.runs / f"{self.env}-{steps}-seed-{seed}")


VALUE = ":guide_plans=0"
"""The run's critic ends plans; its policy proposes none."""
BOTH = ":guide_plans=1"
"""The policy proposes a plan, too."""

PENDULUM = Task(
    env="pendulum",
    planner="predictive-sampling",
    words=":samples=32:noise=[0.6]",
    horizons=(1, 2, 3, 5, 8, 12, 20, 40),
    config=TrainConfig(
        env="pendulum",
        num_envs=32,
        net=ActorCriticConfig(
            hidden=(32,), activation="tanh", critic="separate", normalise_obs=True
        ),
        ppo=PPOConfig(
            learning_rate=2e-3,
            epochs=8,
            minibatch_size=256,
            gamma=0.95,
            gae_lambda=0.9,
            entropy_coef=0.0,
            normalise_value=True,
            threads=1,
        ),
        loop=LoopConfig(unroll=32, steps=1),
        evaluation=EvalConfig(games=20),
    ),
    trained=(30_000, 60_000, 120_000, 240_000),
    seeds=(0, 1, 2),
    starts=32,
)
SWINGUP = cartpole_swingup()
CART = Task(
    env="cartpole-swingup",
    planner="mppi",
    words=":samples=32",
    horizons=(1, 5, 20, 50),
    config=replace(SWINGUP, ppo=replace(SWINGUP.ppo, adapt_kl=None)),
    trained=(1_000_000,),
    seeds=(0, 1, 2),
    starts=10,
    options={"seconds": 5.0, "threads": 1},
)


def costs(task: Task, name: str) -> dict[str, np.ndarray]:
    """Return what rewards lack to the most, and whether it ended early, of each episode `[N]`."""
    env = make_env(task.env, task.starts, **task.options)
    found = play(env, named_policy(name, env.spec, task.options), seed=1)
    cost = most_return(env.spec) - found.rewards.sum(axis=(0, 2))
    return {"cost": cost, "ended": found.terminated.astype(float)}


def measured(
    args: Arguments, task: Task, name: str, steps: int = 0, figure: str = "cost"
) -> np.ndarray:
    """Return a figure of `name` `[K, N]`, for each training seed of the runs of so many steps."""
    rows = []
    for seed in task.seeds if steps else (0,):
        facts: dict[str, Any] = {"who": name, "env": task.env, "steps": steps, "seed": seed}
        facts |= {"starts": task.starts, **task.options}
        run = str(task.run(args, steps, seed)) if steps else ""
        full = name.replace("RUN", run)
        found = piece(args.out / "terminal", "cost", facts, lambda n=full: costs(task, n))
        rows.append(found[figure])
    return np.stack(rows)


def over_longest(args: Arguments, task: Task, name: str, steps: int = 0) -> Estimate:
    """Return the cost of `name` over that of the longest horizon without a value."""
    longest = measured(args, task, task.plan(task.horizons[-1]))[0]
    return ratio(measured(args, task, name, steps), longest)


def kinds(task: Task) -> dict[str, tuple[str, int]]:
    """Name the ends of plans, with the words that ask for them and the steps of the run."""
    found = {"nothing": ("", 0)}
    found |= {f"value, {_steps(steps)}": (VALUE, steps) for steps in task.trained}
    last = task.trained[-1]
    return {**found, f"value and policy, {_steps(last)}": (BOTH, last)}


def tell_horizons(args: Arguments, findings: Findings, task: Task) -> dict[str, list[Estimate]]:
    """Tabulate cost over the horizon for each kind of end; return the curves."""
    curves: dict[str, list[Estimate]] = {kind: [] for kind in kinds(task)}
    rows = []
    for horizon in task.horizons:
        row = [str(horizon)]
        for kind, (words, steps) in kinds(task).items():
            name = task.plan(horizon, words)
            value = over_longest(args, task, name, steps)
            ended = measured(args, task, name, steps, "ended").mean()
            slug = f"{task.env}_{kind}_h{horizon}".replace(", ", "_").replace(" ", "_")
            curves[kind].append(findings.keep(slug, value))
            findings.figures[f"{slug}_ended"] = float(ended)
            row.append(cell(value) + (f"; {100 * ended:.0f} % end early" if ended else ""))
        rows.append(row)
    title = f"{task.env}: cost over that of a horizon of {task.horizons[-1]} that ends in nothing"
    findings.table(title, ["horizon", *kinds(task)], rows)
    return curves


def players(task: Task) -> dict[str, str]:
    """Name what is made of a run: its policy, and plans of a few steps on top of it."""
    short = [horizon for horizon in task.horizons if horizon <= 5]
    names = {"policy alone": "RUN"}
    names |= {f"{_count(n)} + value": task.plan(n, VALUE) for n in short if n != 2}
    return {**names, f"{_count(short[-1])} + value + policy": task.plan(short[-1], BOTH)}


def tell_runs(args: Arguments, findings: Findings, task: Task) -> None:
    """Tabulate what short plans make of each run."""
    rows = []
    for steps in task.trained:
        row = [_steps(steps)]
        for label, name in players(task).items():
            value = over_longest(args, task, name, steps)
            slug = label.replace(" + ", "_").replace(" ", "_")
            row.append(cell(findings.keep(f"{task.env}_{slug}_{_steps(steps)}", value)))
        rows.append(row)
    longest = measured(args, task, task.plan(task.horizons[-1]))[0]
    findings.keep(f"{task.env}_longest_cost", mean(longest))
    findings.table(
        f"{task.env}: the same for runs; 1 is a cost of {cell(mean(longest))}",
        ["trained for", *players(task)],
        rows,
    )


def draw_horizons(
    args: Arguments, axes: Axes, task: Task, curves: dict[str, list[Estimate]]
) -> None:
    """Draw cost over the horizon, and the last policy alone as a dotted line."""
    for (kind, values), colour in zip(curves.items(), COLOURS, strict=False):
        line(axes, task.horizons, values, kind, colour)
    alone = over_longest(args, task, "RUN", task.trained[-1]).value
    label = f"policy alone, {_steps(task.trained[-1])}"
    axes.axhline(alone, color="k", linestyle=":", linewidth=1.0, label=label)
    seconds = make_env(task.env, 1).spec.step_seconds
    _scale(axes, task.horizons, [str(horizon) for horizon in task.horizons])
    axes.set(xlabel=f"horizon [steps of {1e3 * seconds:.0f} ms]", title=task.env)
    columns = 2 if len(curves) > 4 else 1
    axes.legend(fontsize=6.5, title="at the end of a plan", title_fontsize=7, ncols=columns)


def plot(
    args: Arguments, curves: dict[str, list[Estimate]], on_cart: dict[str, list[Estimate]]
) -> None:
    """Draw cost over the horizon of both tasks, and what short plans make of a run."""
    figure, (pendulum, training, cart) = panels(3, height=3.9)
    draw_horizons(args, pendulum, PENDULUM, curves)
    draw_horizons(args, cart, CART, on_cart)
    for (label, name), colour in zip(players(PENDULUM).items(), COLOURS, strict=False):
        found = [over_longest(args, PENDULUM, name, steps) for steps in PENDULUM.trained]
        line(training, PENDULUM.trained, found, label, colour)
    _scale(training, PENDULUM.trained, [_steps(steps) for steps in PENDULUM.trained])
    training.set(xlabel="training of policy and value [steps]", title="pendulum")
    training.legend(fontsize=7)
    for axes in (pendulum, training, cart):
        axes.axhline(1.0, color="k", linestyle="--", linewidth=0.8)
    pendulum.set_ylabel("cost over the longest horizon's")
    save(figure, args, "study-terminal-value")


def _scale(axes: Axes, at: Sequence[float], labels: Sequence[str]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(at, labels)
    marks = [0.7, 1, 1.5, 2, 3, 5, 8, 12]
    axes.set_yticks(marks, [str(mark) for mark in marks])
    axes.minorticks_off()
    axes.set_ylim(0.6, 26.0)


def _steps(count: int) -> str:
    return f"{count // 1000}k" if count < 1_000_000 else f"{count // 1_000_000}M"


def _count(steps: int) -> str:
    return f"{steps} step" + ("s" if steps > 1 else "")


def main(args: Arguments) -> None:
    """Train and measure what is missing, then print and draw."""
    findings = Findings()
    curves = {}
    for task in (PENDULUM, CART):
        curves[task.env] = tell_horizons(args, findings, task)
        tell_runs(args, findings, task)
    plot(args, curves[PENDULUM.env], curves[CART.env])
    findings.show(args, "terminal value: horizon against learned value")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
