"""Turn what people type into environments and players: names, runs, NAME=VALUE options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simrl.adapters.sb3_files import read_facts, split_name
from simrl.core.env import VecEnv
from simrl.core.plugins import env_names, make_env
from simrl.core.policy import Policy
from simrl.core.spec import EnvSpec
from simrl.runs.config import is_run, run_config
from simrl.runs.options import parse_options
from simrl.runs.policies import named_policy, named_run

MAX_ENVS = 256
"""Games that are played side by side."""


@dataclass(frozen=True)
class Stage:
    """Say which environment is played, with which options."""

    env: str
    """Registered name."""
    options: Mapping[str, Any]
    """Fields of the environment's config that differ from their defaults."""

    def make(self, num_envs: int) -> VecEnv:
        """Build the environments."""
        return make_env(self.env, num_envs, **self.options)

    def players(self, names: Sequence[str], spec: EnvSpec) -> dict[str, Policy]:
        """Build the policy of each name; ValueError lists the valid names."""
        return {name: named_policy(name, spec, self.options) for name in names}


def stage_for(names: Sequence[str], env: str | None, options: Sequence[str]) -> Stage:
    """Choose the environment: `env` if given, else that of the first learned one of `names`.

    `options` are NAME=VALUE texts; they replace those that it was trained with.  ValueError if
    neither says which environment it is.
    """
    given = parse_options(options)
    for name in names:
        trained = _trained(name)
        if trained is not None and env in (None, trained.env):
            return Stage(trained.env, {**trained.options, **given})
    if env is not None:
        return Stage(env, given)
    for name in names:
        if Path(named_run(name)[0]).is_dir():
            run_config(named_run(name)[0])  # says what is missing in that folder
    raise ValueError(
        f"none of {', '.join(names)} is a run, so name the environment with --env; "
        f"the environments are {', '.join(env_names())}"
    )


def _trained(name: str) -> Stage | None:
    """Return where a run, or a model of stable-baselines3 that says so, was trained."""
    if name.endswith(".zip"):
        facts = read_facts(split_name(name)[1])
        return Stage(facts["env"], facts["env_options"]) if "env" in facts else None
    folder = named_run(name)[0]
    if not is_run(folder):
        return None
    config = run_config(folder)
    return Stage(config.env, config.env_options)


def split_names(text: str) -> list[str]:
    """Split a comma-separated list, without blanks and doubles."""
    return list(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


def short_name(name: str) -> str:
    """Shorten a run's path to its folder's name, a file's to its own; other names stay."""
    if name.endswith(".zip"):
        kind, path = split_name(name)
        return f"{kind}:{path.stem}"
    folder = named_run(name)[0]
    return name.replace(folder, Path(folder).resolve().name, 1) if is_run(folder) else name
