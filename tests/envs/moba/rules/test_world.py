"""Waves, towers, gold, experience, death, items and the end of a game."""

import pytest

from simrl_envs.moba import records as rec

AWAY = 14.0


def test_hero_takes_the_last_hit(match):
    m = match(("brakka", "orrin"))
    creep = m.add_creep(1, 2.0, AWAY, hp=10.0, max_hp=10.0)
    m.place(0, 0.0, AWAY)
    gold, tick = float(m.hero(0)["gold"]), m.tick
    m.attack(0, creep)
    kind = m.table["kinds"][rec.KIND_MELEE]
    minutes = (tick + 2) / 900  # 900 ticks of 1/15 s are a minute
    passive = 2 * m.table["passive_gold"] / 15
    expected = gold + kind["gold"] + kind["gold_per_minute"] * minutes + passive
    assert m.hero(0)["gold"] == pytest.approx(float(expected), rel=1e-5)
    assert m.hero(0)["last_hits"] == 1
    assert m.hero(0)["xp_earned"] == pytest.approx(float(kind["xp"]))
    assert m.hero(0)["gold_earned"] == pytest.approx(float(expected - gold), rel=1e-5)
    assert m.unit(creep)["alive"] == 0


def test_experience_needs_nearness_and_is_shared(match):
    m = match(("brakka",) * 3 + ("orrin",) * 3, map_name="3v3")
    creep = m.add_creep(1, 0.0, 0.0, hp=1.0, max_hp=1.0)
    m.place(0, 1.0, 0.0)
    m.place(1, 10.0, 0.0)
    m.place(2, 25.0, 0.0)  # out of the 20 m
    m.attack(0, creep)
    xp = float(m.table["kinds"][rec.KIND_MELEE]["xp"])
    assert list(m.games["heroes"]["xp_earned"][0, :3]) == pytest.approx([xp / 2, xp / 2, 0])


def test_levels_rise_by_experience(match):
    m = match(("sable", "orrin"))
    # 120 from level 1 to 2, 175 from 2 to 3, 230 from 3 to 4: levels at 120, 295, 525.
    m.table["xp_to_level"][:4] = [0, 120, 295, 525]
    creep = m.add_creep(1, 2.0, AWAY, hp=1.0, max_hp=1.0)
    m.place(0, 0.0, AWAY)
    m.hero(0)["xp"] = 290.0
    hp, max_hp = float(m.unit(0)["hp"]), float(m.unit(0)["max_hp"])
    m.unit(0)["hp"] = hp - 100
    m.hero(0)["hp_regen"] = 0.0
    m.attack(0, creep)
    assert m.hero(0)["level"] == 3
    gained = 2 * float(m.base(0)["hp_per_level"])
    assert m.unit(0)["max_hp"] == pytest.approx(max_hp + gained)
    assert m.unit(0)["hp"] == pytest.approx(hp - 100 + gained, abs=1.0)


def test_kill_pays_killer_and_helper(match):
    m = match(("brakka",) * 3 + ("orrin",) * 3, map_name="3v3")
    m.table["passive_gold"] = 0.0
    m.place(0, 0.0)
    m.place(1, 4.0)
    m.place(3, 2.0)
    m.attack(1, 3)
    m.unit(3)["hp"] = 5.0
    gold = m.games["heroes"]["gold_earned"][0].copy()
    m.attack(0, 3)
    earned = m.games["heroes"]["gold_earned"][0] - gold
    bounty = float(m.table["kill_gold"] + m.table["kill_gold_per_level"])
    assert list(earned[:3]) == pytest.approx([bounty, bounty / 2, 0])
    assert list(m.games["heroes"]["kills"][0]) == [1, 0, 0, 0, 0, 0]
    assert list(m.games["heroes"]["assists"][0]) == [0, 1, 0, 0, 0, 0]
    assert m.hero(3)["deaths"] == 1


def test_tower_kill_belongs_to_the_last_hero_that_hit(match):
    m = match(("brakka", "orrin"))
    m.place(0, -20.0)
    m.place(1, -18.0)
    m.attack(0, 1)
    m.unit(1)["hp"] = 1.0
    m.step(times=40)
    assert m.unit(1)["alive"] == 0
    assert m.hero(0)["kills"] == 1


def test_death_and_respawn(match):
    m = match(("brakka", "orrin"))
    m.place(0, 0.0, AWAY)
    m.place(1, 2.0, AWAY, hp=1.0)
    m.hero(1)["level"] = 2
    m.table["respawn"], m.table["respawn_per_level"] = 5.0, 1.5
    m.attack(0, 1)
    died = m.tick
    # Level 2: 5 + 2 * 1.5 = 8 s are 120 ticks.
    assert m.unit(1)["alive"] == 0
    assert m.hero(1)["respawn_at"] == died + 120
    m.step({1: (rec.BUTTON_MOVE, 0)}, times=59)
    assert m.unit(1)["alive"] == 0
    m.step()
    assert m.unit(1)["alive"] == 1
    assert m.unit(1)["hp"] == m.unit(1)["max_hp"]
    assert (m.unit(1)["x"], m.unit(1)["y"]) == (57.0, 0.0)


