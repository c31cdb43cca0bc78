"""A clip: a few seconds of one agent's play, with all that it takes to see and to replay them."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from simrl.core.plugins import env_plugin, make_config

CLIP_ID: Final = re.compile(r"[0-9a-f]{16}")
"""What every id looks like; nothing else is ever made into a path."""
ARRAYS: Final = (
    *("snapshot", "lead", "obs", "action", "reward", "reward_terms", "terminated", "truncated"),
)
"""Names of the arrays of a clip."""
_META: Final = "meta"
_DAMAGE: Final = (
    *(KeyError, TypeError, ValueError, AttributeError, IndexError, EOFError, OSError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)
"""What reading damaged bytes may raise."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Hold T steps within one episode of A agents, seen from one agent's seat.

    The content names itself: `id` is a hash of everything here.  ValueError if shapes disagree or a
    number is not finite.
    """

    env: str
    """Registered name of the environment."""
    env_options: Mapping[str, Any]
    """Fields of the environment's config that differ from their defaults."""
    seat: int
    """Agent that is judged."""
    policies: tuple[str, ...]
    """Who sat at each agent's seat."""
    seed: int
    """Seed of the play that it was cut from."""
    config_hash: str
    """Hash of the environment's resolved config, see `config_hash_of`."""
    step_seconds: float
    """Simulated seconds of one step; 0 if time has no unit [s]."""
    episode: str
    """Name of the trajectory that it was cut from; data are split by it."""
    snapshot: np.ndarray
    """State of the simulator `[S]` some steps before the clip."""
    lead: np.ndarray
    """Joint actions `[K, A, ...]` that lead from the snapshot to the clip's first step."""
    obs: np.ndarray
    """What the judged agent saw, group "policy", `[T, D]` float32."""
    action: np.ndarray
    """Joint actions `[T, A, heads]` int64 or `[T, A, size]` float32."""
    reward: np.ndarray
    """The task's own reward of each agent `[T, A]` float32."""
    reward_terms: np.ndarray
    """Unweighted terms `[T, A, R]` float32; R = 0 if rewards are not itemised."""
    terminated: np.ndarray
    """Whether a step ended the episode by the task's own rules `[T]` bool; only the last may."""
    truncated: np.ndarray
    """Whether a time limit cut the episode at a step `[T]` bool; only the last may."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Figures of the judged agent in this clip, to be shown or hidden."""

    def __post_init__(self) -> None:
        """Check what the parts say of each other."""
        object.__setattr__(self, "env_options", as_options(self.env_options))
        object.__setattr__(self, "policies", tuple(self.policies))
        steps = len(self.action)
        if steps < 1 or self.action.ndim < 3:
            raise ValueError(f"a clip's action is [T, A, ...] with T >= 1, got {self.action.shape}")
        agents = self.action.shape[1]
        if not 0 <= self.seat < agents:
            raise ValueError(f"seat must be in 0..{agents - 1}, got {self.seat}")
        lead = (len(self.lead), *self.action.shape[1:])
        wanted: dict[str, tuple[int, ...]] = {
            "snapshot": (self.snapshot.size,),
            "lead": lead,
            "obs": (steps, self.obs.shape[-1] if self.obs.ndim else 0),
            "reward": (steps, agents),
            "reward_terms": (steps, agents, self.reward_terms.shape[-1]),
            "terminated": (steps,),
            "truncated": (steps,),
        }
        for name, shape in wanted.items():
            got = getattr(self, name).shape
            if got != shape:
                raise ValueError(f"a clip of {steps} steps has {name} {shape}, got {got}")
        if bool((self.terminated[:-1] | self.truncated[:-1]).any()):
            raise ValueError("a clip lies within one episode: only its last step may end one")
        for name in ("obs", "reward", "reward_terms"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"a clip's {name} must be finite")
        for name, value in self.metrics.items():
            if not np.isfinite(value):
                raise ValueError(f"a clip's metric {name!r} must be finite, got {value}")

    @property
    def num_steps(self) -> int:
        """Count the steps T."""
        return len(self.action)

    @property
    def seconds(self) -> float:
        """Return the simulated length [s]; 0 if time has no unit."""
        return self.num_steps * self.step_seconds

    @property
    def id(self) -> str:
        """Return 16 hex digits of sha256 over the content: facts, arrays, their types and shapes.

        The same content has the same id on every machine.
        """
        digest = hashlib.sha256(_canonical(self.facts()).encode())
        for name in ARRAYS:
            array = np.ascontiguousarray(getattr(self, name))
            kind = array.dtype.newbyteorder("<")
            digest.update(f"{name} {kind.str} {array.shape}".encode())
            digest.update(array.astype(kind, copy=False).tobytes())
        return digest.hexdigest()[:16]

    def facts(self) -> dict[str, Any]:
        """Return everything but the arrays, ready for JSON."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        facts = {name: value for name, value in plain.items() if name not in ARRAYS}
        facts["policies"] = list(self.policies)
        facts["metrics"] = {name: float(value) for name, value in self.metrics.items()}
        facts["seat"], facts["seed"] = int(self.seat), int(self.seed)
        facts["step_seconds"] = float(self.step_seconds)
        loaded: dict[str, Any] = json.loads(_canonical(facts))
        return loaded

    def to_bytes(self) -> bytes:
        """Return the clip as an npz file without pickles."""
        content = io.BytesIO()
        arrays: dict[str, Any] = {name: getattr(self, name) for name in ARRAYS}
        meta = np.frombuffer(_canonical(self.facts()).encode(), np.uint8)
        np.savez_compressed(content, allow_pickle=False, **arrays, **{_META: meta})
        return content.getvalue()


def clip_from_bytes(content: bytes, name: str = "the clip") -> Clip:
    """Read what `Clip.to_bytes` made; ValueError says that `name` is not a whole clip, and why."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        facts = json.loads(arrays.pop(_META).tobytes())
        return Clip(**facts, **arrays)
    except _DAMAGE as error:
        raise ValueError(f"{name} is not a whole clip: {error}") from error


def read_clip(path: Path | str) -> Clip:
    """Read a clip's file; ValueError names a file that is missing or damaged."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return clip_from_bytes(content, str(path))


def check_clip_id(clip: str) -> str:
    """Return `clip` if it is an id of 16 hex digits; ValueError otherwise."""
    if not isinstance(clip, str) or not CLIP_ID.fullmatch(clip):
        raise ValueError(f"a clip's id is 16 hex digits, got {str(clip)[:40]!r}")
    return clip


def config_hash_of(env: str, options: Mapping[str, Any]) -> str:
    """Return 16 hex digits that name an environment's config with every default filled in."""
    config = make_config(env_plugin(env).config, as_options(options), env)
    text = _canonical({"env": env, "config": dataclasses.asdict(config)})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def as_options(value: Any) -> Any:
    """Turn the lists of JSON into the tuples that configs hold, at every depth."""
    if isinstance(value, Mapping):
        return {key: as_options(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(as_options(item) for item in value)
    return value


def _canonical(value: Any) -> str:
    """Write JSON in one way only: sorted keys, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    """Turn NumPy's numbers and paths into what JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} cannot be written as JSON")
