"""Train SAC, TD3 or DDPG of stable-baselines3 (extra `simrl[sb3]`), and its ready-made runs.

What a run leaves is one file, a policy like any other: `ddpg:runs/car.zip`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from simrl.adapters.sb3_files import save_model
from simrl.core.actions import ContinuousActions
from simrl.core.env import VecEnv
from simrl.core.plugins import make_env
from simrl.rollout.evaluate import evaluate

if TYPE_CHECKING:
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

CHECK_SEED = 1_000_003
"""Episodes that choose the best model begin from this seed plus the run's."""


@dataclass(frozen=True)
class OffPolicyConfig:
    """Define a run of an off-policy learner."""

    env: str
    """Environment; its actions are continuous."""
    env_options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the environment's config that differ from their defaults."""
    learner: Literal["sac", "td3", "ddpg"] = "sac"
    """Which learner."""
    steps: int = 200_000
    """Steps of the environments together."""
    num_envs: int = 8
    """Environments side by side."""
    updates: int = -1
    """Updates after each step of all environments; -1: as many as environments."""
    seed: int = 0
    """Seed of everything."""
    gamma: float = 0.98
    """Discount of a reward one step later."""
    learning_rate: float = 1e-3
    """Step size of Adam, for actor and critic."""
    tau: float = 0.005
    """Share by which the target networks follow in each update."""
    batch_size: int = 256
    """Samples of an update."""
    buffer_size: int = 1_000_000
    """Steps that the replay buffer holds."""
    learning_starts: int = 5_000
    """Steps of random actions before the first update."""
    hidden: tuple[int, ...] = (128, 128)
    """Widths of the layers of actor and critic."""
    noise: float = 0.1
    """Deviation of the exploration of TD3 and DDPG, as a share of half the range of each action."""
    channels: tuple[int, ...] = ()
    """Channels of the convolutions over pictures; (): the observation is one row of numbers."""
    check_steps: int = 0
    """Steps between evaluations, of whose models the best is kept; 0: the last model is kept."""
    check_games: int = 20
    """Episodes of an evaluation."""
    check_metric: str = ""
    """Metric by which models are compared, before the return; none: the return alone."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("steps", "num_envs", "batch_size", "buffer_size", "check_games"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.learner not in ("sac", "td3", "ddpg"):
            raise ValueError(f"unknown learner {self.learner!r}; they are sac, td3, ddpg")


def car_lane_camera() -> OffPolicyConfig:
    """Keep a car on unknown closed roads by what its camera sees.

    As in "Learning to drive in a day" (Kendall et al. 2019): DDPG, one small grey picture beside
    speed and steering, set-points of both as actions, and no reward but the distance until someone
    takes over.
    """
    return OffPolicyConfig(
        env="car-lane",
        env_options={
            "observations": "camera",
            "control": "setpoints",
            "reward": "distance",
            "takeover": 2.0,
            "lap": 400.0,
            "num_obstacles": 0,
            "max_steps": 1200,
        },
        learner="ddpg",
        steps=24_000,
        updates=4,
        tau=0.01,
        batch_size=32,
        buffer_size=50_000,
        learning_starts=2_000,
        hidden=(64, 64),
        noise=0.2,
        channels=(8, 16, 16, 16),
        check_steps=8_000,
        check_metric="lap_done",
    )


PRESETS: dict[str, Callable[[], OffPolicyConfig]] = {"car-lane-camera": car_lane_camera}
"""Every ready-made run by name."""


def make_model(config: OffPolicyConfig) -> OffPolicyAlgorithm:
    """Build environments and learner; ValueError if the actions are not continuous."""
    import stable_baselines3
    from stable_baselines3.common.noise import NormalActionNoise

    from simrl.adapters.sb3_extractor import PartsExtractor
    from simrl.adapters.stable_baselines3 import SB3VecEnv

    env = make_env(config.env, config.num_envs, **config.env_options)
    actions = env.spec.actions
    if not isinstance(actions, ContinuousActions):
        raise ValueError(f"{config.env}: {config.learner} needs continuous actions")
    if config.check_metric and config.check_metric not in env.spec.metrics:
        raise ValueError(
            f"{config.env} has no metric {config.check_metric!r}; "
            f"its metrics are {', '.join(env.spec.metrics)}"
        )
    parts = bool(config.channels)
    network: dict[str, Any] = {"net_arch": list(config.hidden)}
    if parts:
        network["features_extractor_class"] = PartsExtractor
        network["features_extractor_kwargs"] = {"channels": tuple(config.channels)}
    own: dict[str, Any] = {"ent_coef": "auto"}
    if config.learner != "sac":
        # stable-baselines3 scales actions to -1..1 before it adds the noise.
        sigma = np.full(actions.size, config.noise)
        own = {"action_noise": NormalActionNoise(np.zeros(actions.size), sigma)}
    learner = getattr(stable_baselines3, config.learner.upper())
    model: OffPolicyAlgorithm = learner(
        "MultiInputPolicy" if parts else "MlpPolicy",
        SB3VecEnv(env, seed=config.seed, parts=parts),
        train_freq=1,
        gradient_steps=config.updates,
        gamma=config.gamma,
        learning_rate=config.learning_rate,
        tau=config.tau,
        batch_size=config.batch_size,
        buffer_size=config.buffer_size,
        learning_starts=config.learning_starts,
        policy_kwargs=deepcopy(network),  # the learner writes into it
        seed=config.seed,
        device="cpu",
        **own,
    )
    return model


def train(
    config: OffPolicyConfig, out: Path | str, log: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Train, write the model to `out` and return what the file says about itself.

    "minutes" is the wall time until the end of training, evaluations included; "kept_steps" and
    "kept_minutes" say when the kept model was there.  Torch runs on one thread from here on: these
    nets are small, and a second thread costs more than it gives.
    """
    torch.set_num_threads(1)
    model = make_model(config)
    keeper = _Keeper(config, model, Path(out), log)
    part = config.check_steps or config.steps
    while model.num_timesteps < config.steps:
        left = config.steps - model.num_timesteps
        model.learn(min(part, left), reset_num_timesteps=model.num_timesteps == 0)
        keeper.look()
    return keeper.finish()


