"""Draw the lane task from above: road, obstacles, trail and car in a window around the car."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from simrl_envs.vehicle.car import config as c
from simrl_envs.vehicle.car import row as r
from simrl_envs.vehicle.car.camera import HEIGHT, WIDTH, film
from simrl_envs.vehicle.car.config import CAR
from simrl_envs.vehicle.car.road import locate
from simrl_envs.vehicle.car.task import middle
from simrl_envs.vehicle.streams import TIME

GRASS, ASPHALT, PAINT = (214, 226, 206), (96, 100, 108), (244, 244, 240)
CAR_COLOUR, GLASS, TRAIL = (46, 110, 190), (190, 214, 240), (130, 180, 235)
STANDING, MOVING, INK = (205, 80, 60), (226, 150, 50), (40, 44, 52)
SIZE = (720, 480)
SCALE = 10.0
"""Pixels for a metre."""
VIEW_SCALE = 4
"""Pixels for one of the camera's."""
Point = tuple[float, float]


class Window:
    """Turn places in the world into pixels of a picture around a place."""

    def __init__(self, x: float, y: float) -> None:
        self.x, self.y = x, y
        self.image = Image.new("RGB", SIZE, GRASS)
        self.pen = ImageDraw.Draw(self.image)
        self.pen.font = ImageFont.load_default(20)

    def at(self, x: float, y: float) -> Point:
        """Return the pixel of a place [m]; north is up."""
        return (SIZE[0] / 2 + SCALE * (x - self.x), SIZE[1] / 2 - SCALE * (y - self.y))

    def disc(self, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
        """Fill a disc of `radius` metres."""
        u, v = self.at(x, y)
        size = radius * SCALE
        self.pen.ellipse((u - size, v - size, u + size, v + size), fill=colour, outline=INK)

    def box(
        self,
        centre: Point,
        heading: float,
        length: float,
        width: float,
        colour: tuple[int, int, int],
    ) -> None:
        """Fill a turned rectangle, its length along the heading [m, rad]."""
        cos, sin = math.cos(heading), math.sin(heading)
        corners = [
            (centre[0] + a * cos - b * sin, centre[1] + a * sin + b * cos)
            for a, b in (
                (length / 2, width / 2),
                (length / 2, -width / 2),
                (-length / 2, -width / 2),
                (-length / 2, width / 2),
            )
        ]
        self.pen.polygon([self.at(*corner) for corner in corners], fill=colour, outline=INK)


def draw_lane(
    row: np.ndarray, numbers: np.ndarray, parts: Mapping[str, slice], *, camera: bool = False
) -> np.ndarray:
    """Draw one row as `(480, 720, 3)` uint8, 72 m by 48 m around the car.

    With `camera`, what the car sees stands in the upper right corner.
    """
    x, y = middle(row, numbers)
    window = Window(x, y)
    _draw_road(window, row, numbers)
    trail = row[parts["trail"]].reshape(-1, 2)
    window.pen.line([window.at(*point) for point in (*trail, (x, y))], fill=TRAIL, width=3)
    for ox, oy, vx, vy, radius in row[parts["obstacles"]].reshape(-1, r.OBSTACLE_WIDTH):
        window.disc(ox, oy, radius, MOVING if math.hypot(vx, vy) > 0.01 else STANDING)
        ends = [window.at(ox, oy), window.at(ox + vx, oy + vy)]
        window.pen.line(ends, fill=INK, width=2)
    _draw_car(window, row, (x, y))
    speed, seconds = float(row[r.SPEED]), float(row[TIME])
    text = f"{seconds:4.1f} s   {speed:4.1f} m/s   {row[r.S] - row[r.START_S]:5.0f} m"
    left = "   taken over" if numbers[c.TAKEOVER] else "   off the road"
    failure = "   collision" if row[r.HIT] else left if row[r.OFF_ROAD] else ""
    window.pen.rectangle((0, 0, 20 + window.pen.textlength(text + failure), 34), fill=PAINT)
    window.pen.text((10, 5), text + failure, fill=INK)
    if camera:
        _paste_view(window, row, numbers)
    return np.asarray(window.image, dtype=np.uint8).copy()


def _draw_road(window: Window, row: np.ndarray, numbers: np.ndarray) -> None:
    """Fill the road, then paint its edges and the dashed centre line."""
    half = float(numbers[c.HALF_WIDTH])
    places = [locate(row, numbers, float(s)) for s in np.arange(row[r.S] - 60, row[r.S] + 60, 1.0)]

    def beside(offset: float) -> list[Point]:
        return [
            window.at(x - offset * math.sin(h), y + offset * math.cos(h)) for x, y, h, _ in places
        ]

    left, right, centre = beside(half), beside(-half), beside(0.0)
    for i in range(len(places) - 1):
        window.pen.polygon([left[i], left[i + 1], right[i + 1], right[i]], fill=ASPHALT)
    for edge in (left, right):
        window.pen.line(edge, fill=PAINT, width=3)
    first = int(row[r.S]) - 60
    for i in range(len(places) - 1):
        if (first + i) % 6 < 3:
            window.pen.line(centre[i : i + 2], fill=PAINT, width=2)


def _draw_car(window: Window, row: np.ndarray, centre: Sequence[float]) -> None:
    """Draw the wheels, the body and the windscreen."""
    heading, steer = float(row[r.HEADING]), float(row[r.STEER])
    cos, sin = math.cos(heading), math.sin(heading)
    for along, angle in ((CAR.wheelbase / 2, steer), (-CAR.wheelbase / 2, 0.0)):
        for aside in (CAR.width / 2, -CAR.width / 2):
            x = centre[0] + along * cos - aside * sin
            y = centre[1] + along * sin + aside * cos
            window.box((x, y), heading + angle, 0.7, 0.35, INK)
    window.box((centre[0], centre[1]), heading, CAR.length, CAR.width, CAR_COLOUR)
    glass = (centre[0] + 0.6 * cos, centre[1] + 0.6 * sin)
    window.box(glass, heading, 0.8, CAR.width * 0.85, GLASS)


def _paste_view(window: Window, row: np.ndarray, numbers: np.ndarray) -> None:
    """Put the camera's picture into the upper right corner."""
    view = np.empty((HEIGHT, WIDTH), np.float32)
    film(row, numbers, view)
    size = (VIEW_SCALE * WIDTH, VIEW_SCALE * HEIGHT)
    picture = Image.fromarray((255.0 * view).round().astype(np.uint8))
    corner = (SIZE[0] - size[0] - 8, 8)
    window.pen.rectangle((corner[0] - 2, 6, SIZE[0] - 7, 9 + size[1]), fill=INK)
    window.image.paste(picture.resize(size, Image.Resampling.NEAREST), corner)
