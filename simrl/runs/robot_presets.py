"""Ready-made runs of PPO on robots; each is a function that returns its config.

Lengths are in steps, so that a seed gives the same policy whatever else the machine does.  All nets
are small and run on one torch thread; the physics takes every core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from simrl.learn.loop import LoopConfig
from simrl.learn.ppo import PPOConfig
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.nn.encoders import EncoderConfig
from simrl.runs.config import EvalConfig, TrainConfig
from simrl.runs.curriculum import CurriculumConfig


def cartpole_swingup() -> TrainConfig:
    """Swing a pole up and hold it."""
    return _run(
        "cartpole-swingup",
        {"seconds": 5.0},
        num_envs=128,
        unroll=64,
        steps=9_000_000,
        hidden=(64, 64),
        log_std=-0.5,
        gamma=0.99,
        epochs=8,
        minibatches=8,
    )


def quadrotor_track() -> TrainConfig:
    """Fly a figure of eight with a quadrotor.

    Long returns: the last centimetre is worth less than the critic is wrong by.
    """
    return _run(
        "quadrotor-track",
        {"seconds": 6.0},
        num_envs=128,
        unroll=64,
        steps=6_000_000,
        hidden=(64, 64),
        log_std=-1.2,
        gamma=0.975,
        gae_lambda=0.98,
    )


def arm_reach() -> TrainConfig:
    """Bring an arm's hand to a pose by targets of its joints' servos."""
    return _run(
        "arm-reach",
        {"control": "position", "seconds": 2.0},
        num_envs=128,
        unroll=64,
        steps=4_000_000,
        hidden=(128, 128),
        log_std=-1.0,
        gamma=0.97,
    )


def car_lane() -> TrainConfig:
    """Follow a road and pass what stands or drives on it, by numbers in the car's frame.

    Whether an obstacle is in the way takes its place in both axes, so each goes through two layers
    before the largest of each feature is taken.
    """
    run = _run(
        "car-lane",
        {},
        num_envs=128,
        unroll=64,
        steps=10_000_000,
        hidden=(128, 128),
        log_std=-1.0,
        gamma=0.98,
    )
    encoder = EncoderConfig(table_width=64, table_layers=2)
    return replace(run, net=replace(run.net, encoder=encoder))


def amr_pick() -> TrainConfig:
    """Correct a controller that takes an object from a shelf and puts it on another.

    The network adds to the speeds that the phases of `pick-place` ask for, at most a twentieth of
    their ranges.  Clones of the controller do not finish: it plans at the start what no observation
    shows later.
    """
    run = _run(
        "amr-pick",
        {"control": "velocity", "control_step": 0.04},
        num_envs=32,
        unroll=128,
        steps=49_152,
        hidden=(256, 128),
        log_std=-2.0,
        gamma=0.995,
        epochs=4,
    )
    return replace(
        run,
        base="pick-place:drive_every=3",
        base_limit=0.05,
        net=replace(run.net, critic="privileged"),
        ppo=replace(run.ppo, learning_rate=3e-4, adapt_kl=0.005),
    )


def quadruped_velocity() -> TrainConfig:
    """Walk with four legs at a commanded velocity, on flat ground.

    Physics steps and decimation are those of Rudin et al. 2022, "Learning to Walk in Minutes Using
    Massively Parallel Deep Reinforcement Learning", as is the step size that follows the KL
    divergence; the batch is eight times as small, for two cores instead of a GPU.  The entropy
    bonus keeps exploring until steps pay: with a third of it robots stand where they are.
    """
    return TrainConfig(
        env="quadruped-velocity",
        env_options={
            "physics_step": 0.005,
            "command_x": (-0.7, 1.2),
            "command_y": (-0.3, 0.3),
            "command_yaw": (-0.7, 0.7),
            "resample": 5.0,
        },
        num_envs=512,
        net=ActorCriticConfig(
            hidden=(128, 128),
            activation="tanh",
            critic="privileged",
            normalise_obs=True,
            initial_log_std=-0.9,
        ),
        ppo=PPOConfig(
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            learning_rate_end=1e-4,
            adapt_kl=0.01,
            epochs=4,
            minibatch_size=3072,
            gamma=0.99,
            gae_lambda=0.95,
            entropy_coef=0.01,
            entropy_schedule="linear",
            entropy_coef_end=0.003,
            dual_clip=None,
            normalise_value=True,
            max_grad_norm=1.0,
            threads=1,
        ),
        loop=LoopConfig(unroll=24, steps=14_000_000),
        evaluation=EvalConfig(games=50, every_minutes=60.0, deterministic=True),
    )


def quadruped_rough() -> TrainConfig:
    """Walk with four legs on rough ground by a curriculum, with everything randomised.

    Meant to begin with a run that walks on flat ground (`--init`).  The policy is blind: it sees
    what sensors tell, with noise; the critic sees forces, heights of the ground and everything
    without noise.  In training robots climb from nearly even ground and slow commands to the
    roughest and all commands, each at its own pace; they are measured on the roughest.
    """
    flat = quadruped_velocity()
    return replace(
        flat,
        env_options={
            **flat.env_options,
            "seconds": 10.0,  # a robot climbs by one level in an episode
            "terrain": "rough",
            "terrain_height": 0.3,
            "levels": 10,
            "first_level": 9,
            "first_commands": 0.6,
            "friction": (0.4, 1.2),
            "mass": (0.9, 1.1),
            "payload": (0.0, 3.0),
            "motor_gain": (0.9, 1.1),
            "latency": (0.0, 0.02),
            "observation_noise": 1.0,
            "push": (0.0, 10.0),
            "push_interval": 5.0,
        },
        num_envs=256,
        ppo=replace(flat.ppo, learning_rate=3e-4, learning_rate_end=5e-5),
        loop=LoopConfig(unroll=48, steps=6_000_000),
        # One stage: robots climb where they train, not where they are measured.
        curriculum=CurriculumConfig(stages=({"climb": True, "first_level": 0},)),
    )


def _gymnasium(name: str) -> Callable[[], TrainConfig]:
    """Make the preset of one of gymnasium's tasks: a million steps, as the literature reports."""

    def build() -> TrainConfig:
        return TrainConfig(
            env=f"gymnasium/{name}",
            num_envs=32,
            net=ActorCriticConfig(
                hidden=(64, 64),
                activation="tanh",
                critic="separate",
                normalise_obs=True,
                initial_log_std=-0.5,
            ),
            ppo=PPOConfig(
                learning_rate=3e-4,
                learning_rate_schedule="linear",
                epochs=10,
                minibatch_size=64,
                gamma=0.99,
                gae_lambda=0.95,
                entropy_coef=0.0,
                value_coef=0.25,
                dual_clip=None,
                normalise_value=True,
                threads=1,
            ),
            loop=LoopConfig(unroll=64, steps=1_000_000),
            evaluation=EvalConfig(games=50, every_minutes=60.0, deterministic=True),
        )

    build.__doc__ = f"Run gymnasium's {name} for a million steps."
    return build