class _Keeper:
    """Keep the best model so far in the file of a run."""

    def __init__(
        self,
        config: OffPolicyConfig,
        model: OffPolicyAlgorithm,
        out: Path,
        log: Callable[[str], None],
    ) -> None:
        self.config, self.model, self.out, self.log = config, model, out, log
        self.begin = time.perf_counter()
        self.best: tuple[float, ...] = (-np.inf,)
        self.facts: dict[str, Any] = {}
        self.env: VecEnv | None = None

    def look(self) -> None:
        """Evaluate the model if it is to be, and write it if none was better."""
        value: tuple[float, ...] = (0.0,)
        told: dict[str, float] = {}
        if self.config.check_steps:
            value, told = self._evaluate()
        steps, minutes = self.model.num_timesteps, (time.perf_counter() - self.begin) / 60.0
        figures = ", ".join(f"{name} {figure:.4g}" for name, figure in told.items())
        self.log(f"{minutes:6.1f} min {steps:9,} steps   {figures}")
        if not self.config.check_steps or value > self.best:
            self.best = value
            self.facts = {
                **asdict(self.config),
                "kept_steps": steps,
                "kept_minutes": minutes,
                "check": told,
            }
            save_model(self.model, self.out, self.facts)

    def finish(self) -> dict[str, Any]:
        """Write into the file how long all of it took, and return its facts."""
        self.facts["minutes"] = (time.perf_counter() - self.begin) / 60.0
        kept = type(self.model).load(self.out, device="cpu")
        save_model(kept, self.out, self.facts)
        return self.facts

    def _evaluate(self) -> tuple[tuple[float, ...], dict[str, float]]:
        from simrl.adapters.stable_baselines3 import SB3Policy

        config = self.config
        if self.env is None:
            self.env = make_env(config.env, config.check_games, **config.env_options)
        policy, seed = SB3Policy(self.model, self.env.spec), CHECK_SEED + config.seed
        played = evaluate(
            self.env, policy, games=config.check_games, seed=seed, deterministic=True
        ).score()
        told = {"return": played.mean_return, **played.metrics}
        first = played.metrics[config.check_metric] if config.check_metric else 0.0
        return (first, played.mean_return), told
