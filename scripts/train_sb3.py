"""Train SAC, TD3 or DDPG of stable-baselines3 in one of simrl's environments, and measure it.

    python scripts/train_sb3.py quadrotor-hover --learner sac --steps 200000 --out runs/hover.zip

The file is a controller like any other: `simrl compare ... --controllers sac:runs/hover.zip`.
Off-policy learners use every step again and again, so they need few steps and long computation:
they pay where a step of the environment is dear.
"""

from __future__ import annotations

import json
import sys
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from stable_baselines3 import DDPG, SAC, TD3
from stable_baselines3.common.noise import NormalActionNoise

from simrl.adapters.stable_baselines3 import SB3Policy, SB3VecEnv
from simrl.core.actions import ContinuousActions
from simrl.core.plugins import make_env
from simrl.rollout import evaluate
from simrl.runs.options import parse_options

LEARNERS: dict[str, Any] = {"sac": SAC, "td3": TD3, "ddpg": DDPG}
COMMON: dict[str, Any] = {
    "learning_starts": 5_000,
    "batch_size": 256,
    "buffer_size": 1_000_000,
    "policy_kwargs": {"net_arch": [128, 128]},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "sac": {"learning_rate": 1e-3, "ent_coef": "auto"},
    "td3": {"learning_rate": 1e-3},
    "ddpg": {"learning_rate": 1e-3},
}
"""What each learner is given beside `COMMON`; one update for each step that was played."""
NOISE = 0.1
"""Deviation of the exploration of TD3 and DDPG, as a share of half the range of each action."""


@dataclass(frozen=True)
class Arguments:
    """Train an off-policy learner of stable-baselines3 and print how well it does."""

    env: tyro.conf.Positional[str]
    """Environment; its actions are continuous."""
    learner: Literal["sac", "td3", "ddpg"] = "sac"
    """Which learner."""
    steps: int = 200_000
    """Steps of the environments together."""
    num_envs: int = 8
    """Environments side by side."""
    gamma: float = 0.98
    """Discount of a reward one step later."""
    seed: int = 0
    """Seed of everything."""
    option: tuple[str, ...] = ()
    """Options of the environment, each NAME=VALUE with the value in YAML."""
    games: int = 50
    """Episodes that are played in the end."""
    out: Path = Path("runs/sb3.zip")
    """File of the model."""


def make_model(args: Arguments, env: SB3VecEnv, actions: ContinuousActions) -> Any:
    """Build the learner; `gradient_steps` of -1 makes one update for each step that was played."""
    settings = deepcopy({**COMMON, **SETTINGS[args.learner]})  # learners write into theirs
    if args.learner != "sac":
        # stable-baselines3 scales actions to -1..1 before it adds the noise.
        settings["action_noise"] = NormalActionNoise(
            np.zeros(actions.size), np.full(actions.size, NOISE)
        )
    return LEARNERS[args.learner](
        "MlpPolicy",
        env,
        train_freq=1,
        gradient_steps=-1,
        gamma=args.gamma,
        seed=args.seed,
        device="cpu",
        **settings,
    )


def main(args: Arguments) -> dict[str, float]:
    """Train, save, play, and return the figures that are printed as JSON."""
    torch.set_num_threads(1)  # small nets: a second thread costs more than it gives
    options = parse_options(args.option)
    env = make_env(args.env, args.num_envs, **options)
    actions = env.spec.actions
    if not isinstance(actions, ContinuousActions):
        raise ValueError(f"{args.env}: {args.learner} needs continuous actions")
    model = make_model(args, SB3VecEnv(env, seed=args.seed), actions)
    begin = time.perf_counter()
    model.learn(args.steps)
    minutes = (time.perf_counter() - begin) / 60.0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    model.save(args.out)
    games = make_env(args.env, args.games, **options)
    policy = SB3Policy(LEARNERS[args.learner].load(args.out, device="cpu"), games.spec)
    score = evaluate(games, policy, games=args.games, seed=1, deterministic=True).score()
    figures = {
        "return": score.mean_return,
        "return_low": score.return_low,
        "return_high": score.return_high,
        "train_min": minutes,
        **score.metrics,
    }
    sys.stdout.write(json.dumps({"figures": figures}) + "\n")
    return figures


if __name__ == "__main__":
    main(tyro.cli(Arguments))
