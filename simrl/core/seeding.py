"""One integer seed, and a named independent random stream for every part that draws."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def child_seed(seed: int, name: str) -> int:
    """Derive an independent 63-bit seed for the stream called `name`."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def torch_generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Make the torch generator of the stream called `name`."""
    return torch.Generator(device=device).manual_seed(child_seed(seed, name))


def numpy_generator(seed: int, name: str) -> np.random.Generator:
    """Make the NumPy generator of the stream called `name`."""
    return np.random.Generator(np.random.PCG64(child_seed(seed, name)))
