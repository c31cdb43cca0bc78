"""Ready-made runs of expert iteration by name; each is a function that returns its config."""

from __future__ import annotations

from collections.abc import Callable

from simrl.learn.expert_iteration import ExpertIterationConfig
from simrl.learn.exploration import ExplorationConfig
from simrl.learn.loop import LoopConfig
from simrl.learn.search_learner import SearchLearnerConfig
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.nn.encoders import EncoderConfig
from simrl.runs.config import EvalConfig
from simrl.runs.expert import ExpertConfig
from simrl.search.config import GumbelConfig, PuctConfig, SearchConfig

SELF_PLAY = GumbelConfig(rescale=False, value_scale=0.3)
"""Values of a board game are wins and losses, 1 and -1: their differences count as they are."""

PLAY = PuctConfig(value_low=-1.0, value_high=1.0)
"""The same for play without noise."""


def tic_tac_toe() -> ExpertConfig:
    """Learn tic-tac-toe in half a minute, well enough never to lose."""
    return ExpertConfig(
        env="tic-tac-toe",
        num_envs=128,
        net=ActorCriticConfig(hidden=(64, 64), encoder=EncoderConfig(maps="flat")),
        search=SearchConfig(simulations=16, gumbel=SELF_PLAY, solve=True),
        play=SearchConfig(simulations=32, rule="puct", puct=PLAY, solve=True),
        exploration=ExplorationConfig(random_moves=3, sampled_moves=3),
        mirror=True,
        capacity=50_000,
        learner=SearchLearnerConfig(learning_rate=3e-3, minibatch_size=256),
        iteration=ExpertIterationConfig(warmup=2_000),
        loop=LoopConfig(unroll=8, steps=150_000),
        snapshot_steps=30_000,
        evaluation=EvalConfig(opponents=("tactical", "random"), games=200),
    )


def connect_four() -> ExpertConfig:
    """Learn connect four by searches that play each other: a quarter of an hour on one core."""
    return ExpertConfig(
        env="connect-four",
        num_envs=512,
        net=ActorCriticConfig(hidden=(256, 256), encoder=EncoderConfig(maps="flat")),
        search=SearchConfig(simulations=32, gumbel=SELF_PLAY, solve=True),
        play=SearchConfig(simulations=200, rule="puct", puct=PLAY, solve=True),
        mirror=True,
        capacity=300_000,
        iteration=ExpertIterationConfig(draws=8.0, warmup=20_000),
        loop=LoopConfig(unroll=8, steps=2_500_000),
        evaluation=EvalConfig(opponents=("tactical", "mcts:1000"), games=100, every_minutes=5.0),
    )


PRESETS: dict[str, Callable[[], ExpertConfig]] = {
    "connect-four": connect_four,
    "tic-tac-toe": tic_tac_toe,
}
"""Every preset by the name that `simrl expert train` takes."""


def preset(name: str) -> ExpertConfig:
    """Return the config of a preset; ValueError lists the valid names."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]()
