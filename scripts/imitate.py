"""Teach a network to act as any policy does: cloning first, then DAgger; then train on from there.

    python scripts/imitate.py quadrotor-track nmpc --out runs/clone
    simrl train quadrotor-track --init runs/clone --out runs/better

The expert is any name that `simrl evaluate` takes: a controller with its options, a run, a search.
The result is a run folder, so it can be evaluated, compared and begun with as any other.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from simrl.core.plugins import make_env
from simrl.learn.cloning import CloningConfig
from simrl.learn.dagger import DaggerConfig
from simrl.learn.policy import NetworkPolicy
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.rollout import evaluate
from simrl.rollout.intervals import wilson
from simrl.runs.config import EvalConfig, TrainConfig
from simrl.runs.imitation import imitate
from simrl.runs.options import parse_options
from simrl.runs.presets import PRESETS, preset


@dataclass(frozen=True)
class Arguments:
    """Imitate a policy and print how near the clone comes."""

    env: tyro.conf.Positional[str]
    """Environment; where there is a preset of this name, the clone has its network and options."""
    expert: tyro.conf.Positional[str]
    """Policy to imitate."""
    out: Path
    """Folder of the clone's run."""
    num_envs: int = 32
    """Environments side by side."""
    option: tuple[str, ...] = ()
    """Options of the environment, each NAME=VALUE with the value in YAML; a preset's own hold for
    the others."""
    seed: int = 0
    """Seed of everything."""
    games: int = 50
    """Episodes that clone and expert play in the end, from the same starts."""
    dagger: DaggerConfig = field(default_factory=DaggerConfig)
    """How much the expert shows, and how soon the clone acts."""
    cloning: CloningConfig = field(default_factory=CloningConfig)
    """How the clone learns from it."""


def run_settings(args: Arguments) -> TrainConfig:
    """Return the config of the clone's run: the preset's with its network, or a plain one."""
    config = (
        preset(args.env)
        if args.env in PRESETS
        else TrainConfig(
            env=args.env,
            net=ActorCriticConfig(
                hidden=(128, 128), activation="tanh", critic="separate", normalise_obs=True
            ),
            evaluation=EvalConfig(games=args.games, deterministic=True),
        )
    )
    options = {**config.env_options, **parse_options(args.option)}
    return replace(config, env_options=options, num_envs=args.num_envs, seed=args.seed)


def main(args: Arguments) -> dict[str, float]:
    """Imitate, save, play, and return the figures that are printed as JSON."""

    def told(number: int, metrics: Mapping[str, float]) -> None:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        sys.stderr.write(f"round {number + 1} of {args.dagger.rounds}: {figures}\n")

    config = run_settings(args)
    run, expert = imitate(
        config, args.expert, args.out, args.dagger, args.cloning, after_round=told
    )
    env = make_env(run.config.env, args.games, **run.config.env_options)
    figures: dict[str, float] = {}
    for name, policy in (("clone", NetworkPolicy(run.net, values=False)), ("expert", expert)):
        score = evaluate(env, policy, games=args.games, seed=1, deterministic=True).score()
        figures[f"{name}_return"] = score.mean_return
        figures |= {f"{name}_{key}": value for key, value in score.metrics.items()}
        if "success" in score.metrics:
            bounds = wilson(score.metrics["success"] * args.games, args.games)[1:]
            names = (f"{name}_success_low", f"{name}_success_high")
            figures |= dict(zip(names, bounds, strict=True))
    sys.stdout.write(json.dumps({"figures": figures}) + "\n")
    return figures


if __name__ == "__main__":
    main(tyro.cli(Arguments))
