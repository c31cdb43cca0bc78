"""Ready-made runs on learned rewards by name; each is a function that returns its config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simrl.learn.loop import LoopConfig
from simrl.learn.ppo import PPOConfig
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.preferences.collect_loop import QueryConfig
from simrl.preferences.relabel import PREFERENCE, RelabelConfig
from simrl.preferences.reward_model import RewardModelConfig
from simrl.preferences.reward_training import RewardTrainerConfig
from simrl.runs.config import EvalConfig, TrainConfig
from simrl.runs.preferences import PreferenceConfig
from simrl.runs.presets import cart_pole as plain_cart_pole
from simrl.runs.presets import moba_1v1


def pendulum() -> PreferenceConfig:
    """Swing up a pendulum by 400 comparisons."""
    return PreferenceConfig(
        train=TrainConfig(
            env="pendulum",
            num_envs=8,
            net=ActorCriticConfig(hidden=(64, 64), activation="tanh", critic="separate"),
            ppo=PPOConfig(
                learning_rate=2e-3,
                learning_rate_schedule="linear",
                epochs=10,
                minibatch_size=128,
                gamma=0.9,
                gae_lambda=0.95,
                entropy_coef=0.0,
                normalise_value=True,
            ),
            loop=LoopConfig(unroll=64, steps=100_000),
            evaluation=EvalConfig(games=50, deterministic=True),
        ),
        queries=QueryConfig(
            labels=400, first=40, per_round=20, segment=50, recording=1, selection="uniform"
        ),
        # A reward of states: with few labels an action's part in it is mostly noise.
        model=RewardModelConfig(hidden=(64, 64), use_action=False),
        fit=RewardTrainerConfig(learning_rate=1e-3, batch_size=32, epochs=20),
    )


def cart_pole() -> PreferenceConfig:
    """Balance a pole by 200 comparisons; episodes end early, so the horizon varies."""
    return PreferenceConfig(
        train=plain_cart_pole(),
        queries=QueryConfig(labels=200, first=40, per_round=20, segment=50, recording=2),
        # That the pole stands is all that there is to like: a reward of states.
        model=RewardModelConfig(hidden=(64, 64), use_action=False),
        # Most pairs are ties, which say nothing about the share that is ranked right.
        fit=RewardTrainerConfig(learning_rate=1e-3, batch_size=32, epochs=20, stop_accuracy=2.0),
    )


def half_cheetah() -> PreferenceConfig:
    """Run as a half cheetah (gymnasium's HalfCheetah-v5) by 500 comparisons."""
    return PreferenceConfig(
        train=TrainConfig(
            env="gymnasium/HalfCheetah-v5",
            num_envs=16,
            net=ActorCriticConfig(
                hidden=(64, 64),
                activation="tanh",
                critic="separate",
                initial_log_std=-0.5,
                normalise_obs=True,
            ),
            ppo=PPOConfig(
                learning_rate=1e-3,
                learning_rate_schedule="linear",
                epochs=5,
                minibatch_size=512,
                gamma=0.99,
                gae_lambda=0.95,
                entropy_coef=0.0,
                normalise_value=True,
            ),
            loop=LoopConfig(unroll=128, steps=500_000),
            evaluation=EvalConfig(games=10, deterministic=True),
        ),
        # Its gaits change all the time, so it is asked about to the end.
        queries=QueryConfig(
            labels=500,
            first=50,
            per_round=25,
            segment=50,
            recording=1,
            schedule="constant",
            until=0.9,
        ),
        # Less where the models disagree: it would learn gaits that only look good to the mean.
        relabel=RelabelConfig(pessimism=1.0),
        model=RewardModelConfig(hidden=(128, 128)),
        fit=RewardTrainerConfig(learning_rate=1e-3, batch_size=64, epochs=20, label_noise=0.0),
    )


def moba_style() -> PreferenceConfig:
    """Give a trained 1v1 MOBA agent (--init RUN) a style, beside its own reward."""
    train = moba_1v1()
    return PreferenceConfig(
        train=replace(
            train,
            # A style is what an agent does itself, not what it does more of than its opponent.
            env_options={"zero_sum": False},
            # Fewer games that come further: an update then is a longer stretch of play.
            num_envs=64,
            # It is trained already: small steps that end at 0 keep what it can do.
            # A style is judged by what is seen, so it looks few seconds ahead: with the game's own
            # horizon it would outweigh the game.
            ppo=replace(
                train.ppo,
                learning_rate=5e-4,
                learning_rate_end=0.0,
                group_gamma={PREFERENCE: 0.95},
            ),
            loop=LoopConfig(unroll=16, minutes=10.0),
        ),
        terms={"kill": 1.0, "hurt_hero": 0.5},
        # Six seconds a clip; few rounds, since a fit over tables of units takes a while.
        queries=QueryConfig(
            labels=600,
            first=100,
            per_round=100,
            start=0.1,
            segment=45,
            recording=1,
            pool=4096,
        ),
        # The learned reward pays at every step, the game's at few: at 0.15 it drowned the game.
        relabel=RelabelConfig(mode="add", weight=0.05),
        model=RewardModelConfig(hidden=(64, 64), output="linear", absorbing=False),
        fit=RewardTrainerConfig(learning_rate=1e-3, batch_size=64, epochs=10, l2=0.01),
    )


PRESETS: dict[str, Callable[[], PreferenceConfig]] = {
    "pendulum": pendulum,
    "cart-pole": cart_pole,
    "half-cheetah": half_cheetah,
    "moba-style": moba_style,
}
"""Every preset by the name that `simrl prefs train` takes."""


def preset(name: str) -> PreferenceConfig:
    """Return the config of a preset; ValueError lists the valid names."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]()
