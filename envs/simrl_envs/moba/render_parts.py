"""The parts of a picture: what stands and flies on the field, its labels, and the bar on top."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import numpy as np

from simrl_envs.moba import palette as color
from simrl_envs.moba import records as rec
from simrl_envs.moba.canvas import Canvas, Color, Point
from simrl_envs.moba.palette import rgb, rgba
from simrl_envs.moba.scene import (
    STATUSES,
    clock,
    display_name,
    initials,
    point_seen,
    seconds_left,
    sight_radii,
    status_bits,
    team_totals,
)
from simrl_envs.moba.tables import Tables

SQUARE: Final = ((-1, -1), (1, -1), (1, 1), (-1, 1))
TRIANGLE: Final = ((0, -1.25), (1.15, 0.9), (-1.15, 0.9))
DIAMOND: Final = ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0))
HEXAGON: Final = tuple((math.sin(math.pi * k / 3), -math.cos(math.pi * k / 3)) for k in range(6))
SHAPES: Final = {
    rec.KIND_MELEE: (SQUARE, 3.8),
    rec.KIND_RANGED: (TRIANGLE, 4.6),
    rec.KIND_SIEGE: (DIAMOND, 5.6),
    rec.KIND_TOWER: (HEXAGON, 11.0),
    rec.KIND_CRYSTAL: (DIAMOND, 11.0),
}
"""Corners and size [pixels] by kind of unit; heroes are discs."""
HERO_PIXELS: Final = 11.0
DARK: Final = (10, 14, 18)
MAP_WIDTH: Final = 168
"""Width of the small map [pixels]."""


def draw_units(
    canvas: Canvas, game: Any, tables: Tables, seen: np.ndarray, team: int | None
) -> None:
    """Draw what stands or flies: zones lowest, then relics, units, projectiles, heroes."""
    sight = sight_radii(tables)
    _draw_zones(canvas, game, tables, sight, team)
    _draw_relics(canvas, game, tables)
    units = game["units"]
    _draw_aims(canvas, units, seen, len(game["heroes"]))
    for unit in np.flatnonzero(seen)[::-1].tolist():
        if unit >= len(game["heroes"]):
            _draw_unit(canvas, units[unit])
    _draw_projectiles(canvas, game, sight, team)
    bits = status_bits(game)
    for hero, place in hero_places(canvas, game, seen).items():
        _draw_hero(canvas, place, int(units[hero]["team"]))
        _draw_marks(canvas, game, hero, place, int(bits[hero]), tables)


def draw_labels(canvas: Canvas, game: Any, tables: Tables, seen: np.ndarray) -> None:
    """Write each hero's letters and level and draw its hit point and mana bars."""
    units, heroes = game["units"], game["heroes"]
    short = initials(tables.heroes)
    back = rgb(color.HP_BACK)
    for unit in np.flatnonzero(seen).tolist():
        body = units[unit]
        place = (float(body["x"]), float(body["y"]))
        share = float(body["hp"]) / max(1.0, float(body["max_hp"]))
        kind = int(body["kind"])
        tint = rgb(color.TEAM[int(body["team"])])
        if kind >= rec.KIND_TOWER:
            canvas.bar(place, 18, 16, 3, share, rgb(color.HP), back)
        elif kind != rec.KIND_HERO and share < 1:
            canvas.bar(place, 9, 5, 1, share, tint, back)
    places = hero_places(canvas, game, seen)
    for unit, place in places.items():
        body, hero = units[unit], heroes[unit]
        lift = _lift(canvas, places, unit)
        x, y = canvas.at(place)
        share = float(body["hp"]) / max(1.0, float(body["max_hp"]))
        canvas.bar(place, 23 + lift, 16, 4, share, rgb(color.HP), back)
        mana = float(hero["mana"]) / max(1.0, float(hero["max_mana"]))
        canvas.bar(place, 18 + lift, 16, 2, mana, rgb(color.MANA), back)
        canvas.text((x, y), short[int(hero["hero"])], DARK, 1)
        level = str(int(hero["level"]))
        canvas.text((x - 24, y - 19 - lift), level, rgb(color.TEXT), outline=DARK)


def draw_ring(canvas: Canvas, game: Any, seen: np.ndarray, hero: int) -> None:
    """Mark the hero that is to be looked at."""
    places = hero_places(canvas, game, seen)
    if hero in places:
        canvas.dot(places[hero], HERO_PIXELS + 6, None, rgb(color.GOLD), 2.5)


