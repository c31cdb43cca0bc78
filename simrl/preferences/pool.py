"""Keep the newest segments of play, so that questions can be asked about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from simrl.preferences.segment import SegmentBatch


class SegmentPool:
    """Hold up to `capacity` segments in a ring; each keeps the id that it was given for good."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.capacity = capacity
        self.added = 0
        """Segments that were ever added; ids count up to it."""
        self._ring: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    @property
    def oldest(self) -> int:
        """Id of the oldest segment that is still here."""
        return self.added - len(self)

    def add(self, batch: SegmentBatch) -> Tensor:
        """Take in M segments, the oldest ones making room, and return their ids `[M]` int64.

        Of a batch larger than the ring only the last `capacity` segments stay.  ValueError names a
        field whose shape differs from that of the segments that are here.
        """
        ids = torch.arange(self.added, self.added + len(batch))
        values = batch.tensors()
        if not self._ring:
            self._ring = {
                name: value.new_zeros(self.capacity, *value.shape[1:])
                for name, value in values.items()
            }
        for name, value in values.items():
            if value.shape[1:] != self._ring[name].shape[1:]:
                raise ValueError(
                    f"segments: {name} has shape {tuple(value.shape[1:])}, those in the pool have "
                    f"{tuple(self._ring[name].shape[1:])}"
                )
        kept = slice(max(0, len(batch) - self.capacity), None)
        for name, value in values.items():
            self._ring[name][ids[kept] % self.capacity] = value[kept].to(self._ring[name].device)
        self.added += len(batch)
        return ids

    def get(self, ids: Tensor) -> SegmentBatch:
        """Return the segments with these ids, as copies.

        ValueError names an id that has left the pool or never was in it.
        """
        wrong = ids[(ids < self.oldest) | (ids >= self.added)]
        if len(wrong) or not self._ring:
            raise ValueError(
                f"no segment {wrong[:1].tolist() or ids[:1].tolist()} in the pool; it holds "
                f"{self.oldest} to {self.added - 1}"
            )
        return SegmentBatch(
            **{name: value[ids % self.capacity] for name, value in self._ring.items()}
        )

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the ids `[count]` of different segments, each as likely as any other.

        Fewer if there are not as many.
        """
        order = torch.randperm(len(self), generator=generator)[:count]
        return self.oldest + order

    def recent(self, count: int) -> Tensor:
        """Return the ids of the newest `count` segments (or as many as there are), oldest first."""
        return torch.arange(max(self.oldest, self.added - count), self.added)

    def state_dict(self) -> dict[str, Any]:
        """Return all segments and the counter."""
        held = {name: value[: len(self)].clone() for name, value in self._ring.items()}
        return {"capacity": self.capacity, "added": self.added, "ring": held}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; ValueError if the capacity differs."""
        if int(state["capacity"]) != self.capacity:
            raise ValueError(
                f"the saved pool holds {state['capacity']} segments, this one {self.capacity}"
            )
        self.added = int(state["added"])
        self._ring = {}
        for name, value in state["ring"].items():
            self._ring[name] = value.new_zeros(self.capacity, *value.shape[1:])
            self._ring[name][: len(value)] = value
