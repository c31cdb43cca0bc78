"""Measure the mobile manipulator: pick and place, and what else its controllers reach.

    python scripts/bench/amr.py [--episodes 100] [--tasks pick drive reach drawer] [--sampling]

`amr_success` is the share of random pick-and-place goals that are met, `amr_collisions` counts the
control steps of all these episodes in which the robot touched what it must not.  The other tasks
are played by each of their controllers from the same starts, `--sampling` adds the sampling MPC.
The table gives success with Wilson 95 % intervals, collisions, simulated seconds until success, the
energy that the motors gave off, and the time that one decision takes for one robot: the time of a
call shared among its rows, planning included.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from report import add_json_flag, report
from rich.console import Console
from rich.table import Table

from simrl.core.plugins import controller_plugin, make_env
from simrl.rollout import evaluate
from simrl.rollout.intervals import wilson

BAR = 0.95
PREFIX = {"pick": "amr", "drive": "amr_drive", "reach": "amr_reach", "drawer": "amr_drawer"}


@dataclass(frozen=True)
class Entry:
    """Name one controller of a task."""

    controller: str
    """Its id."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of its config."""
    most: int = 10_000
    """Episodes at most; sampling takes long."""


@dataclass(frozen=True)
class Outcome:
    """Hold how one controller fared on a task."""

    task: str
    controller: str
    episodes: int
    successes: int
    collisions: float
    seconds: float
    energy: float
    p50_ms: float
    p99_ms: float


ENTRIES: Mapping[str, tuple[Entry, ...]] = {
    "pick": (Entry("pick-place"),),
    "drive": (Entry("nmpc"), Entry("pick-place")),
    "reach": (Entry("pick-place"), Entry("whole-body")),
    "drawer": (Entry("pick-place"),),
}
"""Controllers of each task, the one whose figures count first."""
SAMPLING: Mapping[str, tuple[Entry, ...]] = {
    "drive": (Entry("mppi", most=20),),
    "reach": (Entry("mppi", most=20),),
}
"""Sampling MPC, which looks at no plan but its own."""


def play(task: str, entry: Entry, episodes: int, rows: int, seed: int) -> Outcome:
    """Play a controller from random starts."""
    count = min(episodes, entry.most)
    env = make_env(f"amr-{task}", min(rows, count))
    plugin = controller_plugin(entry.controller)
    policy = plugin.make(env.spec, plugin.config(**entry.options))
    score = evaluate(env, policy, games=count, seed=seed, deterministic=True).score()
    table, times = score.episodes, score.act_times
    good = table.metric("success").reshape(-1) > 0.5
    seconds = table.metric("time").reshape(-1)
    return Outcome(
        task,
        entry.controller,
        count,
        int(good.sum()),
        float(table.metric("collisions").sum()),
        float(seconds[good].mean()) if good.any() else float("nan"),
        float(table.metric("energy").mean()),
        times.p50_ms / times.rows,
        times.p99_ms / times.rows,
    )


def figures_of(outcome: Outcome, prefix: str) -> dict[str, float]:
    """Return the figures of one outcome."""
    return {
        f"{prefix}_success": outcome.successes / outcome.episodes,
        f"{prefix}_collisions": outcome.collisions,
        f"{prefix}_seconds": outcome.seconds,
        f"{prefix}_energy_j": outcome.energy,
        f"{prefix}_act_p50_ms": outcome.p50_ms,
        f"{prefix}_act_p99_ms": outcome.p99_ms,
    }


def measure(
    tasks: Sequence[str], episodes: int, rows: int, seed: int, sampling: bool
) -> tuple[dict[str, float], list[Outcome]]:
    """Return the figures and all outcomes."""
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    outcomes = []
    for task in tasks:
        entries = ENTRIES[task] + (SAMPLING.get(task, ()) if sampling else ())
        for index, entry in enumerate(entries):
            outcome = play(task, entry, episodes, rows, seed)
            outcomes.append(outcome)
            name = PREFIX[task]
            if index:
                name += "_" + entry.controller.replace("-", "_")
            figures |= figures_of(outcome, name)
    return figures, outcomes


def show(outcomes: Sequence[Outcome]) -> None:
    """Print one line for each task and controller."""
    table = Table(title="The mobile manipulator", title_justify="left")
    for name in ("task", "controller", "success", "95 %", "collisions", "s", "J", "p50 ms", "p99"):
        table.add_column(name, justify="left" if name in ("task", "controller") else "right")
    for o in outcomes:
        rate, low, high = wilson(float(o.successes), o.episodes)
        numbers = (f"{o.collisions:.0f}", f"{o.seconds:.1f}", f"{o.energy:.0f}")
        times = (f"{o.p50_ms:.2f}", f"{o.p99_ms:.2f}")
        table.add_row(
            o.task,
            o.controller,
            f"{o.successes}/{o.episodes} = {rate:.2f}",
            f"{low:.2f}..{high:.2f}",
            *numbers,
            *times,
        )
    Console(emoji=False).print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=100, help="random goals of each task")
    parser.add_argument("--rows", type=int, default=25, help="robots side by side")
    parser.add_argument("--tasks", nargs="+", choices=list(ENTRIES), default=list(ENTRIES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sampling", action="store_true", help="also try sampling MPC")
    add_json_flag(parser)
    given = parser.parse_args()
    figures, outcomes = measure(given.tasks, given.episodes, given.rows, given.seed, given.sampling)
    if not given.json:
        show(outcomes)
    notes = {"amr_success": f"bar: at least {BAR}", "amr_collisions": "bar: 0"}
    report(
        figures,
        json_flag=given.json,
        title=f"mobile manipulator, {given.episodes} random goals",
        notes={name: text for name, text in notes.items() if name in figures},
        packages=("mujoco", "casadi", "daqp"),
    )


if __name__ == "__main__":
    main()