def test_two_heroes_can_kill_each_other(match):
    m = match(("brakka", "brakka"))
    m.place(0, 0.0, AWAY, hp=1.0)
    m.place(1, 2.0, AWAY, hp=1.0)
    m.step({i: (rec.BUTTON_ATTACK, 0, 0, 0, 1) for i in range(2)})
    assert list(m.games["heroes"]["kills"][0]) == [1, 1]
    assert list(m.games["heroes"]["deaths"][0]) == [1, 1]


def test_recall_takes_six_seconds_and_breaks(match):
    recall = (rec.BUTTON_RECALL,)
    m = match(("brakka", "orrin"))
    m.place(0, 0.0, AWAY)
    m.step({0: recall})
    m.step(times=43)  # 88 ticks
    assert m.unit(0)["x"] == 0.0
    m.step(times=2)
    assert m.unit(0)["x"] == -57.0
    for breaker in ("move", "damage"):
        m.place(0, 0.0, AWAY)
        m.place(1, 2.0, AWAY)
        m.step({0: recall})
        if breaker == "move":
            m.step({0: (rec.BUTTON_MOVE, 4)})
        else:
            m.attack(1, 0)
        assert m.hero(0)["recall_at"] == 0


def test_fountain_heals_friends_and_burns_enemies(match):
    m = match(("brakka", "orrin"))
    m.unit(0)["hp"] = 100.0
    m.hero(0)["hp_regen"] = 0.0
    m.place(1, -57.0)
    hp = float(m.unit(1)["hp"])
    m.hero(1)["hp_regen"] = 0.0
    m.step()
    # Two ticks: 12 % of the maximum a second; 300 a second.
    share = float(m.table["fountain_heal"]) * 2 / 15
    assert m.unit(0)["hp"] == pytest.approx(100 + m.unit(0)["max_hp"] * share, rel=1e-5)
    assert m.unit(1)["hp"] == pytest.approx(hp - 300 * 2 / 15, rel=1e-5)


def test_relic_heals_once_a_minute(match):
    m = match(("brakka", "orrin"))
    m.place(0, 0.0, 12.0, hp=100.0)
    m.hero(0)["hp_regen"] = 0.0
    m.step(times=3)
    healed = float(m.table["relic_heal"]) * m.unit(0)["max_hp"]
    assert m.unit(0)["hp"] == pytest.approx(100 + healed, rel=1e-5)
    assert m.game["relic_ready"][0] == 1 + 900


def test_items_follow_the_build_at_the_fountain(match):
    m = match(("brakka", "orrin"))
    attack = float(m.unit(0)["attack"])
    m.hero(0)["gold"] = 460.0
    m.place(0, 0.0, AWAY)
    m.step()
    assert m.hero(0)["num_items"] == 0
    m.place(0, -57.0)
    m.step()
    blade = m.tables.items.index("long_blade")
    assert m.hero(0)["items"][0] == 1 + blade
    assert m.unit(0)["attack"] == pytest.approx(attack + 18)
    assert m.hero(0)["gold"] == pytest.approx(10.0, abs=1.0)


def test_agents_may_buy_if_the_option_is_on(match):
    m = match(("brakka", "orrin"), agent_buys=True)
    orb = m.tables.items.index("apprentice_orb")
    m.hero(0)["gold"] = 460.0
    m.step()
    assert m.hero(0)["num_items"] == 0
    m.step({0: (rec.BUTTON_BUY, 0, 0, 0, orb)})
    assert m.hero(0)["items"][0] == 1 + orb
    assert m.hero(0)["ability"] == pytest.approx(30.0)


