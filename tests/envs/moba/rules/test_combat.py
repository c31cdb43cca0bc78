"""Damage, effects and passives, each against numbers worked by hand."""

import numpy as np
import pytest

from simrl_envs.moba import records as rec

AWAY = 14.0  # beside the lane, out of every tower's reach


def duel(match, heroes=("brakka", "orrin"), gap=2.0):
    """Two heroes `gap` metres apart, nothing else near, with the figures of the cases."""
    m = match(heroes)
    m.place(0, 0.0, AWAY, attack=63.0, resist=28.0)
    m.place(1, gap, AWAY, armour=34.0, resist=30.0)
    for i, (attack, move_speed) in enumerate(((63.0, 5.0), (60.0, 4.9))):
        m.unit(i)["attack"] = attack
        m.hero(i)["move_speed"] = move_speed
        m.hero(i)["attack_interval"] = 18.0
        m.unit(i)["hp"] = m.unit(i)["max_hp"] = 760.0
        m.hero(i)["hp_regen"] = 0.0
        m.hero(i)["mana_regen"] = 0.0
        m.hero(i)["lifesteal"] = 0.0
    m.table["num_relics"] = 0
    return m


def set_skill(m, agent, effects, skill=0, **fields):
    """Replace a skill of an agent's hero by a free instant one with the given effects."""
    data = m.base(agent)["skills"][skill]
    plain = dict(
        aim=rec.AIM_TARGET,
        delivery=rec.DELIVERY_INSTANT,
        side=rec.SIDE_ENEMY,
        range=9.0,
        radius=0.0,
        speed=0.0,
        delay=0,
        duration=0,
        period=0,
        pierce=0,
        mana=0.0,
    )
    for name, value in {**plain, **fields}.items():
        data[name] = value
    data["num_effects"] = len(effects)
    for e, effect in enumerate(effects):
        for name in data["effects"].dtype.names:
            data["effects"][e][name] = effect.get(name, 0)


def lost(m, i):
    return float(m.unit(i)["max_hp"] - m.unit(i)["hp"])


def test_basic_attack_against_armour(match):
    m = duel(match)
    # brakka's attack 63 against orrin's armour 34: 63 * 100 / 134 = 47.01493.
    m.attack(0, 1)
    assert lost(m, 1) == pytest.approx(47.01493, rel=1e-5)
    assert m.hero(0)["damage_to_heroes"] == pytest.approx(47.01493, rel=1e-5)
    assert m.hero(1)["damage_taken"] == pytest.approx(47.01493, rel=1e-5)


def test_attack_interval(match):
    m = duel(match)
    # 1.2 s are 18 ticks; windup 1 tick: blows land in ticks 2, 20, 38: three in 38 ticks.
    m.unit(1)["hp"] = m.unit(1)["max_hp"] = 5000
    m.attack(0, 1, times=19)
    assert lost(m, 1) == pytest.approx(3 * 47.01493, rel=1e-5)


def test_attack_walks_into_reach(match):
    m = duel(match, gap=6.0)
    m.attack(0, 1, times=20)
    # It stops where the edges are 1.5 m apart: centres within 1.5 + 2 * 0.6 = 2.7 m.
    assert 2.3 < 6.0 - m.unit(0)["x"] <= 2.7
    assert lost(m, 1) > 0


def test_another_order_cancels_the_windup(match):
    m = duel(match)
    m.base(0)["windup"] = 3
    m.attack(0, 1)
    assert m.hero(0)["windup_at"] > 0
    m.step({0: (rec.BUTTON_MOVE, 4)})
    m.step(times=4)
    assert lost(m, 1) == 0
    assert m.hero(0)["windup_at"] == 0


def test_ranged_attack_flies(match):
    m = duel(match, ("tamsin", "orrin"), gap=7.0)
    m.attack(0, 1)
    assert lost(m, 1) == 0
    assert m.games["projectiles"]["alive"].sum() == 1
    m.step(times=5)
    assert lost(m, 1) == pytest.approx(47.01493, rel=1e-5)
    assert m.games["projectiles"]["alive"].sum() == 0


