"""Draw the toys: a few shapes on a small canvas."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAPER = (250, 248, 243)
INK = (40, 44, 52)
Colour: TypeAlias = tuple[int, int, int]
FINE: Final = 4
"""Pixels that are drawn for one of the nominal size; half as many are shown."""
COLOURS = ((46, 110, 190), (205, 80, 60), (60, 150, 90), (190, 140, 40))


class Pen:
    """Draw by the coordinates of the nominal size on an image that is `FINE` times as large."""

    def __init__(self, image: Image.Image) -> None:
        self._pen = ImageDraw.Draw(image)

    def line(self, points: Sequence[float], *, fill: Colour, width: float = 1) -> None:
        """Draw a line through x, y, x, y, ..."""
        self._pen.line(_fine(points), fill=fill, width=round(width * FINE))

    def rectangle(
        self, corners: Sequence[float], *, fill: Colour | None = None, outline: Colour | None = None
    ) -> None:
        """Draw a box from its left, top, right and bottom."""
        self._pen.rectangle(_fine(corners), fill=fill, outline=outline, width=FINE)

    def ellipse(self, corners: Sequence[float], *, fill: Colour) -> None:
        """Fill the ellipse within left, top, right and bottom."""
        self._pen.ellipse(_fine(corners), fill=fill)

    def text(self, place: Sequence[float], words: str, *, fill: Colour) -> None:
        """Write words, their upper left corner at x, y."""
        self._pen.text((FINE * place[0], FINE * place[1]), words, fill=fill, font=_font())


def canvas(width: int, height: int) -> tuple[Image.Image, Pen]:
    """Return an empty image and the pen that draws on it; `pixels` makes it 2 by 2 times as large.

    Args:
        width: Nominal width.
        height: Nominal height.
    """
    image = Image.new("RGB", (width * FINE, height * FINE), PAPER)
    return image, Pen(image)


def pixels(image: Image.Image) -> np.ndarray:
    """Return an image as `(2 height, 2 width, 3)` uint8 of the nominal size, its edges smoothed."""
    return np.asarray(image.reduce(FINE // 2), dtype=np.uint8).copy()


def draw_text(*lines: str) -> np.ndarray:
    """Write a few lines on a card of 192 by 480 pixels."""
    image, pen = canvas(240, 96)
    for index, line in enumerate(lines):
        pen.text((10, 10 + 18 * index), line, fill=INK)
    return pixels(image)


def draw_board(owner: np.ndarray, size: int = 40) -> np.ndarray:
    """Draw a board `(height, width)` of 0 (empty), 1 and 2 (the players' stones)."""
    height, width = owner.shape
    image, pen = canvas(width * size, height * size)
    for y in range(height):
        for x in range(width):
            corner = (x * size, y * size, x * size + size - 1, y * size + size - 1)
            pen.rectangle(corner, outline=INK)
            if owner[y, x]:
                inside = (corner[0] + 5, corner[1] + 5, corner[2] - 5, corner[3] - 5)
                pen.ellipse(inside, fill=COLOURS[int(owner[y, x]) - 1])
    return pixels(image)


def _fine(numbers: Sequence[float]) -> list[float]:
    return [FINE * number for number in numbers]


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(10 * FINE)
