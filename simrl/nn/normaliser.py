"""Normalise observations by their running mean and standard deviation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from simrl.core.spec import Block, Layout


class RunningNormaliser(nn.Module):
    """Keep mean and variance of what `update` was shown, and scale inputs by them.

    The statistics are buffers in float64, so they are saved with the weights; they change in
    `update` only, never while acting, so what was acted on and what is learned from agree.

    Given a layout, the rows of a table share their statistics, those that are present, as they
    share the layers that come next; so do the cells of a map's channel.  The column that says
    whether a row is present stays as it is: encoders ask it.
    """

    count: Tensor
    mean: Tensor
    var: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, layout: Layout | int, clip: float = 10.0, epsilon: float = 1e-8) -> None:
        """Start with mean 0 and variance 1; outputs are clipped to ±`clip`.

        layout: That of the observations, or their number of columns, none of which share anything.
        """
        super().__init__()
        self.shared: list[tuple[slice, Block]] = []
        if isinstance(layout, Layout):
            shared = [block for block in layout.blocks if block.kind != "vector"]
            self.shared = [(layout.slices[block.name], block) for block in shared]
        size = layout.size if isinstance(layout, Layout) else layout
        self.clip = clip
        self.epsilon = epsilon
        self.frozen = False
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("var", torch.ones(size, dtype=torch.float64))
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` `[..., size]` scaled and clipped; or `[..., n * size]`, each part alike."""
        size = self.shift.shape[0]
        if x.shape[-1] != size:
            parts = x.unflatten(-1, (-1, size))
            return ((parts - self.shift) * self.scale).clamp(-self.clip, self.clip).flatten(-2)
        return ((x - self.shift) * self.scale).clamp(-self.clip, self.clip)

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Merge `x` `[..., size]` into the statistics (Chan et al. 1979), unless frozen."""
        if self.frozen:
            return
        rows = x.reshape(-1, x.shape[-1]).double()
        if len(rows) == 0:
            return
        mean, var = rows.mean(0), rows.var(0, unbiased=False)
        for part, block in self.shared:
            seen = _shared_moments(block, rows[:, part].unflatten(-1, block.shape))
            known = self.mean[part], self.var[part]  # stay where no row was present
            mean[part], var[part] = known if seen is None else seen
        total = self.count + len(rows)
        gap = mean - self.mean
        spread = (
            self.var * self.count + var * len(rows) + gap.square() * self.count * len(rows) / total
        )
        self.mean += gap * len(rows) / total
        self.var.copy_(spread / total)
        self.count.copy_(total)
        self.shift.copy_(self.mean)
        self.scale.copy_((self.var + self.epsilon).rsqrt())


def _shared_moments(block: Block, values: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return mean and variance `[size]` of a block `[N, *shape]`, shared by its rows or cells.

    None if no row of a table is present.
    """
    if block.kind == "map":
        mean, var = values.mean((0, 2, 3)), values.var((0, 2, 3), unbiased=False)
        mean, var = mean[:, None, None], var[:, None, None]
    else:
        rows = values.flatten(0, 1)
        if block.present is not None:
            flag = block.column_index(block.present)
            rows = rows[rows[:, flag] > 0.5]
        if not len(rows):
            return None
        mean, var = rows.mean(0), rows.var(0, unbiased=False)
        if block.present is not None:
            mean[flag], var[flag] = 0.0, 1.0
    return mean.expand(block.shape).reshape(-1), var.expand(block.shape).reshape(-1)
