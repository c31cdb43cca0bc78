"""Keep the newest rows of tensors that grow together; the oldest make room."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class TensorRing:
    """Hold up to `capacity` rows of each tensor; row number i lies at i modulo the capacity.

    Attributes:
        added: Rows that ever came in; numbers count up to it.
        tensors: What is held, each `[capacity, ...]`; empty before the first rows, which say how
            large one is.
    """

    def __init__(self, capacity: int) -> None:
        """ValueError for a capacity below 1."""
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.capacity = capacity
        self.added = 0
        self.tensors: dict[str, Tensor] = {}

    def __len__(self) -> int:
        """Count the rows that are here."""
        return min(self.added, self.capacity)

    def add(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Take in `rows`, each `[M, ...]`, oldest first; return their numbers int64 `[M]`.

        Of more rows than the ring holds only the newest stay.  The caller has checked that they are
        of the same kind as those that are here.
        """
        if not self.tensors:
            self.tensors = self._empty(rows)
        count = len(next(iter(rows.values())))
        numbers = torch.arange(self.added, self.added + count)
        kept = slice(max(0, count - self.capacity), None)
        for name, value in rows.items():
            held = self.tensors[name]
            held[numbers[kept] % self.capacity] = value[kept].to(held.device)
        self.added += count
        return numbers

    def held(self) -> dict[str, Tensor]:
        """Return copies of what is here, in the order of its places, each `[len, ...]`."""
        return {name: value[: len(self)].clone() for name, value in self.tensors.items()}

    def restore(self, added: int, held: Mapping[str, Tensor]) -> None:
        """Take over `added` and what `held` returned of a ring of the same capacity."""
        self.added = added
        self.tensors = self._empty(held) if held else {}
        for name, value in held.items():
            self.tensors[name][: len(value)] = value

    def _empty(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with torch.inference_mode(False):  # rows must be of use to autograd later
            return {
                name: torch.zeros(
                    self.capacity, *value.shape[1:], dtype=value.dtype, device=value.device
                )
                for name, value in rows.items()
            }
