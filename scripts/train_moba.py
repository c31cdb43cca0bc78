"""Train a 1v1 MOBA agent by self-play, in the open: copy this file and change what you like.

    python scripts/train_moba.py --minutes 30 --out runs/my-agent

It trains what `simrl train moba-1v1` trains, with the parts laid out: environment, network, league,
engine, learner, and the loop that calls them.  `simrl evaluate`, `simrl play` and the others take
its folder like any other run's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from simrl.core.plugins import make_env, make_scripted
from simrl.learn.checkpoint import Checkpoints
from simrl.learn.loop import LoopConfig
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOConfig, PPOLearner
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.nn.encoders import EncoderConfig
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.evaluate import evaluate
from simrl.rollout.observers import EpisodeStats
from simrl.runs.config import CONFIG_FILE, EvalConfig, TrainConfig, save_config
from simrl.selfplay.league import League, LeagueConfig

ENV = "moba-1v1"
OPPONENTS = ("random-legal", "lane-pusher", "skill-user", "macro")
UNROLL = 16

NET = ActorCriticConfig(
    hidden=(128,),
    encoder=EncoderConfig(table_width=32, map_channels=()),
    recurrent="lstm",
    recurrent_width=128,
    recurrent_bf16=True,
    attention_heads={"target": "targets"},  # target = softmax(query . keys of the units)
)
PPO = PPOConfig(
    learning_rate=1.5e-3,
    learning_rate_schedule="linear",
    learning_rate_end=1e-4,
    epochs=1,
    minibatch_size=1024,
    gamma=0.998,
    gae_lambda=0.95,
    entropy_coef=0.01,
    entropy_schedule="linear",
    entropy_coef_end=0.002,
    normalise_value=True,
    max_grad_norm=5.0,
    adam_epsilon=1e-8,
)
# Games against oneself, past selves and scripted opponents, those near its strength most often.
LEAGUE = LeagueConfig(
    self_share=0.4,
    scripted_share=0.5,
    scripted=OPPONENTS[1:],
    scripted_choice="pfsp-variance",
    snapshot_steps=1_500_000,
)


@dataclass
class Arguments:
    """Train a 1v1 MOBA agent by self-play."""

    minutes: float = 30.0
    """How long to train [min]."""
    num_envs: int = 256
    """Games played side by side."""
    seed: int = 0
    """Seed of every random stream."""
    games: int = 200
    """Games against each scripted opponent at the end, half on either side."""
    out: Path = Path("runs/my-agent")
    """Where checkpoints go."""


def main(args: Arguments) -> None:
    """Train, evaluate, save."""
    torch.manual_seed(args.seed)  # the network's first weights
    env = make_env(ENV, args.num_envs)
    net = ActorCritic(env.spec, NET)
    policy = NetworkPolicy(net)

    def make_frozen() -> tuple[ActorCritic, NetworkPolicy]:
        frozen = ActorCritic(env.spec, NET).eval().requires_grad_(False)
        return frozen, NetworkPolicy(frozen, values=False)

    scripted = {name: make_scripted(ENV, name) for name in OPPONENTS}
    league = League(env.spec, args.num_envs, policy, make_frozen, scripted, LEAGUE, seed=args.seed)
    league.update(0, net.state_dict())  # the untrained agent is the first past self
    stats = EpisodeStats()
    engine = RolloutEngine(
        env, league.seating, seed=args.seed, matchmaker=league, observers=[stats, league]
    )
    learner = PPOLearner(net, PPO, seed=args.seed)

    steps, started = 0, time.monotonic()
    while (progress := (time.monotonic() - started) / (60 * args.minutes)) < 1.0:
        buffer = engine.collect(UNROLL)
        metrics = learner.update(buffer, progress)
        steps += buffer.num_steps
        league.update(steps, net.state_dict())
        if learner.updates % 100 == 0:
            rate = steps / (time.monotonic() - started)
            entropy = metrics["loss/entropy"]
            print(f"{progress:4.0%} {steps:>11,} steps, {rate:,.0f}/s, entropy {entropy:.2f}")
            print(f"     {stats.summary()}\n     {league.metrics()}")

    # The config makes the folder a run: it says how to build the network around the weights.
    config = TrainConfig(
        env=ENV,
        num_envs=args.num_envs,
        seed=args.seed,
        net=NET,
        ppo=PPO,
        loop=LoopConfig(unroll=UNROLL, minutes=args.minutes),
        league=LEAGUE,
        evaluation=EvalConfig(opponents=OPPONENTS),
    )
    save_config(config, args.out / CONFIG_FILE)
    Checkpoints(args.out / "checkpoints").save(steps, {"parts": {"learner": learner.state_dict()}})
    games = make_env(ENV, args.games)
    for score in evaluate(games, policy, scripted, games=args.games, seed=1).scores:
        low, high = score.win_low, score.win_high
        print(f"{score.opponent:>12}: won {score.win_rate:.1%} ({low:.1%} to {high:.1%})")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
