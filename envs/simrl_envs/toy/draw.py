"""Draw the toys: a few shapes on a small canvas."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

PAPER = (250, 248, 243)
INK = (40, 44, 52)
COLOURS = ((46, 110, 190), (205, 80, 60), (60, 150, 90), (190, 140, 40))


def canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty image and the pen that draws on it."""
    image = Image.new("RGB", (width, height), PAPER)
    return image, ImageDraw.Draw(image)


def pixels(image: Image.Image) -> np.ndarray:
    """Return an image as `(height, width, 3)` uint8."""
    return np.asarray(image, dtype=np.uint8).copy()


def draw_text(*lines: str) -> np.ndarray:
    """Write a few lines on a card of 96 by 240 pixels."""
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