def draw_map(canvas: Canvas, game: Any, tables: Tables, seen: np.ndarray, hero: int) -> None:
    """Draw a small map of the whole field into the lower right corner."""
    table = tables.record[0]
    half = (float(table["half_width"]), float(table["half_height"]))
    scale = MAP_WIDTH / (2 * half[0])
    width, height = canvas.image.size
    middle = (width - MAP_WIDTH / 2 - 8, height - half[1] * scale - 8)
    small = replace(canvas, scale=scale, center=middle)
    small.rectangle((0, 0), *half, (*rgb(color.PANEL), 225))
    for lane in range(int(table["num_lanes"])):
        points = table["waypoints"][lane, : table["num_waypoints"][lane]].tolist()
        small.path(points, 4.0, (*rgb(color.LANE), 255))
    units = game["units"]
    for unit in np.flatnonzero(seen)[::-1].tolist():
        body = units[unit]
        place = (float(body["x"]), float(body["y"]))
        kind, tint = int(body["kind"]), rgb(color.TEAM[int(body["team"])])
        if kind == rec.KIND_HERO:
            small.dot(place, 4, tint, rgb(color.GOLD) if unit == hero else DARK, 1.5)
        else:
            small.dot(place, 3 if kind >= rec.KIND_TOWER else 1.2, tint)


def hero_places(canvas: Canvas, game: Any, seen: np.ndarray) -> dict[int, Point]:
    """Return where to draw each hero that is seen: enemies that cover each other stand apart."""
    units = game["units"]
    heroes = [unit for unit in range(len(game["heroes"])) if seen[unit]]
    places = {unit: (float(units[unit]["x"]), float(units[unit]["y"])) for unit in heroes}
    room = 1.9 * HERO_PIXELS / canvas.scale
    for a in heroes:
        for b in heroes:
            (ax, ay), (bx, by) = places[a], places[b]
            gap = math.hypot(bx - ax, by - ay)
            if units[a]["team"] >= units[b]["team"] or gap >= room:
                continue
            ux, uy = ((bx - ax) / gap, (by - ay) / gap) if gap > 0.1 else (1.0, 0.0)
            move = (room - gap) / 2
            places[a] = (ax - ux * move, ay - uy * move)
            places[b] = (bx + ux * move, by + uy * move)
    return places


def _lift(canvas: Canvas, places: dict[int, Point], unit: int) -> int:
    """Return by how many pixels a hero's bars rise, so that they cover no later hero's."""
    x, y = (value / canvas.factor for value in canvas.at(places[unit]))
    taken = []
    for other, place in places.items():
        if other > unit:
            ox, oy = (value / canvas.factor for value in canvas.at(place))
            if abs(ox - x) < 46:
                taken.append(oy - _lift(canvas, places, other))
    lift = 0
    while any(abs(y - lift - top) < 11 for top in taken):
        lift += 3
    return lift


def draw_hud(canvas: Canvas, game: Any, tables: Tables, team: int | None, height: int) -> None:
    """Draw the bar on top: clock and score in the middle, each side's heroes beside them."""
    width = canvas.image.width
    canvas.pen.rectangle((0, 0, width, height - 4), fill=rgb(color.PANEL))
    _draw_score(canvas, game, tables, team, width / 2)
    size = len(game["heroes"]) // 2
    per_row = 1 if size <= 2 else 3
    for hero in range(2 * size):
        side, place = divmod(hero, size)
        row, column = divmod(place, per_row)
        gap = (width / 2 - 90) / per_row
        x = 14 + column * gap
        if per_row > 1:
            _draw_chip(canvas, game, tables, hero, x if side == 0 else width - x, 14 + 24 * row)
        else:
            _draw_card(canvas, game, tables, hero, x if side == 0 else width - x, 26 * row)


