"""Train the robot presets from several seeds and say how well each learns to do its task.

    python scripts/learn_robots.py [--recipes quadrotor-track] [--seeds 0 1 2] [--json]

`make learn-robots` runs this; docs/results.md keeps its figures.  Each seed is one `simrl train` in
a process of its own, one after another, so that minutes of training are those of the whole machine.
Runs that the folder holds already are not trained again.  What is measured, and how, is said in
`simrl.runs.robot_scores`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from simrl.runs.robot_recipes import RUNS, measure_recipes
from simrl.runs.robot_scores import RECIPES


@dataclass(frozen=True)
class Arguments:
    """Train the robot presets from several seeds and print how well they do."""

    recipes: tuple[str, ...] = tuple(RECIPES)
    """Presets to train and measure."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds to train."""
    steps: int | None = None
    """Agent-steps of each run, to try the script out; by default those of the preset."""
    games: int | None = None
    """Episodes that each policy plays; by default those of the recipe."""
    out: Path = RUNS
    """Folder of the runs."""
    json: bool = False
    """Print one JSON object instead of a table."""


def main(args: Arguments) -> None:
    """Train, measure and print."""
    figures = measure_recipes(
        args.recipes, args.seeds, args.out, steps=args.steps, games=args.games
    )
    if args.json:
        sys.stdout.write(json.dumps({"figures": figures}) + "\n")
        return
    table = Table("figure", "mean", "95 % interval", "worst seed", title="learning on robots")
    for name in figures:
        if f"{name}_low" in figures:
            interval = f"{figures[f'{name}_low']:.4g} to {figures[f'{name}_high']:.4g}"
            table.add_row(name, f"{figures[name]:.4g}", interval, f"{figures[f'{name}_worst']:.4g}")
        elif name.endswith("_train_min"):
            table.add_row(name, f"{figures[name]:.3g}", "", "")
    Console(emoji=False, highlight=False, width=120).print(table)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
