"""Train robot presets from several seeds, those that are missing, and measure them all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simrl.adapters.sb3_files import read_facts
from simrl.runs.config import is_run, run_config
from simrl.runs.off_policy import PRESETS as OFF_POLICY
from simrl.runs.off_policy import train
from simrl.runs.robot_scores import RECIPES, score_runs

RUNS = Path("runs/learn-robots")
"""Where `make learn-robots` keeps its runs."""


def measure_recipes(
    presets: Sequence[str],
    seeds: Sequence[int],
    out: Path = RUNS,
    *,
    steps: int | None = None,
    games: int | None = None,
) -> dict[str, float]:
    """Train what `out` does not hold yet and return the figures of every preset.

    steps: agent-steps of a run that is missing; None: the preset's own.  games: episodes that each
    policy plays; None: the recipe's own.  ValueError lists the valid presets.
    """
    unknown = [name for name in presets if name not in RECIPES]
    if unknown:
        raise ValueError(f"unknown recipe {unknown[0]!r}; the recipes are {', '.join(RECIPES)}")
    figures: dict[str, float] = {}
    for name in presets:
        folders = train_missing(name, seeds, out, steps=steps)
        figures |= score_runs(RECIPES[name], folders, games=games)
    return figures


def train_missing(
    preset: str, seeds: Sequence[int], out: Path, *, steps: int | None = None
) -> list[Path]:
    """Train the seeds of a preset that `out` does not hold yet; return all their folders.

    Each is one `simrl train` in a process of its own, one after another, so that minutes are those
    of the whole machine; what it prints goes to a file beside the run.  One that was stopped goes
    on; ValueError names one that holds no checkpoint.  Where a recipe begins with a run of another
    preset, that is trained first.  A run of an off-policy learner leaves a file instead.
    """
    if preset in OFF_POLICY:
        return _off_policy(preset, seeds, out, steps)
    folders = [out / f"{preset}-seed-{seed}" for seed in seeds]
    out.mkdir(parents=True, exist_ok=True)
    for seed, folder in zip(seeds, folders, strict=True):
        if _is_trained(folder):
            continue
        words = ["--resume", str(folder)]
        if not is_run(folder):
            words = ["--seed", str(seed), "--out", str(folder)]
            if RECIPES[preset].init:
                (begun,) = train_missing(RECIPES[preset].init, [seed], out, steps=steps)
                words += ["--init", str(begun)]
            if steps is not None:
                words += ["--steps", str(steps)]
        command = [sys.executable, "-m", "simrl.cli", "train", preset, *words]
        with folder.with_suffix(".log").open("a") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)
    return folders


def _is_trained(folder: Path) -> bool:
    """Tell whether a folder holds a run that is over; ValueError if one has no checkpoint."""
    if not is_run(folder):
        return False
    names = [path.name for path in (folder / "checkpoints").glob("*")]
    reached = [int(name) for name in names if name.isdigit()]
    if not reached:
        raise ValueError(f"{folder} holds no checkpoint: remove it to train it again")
    return max(reached) >= (run_config(folder).loop.steps or 0)


def _off_policy(preset: str, seeds: Sequence[int], out: Path, steps: int | None) -> list[Path]:
    """Train the seeds of an off-policy preset that `out` does not hold yet; return their files."""
    files = [out / f"{preset}-seed-{seed}.zip" for seed in seeds]
    for seed, file in zip(seeds, files, strict=True):
        if not (file.is_file() and "minutes" in read_facts(file)):  # else it was cut short
            config = replace(OFF_POLICY[preset](), seed=seed)
            train(config if steps is None else replace(config, steps=steps), file)
    return files
