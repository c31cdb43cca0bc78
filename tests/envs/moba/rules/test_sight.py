"""Sight: who sees whom, brush, and the slots by which units are named."""

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules import target_of_slot

AWAY = 14.0


def test_sight_needs_nearness(match):
    m = match(("brakka", "orrin"))
    m.place(0, -5.0, AWAY)
    m.place(1, 7.5, AWAY)
    assert (m.unit(0)["visible"], m.unit(1)["visible"]) == (3, 3)
    seen = m.tick
    m.step()
    m.place(1, 9.0, AWAY)
    assert (m.unit(0)["visible"], m.unit(1)["visible"]) == (1, 2)
    assert m.hero(1)["last_seen_x"] == 7.5
    assert m.hero(1)["last_seen_tick"] == seen + 2
    m.add_creep(0, 9.0, 6.0)
    assert m.unit(1)["visible"] == 3


def test_brush_hides_until_an_attack_or_a_visit(match):
    m = match(("brakka", "orrin"))
    m.place(0, -9.0, 7.0)  # in a patch
    m.place(1, -9.0, 10.0)
    assert m.unit(0)["brush"] == 1
    assert m.unit(0)["visible"] == 1
    m.attack(1, 0)
    assert m.unit(0)["hp"] == m.unit(0)["max_hp"]
    m.place(1, -9.0, 8.5)  # the same patch
    assert m.unit(0)["visible"] == 3
    m.place(1, -9.0, 10.0)
    assert m.unit(0)["visible"] == 1
    m.attack(0, 1, times=2)
    assert m.unit(0)["visible"] == 3
    m.step(times=9)  # a second later
    assert m.unit(0)["visible"] == 1


def test_slots_name_the_nearest_visible_creeps(match):
    m = match(("brakka", "orrin"))
    m.place(0, 0.0)
    creeps = [m.add_creep(1, x) for x in (5.0, 3.0, 19.0, 4.0, 21.0, 3.0)]
    order = [creeps[k] for k in (1, 5, 3, 0)]
    m.place(0, 0.0)
    # 19 m is out of sight (13 m), 21 m out of range too; equal distances go by slot.
    assert list(m.hero(0)["creep_slots"]) == [*order, -1, -1, -1, -1]
    more = [m.add_creep(1, x) for x in (1.0, 6.0, 7.0, 8.0, 9.0, 2.0)]
    m.place(0, 0.0)
    expected = [more[0], more[5], *order, more[1], more[2]]
    assert list(m.hero(0)["creep_slots"]) == expected


def test_targets_of_slots(match):
    m = match(("brakka",) * 3 + ("orrin",) * 3, map_name="3v3")
    game = m.game_record()
    assert [target_of_slot(game, 1, s) for s in range(6)] == [1, 2, 0, 3, 4, 5]
    assert [target_of_slot(game, 4, s) for s in range(6)] == [4, 5, 3, 0, 1, 2]
    first = 6 + rec.NUM_CREEP_TARGETS
    assert [target_of_slot(game, 4, first + s) for s in range(6)] == [*range(62, 67), -1]
