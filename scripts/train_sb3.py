"""Train SAC, TD3 or DDPG of stable-baselines3 in one of simrl's environments, and measure it.

    python scripts/train_sb3.py quadrotor-hover --learner sac --steps 200000 --out runs/hover.zip
    python scripts/train_sb3.py car-lane-camera --out runs/car.zip

The second is a preset: a car learns to keep its lane by what its camera sees.  The file is a policy
like any other, `simrl play ddpg:runs/car.zip`, and can be compared.  Off-policy learners use every
step again and again, so they need few steps and long computation: they pay where a step of the
environment is dear.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from simrl.adapters.sb3_files import load_policy
from simrl.core.plugins import env_names, make_env
from simrl.rollout import evaluate
from simrl.runs.off_policy import PRESETS, OffPolicyConfig, train
from simrl.runs.options import parse_options


@dataclass(frozen=True)
class Arguments:
    """Train an off-policy learner of stable-baselines3 and print how well it does."""

    task: tyro.conf.Positional[str]
    """Environment with continuous actions, or the preset car-lane-camera."""
    learner: Literal["sac", "td3", "ddpg"] | None = None
    """Which learner; by default the preset's, or sac."""
    steps: int | None = None
    """Steps of the environments together; by default the preset's, or 200,000."""
    num_envs: int | None = None
    """Environments side by side; by default the preset's, or 8."""
    gamma: float | None = None
    """Discount of a reward one step later; by default the preset's, or 0.98."""
    seed: int = 0
    """Seed of everything."""
    option: tuple[str, ...] = ()
    """Options of the environment, each NAME=VALUE with the value in YAML."""
    games: int = 50
    """Episodes that are played in the end."""
    out: Path = Path("runs/sb3.zip")
    """File of the model."""


def resolve(args: Arguments) -> OffPolicyConfig:
    """Return the preset, or the environment with usual settings, as the arguments change it."""
    if args.task not in PRESETS and args.task not in env_names():
        raise ValueError(
            f"unknown task {args.task!r}; the presets are {', '.join(PRESETS)}, "
            f"the environments {', '.join(env_names())}"
        )
    base = PRESETS[args.task]() if args.task in PRESETS else OffPolicyConfig(env=args.task)
    changes: dict[str, Any] = {
        name: getattr(args, name)
        for name in ("learner", "steps", "num_envs", "gamma")
        if getattr(args, name) is not None
    }
    options = {**base.env_options, **parse_options(args.option)}
    return replace(base, env_options=options, seed=args.seed, **changes)


def main(args: Arguments) -> dict[str, float]:
    """Train, save, play, and return the figures that are printed as JSON."""
    config = resolve(args)
    facts = train(config, args.out, log=lambda line: print(line, file=sys.stderr, flush=True))
    games = make_env(config.env, args.games, **config.env_options)
    policy = load_policy(f"{config.learner}:{args.out}", games.spec)
    score = evaluate(games, policy, games=args.games, seed=1, deterministic=True).score()
    figures = {
        "return": score.mean_return,
        "return_low": score.return_low,
        "return_high": score.return_high,
        "train_min": facts["minutes"],
        **score.metrics,
    }
    sys.stdout.write(json.dumps({"figures": figures}) + "\n")
    return figures


if __name__ == "__main__":
    main(tyro.cli(Arguments))
