"""Compare ways to walk: MPC with whole-body control, PPO, a correction on top, and commands to it.

    python scripts/studies/quadruped.py [--seeds 0 1 2] [--out runs/studies] [--json]

The runs lie in runs/learn-robots, where `make learn-robots` puts those of PPO; what is missing is
trained (hours).  The comparison is that of `simrl compare quadruped-velocity`: 400 scenarios.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from compared import compare, draw, tell
from study import Findings, StudyArguments

from simrl.runs.config import is_run
from simrl.runs.robot_recipes import RUNS, train_missing

DIFFERING = [
    "friction=[0.4,1.2]",
    "mass=[0.9,1.1]",
    "payload=[0.0,4.0]",
    "push=[0.0,15.0]",
    "push_interval=4.0",
    "latency=[0.0,0.008]",
    "observation_noise=1.0",
]
"""What differs between episodes for all learners but one, at most as much as inside the grids."""
TORQUES = ["control=torque", "control_step=0.004", "physics_step=0.004", "seconds=5"]
"""Options of learners on top of mpc-wbc, which decides on torques every 4 ms: episodes are short,
since a million steps of it are only 67 minutes."""
CAREFUL = [
    "--num-envs=128",
    "--ppo.learning-rate=3e-4",
    "--ppo.adapt-kl=0.004",
    "--ppo.entropy-coef=0",
    "--ppo.entropy-coef-end=0",
    "--net.initial-log-std=-2",
]
"""What is added begins as nearly nothing and shall not lose what the controller has."""
ON_TOP: Mapping[str, Sequence[str]] = {
    "residual": [
        "--base=mpc-wbc",
        "--base-limit=0.1",
        "--steps=1000000",
        "--loop.unroll=128",
        "--ppo.minibatch-size=4096",
        *CAREFUL,
    ],
    "told": [
        "--base=mpc-wbc",
        *("--base-command", "0.3", "0.2", "0.3"),
        "--base-every=10",
        "--steps=120000",
        "--loop.unroll=32",
        "--ppo.minibatch-size=1024",
        "--ppo.gamma=0.97",
        *CAREFUL,
    ],
}
"""Learners on top of the controller: what they are trained with."""


@dataclass(frozen=True)
class Arguments(StudyArguments):
    """Compare four ways to walk."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds of each learner."""
    runs: Path = RUNS
    """Folder of the runs."""
    learners: tuple[str, ...] = ("ppo-flat", "ppo", "residual", "told")
    """Who is compared with mpc-wbc: PPO as its preset trains it; the same, trained on under what
    differs between episodes; a correction of the controller's torques; commands to it."""
    steps: int = 6_000_000
    """Steps that the policy is trained on, once it walks, under what differs."""


def main(args: Arguments) -> None:
    """Train what is missing, compare, draw and print."""
    learners = {name: [_run(args, name, seed) for seed in args.seeds] for name in args.learners}
    entrants = {"mpc-wbc": "mpc-wbc"}
    entrants |= {name: "run:" + "+".join(map(str, runs)) for name, runs in learners.items()}
    comparison = compare("quadruped-velocity", entrants, args.out / "quadruped")
    found = Findings()
    tell(found, comparison, "quadruped", "Quadruped")
    draw(comparison, args, "study-quadruped", "A quadruped at a commanded velocity")
    found.show(args, "quadruped: MPC, PPO and both")


def _run(args: Arguments, name: str, seed: int) -> Path:
    """Return the folder of a learner's run; ValueError lists the learners."""
    if name in ON_TOP:
        return _train(args, name, seed, ON_TOP[name])
    if name not in ("ppo", "ppo-flat"):
        valid = ", ".join(("ppo", "ppo-flat", *ON_TOP))
        raise ValueError(f"unknown learner {name!r}; the learners are {valid}")
    (walk,) = train_missing("quadruped-velocity", [seed], args.runs)
    if name == "ppo-flat":
        return walk
    return _train(args, name, seed, ["--init", str(walk), "--steps", str(args.steps)])


def _train(args: Arguments, name: str, seed: int, settings: Sequence[str]) -> Path:
    """Train a run under what differs between episodes, unless it is there; return its folder."""
    folder = args.runs / f"quadruped-{name}-seed-{seed}"
    if is_run(folder):
        return folder
    command = [sys.executable, "-m", "simrl.cli", "train", "quadruped-velocity"]
    command += ["--seed", str(seed), "--out", str(folder), *settings, "--option", *DIFFERING]
    if name in ON_TOP:
        command += TORQUES
    with folder.with_suffix(".log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    return folder


if __name__ == "__main__":
    main(tyro.cli(Arguments))
