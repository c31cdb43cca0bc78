"""Shapes in metres of the field on a Pillow image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

Point: TypeAlias = tuple[float, float]
Color: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Canvas:
    """Draw on an image by field coordinates; sizes called `width` are pixels of the picture."""

    image: Image.Image
    """What is drawn on: `factor` times as large as the picture."""
    pen: ImageDraw.ImageDraw
    """Its pen; of mode RGBA, so that colours may be translucent."""
    scale: float
    """Pixels of the picture per metre."""
    factor: int
    """Pixels of the image per pixel of the picture."""
    center: Point
    """Pixel of the picture at the point (0, 0) of the field."""
    fonts: tuple[ImageFont.FreeTypeFont, ...]
    """Small, middle and large letters."""

    def at(self, place: Point) -> Point:
        """Return the pixel of the image at a place of the field (y points up)."""
        x = self.center[0] + place[0] * self.scale
        y = self.center[1] - place[1] * self.scale
        return x * self.factor, y * self.factor

    def circle(
        self,
        place: Point,
        radius: float,
        fill: Color | None,
        outline: Color | None = None,
        width: float = 1,
    ) -> None:
        """Draw a disc of `radius` metres."""
        self.dot(place, radius * self.scale, fill, outline, width)

    def dot(
        self,
        place: Point,
        pixels: float,
        fill: Color | None,
        outline: Color | None = None,
        width: float = 1,
    ) -> None:
        """Draw a disc whose radius is given in pixels of the picture."""
        x, y = self.at(place)
        r = pixels * self.factor
        line = max(1, round(width * self.factor)) if outline else 0
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=outline, width=line)

    def arc(self, place: Point, pixels: float, share: float, color: Color, width: float) -> None:
        """Draw a share (0 to 1) of a ring, clockwise from the top."""
        x, y = self.at(place)
        r = pixels * self.factor
        box = (x - r, y - r, x + r, y + r)
        self.pen.arc(box, -90, -90 + 360 * share, fill=color, width=round(width * self.factor))

    def rectangle(
        self, place: Point, half_width: float, half_height: float, fill: Color, corner: float = 0
    ) -> None:
        """Draw a rectangle around a place; all sizes in metres."""
        left, top = self.at((place[0] - half_width, place[1] + half_height))
        right, bottom = self.at((place[0] + half_width, place[1] - half_height))
        radius = corner * self.scale * self.factor
        self.pen.rounded_rectangle((left, top, right, bottom), radius=radius, fill=fill)

    def path(self, points: Sequence[Sequence[float]], width: float, color: Color) -> None:
        """Draw a road of `width` metres through points, with round ends."""
        pixels = [self.at((point[0], point[1])) for point in points]
        size = width * self.scale * self.factor
        self.pen.line(pixels, fill=color, width=round(size), joint="curve")
        for x, y in (pixels[0], pixels[-1]):
            self.pen.ellipse((x - size / 2, y - size / 2, x + size / 2, y + size / 2), fill=color)

    def line(self, start: Point, end: Point, color: Color, width: float) -> None:
        """Draw a line of `width` pixels between two places."""
        self.pen.line(
            [self.at(start), self.at(end)], fill=color, width=max(1, round(width * self.factor))
        )

    def shape(
        self,
        place: Point,
        pixels: float,
        corners: Sequence[Point],
        fill: Color,
        outline: Color,
        width: float = 1,
    ) -> None:
        """Draw a polygon; its corners are in units of `pixels` around the place, y down."""
        x, y = self.at(place)
        size = pixels * self.factor
        outlined = [(x + size * cx, y + size * cy) for cx, cy in corners]
        self.pen.polygon(
            outlined, fill=fill, outline=outline, width=max(1, round(width * self.factor))
        )

    def bar(
        self, place: Point, above: float, half: float, thick: float, share: float, fill: Color,
        back: Color,
    ) -> None:  # fmt: skip
        """Draw a filled bar; `above` (up), `half` and `thick` are pixels of the picture."""
        x, y = self.at(place)
        f = self.factor
        left, top = round(x - half * f), round(y - above * f)
        right, bottom = round(x + half * f), round(y - above * f + thick * f) - 1
        self.pen.rectangle((left - f, top - f, right + f, bottom + f), fill=back)
        share = min(1.0, max(0.0, share))
        if share > 0:
            self.pen.rectangle((left, top, left + round((right - left) * share), bottom), fill=fill)

    def text(
        self,
        pixel: Point,
        words: str,
        color: Color,
        font: int = 0,
        anchor: str = "mm",
        outline: Color | None = None,
    ) -> None:
        """Write at a pixel of the picture; `font` is 0 small, 1 middle, 2 large."""
        self.pen.text(
            (pixel[0] * self.factor, pixel[1] * self.factor),
            words,
            fill=color,
            font=self.fonts[font],
            anchor=anchor,
            stroke_width=1 if outline else 0,
            stroke_fill=outline,
        )