@pytest.mark.parametrize(
    ("damage", "expected"),
    # 100 raw on armour 34 and resistance 30: 100/1.34, 100/1.30, 100.
    [(rec.DAMAGE_PHYSICAL, 74.62687), (rec.DAMAGE_MAGIC, 76.92308), (rec.DAMAGE_TRUE, 100.0)],
)
def test_damage_types(match, damage, expected):
    m = duel(match)
    set_skill(m, 0, [dict(kind=rec.EFFECT_DAMAGE, amount=100.0, damage=damage)])
    m.cast(0, 0, unit=1)
    assert lost(m, 1) == pytest.approx(expected, rel=1e-5)


def test_damage_scales_with_rank_attack_ability_and_hp(match):
    m = duel(match)
    effect = dict(kind=rec.EFFECT_DAMAGE, damage=rec.DAMAGE_TRUE, amount=10.0, per_rank=5.0)
    set_skill(m, 0, [effect | dict(attack=0.5, ability=2.0, max_hp=0.1)])
    m.hero(0)["level"] = 8  # rank 3: two ranks more
    m.unit(0)["attack"], m.hero(0)["ability"], m.unit(0)["max_hp"] = 80, 7, 500
    m.cast(0, 0, unit=1)
    # 10 + 2 * 5 + 0.5 * 80 + 2 * 7 + 0.1 * 500 = 124.
    assert lost(m, 1) == pytest.approx(124.0, rel=1e-6)


def test_burn(match):
    m = duel(match)
    effect = dict(kind=rec.EFFECT_BURN, amount=30.0, damage=rec.DAMAGE_MAGIC, duration=15)
    set_skill(m, 0, [effect])
    m.cast(0, 0, unit=1)
    m.step(times=10)
    # 30 a second for 1 s (15 ticks, and the tick of the hit), / 1.3: 30 * 16/15 / 1.3 = 24.61538.
    assert lost(m, 1) == pytest.approx(24.61538, rel=1e-4)


def test_stun_stops_everything(match):
    m = duel(match)
    set_skill(m, 0, [dict(kind=rec.EFFECT_STUN, duration=15)])
    m.cast(0, 0, unit=1)
    before = m.unit(1)["x"]
    m.step({1: (rec.BUTTON_MOVE, 0)}, times=3)
    m.attack(1, 0, times=2)
    m.cast(1, 1)
    assert m.unit(1)["x"] == before
    assert lost(m, 0) == 0
    assert m.hero(1)["skills_cast"] == 0
    m.step({1: (rec.BUTTON_MOVE, 0)}, times=8)
    assert m.unit(1)["x"] != before


def test_slow(match):
    m = duel(match)
    set_skill(m, 0, [dict(kind=rec.EFFECT_SLOW, amount=0.5, duration=60)])
    m.cast(0, 0, unit=1)
    y = float(m.unit(1)["y"])
    m.step({1: (rec.BUTTON_MOVE, 4)})
    # Red's frame is turned, so 4 (up) is down: 4.9 m/s * 0.5 * 2/15 s = 0.3266667 m.
    assert m.unit(1)["y"] - y == pytest.approx(-0.3266667, rel=1e-4)


def test_haste(match):
    m = duel(match)
    set_skill(m, 0, [dict(kind=rec.EFFECT_HASTE, on=rec.SIDE_SELF, amount=0.5, duration=60)])
    m.cast(0, 0, unit=1)
    x = float(m.unit(0)["x"])
    m.step({0: (rec.BUTTON_MOVE, 8)})
    # 5 m/s * 1.5 * 2/15 s = 1 m.
    assert m.unit(0)["x"] - x == pytest.approx(-1.0, rel=1e-4)


def test_knockback(match):
    m = duel(match)
    set_skill(m, 0, [dict(kind=rec.EFFECT_KNOCKBACK, amount=3.0)])
    m.cast(0, 0, unit=1)
    m.step({1: (rec.BUTTON_MOVE, 0)})  # cannot walk while it is pushed
    m.step(times=3)
    assert m.unit(1)["x"] == pytest.approx(5.0, abs=1e-4)


def test_silence_forbids_skills_only(match):
    m = duel(match)
    set_skill(m, 0, [dict(kind=rec.EFFECT_SILENCE, duration=30)])
    m.cast(0, 0, unit=1)
    m.cast(1, 1)
    assert m.hero(1)["skills_cast"] == 0
    m.attack(1, 0, times=2)
    assert lost(m, 0) > 0


