"""Pictures show what is there, and hide what a side does not see."""

import numpy as np
import pytest

from simrl_envs.moba import palette
from simrl_envs.moba.render import render
from simrl_envs.moba.rules import reset_game
from simrl_envs.moba.scene import STATUSES, clock, initials, seen_by, status_bits
from simrl_envs.moba.tables import load_tables


@pytest.fixture(scope="module")
def tables():
    return load_tables()


@pytest.fixture
def game(tables):
    """A fresh game, blue at (-20, 10) and red at (20, -10)."""
    games = tables.new_games(1)
    reset_game(games, tables.record, 0, 1, np.array([0, 1]))
    units = games[0]["units"]
    units[0]["x"], units[0]["y"] = -20, 10
    units[1]["x"], units[1]["y"] = 20, -10
    units["visible"] = 3
    return games[0]


def pixel(image, x, y):
    """The picture at field coordinates: 8 pixels a metre, the middle at (480, 228)."""
    return image[round(228 - 8 * y), round(480 + 8 * x)].astype(int)


def is_near(color, name):
    return np.abs(color - palette.rgb(name)).max() < 12


def test_size_and_type(game, tables):
    image = render(game, tables)
    assert image.shape == (400, 960, 3) and image.dtype == np.uint8
    assert render(game, tables, (640, 300)).shape == (300, 640, 3)


def test_heroes_stand_where_they_are(game, tables):
    image = render(game, tables)
    # One metre beside the middle: on the disc (radius 11 pixels), off its letters.
    assert is_near(pixel(image, -20, 9.1), palette.TEAM[0])
    assert is_near(pixel(image, 20, -10.9), palette.TEAM[1])
    assert is_near(pixel(image, 20, 10), palette.GROUND)


def test_the_dead_are_not_drawn(game, tables):
    game["units"][1]["alive"] = 0
    assert is_near(pixel(render(game, tables), 20, -10.9), palette.GROUND)


def test_hp_bar_shortens(game, tables):
    count = []
    for share in (1.0, 0.5, 0.0):
        game["units"][0]["hp"] = share * game["units"][0]["max_hp"]
        image = render(game, tables).astype(int)
        row = image[(228 - 8 * 10) - 21, 280:360]
        count.append(int(sum(is_near(p, palette.HP) for p in row)))
    assert count[0] > 28 and abs(count[1] - count[0] / 2) <= 2 and count[2] == 0


def test_fog_hides_and_darkens(game, tables):
    game["units"][1]["visible"] = 2  # red alone sees red's hero
    blue, red = (render(game, tables, team=team) for team in (0, 1))
    assert not is_near(pixel(blue, 20, -10.9), palette.TEAM[1])
    assert is_near(pixel(red, 20, -10.9), palette.TEAM[1])
    # (40, 15) is far from all that is blue; (-25, 5) is beside blue's tower.
    assert pixel(blue, 40, 15).sum() < pixel(render(game, tables), 40, 15).sum()
    assert is_near(pixel(blue, -25, 5), palette.GROUND)


def test_zones_and_relics(game, tables):
    before = render(game, tables)
    zone = game["zones"][0]
    zone["alive"], zone["x"], zone["y"], zone["radius"] = 1, 0, -15, 3
    shown = render(game, tables)
    assert not np.array_equal(pixel(before, 1, -15), pixel(shown, 1, -15))
    # Nobody of red is near: red does not see blue's zone, blue its own.
    red = render(game, tables, team=1)
    zone["alive"] = 0
    assert np.array_equal(red, render(game, tables, team=1))


@pytest.mark.parametrize("name", ["3v3", "5v5"])
def test_large_teams(name):
    tables = load_tables(map=name)
    games = tables.new_games(1)
    heroes = np.arange(tables.shape.num_heroes) % len(tables.heroes)
    reset_game(games, tables.record, 0, 1, heroes)
    assert render(games[0], tables, team=0).std() > 10


def test_bad_arguments(game, tables):
    with pytest.raises(ValueError, match="team must be 0"):
        render(game, tables, team=2)
    with pytest.raises(ValueError, match="at least"):
        render(game, tables, (10, 10))


