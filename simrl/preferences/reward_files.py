"""Save a reward ensemble as a folder, and load it again.

`reward_model.yaml` says how it is built and for what; `reward_model.safetensors` holds its weights,
its normalisers and its temperature.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import dacite
import yaml
from safetensors import SafetensorError
from safetensors.torch import load, save

from simrl.core.files import write_atomic
from simrl.core.spec import EnvSpec
from simrl.preferences.reward_model import RewardEnsemble, RewardModelConfig

CONFIG_FILE, WEIGHTS_FILE = "reward_model.yaml", "reward_model.safetensors"
"""Files of a saved reward model."""


def save_reward_model(ensemble: RewardEnsemble, folder: Path | str) -> None:
    """Write `ensemble` into `folder`, each file in one step."""
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in _state(ensemble)}
    config = {
        "env": ensemble.spec.id,
        "inputs": _inputs(ensemble.spec),
        "model": _plain(dataclasses.asdict(ensemble.config)),
    }
    write_atomic(Path(folder) / CONFIG_FILE, yaml.safe_dump(config, sort_keys=False))
    write_atomic(Path(folder) / WEIGHTS_FILE, save(tensors))


def load_reward_model(folder: Path | str, spec: EnvSpec) -> RewardEnsemble:
    """Read what `save_reward_model` wrote, for an environment of `spec`.

    ValueError names the file that is missing or damaged, or says that the model was learned on
    observations or actions of another shape.
    """
    path = Path(folder) / CONFIG_FILE
    try:
        data = yaml.safe_load(path.read_text())
        settings = dacite.Config(strict=True, cast=[tuple], type_hooks={float: float})
        config = dacite.from_dict(RewardModelConfig, data["model"], settings)
        learned_on, env = data["inputs"], data["env"]
    except (OSError, yaml.YAMLError, dacite.DaciteError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if learned_on != _inputs(spec):
        raise ValueError(
            f"{path}: the model was learned on {env} with {learned_on}, but {spec.id} has "
            f"{_inputs(spec)}"
        )
    ensemble = RewardEnsemble(spec, config)
    weights = Path(folder) / WEIGHTS_FILE
    try:
        ensemble.load_state_dict(load(weights.read_bytes()))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{weights} cannot be read: {error}") from error
    return ensemble


def _state(ensemble: RewardEnsemble) -> list[tuple[str, Any]]:
    return list(ensemble.state_dict().items())


def _inputs(spec: EnvSpec) -> dict[str, Any]:
    """Describe observation blocks and actions as plain data, for comparison."""
    blocks = {block.name: list(block.shape) for block in spec.observations["policy"].blocks}
    return {"observations": blocks, "actions": _plain(dataclasses.asdict(spec.actions))}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
