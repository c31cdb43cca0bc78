"""Draw one game as a picture that a person can read, 30 and more a second.

Shapes are drawn at twice the size and halved, which smooths their edges; letters are drawn after
that, since the font smooths itself.  The field, which never changes, is drawn once per map and
size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from simrl_envs.moba import palette as color
from simrl_envs.moba import records as rec
from simrl_envs.moba.canvas import Canvas
from simrl_envs.moba.palette import rgb, rgba
from simrl_envs.moba.render_parts import (
    draw_hud,
    draw_labels,
    draw_map,
    draw_ring,
    draw_units,
)
from simrl_envs.moba.scene import seen_by, sight_radii
from simrl_envs.moba.tables import Tables

SIZE: Final = (960, 400)
"""Width and height of a picture, if nothing else is asked for [pixels]."""
SUPERSAMPLE: Final = 2
HUD_HEIGHT: Final = 56
MIN_SIZE: Final = (320, 180)
FOLLOW_WIDTH: Final = 44.0
"""Metres of the field across a picture that follows a hero."""
FOG_OPACITY: Final = 0.55
FOG_GRAIN: Final = 2  # pixels of the picture per pixel of the fog mask


def render(
    game: Any,
    tables: Tables,
    size: tuple[int, int] = SIZE,
    *,
    team: int | None = None,
    seat: int | None = None,
) -> np.ndarray:
    """Draw a game as `(height, width, 3)` uint8.

    Args:
        game: One game record.
        tables: The tables that it is played with.
        size: Width and height [pixels].
        team: Draw only what this team sees, the rest under fog; None draws everything.
        seat: Follow and mark this agent's hero, with a small map; None draws the whole field.

    Raises:
        ValueError: If the size is too small or there is no such team or seat.
    """
    if seat is not None and not 0 <= seat < len(game["heroes"]):
        raise ValueError(f"seat must be below {len(game['heroes'])}, got {seat}")
    if team not in (None, rec.BLUE, rec.RED):
        raise ValueError(f"team must be {rec.BLUE} (blue), {rec.RED} (red) or None, got {team!r}")
    width, height = size
    if width < MIN_SIZE[0] or height < MIN_SIZE[1]:
        raise ValueError(f"a picture must be at least {MIN_SIZE} pixels, got {size}")
    units = game["units"]
    plan = _plan(tables, size, follow=seat is not None)
    if seat is not None:
        plan = _window(plan, size, (float(units[seat]["x"]), float(units[seat]["y"])))
    seen = seen_by(units, team)
    # Structures do not move: a team knows where the enemy's stand without seeing them.
    seen |= (units["alive"] != 0) & (units["kind"] >= rec.KIND_TOWER)
    image = plan.ground.copy()
    canvas = Canvas(
        image, ImageDraw.Draw(image, "RGBA"), plan.scale, SUPERSAMPLE, plan.center, plan.fonts
    )
    draw_units(canvas, game, tables, seen, team)
    if seat is not None:
        draw_ring(canvas, game, seen, seat)
    image = image.reduce(SUPERSAMPLE)
    if team is not None:
        _draw_fog(image, plan, units, sight_radii(tables), team)
    flat = Canvas(image, ImageDraw.Draw(image, "RGBA"), plan.scale, 1, plan.center, plan.fonts)
    draw_labels(flat, game, tables, seen)
    if seat is not None:
        draw_map(flat, game, tables, seen, seat)
    draw_hud(flat, game, tables, team, HUD_HEIGHT)
    return np.asarray(image)


def field_point(
    tables: Tables,
    place: tuple[float, float],
    size: tuple[int, int] = SIZE,
    *,
    camera: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """Return the point of the field [m] at a place of a picture: the inverse of drawing.

    Args:
        tables: The tables that the game is played with.
        place: Fractions of the picture, from its upper left.
        size: Width and height of the picture [pixels].
        camera: Where the followed hero stood when the picture was drawn [m]; None if it showed the
            whole field.
    """
    plan = _plan(tables, size, follow=camera is not None)
    center = plan.center if camera is None else _window_center(plan, size, camera)
    x = (place[0] * size[0] - center[0]) / plan.scale
    y = (center[1] - place[1] * size[1]) / plan.scale
    return x, y


@dataclass(frozen=True)
class _Plan:
    """Hold what depends on map and size alone."""

    ground: Image.Image
    """The empty field at the supersampled size: the picture, or the whole field to cut it from."""
    scale: float
    """Pixels of the picture per metre."""
    center: tuple[float, float]
    """Pixel of the point (0, 0) of the field."""
    box: tuple[int, int, int, int]
    """Left, top, right and bottom of the field [pixels]."""
    fonts: tuple[ImageFont.FreeTypeFont, ...]
    """Letters of 10, 12 and 18 pixels."""


_PLANS: dict[tuple[Any, ...], _Plan] = {}


def _plan(tables: Tables, size: tuple[int, int], *, follow: bool) -> _Plan:
    table = tables.record[0]
    key = (size, follow, tables.map_name, *_map_bytes(table))
    if key not in _PLANS:
        _PLANS[key] = _make_close_plan(table, size) if follow else _make_plan(table, size)
    return _PLANS[key]


def _make_close_plan(table: Any, size: tuple[int, int]) -> _Plan:
    """Draw the whole field as large as a picture that follows a hero shows it."""
    half_width, half_height = float(table["half_width"]), float(table["half_height"])
    scale = max(size[0] / FOLLOW_WIDTH, size[0] / (2 * half_width))
    width, height = round(2 * half_width * scale), round(2 * half_height * scale)
    image = Image.new("RGB", (width * SUPERSAMPLE, height * SUPERSAMPLE), rgb(color.PANEL))
    center = (width / 2, height / 2)
    canvas = Canvas(image, ImageDraw.Draw(image, "RGBA"), scale, SUPERSAMPLE, center, _fonts())
    _draw_ground(canvas, table, half_width, half_height)
    return _Plan(image, scale, center, (0, 0, width, height), _fonts())


def _window(plan: _Plan, size: tuple[int, int], place: tuple[float, float]) -> _Plan:
    """Cut the picture around a place [m] out of the whole field; it stays within the field."""
    image = Image.new("RGB", (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE), rgb(color.PANEL))
    center = _window_center(plan, size, place)
    left, top = round(center[0] - plan.center[0]), round(center[1] - plan.center[1])
    image.paste(plan.ground, (left * SUPERSAMPLE, top * SUPERSAMPLE))
    return replace(plan, ground=image, center=center, box=(0, HUD_HEIGHT, *size))


def _window_center(
    plan: _Plan, size: tuple[int, int], place: tuple[float, float]
) -> tuple[float, float]:
    """Return the pixel of the point (0, 0) of the field in a picture around a place [m]."""
    wide, high = plan.box[2:]
    room = (size[0], size[1] - HUD_HEIGHT)
    middle = (plan.center[0] + place[0] * plan.scale, plan.center[1] - place[1] * plan.scale)
    corner = tuple(
        round((whole - side) / 2 if whole <= side else min(max(at - side / 2, 0), whole - side))
        for at, side, whole in zip(middle, room, (wide, high), strict=True)
    )
    return plan.center[0] - corner[0], plan.center[1] + HUD_HEIGHT - corner[1]


def _map_bytes(table: Any) -> tuple[bytes, ...]:
    names = ("half_width", "half_height", "fountain", "relics", "waypoints", "brushes")
    return tuple(table[name].tobytes() for name in names)


def _make_plan(table: Any, size: tuple[int, int]) -> _Plan:
    width, height = size
    half_width, half_height = float(table["half_width"]), float(table["half_height"])
    scale = min(width / (2 * half_width), (height - HUD_HEIGHT) / (2 * half_height))
    center = (width / 2, HUD_HEIGHT + (height - HUD_HEIGHT) / 2)
    image = Image.new("RGB", (width * SUPERSAMPLE, height * SUPERSAMPLE), rgb(color.PANEL))
    canvas = Canvas(image, ImageDraw.Draw(image, "RGBA"), scale, SUPERSAMPLE, center, _fonts())
    _draw_ground(canvas, table, half_width, half_height)
    left, top = center[0] - half_width * scale, center[1] - half_height * scale
    box = (round(left), round(top), round(width - left), round(2 * center[1] - top))
    return _Plan(image, scale, center, box, _fonts())


@lru_cache(maxsize=1)
def _fonts() -> tuple[ImageFont.FreeTypeFont, ...]:
    fonts = tuple(ImageFont.load_default(size) for size in (10, 12, 18))
    if not all(isinstance(font, ImageFont.FreeTypeFont) for font in fonts):
        raise ValueError("Pillow was built without FreeType, which draws the labels")
    return fonts  # type: ignore[return-value]


def _draw_ground(canvas: Canvas, table: Any, half_width: float, half_height: float) -> None:
    canvas.rectangle((0, 0), half_width, half_height, rgb(color.GROUND_EDGE))
    canvas.rectangle((0, 0), half_width - 0.5, half_height - 0.5, rgb(color.GROUND))
    for lane in range(int(table["num_lanes"])):
        points = table["waypoints"][lane, : table["num_waypoints"][lane]].tolist()
        canvas.path(points, 6.0, rgb(color.LANE))
    fountain = table["fountain"]
    for sign, tint in ((1.0, color.TEAM[0]), (-1.0, color.TEAM[1])):
        place = (sign * float(fountain[0]), sign * float(fountain[1]))
        canvas.circle(place, float(table["fountain_radius"]), rgba(tint, 0.14), rgba(tint, 0.5), 2)
    for brush in table["brushes"][: table["num_brushes"]]:
        at = (float(brush["x"]), float(brush["y"]))
        half = (float(brush["half_width"]), float(brush["half_height"]))
        canvas.rectangle(at, *half, rgb(color.BRUSH), corner=0.8)
        _draw_grass(canvas, at, half)


def _draw_grass(canvas: Canvas, at: tuple[float, float], half: tuple[float, float]) -> None:
    """Draw blades, so that brush is told by texture too."""
    for column in range(int(half[0] * 2)):
        for row in range(int(half[1])):
            x = at[0] - half[0] + 0.6 + column
            y = at[1] - half[1] + 0.7 + 2 * row + (column % 2) * 0.6
            if y < at[1] + half[1] - 0.6:
                canvas.line((x, y - 0.3), (x + 0.25, y + 0.5), rgba("#6fae84", 0.55), 2)


def _draw_fog(image: Image.Image, plan: _Plan, units: Any, sight: list[float], team: int) -> None:
    left, top, right, bottom = plan.box
    width, height = right - left, bottom - top
    full = round(255 * FOG_OPACITY)
    mask = Image.new("L", (width // FOG_GRAIN, height // FOG_GRAIN), full)
    pen = ImageDraw.Draw(mask)
    own = units[(units["alive"] != 0) & (units["team"] == team)]
    scale = plan.scale / FOG_GRAIN
    x0, y0 = (plan.center[0] - left) / FOG_GRAIN, (plan.center[1] - top) / FOG_GRAIN
    for kind, x, y in zip(own["kind"].tolist(), own["x"].tolist(), own["y"].tolist(), strict=True):
        reach = sight[kind] * scale
        px, py = x0 + x * scale, y0 - y * scale
        pen.ellipse((px - reach, py - reach, px + reach, py + reach), fill=0)
    mask = mask.resize((width, height), Image.Resampling.BILINEAR)
    image.paste(rgb(color.FOG), (left, top), mask)
