"""Ready-made training runs by name; each is a function that returns its config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simrl.learn.loop import LoopConfig
from simrl.learn.ppo import PPOConfig
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.nn.encoders import EncoderConfig
from simrl.runs import robot_presets
from simrl.runs.config import EvalConfig, TrainConfig
from simrl.selfplay.league import LeagueConfig


def cart_pole() -> TrainConfig:
    """Balance a pole: the smallest task, solved in seconds."""
    return TrainConfig(
        env="cart-pole",
        num_envs=32,
        net=ActorCriticConfig(hidden=(64, 64), activation="tanh", critic="separate"),
        ppo=PPOConfig(
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            epochs=10,
            minibatch_size=256,
            gamma=0.98,
            gae_lambda=0.8,
            entropy_coef=0.0,
        ),
        loop=LoopConfig(unroll=32, steps=100_000),
        evaluation=EvalConfig(games=20),
    )


def memory() -> TrainConfig:
    """Recall a cue seen steps ago: only a recurrent network can."""
    return TrainConfig(
        env="memory",
        num_envs=64,
        net=ActorCriticConfig(hidden=(64,), recurrent="lstm", recurrent_width=64),
        ppo=PPOConfig(learning_rate=1e-3, minibatch_size=512, entropy_coef=0.01),
        loop=LoopConfig(unroll=16, steps=400_000),
        evaluation=EvalConfig(games=200),
    )


def connect_four() -> TrainConfig:
    """Learn connect four by self-play against a league of past selves."""
    return TrainConfig(
        env="connect-four",
        num_envs=256,
        net=ActorCriticConfig(hidden=(256, 256)),
        ppo=PPOConfig(learning_rate=5e-4, minibatch_size=2048, gamma=0.99, entropy_coef=0.01),
        loop=LoopConfig(unroll=32, minutes=10.0),
        league=LeagueConfig(self_share=0.5, snapshot_steps=500_000),
        evaluation=EvalConfig(opponents=("random",), games=400),
    )


def moba_1v1() -> TrainConfig:
    """Train a 1v1 MOBA agent by self-play: the main job, half an hour on two cores."""
    return TrainConfig(
        env="moba-1v1",
        num_envs=256,
        net=ActorCriticConfig(
            hidden=(128,),
            encoder=EncoderConfig(table_width=32, map_channels=()),
            recurrent="lstm",
            recurrent_width=128,
            recurrent_bf16=True,
            attention_heads={"target": "targets"},
        ),
        ppo=PPOConfig(
            learning_rate=1.5e-3,
            learning_rate_schedule="linear",
            learning_rate_end=1e-4,
            # One pass over each batch: games are cheap, so fresh samples beat used ones.
            epochs=1,
            minibatch_size=1024,
            gamma=0.998,
            gae_lambda=0.95,
            entropy_coef=0.01,
            entropy_schedule="linear",
            entropy_coef_end=0.002,
            normalise_value=True,
            # Five value heads outweigh the policy in the gradient's norm: a tight limit, or an
            # epsilon near the size of the policy's gradients, would stop the policy.
            max_grad_norm=5.0,
            adam_epsilon=1e-8,
        ),
        loop=LoopConfig(unroll=16, minutes=30.0),
        league=LeagueConfig(
            self_share=0.4,
            scripted_share=0.5,
            scripted=("lane-pusher", "skill-user", "macro"),
            scripted_choice="pfsp-variance",
            snapshot_steps=1_500_000,
        ),
        evaluation=EvalConfig(
            opponents=("random-legal", "lane-pusher", "skill-user", "macro"), every_minutes=7.0
        ),
    )


def moba_1v1_demo() -> TrainConfig:
    """Train a first 1v1 MOBA agent in minutes; `make demo` runs this."""
    full = moba_1v1()
    return replace(
        full,
        loop=LoopConfig(unroll=16, minutes=3.0),
        evaluation=EvalConfig(
            opponents=("random-legal", "lane-pusher"),
            games=100,
            at_start=True,
            every_minutes=60.0,
        ),
    )


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "moba-1v1": moba_1v1,
    "moba-1v1-demo": moba_1v1_demo,
    "cart-pole": cart_pole,
    "memory": memory,
    "connect-four": connect_four,
    **robot_presets.PRESETS,
}
"""Every preset by the name that `simrl train` takes."""


def preset(name: str) -> TrainConfig:
    """Return the config of a preset; ValueError lists the valid names."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]()
