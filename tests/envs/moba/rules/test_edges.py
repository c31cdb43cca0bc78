"""Rules at their edges: what a learner would find and exploit if they gave way."""

import numpy as np
import pytest

from simrl_envs.moba import records as rec

AWAY = 14.0  # beside the lane, out of every tower's reach


def test_both_crystals_in_one_tick_are_a_draw(match):
    m = match(("brakka", "orrin"))
    for team in range(2):
        m.unit(m.tower(team))["alive"] = 0
        m.unit(m.crystal(team))["hp"] = 1.0
        m.unit(m.crystal(team))["pending"] = 2.0
    m.step()
    assert (m.game["winner"], m.game["done"]) == (-1, rec.TERMINATED)


def test_a_crystal_that_falls_in_the_last_tick_ends_the_game(match):
    m = match(("brakka", "orrin"), max_minutes=0.1)
    m.step(times=44)
    m.unit(m.tower(1))["alive"] = 0
    m.unit(m.crystal(1))["hp"] = 1.0
    m.game["tick"] = int(m.table["max_ticks"]) - 1
    m.unit(m.crystal(1))["pending"] = 2.0
    m.step()
    assert m.tick == int(m.table["max_ticks"])
    assert (m.game["winner"], m.game["done"]) == (rec.BLUE, rec.TERMINATED)


@pytest.mark.parametrize("hero", ["orrin", "sable", "tamsin"], ids=["dash", "blink", "tumble"])
def test_no_dash_or_blink_leaves_the_field(match, hero):
    skill = {"orrin": 0, "sable": 0, "tamsin": 1}[hero]
    m = match((hero, "orrin"))
    m.place(0, 58.0, 19.0)
    m.hero(0)["mana"] = 1000.0
    m.cast(0, skill, direction=2)  # 45 degrees: out of the corner
    m.step({0: (rec.BUTTON_MOVE, 2)}, times=20)
    assert (m.unit(0)["x"], m.unit(0)["y"]) == (60.0, 20.0)


def test_a_push_stays_on_the_field(match):
    m = match(("liora", "orrin"))
    m.place(0, 0.0, 18.0)
    m.place(1, 0.0, 19.8)
    m.cast(0, 1, direction=4)
    m.step(times=8)
    assert m.unit(1)["hp"] < m.unit(1)["max_hp"]
    assert m.unit(1)["y"] == 20.0


def test_skills_do_not_touch_structures(match):
    m = match(("brakka", "orrin"))
    tower = m.tower(1)
    m.place(0, 24.0)
    creep = m.add_creep(1, 24.5, hp=5000.0, max_hp=5000.0)
    m.unit(tower)["attack"] = 0.0
    m.cast(0, 0)  # cleave, around itself
    m.step(times=3)
    assert m.unit(creep)["hp"] < 5000.0
    assert m.unit(tower)["hp"] == m.unit(tower)["max_hp"]


def test_the_dead_take_no_orders_and_nothing_touches_them(match):
    m = match(("brakka", "ilyra"))
    m.place(0, 0.0, AWAY, hp=1.0)
    m.place(1, 2.0, AWAY)
    m.attack(1, 0, times=4)
    assert m.unit(0)["alive"] == 0
    before = m.unit(0).tobytes()
    for button in range(rec.NUM_BUTTONS):
        m.step({0: (button, 0, 0, 0, 1)})
    m.cast(1, 1, direction=8, distance=0)  # a lasting area on the spot
    m.step(times=10)
    assert m.hero(0)["skills_cast"] == 0
    assert m.unit(0)["hp"] == 0.0
    assert m.unit(0)["alive"] == 0
    assert m.unit(0).tobytes() == before
    assert m.hero(1)["kills"] == 1


def test_stepping_out_of_reach_resets_the_towers_rising_damage(match):
    m = match(("brakka", "orrin"))
    tower = m.tower(0)
    m.unit(1)["hp"] = m.unit(1)["max_hp"] = 50_000
    m.place(1, -20.0)
    m.step(times=30)
    assert m.unit(tower)["stage"] >= 2
    m.place(1, 0.0)
    m.step(times=4)
    assert (m.unit(tower)["target"], m.unit(tower)["stage"]) == (-1, 0)


def test_every_hero_that_can_reach_a_tower_is_in_its_reach(match):
    m = match(("brakka", "orrin"))
    kinds, radius = m.table["kinds"], float(m.table["kinds"][rec.KIND_HERO]["radius"])
    tower = kinds[rec.KIND_TOWER]
    looks = float(tower["attack_range"] + tower["radius"])  # to the centre of its target
    for hero in m.table["heroes"][: int(m.table["num_heroes"])]:
        assert float(hero["attack_range"]) + radius + float(tower["radius"]) < looks
    # Nor do creeps: they stop to attack where they first notice it.
    assert float(m.table["creep_acquire"]) < looks


