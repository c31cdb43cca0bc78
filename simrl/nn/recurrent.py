"""Recurrent cells that act step by step and learn over whole sequences at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

RecurrentKind = Literal["none", "lstm", "gru"]


class Recurrent(nn.Module):
    """Wrap one LSTM or GRU layer, with memory given and taken as `{"h": ..., "c": ...}`.

    In learning, sequences are cut where an episode starts and the pieces are laid side by side as
    a wider batch, so that one library call runs all of them and no gradient or memory crosses the
    border of an episode.
    """

    def __init__(self, kind: RecurrentKind, inputs: int, width: int, bf16: bool = False) -> None:
        """Build the cell; `bf16` runs it under bfloat16 autocast, acting and learning."""
        super().__init__()
        if kind not in ("lstm", "gru"):
            raise ValueError(f"unknown recurrent kind {kind!r}; the kinds are lstm, gru")
        self.keys = ("h", "c") if kind == "lstm" else ("h",)
        self.width = width
        self.bf16 = bf16
        self.core: nn.LSTM | nn.GRU = (
            nn.LSTM(inputs, width) if kind == "lstm" else nn.GRU(inputs, width)
        )
        for name, parameter in self.core.named_parameters():
            if name.startswith("weight"):
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)

    def initial_state(self, num_rows: int, device: torch.device | None = None) -> dict[str, Tensor]:
        """Return zeros `[num_rows, width]` for each part of the memory."""
        return {key: torch.zeros(num_rows, self.width, device=device) for key in self.keys}

    def step(self, x: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Advance one step: `x` `[R, inputs]` to output `[R, width]` and the new memory."""
        output, state = self._run(x.unsqueeze(0), {key: state[key] for key in self.keys})
        return output.squeeze(0), state

    def sequence(
        self, x: Tensor, start_state: Mapping[str, Tensor], episode_start: Tensor
    ) -> Tensor:
        """Run `x` `[T, B, inputs]` and return outputs `[T, B, width]`.

        start_state: memory `[B, width]` before step 0.  episode_start: `[T, B]` bool, True where
        the memory is zero just before step t.
        """
        start = {key: start_state[key] for key in self.keys}
        first = episode_start[0]
        if bool(first.any()):
            start = {key: value.masked_fill(first[:, None], 0.0) for key, value in start.items()}
        cuts = episode_start.clone()
        cuts[0] = False
        if not bool(cuts.any()):
            return self._run(x, start)[0]
        return self._run_pieces(x, start, cuts)

    def _run_pieces(self, x: Tensor, start: dict[str, Tensor], cuts: Tensor) -> Tensor:
        """Run each stretch between `cuts` as a sequence of its own, beside the whole ones.

        Steps after a piece's end are padding: their outputs are never read, so their gradient is 0.
        """
        num_steps, batch = cuts.shape
        which, begin = cuts.t().nonzero(as_tuple=True)  # pieces by sequence, then time
        piece_of = torch.arange(batch, device=x.device).repeat(num_steps, 1)
        begin_of = torch.zeros_like(piece_of)
        # Number each step's piece: 0..batch-1 open the sequences, later ones follow the cuts.
        order = torch.arange(len(which), device=x.device)
        marks = torch.full_like(piece_of, -1)
        marks[begin, which] = order
        latest = marks.cummax(0).values
        later = latest >= 0
        piece_of = torch.where(later, batch + latest, piece_of)
        begin_of = torch.where(later, begin[latest.clamp_min(0)], begin_of)
        times = torch.arange(num_steps, device=x.device)[:, None].expand_as(piece_of) - begin_of
        length = int(times.max()) + 1
        total = batch + len(which)
        place = (times * total + piece_of).flatten()
        pieces = x.new_zeros(length * total, x.shape[-1]).index_copy(0, place, x.flatten(0, 1))
        state = {
            key: torch.cat([value, value.new_zeros(len(which), self.width)])
            for key, value in start.items()
        }
        output, _ = self._run(pieces.unflatten(0, (length, total)), state)
        return output.flatten(0, 1).index_select(0, place).unflatten(0, (num_steps, batch))

    def _run(self, x: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        packed = tuple(state[key].unsqueeze(0) for key in self.keys)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            output, last = self.core(x, packed if len(packed) == 2 else packed[0])
        last = last if isinstance(last, tuple) else (last,)
        return output.to(x.dtype), {
            key: value.squeeze(0).to(x.dtype) for key, value in zip(self.keys, last, strict=True)
        }