def test_status_bits(game):
    game["tick"] = 100
    game["units"][0]["stun_until"] = 101
    game["units"][1]["slow_until"] = 100  # over: it held while tick < 100
    game["heroes"][1]["shield_until"] = 150  # but it has no hit points left
    game["heroes"][1]["recall_at"] = 120
    bits = status_bits(game)
    assert bits.tolist() == [1 << STATUSES.index("stun"), 1 << STATUSES.index("recall")]


def test_seen_by(game):
    game["units"][1]["visible"] = 2
    units = game["units"]
    assert seen_by(units, None)[1] and seen_by(units, 1)[1] and not seen_by(units, 0)[1]
    assert seen_by(units, 0)[0]


def test_words():
    assert clock(0) == "0:00" and clock(359.9) == "5:59" and clock(600) == "10:00"
    assert initials(("orrin", "brakka", "orla")) == ["Orr", "Br", "Orl"]


def test_enemies_on_one_spot_stand_apart(game, tables):
    game["units"]["x"][:2], game["units"]["y"][:2] = 0, 10
    image = render(game, tables)
    # Discs of 11 pixels are drawn 20.9 pixels apart: 1.3 m to the left and to the right.
    assert is_near(pixel(image, -1.3, 9.1), palette.TEAM[0])
    assert is_near(pixel(image, 1.3, 9.1), palette.TEAM[1])


SMALL = (560, 380)
"""The picture that follows a hero: 44 m across 560 pixels."""


def followed(image, dx, dy):
    """The pixel so many metres from the middle of a picture that follows a hero."""
    scale = 560 / 44
    return image[round(56 + 324 / 2 - scale * dy), round(280 + scale * dx)].astype(int)


def test_a_followed_hero_stands_in_the_middle_with_a_ring(game, tables):
    game["units"][0]["x"], game["units"][0]["y"] = -10, 4
    image = render(game, tables, SMALL, seat=0)
    assert image.shape == (380, 560, 3)
    assert is_near(followed(image, -0.7, 0), palette.TEAM[0])
    ring = (11 + 6 - 1.2) / (560 / 44)  # its radius in metres, the middle of its line
    assert is_near(followed(image, ring, 0), palette.GOLD)
    assert is_near(followed(image, 0, -ring), palette.GOLD)
    plain = render(game, tables)
    assert not (np.abs(plain[56:].astype(int) - palette.rgb(palette.GOLD)).max(-1) < 12).any()


def test_the_window_moves_with_the_hero_and_stays_in_the_field(game, tables):
    units = game["units"]
    units[0]["x"], units[0]["y"] = 0, 0
    middle = render(game, tables, SMALL, seat=0)
    units[0]["x"] = 2
    moved = render(game, tables, SMALL, seat=0)
    shift = round(2 * 560 / 44)
    ground = slice(70, 300), slice(0, 150)  # without heroes and the small map
    assert np.abs(moved[ground].astype(int) - middle[70:300, shift : 150 + shift]).mean() < 3
    units[0]["x"], units[0]["y"] = -60, 20  # in the corner, half of the window would be outside
    corner = render(game, tables, SMALL, seat=0)
    # 60 - 22 m: the hero is drawn at the window's edge, and no panel colour fills the rest.
    assert is_near(corner[60, 4].astype(int), palette.TEAM[0])


def test_the_small_map_shows_both_heroes(game, tables):
    image = render(game, tables, SMALL, seat=1)
    scale = 168 / 120  # pixels a metre
    middle = (560 - 84 - 8, 380 - 20 * scale - 8)
    for team, (x, y) in enumerate(((-20, 10), (20, -10))):
        pixel = image[round(middle[1] - scale * y), round(middle[0] + scale * x)].astype(int)
        assert is_near(pixel, palette.TEAM[team])


def test_a_seat_that_is_not_there_is_refused(game, tables):
    with pytest.raises(ValueError, match="seat must be below 2, got 2"):
        render(game, tables, SMALL, seat=2)
