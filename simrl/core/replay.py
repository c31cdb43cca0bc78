"""Store one episode as a start snapshot and its actions; playing it again gives the same bits."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simrl.core.files import write_atomic

FORMAT = "simrl-replay-1"


@dataclass(frozen=True)
class Replay:
    """Hold what it takes to show one episode again."""

    env: str
    """Registered name of the environment."""
    config: Mapping[str, Any]
    """Fields of the environment's config."""
    snapshot: bytes
    """Row of `VecEnv.snapshot()` at the start of the episode."""
    actions: np.ndarray
    """Actions `[T, A, heads]` int64 or `[T, A, size]` float32."""
    policies: tuple[str, ...] = ()
    """Who sat at each agent's seat."""
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Figures of each step `[T, A, ...]`: value, button_probs, ... NaN where a seat had none."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the episode, as lists or numbers."""
    seat: int = -1
    """Agent that the viewer is to look at; -1 for nobody in particular."""

    def save(self, path: Path | str) -> None:
        """Write JSON lines: a header, then one line a step."""
        header = {
            "format": FORMAT,
            "env": self.env,
            "config": dict(self.config),
            "snapshot": base64.b64encode(self.snapshot).decode(),
            "action_dtype": str(self.actions.dtype),
            "policies": list(self.policies),
            "metrics": dict(self.metrics),
            "extras": sorted(self.extras),
            "steps": len(self.actions),
            "seat": self.seat,
        }
        lines = [json.dumps(header)]
        for t, action in enumerate(self.actions):
            step: dict[str, Any] = {"action": action.tolist()}
            for name, values in self.extras.items():
                step[name] = _rounded(values[t])
            lines.append(json.dumps(step))
        write_atomic(path, "\n".join(lines) + "\n")


def load_replay(path: Path | str) -> Replay:
    """Read a replay; ValueError names the file and what is wrong with it."""
    path = Path(path)
    try:
        header, *steps = (json.loads(line) for line in path.read_text().splitlines())
        if header["format"] != FORMAT:
            raise ValueError(f"its format is {header['format']!r}, expected {FORMAT!r}")
        if len(steps) != header["steps"]:
            raise ValueError(f"it has {len(steps)} of {header['steps']} steps")
        return Replay(
            env=header["env"],
            config=header["config"],
            snapshot=base64.b64decode(header["snapshot"]),
            actions=np.array([step["action"] for step in steps], header["action_dtype"]),
            policies=tuple(header["policies"]),
            extras={
                name: np.array([step[name] for step in steps], np.float32)
                for name in header["extras"]
            },
            metrics=header["metrics"],
            seat=header.get("seat", -1),
        )
    except (KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a whole replay: {error}") from error


def _rounded(values: np.ndarray) -> Any:
    """Keep five significant digits; JSON has no NaN, so null stands for it."""
    if values.ndim:
        return [_rounded(value) for value in values]
    value = float(values)
    return None if np.isnan(value) else float(f"{value:.5g}")
