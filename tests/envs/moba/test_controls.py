"""A person plays a hero: clicks hit what is drawn there, orders stand, masks are kept."""

import numpy as np
import pytest
import torch

from simrl.core.controls import Click, PersonInput
from simrl.core.plugins import make_controls, make_env
from simrl_envs.moba import records as rec
from simrl_envs.moba.render import SIZE, field_point


@pytest.fixture
def game():
    env = make_env("moba-1v1", 1, seats=("", ""))
    obs = env.reset(3)
    return Table(env, obs)


class Table:
    """Sit at one seat of one game, with the picture before the eyes."""

    def __init__(self, env, obs):
        self.env, self.obs = env, obs
        self.controls = make_controls("moba-1v1")

    def fraction(self, x, y):
        """Find the place of the picture at which a point of the field lies."""
        camera = self.controls._camera
        low, high = np.full(2, -9.0), np.full(2, 10.0)
        for _ in range(40):  # bisection, so that drawing's arithmetic is not repeated here
            middle = (low + high) / 2
            at = field_point(self.env.tables, tuple(middle), camera=camera)
            low[0], high[0] = (middle[0], high[0]) if at[0] < x else (low[0], middle[0])
            low[1], high[1] = (middle[1], high[1]) if at[1] > y else (low[1], middle[1])
        return tuple((low + high) / 2)

    def act(self, seat=0, **given):
        row = {
            "action_mask": self.obs["action_mask"][0, seat],
            "state": self.obs["state"][0],
        }
        action = self.controls.action(row, seat, PersonInput(**given))
        both = torch.zeros(1, 2, 5, dtype=torch.int64)
        both[0, seat] = action
        self.obs = self.env.step(both).obs  # the environment refuses what is not legal
        return action.tolist()

    def unit(self, index):
        unit = self.env.games[0]["units"][index]
        return float(unit["x"]), float(unit["y"])


@pytest.mark.parametrize("follow", [False, True])
def test_points_are_where_units_are_drawn(game, follow):
    # The enemy hero stands here, then there; its own hero, whom the camera follows, stays.
    units = game.env.games["units"][0]
    units["x"][0], units["y"][0] = 3.0, 1.0
    pictures = []
    for place in ((9.0, 4.0), (-4.0, -3.0)):
        units["x"][1], units["y"][1], units["visible"][1] = *place, 3
        game.obs = game.env.restore(game.env.snapshot())
        seen = game.controls.picture(game.env, 0) if follow else game.env.render(0)
        pictures.append(seen.astype(int))
    changed = np.abs(pictures[0] - pictures[1]).sum(-1) > 30
    changed[:60] = False  # the panel on top
    if follow:
        changed[300:, 700:] = False  # the small map
    rows, columns = np.nonzero(changed)
    camera = (3.0, 1.0) if follow else None
    middle = game_fraction(game.env, 2.5, 0.0, camera)[0] * SIZE[0]
    right = columns > middle
    for part, place in ((right, (9.0, 4.0)), (~right, (-4.0, -3.0))):
        # Half way between the least and the greatest pixel, name and bar above the disc included.
        x = (columns[part].min() + columns[part].max() + 1) / 2 / SIZE[0]
        y = (rows[part].min() + rows[part].max() + 1) / 2 / SIZE[1]
        point = field_point(game.env.tables, (x, y), camera=camera)
        assert np.allclose(point, place, atol=2.0)


def game_fraction(env, x, y, camera):
    table = Table(env, {})
    table.controls._camera = camera
    return table.fraction(x, y)


@pytest.mark.parametrize("seat", [0, 1])
def test_a_click_on_the_ground_is_walked_to_and_then_one_stands(game, seat):
    start = game.unit(seat)
    goal = (start[0] + (4.0 if seat == 0 else -4.0), start[1] + 2.0)
    first = game.act(seat, clicks=(Click(*game.fraction(*goal)),))
    assert first[0] == rec.BUTTON_MOVE
    for _ in range(40):
        last = game.act(seat)
    assert last == [rec.BUTTON_NONE, 0, 0, 0, 0]
    assert np.hypot(*np.subtract(game.unit(seat), goal)) < 0.6


def test_a_held_button_drags_the_goal_and_s_stops(game):
    start = game.unit(0)
    up, down = (start[0] + 5, start[1] + 5), (start[0] + 5, start[1] - 5)
    game.act(clicks=(Click(*game.fraction(*up)),))
    moved = game.act(held=frozenset({"mouse-left"}), pointer=game.fraction(*down))
    assert moved[:2] == [rec.BUTTON_MOVE, 14]  # 315 degrees of 16 directions
    assert game.act(pressed=("s",))[0] == rec.BUTTON_NONE
    assert game.act()[0] == rec.BUTTON_NONE


def meet(game):
    """Put the heroes beside each other in the middle, and let everybody look."""
    units = game.env.games["units"][0]
    units["x"][:2], units["y"][:2] = (-1.0, 1.5), (0.0, 0.0)
    game.env.games["heroes"]["mana"] = 400.0
    game.obs = game.env.restore(game.env.snapshot())
    game.act()


def test_a_click_on_an_enemy_attacks_it_until_it_is_gone(game):
    meet(game)
    enemy = game.unit(1)
    order = game.act(clicks=(Click(*game.fraction(*enemy), "mouse-right"),))
    assert (order[0], order[4]) == (rec.BUTTON_ATTACK, 1)  # slot 0 is oneself, 1 the enemy hero
    hp = float(game.env.games[0]["units"][1]["hp"])
    for _ in range(15):
        order = game.act()
        assert order[0] == rec.BUTTON_ATTACK
    assert float(game.env.games[0]["units"][1]["hp"]) < hp
    # Killed and out of sight: the order ends.
    game.env.games["units"][0, 1]["x"] = 60.0
    game.obs = game.env.restore(game.env.snapshot())
    game.act()
    assert game.act()[0] == rec.BUTTON_NONE


def test_skills_are_cast_at_the_pointer_and_illegal_keys_do_nothing(game):
    assert game.act(pressed=("q",))[0] == rec.BUTTON_NONE or game.obs is not None
    meet(game)
    game.env.games["heroes"]["level"] = 15
    game.obs = game.env.restore(game.env.snapshot())
    cast = []
    for number, key in enumerate("qwe"):
        mask = game.obs["action_mask"][0, 0]
        legal = bool(mask[rec.BUTTON_SKILL + number])
        order = game.act(pressed=(key,), pointer=game.fraction(*game.unit(1)))
        if legal:
            assert order[0] == rec.BUTTON_SKILL + number
            cast.append(key)
        else:
            assert order[0] in (rec.BUTTON_NONE, rec.BUTTON_ATTACK, rec.BUTTON_MOVE)
    assert cast  # at least one skill could be used


def test_any_input_gives_a_legal_action(game):
    # The environment raises at the first action that the mask forbids.
    rng = np.random.default_rng(0)
    names = ["q", "w", "e", "a", "b", "s", "x", "1"]
    for _ in range(300):
        place = tuple(rng.random(2))
        game.act(
            int(rng.integers(2)),
            pressed=tuple(rng.choice(names, rng.integers(3))),
            pointer=place if rng.random() < 0.8 else None,
            clicks=(Click(*rng.random(2)),) * int(rng.random() < 0.3),
        )
