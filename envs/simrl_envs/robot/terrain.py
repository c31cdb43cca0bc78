"""Shapes of the ground as height fields: rough, slopes, stairs, and random steps.

A field is an array `[points, points]` of heights [m], y first as in MuJoCo, 0 in its lowest points
and along its border.  All but rough ground are flat for `FLAT` around the middle, where episodes
start, and symmetric about it: whichever way a robot walks, it meets the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Terrain = Literal["flat", "rough", "slope", "stairs", "steps"]
TERRAINS: tuple[Terrain, ...] = ("flat", "rough", "slope", "stairs", "steps")
CELL = 0.1
"""Distance of two heights of rough ground and of slopes [m]."""
HALF_WIDTH = 12.8
"""Half the side of a field of rough ground or slopes [m]; beyond it the ground is flat."""
STEP_CELL = 0.05
"""Distance of two heights of stairs and steps [m]: what the riser of a stair is deep."""
STEP_HALF_WIDTH = 8.0
"""Half the side of a field of stairs or steps [m]."""
LEVEL_SPREAD = HALF_WIDTH - 10.0
"""How far from the middle of its patch a robot starts at most, along x and y, on ground of levels
[m]: it may walk 10 m any way before it leaves the patch."""
FLAT = 1.0
"""Half the side of the flat middle, and the length of the level between two flights [m]."""
RUN = 3.0
"""Horizontal length of a flight of stairs, or of a slope [m]."""


def rough(height: float, seed: int | Sequence[int]) -> np.ndarray:
    """Return random ground between 0 and `height` [m].

    Waves of many lengths are summed (the heights of a longer wave are larger), so that there are
    slopes of metres and bumps of a foot's size.
    """
    count = 2 * round(HALF_WIDTH / CELL) + 1
    rng = np.random.Generator(np.random.PCG64(seed))
    spectrum = np.fft.rfft2(rng.standard_normal((count, count)))
    frequency = np.hypot(np.fft.fftfreq(count, CELL)[:, None], np.fft.rfftfreq(count, CELL)[None])
    spectrum *= np.where((frequency > 0.15) & (frequency < 2.5), 1.0 / (frequency + 1e-9), 0.0)
    field = np.fft.irfft2(spectrum, s=(count, count))
    field = (field - field.min()) / np.ptp(field)
    edge = np.minimum(np.arange(count), np.arange(count)[::-1]) * CELL
    fade = np.clip(edge / 1.0, 0.0, 1.0)
    heights: np.ndarray = field * np.minimum(fade[:, None], fade[None]) * height
    return heights


def rough_levels(height: float, seed: int, levels: int) -> np.ndarray:
    """Return patches of rough ground side by side along x, `[points, levels * (points - 1) + 1]`.

    The height of each is larger by `height / levels` than that of the one before [m].
    """
    patches = [rough(height * (k + 1) / levels, (seed, k)) for k in range(levels)]
    return np.concatenate([patches[0], *(patch[:, 1:] for patch in patches[1:])], axis=1)


def patch_middle(level: np.ndarray, levels: int) -> np.ndarray:
    """Return the x of the middle of a level's patch [m]."""
    return (2.0 * level + 1.0 - levels) * HALF_WIDTH


def slope(angle: float) -> np.ndarray:
    """Return a square hill around the flat middle: up by `angle` [rad], level, down again."""
    outward = _rings(HALF_WIDTH, CELL)
    heights: np.ndarray = np.tan(angle) * _hill(outward)
    return heights


def stairs(height: float, depth: float) -> np.ndarray:
    """Return a flight of stairs up, a level, and a flight down, all around the flat middle.

    Each stair is `height` high and `depth` deep [m]; its riser is one cell deep.
    """
    cells = round(depth / STEP_CELL)
    count = int(RUN / STEP_CELL) // cells
    outward = np.rint(_hill(_rings(STEP_HALF_WIDTH, STEP_CELL)) / STEP_CELL)
    heights: np.ndarray = height * np.minimum(np.ceil(outward / cells), count)
    return heights


def steps(height: float, depth: float, seed: int) -> np.ndarray:
    """Return square tiles of side `depth` [m], each raised at random by 0 to `height` [m]."""
    points = 2 * round(STEP_HALF_WIDTH / STEP_CELL) + 1
    tile = np.arange(points) // round(depth / STEP_CELL)
    rng = np.random.Generator(np.random.PCG64(seed))
    raised = height * rng.random((tile[-1] + 1, tile[-1] + 1))
    outward = _rings(STEP_HALF_WIDTH, STEP_CELL)
    inside = (outward > FLAT + 1e-9) & (outward < STEP_HALF_WIDTH - 1e-9)
    heights: np.ndarray = np.where(inside, raised[tile[:, None], tile[None]], 0.0)
    return heights


def _rings(half: float, cell: float) -> np.ndarray:
    """Return the larger of |x| and |y| at each point [m]."""
    along = np.abs(np.linspace(-half, half, 2 * round(half / cell) + 1))
    return np.maximum(along[:, None], along[None])


def _hill(outward: np.ndarray) -> np.ndarray:
    """Return how far up a flight each point is [m]: 0 on the flat, RUN on the level."""
    up = np.clip(outward - FLAT, 0.0, RUN)
    down = np.clip(outward - 2.0 * FLAT - RUN, 0.0, RUN)
    return up - down