def test_shield_absorbs_first(match):
    m = duel(match)
    shield = dict(kind=rec.EFFECT_SHIELD, on=rec.SIDE_SELF, amount=30.0, duration=60)
    set_skill(m, 1, [shield], skill=1, aim=rec.AIM_SELF)
    m.cast(1, 1)
    m.attack(0, 1)
    # 47.01493 - 30 = 17.01493.
    assert lost(m, 1) == pytest.approx(17.01493, rel=1e-4)
    assert m.hero(1)["shield"] == 0


def test_guard_removes_a_fraction(match):
    m = duel(match)
    guard = dict(kind=rec.EFFECT_GUARD, on=rec.SIDE_SELF, amount=0.4, duration=60)
    set_skill(m, 1, [guard], skill=1, aim=rec.AIM_SELF)
    m.cast(1, 1)
    m.attack(0, 1)
    assert lost(m, 1) == pytest.approx(0.6 * 47.01493, rel=1e-5)


def test_heal_counts_what_was_missing(match):
    m = duel(match)
    heal = dict(kind=rec.EFFECT_HEAL, on=rec.SIDE_SELF, amount=100.0)
    set_skill(m, 0, [heal], aim=rec.AIM_SELF)
    m.unit(0)["hp"] -= 60
    m.cast(0, 0)
    assert lost(m, 0) == 0
    assert m.hero(0)["heal_done"] == pytest.approx(60.0)


def test_might_and_frenzy(match):
    m = duel(match)
    m.unit(1)["hp"] = m.unit(1)["max_hp"] = 5000
    might = dict(kind=rec.EFFECT_MIGHT, on=rec.SIDE_SELF, amount=1.0, duration=60)
    frenzy = dict(kind=rec.EFFECT_FRENZY, on=rec.SIDE_SELF, amount=1.0, duration=60)
    set_skill(m, 0, [might, frenzy], aim=rec.AIM_SELF)
    m.cast(0, 0)
    # Interval 9 ticks: ticks 2, 11, 20 (of 20) after the cast, twice the damage each.
    m.attack(0, 1, times=10)
    assert lost(m, 1) == pytest.approx(3 * 2 * 47.01493, rel=1e-4)


def test_mana_and_cooldown(match):
    m = duel(match)
    set_skill(m, 0, [dict(kind=rec.EFFECT_DAMAGE, amount=10.0)], mana=50.0)
    before = float(m.hero(0)["mana"])
    m.cast(0, 0, unit=1)
    m.cast(0, 0, unit=1)  # cooling down
    assert m.hero(0)["mana"] == pytest.approx(before - 50.0)
    assert m.hero(0)["skills_cast"] == 1
    assert m.hero(0)["cooldown_ready"][0] == 1 + int(m.base(0)["skills"][0]["cooldown"])
    m.hero(0)["cooldown_ready"][0] = 0
    m.hero(0)["mana"] = 49.0
    m.cast(0, 0, unit=1)
    assert m.hero(0)["skills_cast"] == 1


def test_target_out_of_range_is_refused(match):
    m = duel(match, gap=12.0)
    set_skill(m, 0, [dict(kind=rec.EFFECT_DAMAGE, amount=10.0)], range=9.0)
    m.cast(0, 0, unit=1)
    assert m.hero(0)["skills_cast"] == 0


def test_skill_shot_hits_the_first_and_piercing_hits_all(match):
    for pierce, expected in ((0, [True, False]), (1, [True, True])):
        m = duel(match, gap=6.0)
        creep = m.add_creep(1, 3.0, AWAY)
        shot = dict(kind=rec.EFFECT_DAMAGE, amount=40.0, damage=rec.DAMAGE_TRUE)
        form = dict(aim=rec.AIM_DIRECTION, delivery=rec.DELIVERY_PROJECTILE, range=9.0)
        set_skill(m, 0, [shot], **form, speed=1.0, radius=0.5, pierce=pierce)
        m.cast(0, 0, direction=0)
        m.step(times=6)
        assert [lost(m, creep) == 40, lost(m, 1) == 40] == expected