def _draw_score(canvas: Canvas, game: Any, tables: Tables, team: int | None, middle: float) -> None:
    dt = float(tables.record[0]["dt"])
    kills = team_totals(game, "kills")
    gold = team_totals(game, "gold_earned")
    canvas.text((middle, 16), clock(float(game["tick"]) * dt), rgb(color.TEXT), 2)
    canvas.text((middle - 42, 16), str(int(kills[0])), rgb(color.TEAM[0]), 2)
    canvas.text((middle + 42, 16), str(int(kills[1])), rgb(color.TEAM[1]), 2)
    winner = int(game["winner"])
    lead = float(gold[0] - gold[1])
    if winner >= 0:
        words, tint = f"{color.TEAM_NAMES[winner]} wins", color.TEAM[winner]
    elif abs(lead) < 0.5:
        words, tint = "gold even", color.MUTED
    else:
        ahead = 0 if lead > 0 else 1
        words, tint = f"+{abs(lead):.0f} gold", color.TEAM[ahead]
    canvas.text((middle, 36), words, rgb(tint), 1)
    if team is not None:
        canvas.text((middle, 48), f"{color.TEAM_NAMES[team]}'s view", rgb(color.MUTED))


def _hero_line(game: Any, tables: Tables, hero: int) -> tuple[str, str]:
    """Return a hero's name with level, and its score, gold and state."""
    record = game["heroes"][hero]
    name = display_name(tables.heroes[int(record["hero"])])
    score = f"{record['kills']}/{record['deaths']}/{record['assists']}"
    state = f"{score}   {record['last_hits']} creeps   {record['gold_earned']:.0f} gold"
    if not game["units"][hero]["alive"]:
        dt = float(tables.record[0]["dt"])
        back = float(seconds_left(game, record["respawn_at"], dt)[0])
        state += f"   back in {back:.0f} s"
    return f"{name}  lv {record['level']}", state


def _draw_card(canvas: Canvas, game: Any, tables: Tables, hero: int, x: float, top: float) -> None:
    """Draw one hero's name over its figures, flush to its side of the picture."""
    team = int(game["units"][hero]["team"])
    anchor = "lm" if team == 0 else "rm"
    name, state = _hero_line(game, tables, hero)
    alive = bool(game["units"][hero]["alive"])
    canvas.text((x, top + 15), name, rgb(color.TEAM[team] if alive else color.MUTED), 1, anchor)
    if len(game["heroes"]) == 2:
        canvas.text((x, top + 33), state, rgb(color.TEXT if alive else color.MUTED), 1, anchor)
    else:
        inward = 130 if team == 0 else -130
        canvas.text((x + inward, top + 15), state, rgb(color.TEXT), 0, anchor)


def _draw_chip(canvas: Canvas, game: Any, tables: Tables, hero: int, x: float, y: float) -> None:
    """Draw one hero of a large team: letters, level and score."""
    record = game["heroes"][hero]
    team = int(game["units"][hero]["team"])
    alive = bool(game["units"][hero]["alive"])
    label = initials(tables.heroes)[int(record["hero"])]
    words = f"{label} {record['level']}   {record['kills']}/{record['deaths']}/{record['assists']}"
    tint = color.TEAM[team] if alive else color.MUTED
    canvas.text((x, y), words, rgb(tint), 1, "lm" if team == 0 else "rm")


def _draw_unit(canvas: Canvas, body: Any) -> None:
    place = (float(body["x"]), float(body["y"]))
    team, kind = int(body["team"]), int(body["kind"])
    fill, outline = rgb(color.TEAM[team]), rgb(color.TEAM_DARK[team])
    corners, size = SHAPES[kind]
    canvas.shape(place, size, corners, fill, DARK if kind < rec.KIND_TOWER else outline, 1)
    if kind == rec.KIND_TOWER:
        canvas.dot(place, 4, outline)
    elif kind == rec.KIND_CRYSTAL:
        canvas.shape(place, 6, DIAMOND, rgb(color.TEXT), outline)


def _draw_hero(canvas: Canvas, place: Point, team: int) -> None:
    canvas.dot(place, HERO_PIXELS + 1.5, DARK)
    canvas.dot(place, HERO_PIXELS, rgb(color.TEAM[team]), rgb(color.TEAM_DARK[team]), 1.5)


