"""Keep compared pairs of segments with their labels, and split them by trajectory."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simrl.core.seeding import child_seed
from simrl.preferences.segment import SegmentBatch
from simrl.rollout.npz import write_npz

_FIRST, _SECOND = "first/", "second/"
_COLUMNS = ("label", "weight", "key", "serial")


class PreferenceData:
    """Hold P compared pairs.

    A label is the probability that the *first* segment is the better one: 1, 0, or 0.5 for a tie.
    Pairs that a person could not compare say nothing about the reward and never enter.
    """

    def __init__(self) -> None:
        self._parts: list[dict[str, Tensor]] = []
        self._next_serial = 0

    def __len__(self) -> int:
        return sum(len(part["label"]) for part in self._parts)

    @property
    def first(self) -> SegmentBatch:
        """First segment of every pair `[P, L, ...]`; ValueError while there is no pair."""
        return self._side(_FIRST)

    @property
    def second(self) -> SegmentBatch:
        """Second segment of every pair `[P, L, ...]`; ValueError while there is no pair."""
        return self._side(_SECOND)

    @property
    def label(self) -> Tensor:
        """Probability that the first segment is better `[P]` float32."""
        return self._column("label")

    @property
    def weight(self) -> Tensor:
        """Weight of each pair in the loss `[P]` float32."""
        return self._column("weight")

    @property
    def key(self) -> Tensor:
        """The caller's number of each pair, such as the question's `[P]` int64; -1 if none."""
        return self._column("key")

    @property
    def serial(self) -> Tensor:
        """Running number under which each pair was added `[P]` int64; never used twice."""
        return self._column("serial")

    def add(
        self,
        first: SegmentBatch,
        second: SegmentBatch,
        label: Tensor,
        *,
        weight: Tensor | None = None,
        key: Tensor | None = None,
    ) -> None:
        """Add P pairs with their labels `[P]`, and weights (default 1) and keys (default -1).

        ValueError if the sizes differ or a label lies outside 0 to 1.
        """
        size = len(label)
        if len(first) != size or len(second) != size:
            raise ValueError(
                f"{size} labels for {len(first)} first and {len(second)} second segments"
            )
        label = label.to(torch.float32)
        if not bool(((label >= 0) & (label <= 1)).all()):
            raise ValueError(
                "labels are probabilities within 0 and 1 (0.5 is a tie); pairs that cannot be "
                "compared are left out"
            )
        known = self._parts[0]["first/obs"].shape[1:] if self._parts else first.obs.shape[1:]
        for name, side in (("first", first), ("second", second)):
            if side.obs.shape[1:] != known:
                raise ValueError(
                    f"the {name} segments have [steps, size] {tuple(side.obs.shape[1:])}, "
                    f"expected {tuple(known)}"
                )
        if not size:
            return
        serial = torch.arange(self._next_serial, self._next_serial + size)
        self._next_serial += size
        part = {_FIRST + name: value for name, value in first.tensors().items()}
        part |= {_SECOND + name: value for name, value in second.tensors().items()}
        part["label"] = label
        part["weight"] = torch.ones(size) if weight is None else weight.to(torch.float32)
        part["key"] = torch.full((size,), -1) if key is None else key.to(torch.int64)
        part["serial"] = serial
        self._parts.append(part)

    def remove(self, keys: Tensor) -> int:
        """Drop the pairs with these keys (an answer was taken back) and return how many went."""
        before = len(self)
        if before:
            keep = ~torch.isin(self.key, keys)
            self._parts = [{name: value[keep] for name, value in self._merged().items()}]
        return before - len(self)

    def select(self, index: Tensor) -> PreferenceData:
        """Return the pairs that `index` (int64 `[K]` or bool `[P]`) picks, as a copy."""
        result = PreferenceData()
        result._next_serial = self._next_serial
        if len(self):
            part = {name: value[index] for name, value in self._merged().items()}
            result._parts = [part] if len(part["label"]) else []
        return result

    def split(self, held_out: float, seed: int) -> tuple[PreferenceData, PreferenceData]:
        """Split into pairs to learn from and held-out pairs, by trajectory.

        Each trajectory is on one side (see `is_held_out`).  A pair of one trajectory of each side
        is in neither: in either part it would show the model a trajectory that it is judged on.
        Whoever forms pairs within a side loses none.
        """
        if not len(self):
            return PreferenceData(), PreferenceData()
        first = is_held_out(self.first.episode, held_out, seed)
        second = is_held_out(self.second.episode, held_out, seed)
        return self.select(~first & ~second), self.select(first & second)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is held."""
        tensors = dict(self._merged()) if self._parts else {}
        return {"tensors": tensors, "next_serial": self._next_serial}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        tensors = dict(state["tensors"])
        self._parts = [tensors] if tensors else []
        self._next_serial = int(state["next_serial"])

    def save(self, path: Path | str) -> None:
        """Write one npz file, atomically."""
        state = self.state_dict()
        arrays = {name: value.cpu().numpy() for name, value in state["tensors"].items()}
        write_npz(path, {**arrays, "next_serial": np.array(self._next_serial)})

    @classmethod
    def load(cls, path: Path | str) -> PreferenceData:
        """Read a file that `save` wrote; ValueError names a file that is damaged."""
        result = cls()
        try:
            with np.load(path, allow_pickle=False) as file:
                tensors = {name: torch.from_numpy(file[name]) for name in file.files}
            serial = int(tensors.pop("next_serial"))
            result.load_state_dict({"tensors": tensors, "next_serial": serial})
            if tensors:
                _ = result.first, result.second, *(tensors[name] for name in _COLUMNS)
        except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not a whole set of preferences: {error}") from error
        return result

    def _merged(self) -> dict[str, Tensor]:
        if len(self._parts) > 1:
            names = self._parts[0]
            self._parts = [{name: torch.cat([p[name] for p in self._parts]) for name in names}]
        return self._parts[0]

    def _side(self, prefix: str) -> SegmentBatch:
        if not self._parts:
            raise ValueError("there are no preferences yet")
        merged = self._merged().items()
        return SegmentBatch(
            **{k.removeprefix(prefix): v for k, v in merged if k.startswith(prefix)}
        )

    def _column(self, name: str) -> Tensor:
        if not self._parts:
            dtype = torch.float32 if name in ("label", "weight") else torch.int64
            return torch.zeros(0, dtype=dtype)
        return self._merged()[name]


def is_held_out(episode: Tensor, share: float, seed: int) -> Tensor:
    """Say which trajectories `episode` (int64) are held out, the same shape, bool.

    It depends on number and seed alone, so a trajectory stays on its side while the data grows.
    About `share` of all are held out.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f"the held-out share must be at least 0 and below 1, got {share}")
    uniform = hashed_uniform(episode.cpu().numpy(), child_seed(seed, "held out"))
    return torch.from_numpy(uniform < share).to(episode.device)


def hashed_uniform(numbers: np.ndarray, seed: int) -> np.ndarray:
    """Turn integers into numbers in [0, 1) that look independent, the same shape, float64.

    One round of splitmix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators").
    """
    with np.errstate(over="ignore"):
        x = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = x + np.uint64(seed)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53