def _run(
    env: str,
    options: dict[str, Any],
    *,
    num_envs: int,
    unroll: int,
    steps: int,
    hidden: tuple[int, ...],
    log_std: float,
    gamma: float,
    gae_lambda: float = 0.95,
    epochs: int = 6,
    minibatches: int = 4,
) -> TrainConfig:
    """Return what these runs share: short episodes, values apart, step sizes that fall to 0.

    Step sizes also follow how far the policy moves: else it jumps, and crashes now and then.
    Episodes are shorter than the task's, since most of what can be won is won soon after the start;
    where time cuts one, the value of its last observation stands for what would have followed.
    """
    return TrainConfig(
        env=env,
        env_options=options,
        num_envs=num_envs,
        net=ActorCriticConfig(
            hidden=hidden,
            activation="tanh",
            critic="separate",
            normalise_obs=True,
            initial_log_std=log_std,
        ),
        ppo=PPOConfig(
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            adapt_kl=0.01,
            epochs=epochs,
            minibatch_size=num_envs * unroll // minibatches,
            gamma=gamma,
            gae_lambda=gae_lambda,
            entropy_coef=0.0,
            dual_clip=None,
            normalise_value=True,
            threads=1,
        ),
        loop=LoopConfig(unroll=unroll, steps=steps),
        evaluation=EvalConfig(games=50, every_minutes=60.0, deterministic=True),
    )


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "cartpole-swingup": cartpole_swingup,
    "quadrotor-track": quadrotor_track,
    "arm-reach": arm_reach,
    "car-lane": car_lane,
    "amr-pick": amr_pick,
    "quadruped-velocity": quadruped_velocity,
    "quadruped-rough": quadruped_rough,
    "halfcheetah": _gymnasium("HalfCheetah-v5"),
    "hopper": _gymnasium("Hopper-v5"),
    "walker2d": _gymnasium("Walker2d-v5"),
}
"""Every preset of this module by name."""
