"""Train a 1v1 MOBA agent by self-play, in the open: copy this file and change what you like.

    python scripts/train_moba.py --minutes 30 --out runs/my-agent

It does what `simrl train moba-1v1` does, with the parts laid out: environment, network, league,
engine, learner, and the loop that calls them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from simrl.core.plugins import make_env, make_scripted
from simrl.learn.checkpoint import Checkpoints
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOConfig, PPOLearner
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.evaluate import evaluate
from simrl.rollout.observers import EpisodeStats
from simrl.selfplay.league import League, LeagueConfig

ENV = "moba-1v1"
OPPONENTS = ("random-legal", "lane-pusher", "skill-user")


@dataclass
class Arguments:
    """Train a 1v1 MOBA agent by self-play."""

    minutes: float = 30.0
    """How long to train [min]."""
    num_envs: int = 256
    """Games played side by side."""
    seed: int = 0
    """Seed of every random stream."""
    out: Path = Path("runs/my-agent")
    """Where checkpoints go."""


def main(args: Arguments) -> None:
    """Train, evaluate, save."""
    torch.manual_seed(args.seed)  # the network's first weights
    env = make_env(ENV, args.num_envs)
    net_config = ActorCriticConfig(
        hidden=(128,),
        recurrent="lstm",
        recurrent_bf16=True,
        attention_heads={"target": "targets"},  # target = softmax(query . keys of the units)
    )
    net = ActorCritic(env.spec, net_config)
    policy = NetworkPolicy(net)

    def make_frozen() -> tuple[ActorCritic, NetworkPolicy]:
        frozen = ActorCritic(env.spec, net_config).eval().requires_grad_(False)
        return frozen, NetworkPolicy(frozen, values=False)

    # Most games are against oneself; the others against past selves and scripted opponents.
    league_config = LeagueConfig(self_share=0.7, scripted_share=0.15, scripted=OPPONENTS[1:])
    scripted = {name: make_scripted(ENV, name) for name in OPPONENTS}
    league = League(
        env.spec, args.num_envs, policy, make_frozen, scripted, league_config, seed=args.seed
    )
    stats = EpisodeStats()
    engine = RolloutEngine(
        env, league.seating, seed=args.seed, matchmaker=league, observers=[stats, league]
    )
    learner = PPOLearner(net, PPOConfig(epochs=1, gamma=0.995, normalise_value=True))

    steps, started = 0, time.monotonic()
    while (progress := (time.monotonic() - started) / (60 * args.minutes)) < 1.0:
        buffer = engine.collect(16)
        metrics = learner.update(buffer, progress)
        steps += buffer.num_steps
        league.update(steps, net.state_dict())
        if learner.updates % 100 == 0:
            rate = steps / (time.monotonic() - started)
            entropy = metrics["loss/entropy"]
            print(f"{progress:4.0%} {steps:>11,} steps, {rate:,.0f}/s, entropy {entropy:.2f}")
            print(f"     {stats.summary()}\n     {league.metrics()}")

    Checkpoints(args.out / "checkpoints").save(steps, {"parts": {"learner": learner.state_dict()}})
    games = make_env(ENV, 200)
    for score in evaluate(games, policy, scripted, games=200, seed=1).scores:
        low, high = score.win_low, score.win_high
        print(f"{score.opponent:>12}: won {score.win_rate:.1%} ({low:.1%} to {high:.1%})")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
