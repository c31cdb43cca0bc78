"""Everything that defines a training run, and its round trip through YAML."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import dacite
import torch
import tyro
import yaml

from simrl.core.files import write_atomic
from simrl.learn.loop import LoopConfig
from simrl.learn.ppo import PPOConfig
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.runs.curriculum import CurriculumConfig
from simrl.selfplay.league import LeagueConfig

T = TypeVar("T")

CONFIG_FILE = "config.yaml"
"""Name of the config in a run's folder; a folder that has one is a run."""

PREFERENCES_FILE = "preferences.yaml"
"""Name of the file beside it that says how a run learns its reward, if it does."""


@dataclass(frozen=True)
class EvalConfig:
    """Say how a run is measured while it trains and at its end."""

    opponents: tuple[str, ...] = ()
    """Scripted policies to play against; empty for tasks without opponents."""
    games: int = 200
    """Episodes against each opponent, sides swapped half way."""
    at_start: bool = False
    """Whether to measure the untrained agent, too, so that progress shows."""
    every_minutes: float = 5.0
    """Minutes of training between evaluations [min]."""
    deterministic: bool = False
    """Whether the agent plays its most likely action instead of a sample."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.games < 1:
            raise ValueError(f"evaluation.games must be at least 1, got {self.games}")
        if self.opponents and self.games % 2:
            raise ValueError(
                f"evaluation.games must be even, since sides are swapped, got {self.games}"
            )
        if self.every_minutes <= 0:
            raise ValueError(f"evaluation.every_minutes must be positive, got {self.every_minutes}")


@dataclass(frozen=True)
class TrainConfig:
    """Define a training run; the resolved values are saved in the run's folder."""

    env: str
    """Registered name of the environment."""
    env_options: Annotated[dict[str, Any], tyro.conf.Suppress] = field(default_factory=dict)
    """Fields of the environment's config that differ from their defaults."""
    num_envs: int = 64
    """Environments stepped side by side."""
    seed: int = 0
    """Seed from which every random stream is derived."""
    base: str = ""
    """Policy whose continuous actions the network corrects, by any name that `simrl evaluate`
    takes, such as nmpc:horizon=20; none: the network acts alone."""
    base_limit: float = 0.2
    """Largest correction, as a share of half the range of each action."""
    base_command: tuple[float, ...] = ()
    """Command the base instead of correcting its actions: by how much each number of the task's
    command may be changed, in its own unit."""
    base_every: int = 5
    """Steps of the environment for which a commanded base is told the same."""
    init: str = ""
    """Run whose weights this one begins with: RUN, RUN@best or RUN@12000000."""
    device: str = "cpu"
    """Where the networks live: cpu, cuda, cuda:1."""
    net: ActorCriticConfig = field(default_factory=ActorCriticConfig)
    """The network."""
    ppo: PPOConfig = field(default_factory=PPOConfig)
    """The learner."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(minutes=10.0))
    """Length of the run and of its batches, and how often it is saved."""
    league: LeagueConfig | None = None
    """Opponents of self-play; none for single-agent tasks."""
    curriculum: CurriculumConfig | None = None
    """Stages of the task, from easy to hard; none trains on one task throughout."""
    evaluation: EvalConfig = field(default_factory=EvalConfig)
    """How the run is measured."""
    wandb: bool = False
    """Whether to log to Weights & Biases as well (extra `wandb`)."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {self.num_envs}")
        if self.base and self.league is not None:
            raise ValueError("a run in a league cannot correct a base policy")
        if self.base_command and not self.base:
            raise ValueError("base_command needs a base: a policy that is commanded")
        check_device(self.device)


def check_device(name: str) -> None:
    """Raise ValueError if there is no device called `name` for torch here."""
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise ValueError(f"unknown device {name!r}; the devices are cpu, cuda, cuda:1") from error
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"unknown device {name!r}; the devices are cpu, cuda, cuda:1")


def to_dict(config: Any) -> dict[str, Any]:
    """Turn a config dataclass into plain dicts, lists and scalars."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def from_dict(kind: type[T], data: Mapping[str, Any], source: str = "config") -> T:
    """Build the config dataclass `kind`; ValueError names `source` and the offending field."""
    settings = dacite.Config(strict=True, cast=[tuple], type_hooks={float: _to_float})
    try:
        return dacite.from_dict(kind, data, settings)
    except (dacite.DaciteError, TypeError) as error:
        raise ValueError(f"{source}: {error}") from error


def save_config(config: TrainConfig, path: Path | str) -> None:
    """Write a config as YAML."""
    write_atomic(path, yaml.safe_dump(to_dict(config), sort_keys=False))


def load_config(path: Path | str) -> TrainConfig:
    """Read a config from YAML; ValueError names the file and the field."""
    try:
        data = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path} is not a config: expected a mapping, got {type(data).__name__}")
    return from_dict(TrainConfig, data, str(path))


def is_run(path: Path | str) -> bool:
    """Tell whether `path` is the folder of a training run."""
    return (Path(path) / CONFIG_FILE).is_file()


def run_config(path: Path | str) -> TrainConfig:
    """Read the config of a run; ValueError if the folder is none."""
    path = Path(path)
    if not is_run(path):
        raise ValueError(f"{path} is not a run: it has no {CONFIG_FILE}")
    return load_config(path / CONFIG_FILE)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _to_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got {value!r}")
    return float(value)
