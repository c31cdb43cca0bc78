"""Tune four ways to fly a quadrotor by random search: as many trials of each, the same starts.

Every number that is tuned is drawn log-uniformly, from as far below the shipped value as above it;
what ships as zero or adapts itself is drawn about a value of the common size.  Trial 0 is what
ships.  A trial of a controller flies it; a trial of PPO is a whole short training, and flies what
it learned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from study import piece, play

from simrl.core import Policy, VecEnv
from simrl.core.plugins import make_env
from simrl.core.seeding import numpy_generator
from simrl.learn.loop import LoopConfig
from simrl.runs.config import TrainConfig
from simrl.runs.policies import named_policy
from simrl.runs.robot_presets import quadrotor_track
from simrl.runs.robot_scores import most_return
from simrl.runs.training import build_run

TASK = "quadrotor-track"
OPTIONS = {"seconds": 6.0, "threads": 1}
"""Options of the environment in which trials fly: episodes of the length that PPO trains on."""
TUNING, FRESH = 1, 2
"""Seeds of the starts on which settings are chosen, and of those on which they are measured."""
TRIAL_SEED = 100
"""Training seed of every trial of PPO."""

Setting = Mapping[str, float]
"""Tuned numbers by name; none: what ships."""


@dataclass(frozen=True)
class Range:
    """Say where a number is drawn: log-uniformly from middle / factor to middle * factor."""

    middle: float
    factor: float
    whole: bool = False
    """Whether it is rounded to a whole number; others are rounded to three digits."""

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a number."""
        value = self.middle * self.factor ** rng.uniform(-1.0, 1.0)
        return float(round(value)) if self.whole else float(f"{value:.3g}")


RANGES: Mapping[str, Mapping[str, Range]] = {
    # Only ratios of weights matter: that of the thrusts stays, and so does that of place in NMPC.
    "lqr": {
        "place": Range(1.0, 10.0),
        "turn": Range(1.0, 10.0),
        "speed": Range(1.0, 10.0),
        "spin": Range(1.0, 10.0),
        "preview": Range(50, 2.0, whole=True),
    },
    "nmpc": {
        "velocity": Range(1.0, 10.0),
        "tilt": Range(0.1, 10.0),
        "yaw": Range(1.0, 10.0),
        "spin": Range(0.05, 10.0),
        "thrust": Range(0.05, 10.0),
        "horizon": Range(20, 2.0, whole=True),
        "dt": Range(0.05, 2.0),
    },
    "mppi": {
        "horizon": Range(20, 2.0, whole=True),
        "samples": Range(32, 2.0, whole=True),
        "noise": Range(0.15, 3.0),
        "temperature": Range(0.1, 10.0),  # ships as 0, which adapts it
    },
    "ppo": {
        "learning_rate": Range(1e-3, 3.0),
        "beyond_gamma": Range(0.025, 3.0),  # 1 - gamma, and 1 - lambda
        "beyond_lambda": Range(0.02, 3.0),
        "std": Range(0.3, 3.0),
        "entropy": Range(1e-3, 10.0),  # ships as 0
        "width": Range(64, 2.0, whole=True),
    },
}
"""What is tuned of each: LQR's factors on the shipped weights, other numbers as they are."""


def settings(kind: str, trials: int) -> list[Setting]:
    """Return what ships, as {}, and `trials` drawn settings; the first ones stay if there are more.

    ValueError lists the kinds.
    """
    if kind not in RANGES:
        raise ValueError(f"unknown kind {kind!r}; the kinds are {', '.join(RANGES)}")
    rng = numpy_generator(0, f"quadrotor/{kind}")
    drawn = [{key: r.draw(rng) for key, r in RANGES[kind].items()} for _ in range(trials)]
    return [{}, *drawn]


