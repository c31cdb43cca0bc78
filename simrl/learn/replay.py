"""Positions of self-play with what a search said of them: a ring that forgets the oldest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simrl.rollout.npz import write_npz
from simrl.rollout.ring import TensorRing

_OBS = "obs/"


@dataclass(frozen=True)
class Positions:
    """Hold R positions, each seen by the agent that had to move there."""

    obs: Mapping[str, Tensor]
    """Observation groups of that agent, each `[R, ...]`; "action_mask" says what was legal."""
    policy: Tensor
    """What the search preferred, a distribution over its slots float32 `[R, K]`."""
    value: Tensor
    """What the search thought the position was worth to that agent, float32 `[R]`."""
    outcome: Tensor
    """Discounted return of that agent from there to the end of the game, float32 `[R]`."""
    state: Tensor
    """The simulator's state, as a row of `VecEnv.snapshot`, to search anew `[R, S]`."""
    seat: Tensor
    """Which agent it was, int64 `[R]`."""

    def __len__(self) -> int:
        return len(self.value)

    def rows(self, index: Tensor) -> Positions:
        """Return copies of the positions at `index` int64 `[I]`."""
        return self._each(lambda value: value.index_select(0, index))

    def flat(self) -> dict[str, Tensor]:
        """Return all tensors by name; groups of the observation as "obs/GROUP"."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "obs"}
        return {**{_OBS + name: value for name, value in self.obs.items()}, **named}

    @classmethod
    def from_flat(cls, tensors: Mapping[str, Tensor]) -> Positions:
        """Build positions from what `flat` returned; ValueError names a tensor that is missing."""
        obs = {
            key.removeprefix(_OBS): value for key, value in tensors.items() if key.startswith(_OBS)
        }
        names = [f.name for f in fields(cls) if f.name != "obs"]
        missing = [name for name in names if name not in tensors]
        if missing or not obs:
            raise ValueError(f"positions lack {', '.join(missing) or 'observations'}")
        return cls(obs=obs, **{name: tensors[name] for name in names})

    def _each(self, change: Callable[[Tensor], Tensor]) -> Positions:
        return Positions.from_flat({name: change(value) for name, value in self.flat().items()})


class SearchReplay:
    """Keep the newest `capacity` positions."""

    def __init__(self, capacity: int) -> None:
        """Allocate nothing yet: the first positions say how large one is."""
        self.capacity = capacity
        self._ring = TensorRing(capacity)

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def added(self) -> int:
        """Positions that ever came in; number i lies in row i modulo the capacity."""
        return self._ring.added

    def add(self, positions: Positions) -> None:
        """Take in positions, oldest first; ValueError if they differ in kind from earlier ones."""
        flat = positions.flat()
        self._check(flat)
        self._ring.add(flat)

    def rows(self, index: Tensor) -> Positions:
        """Return copies of the positions in rows `index` int64 `[I]`."""
        return Positions.from_flat(
            {name: value.index_select(0, index) for name, value in self._ring.tensors.items()}
        )

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw the rows of `count` positions, each as likely, int64 `[count]`.

        ValueError if there are none.
        """
        if not len(self):
            raise ValueError("the replay holds no positions yet")
        return torch.randint(len(self), (count,), generator=rng)

    def sample(self, count: int, rng: torch.Generator) -> Positions:
        """Return copies of `count` positions, drawn with replacement."""
        return self.rows(self.draw(count, rng))

    def refresh(self, index: Tensor, policy: Tensor, value: Tensor) -> None:
        """Replace what a search said of the positions in rows `index` `[I]`; all else stays.

        policy: `[I, K]`.  value: `[I]`.
        """
        self._ring.tensors["policy"][index] = policy
        self._ring.tensors["value"][index] = value

    def state_dict(self) -> dict[str, Any]:
        """Return the positions and how many there ever were."""
        return {"added": self.added, "positions": self._ring.held()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; ValueError if the capacity was another."""
        added = int(state["added"])
        positions = Positions.from_flat(state["positions"]).flat() if added else {}
        count = len(positions["value"]) if added else 0
        if count != min(added, self.capacity):
            raise ValueError(
                f"the replay holds up to {self.capacity} positions, but {count} of "
                f"{added} were saved: it had another capacity"
            )
        self._ring.restore(added, positions)

    def save(self, path: Path | str) -> None:
        """Write everything to an npz file, atomically."""
        arrays = {name: value.numpy() for name, value in self.state_dict()["positions"].items()}
        counts = {"added": np.array(self.added), "capacity": np.array(self.capacity)}
        write_npz(path, {**arrays, **counts})

    @classmethod
    def load(cls, path: Path | str) -> SearchReplay:
        """Read what `save` wrote; ValueError names the file if it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: torch.from_numpy(file[name]) for name in file.files}
            replay = cls(int(arrays.pop("capacity")))
            replay.load_state_dict({"added": int(arrays.pop("added")), "positions": arrays})
        except (OSError, KeyError, ValueError, EOFError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        return replay

    def _check(self, flat: Mapping[str, Tensor]) -> None:
        """Raise ValueError unless positions are of one length and like those that are here."""
        held = self._ring.tensors or flat
        count = len(flat["value"])
        for name in sorted(held.keys() | flat.keys()):
            if name not in flat or name not in held:
                raise ValueError(f"positions with and without {name} do not go together")
            here, value = held[name], flat[name]
            if value.shape != (count, *here.shape[1:]) or value.dtype != here.dtype:
                raise ValueError(
                    f"{name} of a position is {here.dtype} {list(here.shape[1:])}, got "
                    f"{value.dtype} {list(value.shape)} of {count} positions"
                )
