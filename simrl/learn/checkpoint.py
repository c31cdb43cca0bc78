"""Save and load whole training states, so that a run killed at any moment can be resumed.

A checkpoint is a folder `checkpoints/000000012345/` (named by agent-steps) that appears in one
rename: `tensors.safetensors` holds every tensor, `state.json` everything else, `manifest.json` the
sha256 of both.  `load_newest` takes the newest folder whose hashes hold.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from simrl.core.files import sync_folder, write_atomic

logger = logging.getLogger(__name__)

_TENSOR = "__tensor__"
_INT_KEYS = "__int_keys__"

TENSORS, STATE = FILES = ("tensors.safetensors", "state.json")
"""Files of a checkpoint, whose hashes its `manifest.json` holds."""


def flatten(state: Any) -> tuple[Any, dict[str, Tensor]]:
    """Split nested dicts and lists into JSON data and a flat dict of tensors.

    Leaves may be tensors, numbers, strings, booleans and None; anything else is a ValueError that
    names where it stands.
    """
    tensors: dict[str, Tensor] = {}

    def visit(value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            tensors[path] = value.detach().cpu().contiguous().clone()
            return {_TENSOR: path}
        if isinstance(value, Mapping):
            if all(isinstance(key, str) for key in value):
                return {key: visit(item, f"{path}/{key}") for key, item in value.items()}
            if all(isinstance(key, int) for key in value):
                items = {str(key): visit(item, f"{path}/{key}") for key, item in value.items()}
                return {_INT_KEYS: items}
            raise ValueError(f"checkpoint: keys of {path or '/'} must be all text or all integers")
        if isinstance(value, list | tuple):
            return [visit(item, f"{path}/{index}") for index, item in enumerate(value)]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise ValueError(f"checkpoint: cannot store a {type(value).__name__} at {path or '/'}")

    return visit(state, ""), tensors


def unflatten(data: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Put back together what `flatten` took apart; tuples come back as lists."""
    if isinstance(data, dict):
        if set(data) == {_TENSOR}:
            return tensors[data[_TENSOR]]
        if set(data) == {_INT_KEYS}:
            return {int(key): unflatten(item, tensors) for key, item in data[_INT_KEYS].items()}
        return {key: unflatten(item, tensors) for key, item in data.items()}
    if isinstance(data, list):
        return [unflatten(item, tensors) for item in data]
    return data


class Checkpoints:
    """Keep the newest few checkpoints of a run, and the best one by evaluation."""

    def __init__(self, folder: Path | str, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self.folder = Path(folder)
        self.keep = keep

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write the state reached after `step` agent-steps and drop the oldest beyond `keep`.

        Later ones are dropped as well: a run that goes on from an earlier checkpoint does so
        because they are damaged.  OSError (a full disk) leaves every earlier one as it was.
        """
        path = self._write(self._path(step), state)
        keep = [known for known in self.steps() if known <= step][-self.keep :]
        for known in set(self.steps()) - set(keep):
            shutil.rmtree(self._path(known), ignore_errors=True)
            shutil.rmtree(_retired(self._path(known)), ignore_errors=True)
        for rest in self.folder.glob(".*.partial"):  # of a process that was killed while it wrote
            shutil.rmtree(rest, ignore_errors=True)
        return path

    def save_best(self, state: Mapping[str, Any]) -> Path:
        """Replace the best checkpoint."""
        return self._write(self.folder / "best", state)

    def steps(self) -> list[int]:
        """List the agent-steps at which there are checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        names = {_unretired(path.name) for path in self.folder.iterdir()}
        return sorted(int(name) for name in names if name.isdigit())

    def load_newest(self) -> tuple[int, Any]:
        """Load the newest checkpoint that is whole; ValueError if there is none.

        A damaged one is passed over with a warning.
        """
        problems = []
        for step in reversed(self.steps()):
            try:
                return step, self.load(step)
            except ValueError as error:
                logger.warning("passed over a damaged checkpoint: %s", error)
                problems.append(str(error))
        detail = f" ({'; '.join(problems)})" if problems else ""
        raise ValueError(f"{self.folder} holds no whole checkpoint{detail}")

    def load(self, step: int) -> Any:
        """Load the checkpoint after `step` agent-steps; ValueError if it is missing or damaged."""
        return read_checkpoint(self._path(step))

    def has_best(self) -> bool:
        """Tell whether there is a best checkpoint."""
        best = self.folder / "best"
        return best.is_dir() or _retired(best).is_dir()

    def load_best(self) -> Any:
        """Load the best checkpoint; ValueError if there is none or it is damaged."""
        return read_checkpoint(self.folder / "best")

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:012d}"

    def _write(self, path: Path, state: Mapping[str, Any]) -> Path:
        data, tensors = flatten(state)
        files = {
            TENSORS: save(tensors),
            STATE: json.dumps(data).encode(),
        }
        manifest = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        temporary = path.with_name(f".{path.name}.partial")
        retired = _retired(path)
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            for name, content in files.items():
                write_atomic(temporary / name, content)
            write_atomic(temporary / "manifest.json", json.dumps(manifest))
            shutil.rmtree(retired, ignore_errors=True)
            if path.exists():
                os.rename(path, retired)
            os.rename(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            if retired.exists() and not path.exists():
                os.rename(retired, path)
            raise
        shutil.rmtree(retired, ignore_errors=True)
        sync_folder(path.parent)
        return path


def read_checkpoint(path: Path | str) -> Any:
    """Read one checkpoint folder; ValueError names the folder and the fault."""
    path = Path(path)
    if not path.is_dir() and _retired(path).is_dir():
        path = _retired(path)  # killed between two renames
    try:
        manifest = json.loads((path / "manifest.json").read_text())
        if not isinstance(manifest, dict) or set(manifest) != set(FILES):
            raise ValueError(f"manifest.json must name {' and '.join(FILES)}")
        contents = {name: (path / name).read_bytes() for name in FILES}
    except (OSError, ValueError) as error:
        raise ValueError(f"checkpoint {path} cannot be read: {error}") from error
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest[name]:
            raise ValueError(f"checkpoint {path} is damaged: the hash of {name} does not match")
    tensors = load(contents[TENSORS])
    return unflatten(json.loads(contents[STATE]), tensors)


def _retired(path: Path) -> Path:
    """Return where a checkpoint stands while its successor takes its place."""
    return path.with_name(f".{path.name}.old")


def _unretired(name: str) -> str:
    """Return the name of the checkpoint that a folder called `name` holds."""
    return name[1:-4] if name.startswith(".") and name.endswith(".old") else name
