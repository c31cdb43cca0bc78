"""Draw normal numbers in kernels as a pure function of a seed and counters: nothing is advanced.

The mixer is that of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators").
"""

from __future__ import annotations

import numpy as np

from simrl_controllers.legged.kernels.compile import kernel

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_UNIT = 2.0**-53


@kernel
def mix(z: np.uint64) -> np.uint64:
    """Return 64 well-mixed bits of 64."""
    z = (z ^ (z >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    return z ^ (z >> _S31)


@kernel
def seed_of(row: np.ndarray, seed: int) -> float:
    """Return 53 bits, as a whole float, of the bits of a state row `[S]` and of a seed."""
    bits = row.view(np.uint64)
    z = mix(np.uint64(seed) + GOLDEN)
    for value in bits:
        z = mix(z + GOLDEN + value)
    return np.float64(z >> _S11)


@kernel
def normals(seed: float, count: float, scale: float, out: np.ndarray) -> None:
    """Write normal numbers of deviation `scale` `[k]`, those of one seed and counter.

    Box and Muller 1958, both numbers of each pair.
    """
    base = mix(np.uint64(seed) + GOLDEN * mix(np.uint64(count) + GOLDEN))
    size = out.shape[0]
    for pair in range((size + 1) // 2):
        first = mix(base + GOLDEN * np.uint64(2 * pair + 1))
        second = mix(base + GOLDEN * np.uint64(2 * pair + 2))
        radius = scale * np.sqrt(-2.0 * np.log(1.0 - np.float64(first >> _S11) * _UNIT))
        angle = 2.0 * np.pi * np.float64(second >> _S11) * _UNIT
        out[2 * pair] = radius * np.cos(angle)
        if 2 * pair + 1 < size:
            out[2 * pair + 1] = radius * np.sin(angle)