def test_skill_shot_misses_beside_and_beyond(match):
    for gap, direction in ((6.0, 4), (11.0, 0)):
        m = duel(match, gap=gap)
        shot = dict(kind=rec.EFFECT_DAMAGE, amount=40.0)
        form = dict(aim=rec.AIM_DIRECTION, delivery=rec.DELIVERY_PROJECTILE, range=8.0)
        set_skill(m, 0, [shot], **form, speed=1.0, radius=0.5)
        m.cast(0, 0, direction=direction)
        m.step(times=10)
        assert lost(m, 1) == 0
        assert m.games["projectiles"]["alive"].sum() == 0


def test_area_strikes_after_its_delay_and_can_be_left(match):
    for leaves in (False, True):
        m = duel(match, gap=6.0)
        area = dict(kind=rec.EFFECT_DAMAGE, amount=50.0, damage=rec.DAMAGE_TRUE)
        form = dict(aim=rec.AIM_POINT, delivery=rec.DELIVERY_AREA, range=8.0)
        set_skill(m, 0, [area], **form, radius=1.0, delay=8)
        m.cast(0, 0, direction=0, distance=2)  # (2 + 1) / 4 of 8 m: 6 m
        assert lost(m, 1) == 0
        m.step({1: (rec.BUTTON_MOVE, 8)} if leaves else None, times=5)
        assert lost(m, 1) == (0 if leaves else 50)


def test_lasting_area_pulses(match):
    m = duel(match, gap=6.0)
    area = dict(kind=rec.EFFECT_DAMAGE, amount=10.0, damage=rec.DAMAGE_TRUE)
    form = dict(aim=rec.AIM_POINT, delivery=rec.DELIVERY_AREA, range=6.0)
    set_skill(m, 0, [area], **form, radius=1.0, duration=12, period=4)
    m.cast(0, 0, direction=0, distance=3)
    m.step(times=10)
    # Pulses 0, 4, 8 and 12 ticks after the cast.
    assert lost(m, 1) == pytest.approx(40.0)


def test_dash_and_blink_move_and_strike_on_arrival(match):
    for delivery, ticks in ((rec.DELIVERY_DASH, 4), (rec.DELIVERY_BLINK, 1)):
        m = duel(match, gap=5.0)
        hit = dict(kind=rec.EFFECT_DAMAGE, amount=50.0, damage=rec.DAMAGE_TRUE)
        form = dict(aim=rec.AIM_DIRECTION, delivery=delivery, range=4.0)
        set_skill(m, 0, [hit], **form, speed=1.0, radius=1.0)
        m.cast(0, 0, direction=0)
        assert m.unit(0)["x"] == pytest.approx(min(4.0, 4.0 * 2 / ticks))
        m.step(times=2)
        assert m.unit(0)["x"] == pytest.approx(4.0)
        assert lost(m, 1) == 50


@pytest.mark.parametrize("hero", range(6))
@pytest.mark.parametrize("skill", range(3))
def test_every_shipped_skill_does_something(match, hero, skill):
    name = match(("orrin", "orrin")).tables.heroes[hero]
    m = duel(match, (name, "orrin"), gap=4.0)
    m.unit(0)["hp"] *= 0.5
    data = m.base(0)["skills"][skill]
    ally = data["aim"] == rec.AIM_TARGET and data["side"] == rec.SIDE_ALLY
    if data["aim"] == rec.AIM_SELF or data["radius"] < 2.5:
        m.place(1, 2.4, AWAY)
    if data["delivery"] in (rec.DELIVERY_BLINK, rec.DELIVERY_DASH):
        m.place(1, float(data["range"]) - 0.2, AWAY)
    fields = ["hp", "stun_until", "slow_until", "burn_until", "forced_until"]
    own = ["shield", "haste_until", "might_until", "frenzy_until", "guard_until"]
    before = [m.unit(1)[f].copy() for f in fields], [m.hero(0)[f].copy() for f in own]
    hp = float(m.unit(0)["hp"])
    distance = 3 if data["delivery"] == rec.DELIVERY_DASH else 1
    m.cast(0, skill, direction=0, distance=distance, unit=0 if ally else 1)
    m.step(times=10)
    assert m.hero(0)["skills_cast"] == 1
    after = [m.unit(1)[f] for f in fields], [m.hero(0)[f] for f in own]
    has_changed = not np.array_equal(before[0], after[0]) or not np.array_equal(before[1], after[1])
    assert has_changed or m.unit(0)["hp"] > hp
    if any(e["kind"] == rec.EFFECT_DAMAGE for e in data["effects"][: data["num_effects"]]):
        assert m.unit(1)["hp"] < m.unit(1)["max_hp"]


