"""Measure learning: train the moba-1v1 preset from several seeds and say how well each plays.

    python scripts/learn_moba.py [--minutes 30] [--seeds 0 1 2] [--at-once 1] [--json]

`make learn-moba` runs this; docs/results.md keeps its figures.  Each seed is one `simrl train` in
a process of its own; its last evaluation counts: 200 games against each scripted opponent, sides
swapped, heroes drawn at random.  With `--at-once 2` two seeds share the machine, each on one
learner thread, which is slower for each and faster for all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from simrl.runs.config import is_run
from simrl.runs.evaluation import read_evaluations

BARS = {"lane-pusher": 0.90, "skill-user": 0.70}
"""Win rates that the recipe is held to."""


@dataclass(frozen=True)
class Arguments:
    """Train the moba-1v1 preset from several seeds and print how well each plays."""

    minutes: float | None = None
    """Minutes of training for each seed [min]; by default those of the preset."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds to train."""
    at_once: int = 1
    """Seeds that train at the same time."""
    out: Path | None = None
    """Folder of the runs; by default runs/learn-moba-DATE-TIME. Seeds that it holds already are
    not trained again."""
    plot: Path | None = None
    """Draw the learning curves into this picture."""
    json: bool = False
    """Print one JSON object instead of a table."""


def train(seed: int, folder: Path, args: Arguments) -> None:
    """Train one seed in a process of its own; its output goes to a file beside the run."""
    command = [sys.executable, "-m", "simrl.cli", "train", "moba-1v1", "--seed", str(seed)]
    command += ["--out", str(folder)]
    if args.minutes is not None:
        command += ["--minutes", str(args.minutes)]
    environment = dict(os.environ)
    if args.at_once > 1:
        command += ["--ppo.threads", "1", "--option", "threads=1"]
        environment["OMP_NUM_THREADS"] = "1"
    with folder.with_suffix(".log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, env=environment)


def main(args: Arguments) -> None:
    """Train all seeds, then print a row for each."""
    out = args.out or Path("runs") / f"learn-moba-{time.strftime('%Y%m%d-%H%M%S')}"
    out.mkdir(parents=True, exist_ok=True)
    folders = {seed: out / f"seed-{seed}" for seed in args.seeds}
    missing = [seed for seed, folder in folders.items() if not is_run(folder)]
    with ThreadPoolExecutor(args.at_once) as pool:
        list(pool.map(lambda seed: train(seed, folders[seed], args), missing))
    curves = {seed: read_evaluations(folder) for seed, folder in folders.items()}
    results = {seed: curve[-1] for seed, curve in curves.items()}
    if args.plot is not None:
        plot(curves, args.plot)
    if args.json:
        sys.stdout.write(json.dumps({"figures": figures(results), "runs": results}) + "\n")
        return
    opponents = list(next(iter(results.values()))["opponents"])
    table = Table("seed", "minutes", "agent-steps", *opponents, title="moba-1v1: games won of 200")
    for seed, result in results.items():
        cells = [
            f"{row['win_rate']:.1%} ({row['low']:.1%} to {row['high']:.1%})"
            for row in result["opponents"].values()
        ]
        table.add_row(str(seed), f"{result['minutes']:.1f}", f"{result['step']:,}", *cells)
    Console(emoji=False, highlight=False, width=140).print(table)


def plot(curves: dict[int, list[dict]], path: Path) -> None:
    """Draw the win rate against each opponent over training: one line a seed, Wilson bands."""
    opponents = list(next(iter(curves.values()))[-1]["opponents"])
    figure = Figure(figsize=(9.0, 2.6), layout="constrained")
    panels = figure.subplots(1, len(opponents), sharey=True)
    for panel, name in zip(panels, opponents, strict=True):
        for seed, curve in curves.items():
            steps = [line["step"] / 1e6 for line in curve]
            rows = [line["opponents"][name] for line in curve]
            panel.plot(steps, [row["win_rate"] for row in rows], marker=".", label=f"seed {seed}")
            low, high = [row["low"] for row in rows], [row["high"] for row in rows]
            panel.fill_between(steps, low, high, alpha=0.15)
        panel.set_title(name, fontsize=10)
        panel.set_xlabel("million agent-steps")
        panel.set_ylim(0.0, 1.02)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("games won of 200")
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=120)


def figures(results: dict[int, dict]) -> dict[str, float]:
    """Return the slowest seed's win rate against each opponent, and how many reach both bars."""
    rates = [
        {name: row["win_rate"] for name, row in result["opponents"].items()}
        for result in results.values()
    ]
    solved = sum(all(rate[name] >= bar for name, bar in BARS.items()) for rate in rates)
    lowest = {f"win_rate_{name}_min": min(rate[name] for rate in rates) for name in rates[0]}
    return {**lowest, "seeds_reaching_the_bars": float(solved)}


if __name__ == "__main__":
    main(tyro.cli(Arguments))
