"""Compare ways to walk: MPC with whole-body control, PPO, a correction on top, and commands to it.

    python scripts/studies/quadruped.py [--seeds 0 1 2] [--out runs/studies] [--json]

The runs lie in runs/learn-robots, where `make learn-robots` puts those of PPO; what is missing is
trained (hours).  The comparison is that of `simrl compare quadruped-velocity`: 400 scenarios.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro
from compared import compare, draw, tell
from study import Findings, StudyArguments, trained

from simrl.runs.config import TrainConfig
from simrl.runs.robot_presets import quadruped_velocity
from simrl.runs.robot_recipes import RUNS, train_missing

DIFFERING: Mapping[str, Any] = {
    "friction": (0.4, 1.2),
    "mass": (0.9, 1.1),
    "payload": (0.0, 4.0),
    "push": (0.0, 15.0),
    "push_interval": 4.0,
    "latency": (0.0, 0.008),
    "observation_noise": 1.0,
}
"""What differs between episodes for all learners but one, at most as much as inside the grids."""
TORQUES = {"control": "torque", "control_step": 0.004, "physics_step": 0.004, "seconds": 5.0}
"""Options of learners on top of mpc-wbc, which decides on torques every 4 ms: episodes are short,
since a million steps of it are only 67 minutes."""
LEARNERS = ("ppo-flat", "ppo", "residual", "told")


@dataclass(frozen=True)
class Arguments(StudyArguments):
    """Compare five ways to walk."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds of each learner."""
    runs: Path = RUNS
    """Folder of the runs."""
    learners: tuple[str, ...] = LEARNERS
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
    """Return the folder of a learner's run, trained if it is missing; ValueError lists them."""
    if name not in LEARNERS:
        raise ValueError(f"unknown learner {name!r}; the learners are {', '.join(LEARNERS)}")
    folder = args.runs / f"quadruped-{name}-seed-{seed}"
    if name in ("residual", "told"):
        return trained(on_top(name, seed), folder)
    (walk,) = train_missing("quadruped-velocity", [seed], args.runs)
    return walk if name == "ppo-flat" else trained(trained_on(walk, seed, args.steps), folder)


def trained_on(walk: Path, seed: int, steps: int) -> TrainConfig:
    """Return the run that goes on from a walk under what differs between episodes."""
    flat = quadruped_velocity()
    return replace(
        flat,
        env_options={**flat.env_options, **DIFFERING},
        seed=seed,
        init=str(walk),
        loop=replace(flat.loop, steps=steps),
    )


def on_top(name: str, seed: int) -> TrainConfig:
    """Return a run on top of the controller: "residual" corrects it, "told" commands it.

    What is added begins as nearly nothing and shall not lose what the controller has.
    """
    flat = quadruped_velocity()
    ppo = replace(
        flat.ppo, learning_rate=3e-4, adapt_kl=0.004, entropy_coef=0.0, entropy_coef_end=0.0
    )
    run = replace(
        flat,
        env_options={**flat.env_options, **DIFFERING, **TORQUES},
        seed=seed,
        num_envs=128,
        base="mpc-wbc",
        net=replace(flat.net, initial_log_std=-2.0),
    )
    if name == "residual":
        return replace(
            run,
            base_limit=0.1,
            ppo=replace(ppo, minibatch_size=4096),
            loop=replace(flat.loop, unroll=128, steps=1_000_000),
        )
    return replace(
        run,
        base_command=(0.3, 0.2, 0.3),
        base_every=10,
        ppo=replace(ppo, minibatch_size=1024, gamma=0.97),
        loop=replace(flat.loop, unroll=32, steps=120_000),
    )


if __name__ == "__main__":
    main(tyro.cli(Arguments))