def set_passive(m, agent, passive, *values):
    m.base(agent)["passive"] = passive
    m.base(agent)["passive_values"] = np.resize([*values, 0, 0, 0, 0], 4)
    m.base(agent)["passive_values"][len(values) :] = 0


def test_passive_nth_hit(match):
    m = duel(match)
    set_passive(m, 0, rec.PASSIVE_NTH_HIT, 2, 0.5, 0.0, 10.0)
    m.attack(0, 1, times=10)  # blows in ticks 2 and 20; the second carries the bonus
    # 2 * 47.01493 + (0.5 * 63 + 10) / 1.3 = 94.02985 + 31.92308.
    assert lost(m, 1) == pytest.approx(125.95293, rel=1e-5)


def test_passive_lifesteal(match):
    m = duel(match)
    m.hero(0)["lifesteal"] = 0.5
    m.unit(0)["hp"] -= 200
    m.attack(0, 1)
    assert lost(m, 0) == pytest.approx(200 - 0.5 * 47.01493, rel=1e-5)


def test_passive_last_stand(match):
    m = duel(match)
    set_passive(m, 1, rec.PASSIVE_LAST_STAND, 0.5, 0.3)
    m.unit(1)["hp"] = 300.0  # below half of 760
    m.attack(0, 1)
    assert m.unit(1)["hp"] == pytest.approx(300 - 0.7 * 47.01493, rel=1e-5)


def test_passive_mana_shield(match):
    m = duel(match)
    set_passive(m, 1, rec.PASSIVE_MANA_SHIELD, 0.5, 2.0)
    mana = float(m.hero(1)["mana"])
    m.attack(0, 1)
    # Half of the damage costs two mana a point.
    assert lost(m, 1) == pytest.approx(23.50746, rel=1e-4)
    assert m.hero(1)["mana"] == pytest.approx(mana - 47.01493, rel=1e-5)


def test_passive_aura_heal(match):
    m = duel(match, ("orrin", "orrin"))
    set_passive(m, 0, rec.PASSIVE_AURA_HEAL, 5.0, 0.0, 8.0)
    m.unit(0)["hp"] -= 100
    m.step(times=15)  # 30 ticks: twice
    assert lost(m, 0) == pytest.approx(90.0, rel=1e-5)
    assert m.hero(0)["heal_done"] == pytest.approx(10.0)


def test_passive_execute(match):
    m = duel(match)
    set_passive(m, 0, rec.PASSIVE_EXECUTE, 0.5, 0.2)
    m.attack(0, 1)
    assert lost(m, 1) == pytest.approx(47.01493, rel=1e-5)
    m.unit(1)["hp"] = 300.0
    m.attack(0, 1, times=9)
    assert m.unit(1)["hp"] == pytest.approx(300 - 1.2 * 47.01493, rel=1e-5)


def test_passive_thorns(match):
    m = duel(match)
    set_passive(m, 1, rec.PASSIVE_THORNS, 0.5)
    m.attack(0, 1)
    # Half of 63 as magic damage on brakka's resistance 28: 31.5 / 1.28 = 24.60938.
    assert lost(m, 0) == pytest.approx(24.60938, rel=1e-5)


def test_passive_spell_strike(match):
    m = duel(match)
    set_passive(m, 0, rec.PASSIVE_SPELL_STRIKE, 0.0, 0.0, 13.0)
    set_skill(m, 0, [dict(kind=rec.EFFECT_HASTE, on=rec.SIDE_SELF, duration=2)], aim=rec.AIM_SELF)
    m.cast(0, 0)
    m.attack(0, 1)
    assert lost(m, 1) == pytest.approx(47.01493 + 13.0 / 1.3, rel=1e-5)
    assert m.hero(0)["passive_count"] == 0