def test_a_tower_draws_nobody_for_damage_out_of_its_reach(match):
    m = match(("tamsin", "orrin"))
    tower = m.tower(1)
    creep = m.add_creep(0, 20.0, hp=5000.0, max_hp=5000.0)
    m.place(0, 17.0, 3.0)  # in the tower's reach
    m.place(1, 11.0, 3.0)  # not in it
    m.step(times=4)
    assert m.unit(tower)["target"] == creep
    m.attack(0, 1, times=6)
    assert m.hero(0)["aggro_victim"] == 1
    assert m.unit(tower)["target"] == creep


def test_a_relic_heals_once_however_long_one_stands_on_it(match):
    m = match(("brakka", "orrin"))
    m.table["heroes"]["hp_regen"] = 0.0
    m.hero(0)["hp_regen"] = 0.0
    m.unit(0)["max_hp"] = 10_000.0
    m.place(0, 0.0, 12.0, hp=100.0)
    m.step(times=445)  # 890 ticks, less than a minute
    once = 100 + float(m.table["relic_heal"]) * 10_000
    assert m.unit(0)["hp"] == pytest.approx(once)
    m.step(times=10)
    assert m.unit(0)["hp"] == pytest.approx(2 * once - 100)


def test_levels_end_at_fifteen(match):
    m = match(("brakka", "orrin"))
    m.hero(0)["level"], m.hero(0)["xp"] = 14, 1e6
    creep = m.add_creep(1, 2.0, AWAY, hp=1.0, max_hp=1.0)
    m.place(0, 0.0, AWAY)
    m.attack(0, creep)
    assert m.hero(0)["level"] == rec.MAX_LEVEL
    assert np.isfinite(m.unit(0)["max_hp"])


def test_a_bag_of_six_takes_no_seventh_item(match):
    m = match(("brakka", "orrin"), agent_buys=True)
    m.hero(0)["gold"] = 1e5
    for item in range(9):
        m.step({0: (rec.BUTTON_BUY, 0, 0, 0, item)})
    assert list(m.hero(0)["items"]) == [1, 2, 3, 4, 5, 6]
    assert m.hero(0)["num_items"] == rec.ITEM_SLOTS
    spent = float(m.table["items"]["price"][:6].sum())
    assert m.hero(0)["gold"] == pytest.approx(1e5 - spent, abs=10.0)


def test_a_cast_far_away_is_not_seen(match):
    m = match(("orrin", "brakka"))
    m.step({0: (rec.BUTTON_SKILL + 1,)})  # bulwark in its own fountain, 114 m away
    assert m.hero(0)["skills_cast"] == 1
    assert m.unit(0)["visible"] == 1


@pytest.mark.parametrize("tick", range(4))
def test_a_pushed_creep_goes_as_far_as_the_push(match, tick):
    m = match(("liora", "brakka"))
    m.game["tick"] = tick
    m.table["kinds"][rec.KIND_SIEGE]["move_speed"] = 0.0
    m.place(0, 0.0, AWAY)
    creep = m.add_creep(1, 2.0, AWAY, kind=rec.KIND_SIEGE, stun_until=0, hp=9000.0, max_hp=9000.0)
    m.cast(0, 1, direction=0)  # hush_wave pushes by 1.5 m
    m.step(times=8)
    assert m.unit(creep)["x"] - 2.0 == pytest.approx(1.5, abs=1e-4)


def test_a_shot_does_not_chase_the_next_creep_in_the_slot(match):
    m = match(("tamsin", "brakka"))
    m.place(0, 0.0, AWAY)
    creep = m.add_creep(1, 6.5, AWAY, hp=50.0, max_hp=50.0)
    m.attack(0, creep)
    assert m.games["projectiles"]["alive"].sum() == 1
    m.unit(creep)["pending"] = 99.0  # another blow ends it, in the tick before a wave
    m.game["next_wave"] = m.tick + 2
    m.step()
    assert m.unit(creep)["alive"] == 1  # the new one, at red's base
    assert m.games["projectiles"]["alive"].sum() == 0


def test_the_dead_shooter_is_neither_healed_nor_pricked(match):
    m = match(("tamsin", "orrin"))
    m.place(0, 0.0, AWAY)
    m.place(1, 7.0, AWAY)
    m.hero(0)["lifesteal"] = 0.5
    m.base(1)["passive"] = rec.PASSIVE_THORNS
    m.base(1)["passive_values"] = [0.5, 0.0, 0.0, 0.0]
    m.attack(0, 1)
    m.unit(0)["pending"] = 9999.0
    m.step(times=8)
    assert m.unit(0)["alive"] == 0
    assert (m.unit(0)["pending"], m.hero(0)["pending_heal"]) == (0.0, 0.0)