def _draw_marks(
    canvas: Canvas, game: Any, hero: int, place: Point, bits: int, tables: Tables
) -> None:
    """Draw what is on a hero: a shield as a ring, the rest as dots below, recall as an arc."""
    on = [name for i, name in enumerate(STATUSES) if bits >> i & 1]
    if "shield" in on:
        canvas.dot(place, HERO_PIXELS + 3.5, None, rgb(color.STATUS["shield"]), 1.5)
    if "stun" in on:
        canvas.dot(place, HERO_PIXELS + 1.5, None, rgb(color.STATUS["stun"]), 2.5)
    if "recall" in on:
        record = game["heroes"][hero]
        whole = max(1, int(tables.record[0]["recall"]))
        left = (int(record["recall_at"]) - int(game["tick"])) / whole
        canvas.arc(place, HERO_PIXELS + 6, 1 - left, rgb(color.STATUS["recall"]), 2)
    marks = [name for name in on if name not in ("shield", "recall")]
    for k, name in enumerate(marks):
        shift = (k - (len(marks) - 1) / 2) * 7 / canvas.scale
        below = (place[0] + shift, place[1] - (HERO_PIXELS + 6) / canvas.scale)
        canvas.dot(below, 2.8, rgb(color.STATUS[name]), DARK, 0.7)


def _draw_aims(canvas: Canvas, units: Any, seen: np.ndarray, num_heroes: int) -> None:
    """Draw whom towers shoot at, and creeps that chase a hero: the danger that a player reads."""
    for unit in np.flatnonzero(seen).tolist():
        body = units[unit]
        target = int(body["target"])
        kind = int(body["kind"])
        if kind == rec.KIND_HERO or target < 0 or not seen[target]:
            continue
        if kind < rec.KIND_TOWER and target >= num_heroes:
            continue
        strength = 0.8 if target < num_heroes else 0.3
        _line(canvas, body, units[target], rgba(color.TEAM[int(body["team"])], strength))


def _line(canvas: Canvas, start: Any, end: Any, tint: Color) -> None:
    places: list[Point] = [(float(body["x"]), float(body["y"])) for body in (start, end)]
    canvas.line(places[0], places[1], tint, 1)


def _draw_zones(
    canvas: Canvas, game: Any, tables: Tables, sight: list[float], team: int | None
) -> None:
    half = len(game["zones"]) // 2
    for index in np.flatnonzero(game["zones"]["alive"]).tolist():
        zone = game["zones"][index]
        owner = index // half
        place = (float(zone["x"]), float(zone["y"]))
        if team not in (None, owner) and not point_seen(game["units"], sight, *place, team or 0):
            continue
        tint = color.TEAM[owner]
        canvas.circle(place, float(zone["radius"]), rgba(tint, 0.22), rgba(tint, 0.85), 1.2)
        wait = max(1, int(zone["next"]) - int(game["tick"]))
        # A closing inner ring tells when the next pulse comes.
        canvas.circle(place, float(zone["radius"]) / (1 + 0.25 * wait), None, rgba(tint, 0.6), 1)


def _draw_relics(canvas: Canvas, game: Any, tables: Tables) -> None:
    table = tables.record[0]
    for k in range(int(table["num_relics"])):
        x, y = table["relics"][k].tolist()
        ready = int(game["tick"]) >= int(game["relic_ready"][k])
        canvas.dot((x, y), 7, None, rgba(color.RELIC, 0.9 if ready else 0.3), 1)
        if ready:
            tint, size = rgb(color.RELIC), 0.5 / canvas.scale * 8
            canvas.line((x - size, y), (x + size, y), tint, 2.2)
            canvas.line((x, y - size), (x, y + size), tint, 2.2)


def _draw_projectiles(canvas: Canvas, game: Any, sight: list[float], team: int | None) -> None:
    shots = game["projectiles"]
    half = len(shots) // 2
    for index in np.flatnonzero(shots["alive"]).tolist():
        shot = shots[index]
        owner = index // half
        place = (float(shot["x"]), float(shot["y"]))
        if team not in (None, owner) and not point_seen(game["units"], sight, *place, team or 0):
            continue
        is_skill = int(shot["skill"]) >= 0
        length = math.hypot(float(shot["vx"]), float(shot["vy"]))
        if length > 0:
            tail = (1.6 if is_skill else 0.9) / length
            start = (place[0] - float(shot["vx"]) * tail, place[1] - float(shot["vy"]) * tail)
            canvas.line(start, place, rgba(color.TEAM[owner], 0.7), 3 if is_skill else 1.5)
        canvas.dot(place, 3.4 if is_skill else 1.9, rgb(color.TEXT), rgb(color.TEAM[owner]), 1)
