"""Keep models of stable-baselines3 in files that say what they were trained on, and name them.

sac:best.zip, td3:..., ddpg:..., ppo:... and a2c:... are policies wherever a policy is named.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simrl.core.files import write_atomic
from simrl.core.policy import Policy
from simrl.core.spec import EnvSpec

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

LEARNERS: Mapping[str, str] = {
    "sac": "SAC",
    "td3": "TD3",
    "ddpg": "DDPG",
    "ppo": "PPO",
    "a2c": "A2C",
}
"""Learners by the word before a .zip file."""
FACTS = "simrl_facts"
"""Attribute of a model, and so entry of its file, that says what it was trained on."""


def save_model(model: BaseAlgorithm, path: Path | str, facts: Mapping[str, Any]) -> None:
    """Write a model to `path`, whole or not at all.

    facts: Plain values; "env" and "env_options" say in which environment it can act.
    """
    setattr(model, FACTS, json.loads(json.dumps(facts)))
    buffer = io.BytesIO()
    model.save(buffer)
    write_atomic(path, buffer.getvalue())


def read_facts(path: Path | str) -> dict[str, Any]:
    """Return what `save_model` was told; empty for other models.  Nothing of it is executed.

    ValueError if the file is none of stable-baselines3's.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(archive.read("data")).get(FACTS, {})
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no model of stable-baselines3: {error}") from error
    options = facts.get("env_options", {})
    for name, value in options.items():
        options[name] = tuple(value) if isinstance(value, list) else value
    return dict(facts)


def split_name(name: str) -> tuple[str, Path]:
    """Part `sac:FILE.zip` into learner and file; ValueError says what is wrong with it."""
    kind, colon, rest = name.partition(":")
    if not colon or kind not in LEARNERS:
        raise ValueError(
            f"{name}: say which learner of stable-baselines3 wrote it, such as "
            f"sac:{Path(rest or kind).name}; they are {', '.join(LEARNERS)}"
        )
    if not Path(rest).is_file():
        raise ValueError(f"there is no file {rest}")
    return kind, Path(rest)


def load_policy(name: str, spec: EnvSpec) -> Policy:
    """Load the policy called `sac:FILE.zip`; the file is trusted: it may hold code.

    ValueError if it was trained in another task, on other observations or with other actions.
    """
    kind, path = split_name(name)
    try:
        import stable_baselines3

        from simrl.adapters.stable_baselines3 import SB3Policy
    except ImportError as error:
        raise ValueError(f"{name} needs stable-baselines3: pip install 'simrl[sb3]'") from error
    trained = read_facts(path).get("env", spec.id)
    if trained != spec.id:
        raise ValueError(f"{path} was trained in {trained}, it cannot act in {spec.id}")
    try:
        model = getattr(stable_baselines3, LEARNERS[kind]).load(path, device="cpu")
    except Exception as error:
        raise ValueError(f"{path} cannot be read as {LEARNERS[kind]}: {error}") from error
    try:
        return SB3Policy(model, spec)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
