"""Draw the platoon: the cars on their road, and each car's spacing error and speed below."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from simrl_envs.vehicle.platoon import config as c
from simrl_envs.vehicle.platoon.config import PlatoonConfig
from simrl_envs.vehicle.streams import TIME

PAPER, ASPHALT, PAINT, INK = (250, 248, 243), (96, 100, 108), (244, 244, 240), (40, 44, 52)
LEADER, FOLLOWER, BRAKE, GOOD, BAD = (
    (226, 150, 50),
    (46, 110, 190),
    (205, 40, 40),
    (60, 150, 90),
    (205, 80, 60),
)
SIZE = (960, 320)
ROAD = (40, 110)
CHART = (150, 290)


def draw_platoon(row: np.ndarray, config: PlatoonConfig, parts: Mapping[str, slice]) -> np.ndarray:
    """Draw one row as `(320, 960, 3)` uint8; the leader is at the right."""
    image = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(image)
    pen.font = ImageFont.load_default(17)
    cars = row[parts["cars"]].reshape(-1, 3)
    _draw_road(pen, cars, config)
    _draw_errors(pen, cars, config)
    speeds = cars[:, 1]
    text = f"{row[TIME]:5.1f} s   leader {speeds[0]:4.1f} m/s   last {speeds[-1]:4.1f} m/s"
    failure = "   collision" if row[c.HIT] else ""
    pen.text((12, 10), text + failure, fill=INK)
    return np.asarray(image, dtype=np.uint8).copy()


def _draw_road(pen: ImageDraw.ImageDraw, cars: np.ndarray, config: PlatoonConfig) -> None:
    """Draw the road in a window that holds every car; red lamps where one brakes."""
    top, bottom = ROAD
    pen.rectangle((0, top, SIZE[0], bottom), fill=ASPHALT)
    head, tail = cars[0, 0] + 10.0, cars[-1, 0] - config.length - 10.0
    scale = SIZE[0] / (head - tail)
    for mark in np.arange(np.floor(tail / 20.0) * 20.0, head, 20.0):
        left = (mark - tail) * scale
        pen.line((left, top + 4, left + 8.0 * scale, top + 4), fill=PAINT, width=2)
        pen.line((left, bottom - 4, left + 8.0 * scale, bottom - 4), fill=PAINT, width=2)
    middle, half = (top + bottom) / 2, max(4.0, 0.9 * scale)
    for index, (position, _, acceleration) in enumerate(cars):
        right, left = (position - tail) * scale, (position - config.length - tail) * scale
        colour = LEADER if index == 0 else FOLLOWER
        pen.rectangle((left, middle - half, right, middle + half), fill=colour, outline=INK)
        if acceleration < -0.5:
            pen.rectangle((left - 2, middle - half, left + 2, middle + half), fill=BRAKE)
        pen.text((left, middle + half + 2), str(index), fill=PAINT)


def _draw_errors(pen: ImageDraw.ImageDraw, cars: np.ndarray, config: PlatoonConfig) -> None:
    """Draw each follower's spacing error as a bar, 2 m to either side, and its figures."""
    top, bottom = CHART
    middle, unit = (top + bottom) / 2, (bottom - top) / 4.0
    pen.text((12, top - 24), "spacing error [m], -2 to 2", fill=INK)
    pen.line((12, middle, SIZE[0] - 12, middle), fill=INK)
    width = (SIZE[0] - 24) / len(cars)
    gaps = cars[:-1, 0] - cars[1:, 0] - config.length
    errors = gaps - config.standstill - config.headway * cars[1:, 1]
    for index, error in enumerate(errors, 1):
        # The last car stands at the left, as on the road.
        left = 12 + width * (len(cars) - 1 - index)
        tip = middle - unit * float(np.clip(error, -2.0, 2.0))
        box = (left + 0.3 * width, min(tip, middle), left + 0.7 * width, max(tip, middle))
        pen.rectangle(box, fill=GOOD if error >= 0 else BAD)
        pen.text((left + 0.25 * width, bottom + 4), f"{index}: {error:+.2f}", fill=INK)