def test_waves_come_in_time_and_fight(match):
    m = match(("brakka", "orrin"), waves=True)
    first = int(m.table["first_wave"])
    m.step(times=first // 2)
    assert list(m.games["creep_top"][0, :, 0]) == [5, 5]
    kinds = m.games["units"]["kind"][0, 2:7]
    assert list(kinds) == [rec.KIND_MELEE] * 3 + [rec.KIND_RANGED] * 2
    m.step(times=150)
    alive = m.games["units"]["alive"][0, 2:30]
    hp = m.games["units"]["hp"][0, 2:30]
    full = m.games["units"]["max_hp"][0, 2:30]
    assert (hp[alive == 1] < full[alive == 1]).any()


def test_creeps_prefer_creeps_and_turn_on_an_aggressor(match):
    m = match(("brakka", "orrin"))
    mine = m.add_creep(0, 0.0, stun_until=0)
    theirs = m.add_creep(1, 4.0, hp=5000.0, max_hp=5000.0)
    m.place(1, 1.5)
    m.step(times=3)
    assert m.unit(mine)["target"] == theirs
    m.place(0, 0.0)
    m.attack(1, 0, times=4)
    assert m.unit(mine)["target"] == 1
    m.place(1, 40.0)
    m.step(times=25)
    assert m.unit(mine)["target"] == theirs


def test_tower_shoots_creeps_first_unless_a_hero_is_hurt(match):
    m = match(("brakka", "orrin"))
    tower = m.tower(0)
    creep = m.add_creep(1, -20.0, hp=5000.0, max_hp=5000.0)
    m.place(1, -21.0)
    m.step(times=4)
    assert m.unit(tower)["target"] == creep
    m.place(0, -22.0)
    m.attack(1, 0, times=5)
    assert m.unit(tower)["target"] == 1


def test_tower_hits_harder_each_time(match):
    m = match(("brakka", "orrin"))
    m.unit(1)["hp"] = m.unit(1)["max_hp"] = 50_000
    m.hero(1)["hp_regen"] = 0.0
    m.place(1, -20.0)
    m.table["kinds"][rec.KIND_TOWER]["attack_per_minute"] = 0.0
    losses, last = [], 50_000.0
    for _ in range(60):
        m.step()
        if m.unit(1)["hp"] < last:
            losses.append(last - float(m.unit(1)["hp"]))
            last = float(m.unit(1)["hp"])
    attack = float(m.table["kinds"][rec.KIND_TOWER]["attack"])
    first = attack * 100 / (100 + float(m.unit(1)["armour"]))
    ramp = float(m.table["tower_ramp"])
    assert losses[:3] == pytest.approx(
        [first, first * (1 + ramp), first * (1 + 2 * ramp)], rel=1e-3
    )


def test_backdoor_and_decay(match):
    m = match(("brakka", "orrin"))
    m.place(0, 23.0, attack=63.0)
    tower = m.tower(1)
    m.unit(tower)["attack"] = 0.0
    m.unit(tower)["armour"] = 40.0
    m.table["decay_start"], m.table["decay_per_minute"] = 3.0, 0.5
    m.attack(0, tower, times=2)
    # 63 on armour 40 is 45; a quarter of it without creeps near.
    assert m.unit(tower)["max_hp"] - m.unit(tower)["hp"] == pytest.approx(45 / 4, rel=1e-3)
    m.unit(tower)["hp"] = m.unit(tower)["max_hp"]
    m.add_creep(0, 20.0)
    m.step(times=10)
    m.attack(0, tower)
    assert m.unit(tower)["max_hp"] - m.unit(tower)["hp"] == pytest.approx(45, rel=1e-3)
    m.unit(tower)["hp"] = m.unit(tower)["max_hp"]
    m.game["tick"] += 900 * 5
    m.place(0, 23.0)
    m.unit(0)["attack_ready"] = 0
    m.step()
    m.attack(0, tower)
    late = 1 + (m.tick / 900 - 3.0) * 0.5
    assert m.unit(tower)["max_hp"] - m.unit(tower)["hp"] == pytest.approx(45 * late, rel=1e-3)


def test_crystal_is_safe_behind_its_tower_and_ends_the_game(match):
    m = match(("brakka", "orrin"))
    m.place(0, 45.0)
    m.unit(m.crystal(1))["hp"] = 1.0
    m.attack(0, m.crystal(1), times=10)
    assert m.unit(m.crystal(1))["hp"] == 1.0
    m.unit(m.tower(1))["alive"] = 0
    m.attack(0, m.crystal(1), times=10)
    assert (m.game["winner"], m.game["done"]) == (rec.BLUE, rec.TERMINATED)
    frozen = m.games.tobytes()
    m.step({0: (rec.BUTTON_MOVE, 0)}, times=3)
    assert m.games.tobytes() == frozen


def test_tower_pays_the_whole_team(match):
    m = match(("brakka",) * 3 + ("orrin",) * 3, map_name="3v3")
    m.table["passive_gold"] = 0.0
    tower = m.tower(1)
    m.unit(tower)["hp"] = 1.0
    m.place(0, 20.0, 18.0)  # red's lane 0 is the half turn of blue's
    m.attack(0, tower, times=3)
    share = float(m.table["kinds"][rec.KIND_TOWER]["gold"]) / 3
    assert list(m.games["heroes"]["gold_earned"][0, :3]) == pytest.approx([share] * 3)
    assert m.hero(0)["towers"] == 1
    assert list(m.game["fallen"]) == [0, 1]


def test_time_limit_truncates(match):
    m = match(("brakka", "orrin"), max_minutes=0.1)
    m.step(times=45)  # 6 s are 90 ticks
    assert (m.game["winner"], m.game["done"]) == (-1, rec.TRUNCATED)
