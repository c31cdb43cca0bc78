"""Noise at the root of a search: Gumbel and Dirichlet, drawn from a torch generator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simrl.search.config import SearchConfig


def gumbel_noise(shape: tuple[int, int], scale: float, rng: torch.Generator) -> Tensor:
    """Draw standard Gumbel noise `[B, K]` times `scale`."""
    if scale == 0.0:
        return torch.zeros(shape, device=rng.device)
    drawn = torch.empty(shape, device=rng.device).exponential_(generator=rng)
    return drawn.clamp_min_(1e-30).log_().mul_(-scale)


def noisy_logits(logits: Tensor, config: SearchConfig, rng: torch.Generator) -> Tensor:
    """Mix the priors `[B, K]` with Dirichlet noise over the legal slots; return logits."""
    share = config.puct.dirichlet_fraction
    if config.rule != "puct" or share == 0.0:
        return logits
    seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
    generator = np.random.Generator(np.random.PCG64(seed))
    gamma = generator.standard_gamma(config.puct.dirichlet_alpha, tuple(logits.shape))
    legal = logits > -torch.inf
    noise = torch.from_numpy(gamma).to(logits.device).clamp_min(1e-30) * legal
    noise = noise / noise.sum(-1, keepdim=True)
    mixed = (1.0 - share) * logits.double().softmax(-1) + share * noise
    return mixed.log().float()


def tie_seeds(num_rows: int, config: SearchConfig, rng: torch.Generator) -> Tensor:
    """Draw what orders untried slots in UCT, int64 `[B]`; 0: their own order."""
    if config.rule != "uct" or not config.uct.shuffle:
        return torch.zeros(num_rows, dtype=torch.int64, device=rng.device)
    return torch.randint(1, 2**31, (num_rows,), generator=rng, device=rng.device)
