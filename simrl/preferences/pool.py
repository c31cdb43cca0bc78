"""Keep the newest segments of play, so that questions can be asked about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from simrl.preferences.segment import SegmentBatch
from simrl.rollout.ring import TensorRing


class SegmentPool:
    """Hold up to `capacity` segments in a ring; each keeps the id that it was given for good."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._ring = TensorRing(capacity)

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def added(self) -> int:
        """Segments that were ever added; ids count up to it."""
        return self._ring.added

    @property
    def oldest(self) -> int:
        """Id of the oldest segment that is still here."""
        return self.added - len(self)

    def add(self, batch: SegmentBatch) -> Tensor:
        """Take in M segments, the oldest ones making room, and return their ids `[M]` int64.

        Of a batch larger than the ring only the last `capacity` segments stay.  ValueError names a
        field whose shape differs from that of the segments that are here.
        """
        values, held = batch.tensors(), self._ring.tensors
        for name, value in values.items():
            if held and value.shape[1:] != held[name].shape[1:]:
                raise ValueError(
                    f"segments: {name} has shape {tuple(value.shape[1:])}, those in the pool have "
                    f"{tuple(held[name].shape[1:])}"
                )
        return self._ring.add(values)

    def get(self, ids: Tensor) -> SegmentBatch:
        """Return the segments with these ids, as copies.

        ValueError names an id that has left the pool or never was in it.
        """
        wrong = ids[(ids < self.oldest) | (ids >= self.added)]
        if len(wrong) or not self.added:
            raise ValueError(
                f"no segment {wrong[:1].tolist() or ids[:1].tolist()} in the pool; it holds "
                f"{self.oldest} to {self.added - 1}"
            )
        return SegmentBatch(
            **{name: value[ids % self.capacity] for name, value in self._ring.tensors.items()}
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
        return {"capacity": self.capacity, "added": self.added, "ring": self._ring.held()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; ValueError if the capacity differs."""
        if int(state["capacity"]) != self.capacity:
            raise ValueError(
                f"the saved pool holds {state['capacity']} segments, this one {self.capacity}"
            )
        self._ring.restore(int(state["added"]), state["ring"])
