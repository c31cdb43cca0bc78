"""Normalise observations by their running mean and standard deviation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningNormaliser(nn.Module):
    """Keep mean and variance of what `update` was shown, and scale inputs by them.

    The statistics are buffers in float64, so they are saved with the weights; they change in
    `update` only, never while acting, so what was acted on and what is learned from agree.
    """

    count: Tensor
    mean: Tensor
    var: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, size: int, clip: float = 10.0, epsilon: float = 1e-8) -> None:
        """Start with mean 0 and variance 1 for `size` columns; outputs are clipped to ±`clip`."""
        super().__init__()
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
        total = self.count + len(rows)
        gap = rows.mean(0) - self.mean
        spread = (
            self.var * self.count
            + rows.var(0, unbiased=False) * len(rows)
            + gap.square() * self.count * len(rows) / total
        )
        self.mean += gap * len(rows) / total
        self.var.copy_(spread / total)
        self.count.copy_(total)
        self.shift.copy_(self.mean)
        self.scale.copy_((self.var + self.epsilon).rsqrt())