def controller_name(kind: str, setting: Setting) -> str:
    """Return the name of a controller with its options, as `simrl compare` takes it."""
    if not setting:
        return kind
    s = {key: f"{value:g}" for key, value in setting.items()}
    if kind == "lqr":
        qpos = [*_scaled((40, 40, 60), setting["place"]), *_scaled((2, 2, 2), setting["turn"])]
        qvel = [*_scaled((4, 4, 6), setting["speed"]), *_scaled((0.1,) * 3, setting["spin"])]
        weights = f"{{qpos: [{', '.join(qpos)}], qvel: [{', '.join(qvel)}]}}"
        return f"lqr:state_weights={weights}:preview={s['preview']}"
    if kind == "nmpc":
        named = ("velocity", "tilt", "yaw", "spin", "thrust")
        weights = ", ".join(f"{key}: {s[key]}" for key in named)
        return f"nmpc:weights={{{weights}}}:horizon={s['horizon']}:dt={s['dt']}"
    if kind == "mppi":
        words = {**s, "noise": f"[{s['noise']}]"}
        return "mppi:" + ":".join(f"{key}={value}" for key, value in words.items())
    raise ValueError(f"{kind!r} is not a controller")


def _scaled(weights: tuple[float, ...], factor: float) -> list[str]:
    return [f"{weight * factor:.4g}" for weight in weights]


def ppo_config(setting: Setting, *, seed: int, steps: int | None = None) -> TrainConfig:
    """Return the preset with a setting; `steps` None: as long as the preset trains."""
    config = replace(quadrotor_track(), seed=seed)
    config = replace(config, env_options={**config.env_options, "threads": 1})
    if steps is not None:
        config = replace(config, loop=LoopConfig(unroll=config.loop.unroll, steps=steps))
    if not setting:
        return config
    width = int(setting["width"])
    net = replace(config.net, hidden=(width, width), initial_log_std=float(np.log(setting["std"])))
    ppo = replace(
        config.ppo,
        learning_rate=setting["learning_rate"],
        gamma=1.0 - setting["beyond_gamma"],
        gae_lambda=1.0 - setting["beyond_lambda"],
        entropy_coef=setting["entropy"],
    )
    return replace(config, net=net, ppo=ppo)


def trial(
    out: Path, kind: str, setting: Setting, *, starts: int, steps: int
) -> dict[str, np.ndarray]:
    """Return what `fly` does on the tuning starts, and "cpu", processor seconds, training included.

    steps: how long a trial of PPO trains.
    """
    facts = {"kind": kind, "setting": dict(setting), "starts": starts, **OPTIONS}
    facts |= {"steps": steps} if kind == "ppo" else {}

    def make() -> dict[str, np.ndarray]:
        begin = _processor_seconds()
        if kind == "ppo":
            flown = fly(_taught(setting, steps), starts, TUNING)
        else:
            flown = fly_named(controller_name(kind, setting), starts, TUNING)
        return {**flown, "cpu": np.array(_processor_seconds() - begin)}

    return piece(out, "trial", facts, make)


def fly_named(name: str, starts: int, seed: int) -> dict[str, np.ndarray]:
    """Do as `fly` with the policy called `name`."""
    return fly(lambda env: named_policy(name, env.spec, OPTIONS), starts, seed)


def fly(build: Callable[[VecEnv], Policy], starts: int, seed: int) -> dict[str, np.ndarray]:
    """Return each episode's "cost", what rewards lack to the most, its "rmse" [m] and "ended"."""
    env = make_env(TASK, starts, **OPTIONS)
    course = play(env, build(env), seed=seed)
    return {
        "cost": most_return(env.spec) - course.rewards.sum(axis=(0, 2)),
        "rmse": course.metrics["rmse"].reshape(starts),
        "ended": course.terminated.astype(float),
    }


def _taught(setting: Setting, steps: int) -> Callable[[VecEnv], Policy]:
    run = build_run(ppo_config(setting, seed=TRIAL_SEED, steps=steps))
    run.loop.run()
    run.net.eval()
    return lambda env: run.evaluation.policy


def _processor_seconds() -> float:
    """Return the processor time of this process and those that it started and saw end [s]."""
    return sum(os.times()[:4])
