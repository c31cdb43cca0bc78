"""Observations of the last steps, shown together: a memory that needs no recurrent cell."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from simrl.core.spec import Block, Layout


class History:
    """Join each observation with the `frames` that came before it, newest first.

    Before an episode's first observation there is nothing: that one stands in its place.  Memory is
    explicit: `{"frames": [rows, frames * size], "seen": [rows, 1]}`, where `seen` is 0 at the start
    of an episode.
    """

    def __init__(self, frames: int, size: int) -> None:
        """Keep `frames` past observations of `size` numbers; ValueError unless both are above 0."""
        if frames < 1 or size < 1:
            raise ValueError(f"history needs at least 1 frame and 1 number, got {frames}, {size}")
        self.frames, self.size = frames, size

    def initial_state(self, num_rows: int, device: torch.device | None = None) -> dict[str, Tensor]:
        """Return the memory at the start of an episode."""
        return {
            "frames": torch.zeros(num_rows, self.frames * self.size, device=device),
            "seen": torch.zeros(num_rows, 1, device=device),
        }

    def step(self, x: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Join `x` `[R, size]` into `[R, (frames + 1) * size]`, and return the new memory."""
        past = torch.where(state["seen"] > 0.5, state["frames"], x.repeat(1, self.frames))
        joined = torch.cat([x, past], -1)
        kept = joined[:, : self.frames * self.size].clone()
        return joined, {"frames": kept, "seen": torch.ones_like(state["seen"])}

    def sequence(
        self, x: Tensor, start_state: Mapping[str, Tensor], episode_start: Tensor
    ) -> Tensor:
        """Join `x` `[T, B, size]` into `[T, B, (frames + 1) * size]`, as `step` would one by one.

        start_state: memory before step 0.  episode_start: `[T, B]` bool, True where the memory was
        reset just before step t.
        """
        num_steps, batch = episode_start.shape
        # Time before the sequence: the remembered frames, oldest first.
        before = start_state["frames"].unflatten(-1, (self.frames, self.size)).flip(1)
        line = torch.cat([before.transpose(0, 1), x])
        time = torch.arange(num_steps, device=x.device)[:, None] + self.frames
        first = (time * episode_start).cummax(0).values  # where the episode began, on that line
        unseen = (start_state["seen"][:, 0] < 0.5).expand(num_steps, batch)
        first = torch.where((first == 0) & unseen, self.frames, first)
        lanes = torch.arange(batch, device=x.device).expand(num_steps, batch)
        parts = [x]
        for lag in range(1, self.frames + 1):
            parts.append(line[torch.maximum(time - lag, first), lanes])
        return torch.cat(parts, -1)


def joined_layout(layout: Layout, frames: int) -> Layout:
    """Return the layout of an observation joined with `frames` earlier ones, newest first."""
    past = [
        Block(f"{block.name} {lag} ago", block.shape, block.columns, block.kind, block.present)
        for lag in range(1, frames + 1)
        for block in layout.blocks
    ]
    return Layout((*layout.blocks, *past))
