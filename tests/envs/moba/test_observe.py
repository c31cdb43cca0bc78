"""Every observed number is where the layout says, in its range, mirrored for the seat, not dead."""

import numpy as np
import pytest
import torch

from simrl_envs.moba import MobaConfig, MobaEnv
from simrl_envs.moba import records as rec


def make(num_envs=1, **options):
    return MobaEnv(MobaConfig(threads=1, **options), num_envs)


def named(env, obs, block, agent=0, row=None, group="policy"):
    """Return one block's row as {column: value}."""
    layout = env.spec.observations[group]
    values = layout.split(obs[group])[block][0, agent]
    values = values if row is None else values[row]
    return {c.name: float(v) for c, v in zip(layout.block(block).columns, values, strict=True)}


def columns_seen(env, lively, steps, seed):
    """Play and return the least and greatest value of every column, tables pooled over rows."""
    layout = env.spec.observations["policy"]
    rng = np.random.default_rng(seed)
    obs = env.reset(seed)
    env.games["heroes"]["gold"][::2] = 9000.0  # every second game buys all that there is
    units = env.games["units"]  # and some heroes start wounded on the healing spots
    units["x"][1::8, :2], units["y"][1::8, :2], units["hp"][1::8, :2] = 0.0, (12.0, -12.0), 50.0
    low = np.full(layout.size, np.inf, np.float32)
    high = -low
    for _ in range(steps):
        obs = env.step(lively(obs["action_mask"], rng)).obs
        values = obs["policy"].numpy().reshape(-1, layout.size)
        np.minimum(low, values.min(0), out=low)
        np.maximum(high, values.max(0), out=high)
    seen = {}
    for block in layout.blocks:
        shape = block.shape if block.kind != "vector" else (1, *block.shape)
        least = low[layout.slices[block.name]].reshape(shape)
        most = high[layout.slices[block.name]].reshape(shape)
        axes = (1, 2) if block.kind == "map" else 0
        for column, a, b in zip(block.columns, least.min(axes), most.max(axes), strict=True):
            seen[f"{block.name}.{column.name}"] = (column, float(a), float(b))
    return seen


def test_every_column_moves_and_stays_in_its_range(lively):
    env = make(32, local_map=True)
    env.request({"policy"})
    seen = columns_seen(env, lively, 3000, seed=0)
    outside = [n for n, (c, a, b) in seen.items() if not (c.low <= a and b <= c.high)]
    assert outside == []
    assert [name for name, (_, least, most) in seen.items() if most - least < 1e-4] == []


def test_both_seats_of_a_mirrored_game_see_the_same_bits(lively):
    # Both sides play the same heroes and the same orders: each must see the other as itself.
    env = make(8, mirror=True, local_map=True)
    obs = env.reset(4)
    rng = np.random.default_rng(0)
    for step in range(900):
        assert torch.equal(obs["policy"][:, 0], obs["policy"][:, 1]), step
        assert torch.equal(obs["critic"][:, 0], obs["critic"][:, 1]), step
        assert torch.equal(obs["action_mask"][:, 0], obs["action_mask"][:, 1]), step
        action = lively(obs["action_mask"][:, :1], rng)
        timestep = env.step(action.repeat(1, 2, 1))
        assert float(timestep.reward.abs().max()) < 1e-6  # zero-sum, and nobody is ahead
        obs = timestep.obs


def test_own_block_reads_the_record(edited):
    env = make(seats=("orrin", "orrin"))
    env.reset(0)
    game = env.games[0]
    unit, hero = game["units"][0], game["heroes"][0]
    game["tick"] = 300
    unit["x"], unit["y"] = -30.0, 5.0
    unit["max_hp"], unit["hp"] = 800.0, 200.0
    hero["max_mana"], hero["mana"] = 400.0, 500.0 * 0.2
    hero["level"], hero["gold"] = 3, 1000.0
    hero["xp"] = (env.tables.record["xp_to_level"][0, 2:4].sum()) / 2
    unit["attack_ready"] = 300 + 15  # one second
    hero["cooldown_ready"] = (300 + 150, 0, 0)  # ten seconds
    unit["stun_until"], hero["silence_until"] = 0, 300 + 15
    hero["items"] = (0, 1, 1, 0, 0, 0)
    own = named(env, edited(env), "own")
    assert own["hp"] == 0.25
    assert own["hp_points"] == pytest.approx(200 / 2200)
    assert own["mana"] == 0.25
    assert own["mana_points"] == pytest.approx(100 / 600)
    assert own["level"] == pytest.approx(3 / 15)
    assert own["xp"] == pytest.approx(0.5)
    assert own["gold"] == 0.5
    assert (own["x"], own["y"]) == (-0.5, 0.25)  # the field is 120 m by 40 m
    assert own["attack_wait"] == pytest.approx(0.5)
    assert own["skill1_wait"] == pytest.approx(0.5)
    assert own["silence"] == pytest.approx(0.5)
    assert (own["skill1_ready"], own["skill2_ready"]) == (0.0, 0.0)  # silenced
    first = env.tables.items[0]
    assert own[f"item_{first}"] == 1.0
    assert own["hero_orrin"] == 1.0
    assert sum(value for name, value in own.items() if name.startswith("hero_")) == 1.0
    red = named(env, env.restore(env.snapshot()), "own", agent=1)
    assert red["x"] == pytest.approx(-57 / 60)  # red's fountain is at its own negative x, too


def test_a_hero_out_of_sight_is_hidden_from_policy_and_not_from_critic(edited):
    env = make()
    env.reset(0)
    obs = env.restore(env.snapshot())
    assert named(env, obs, "heroes", row=0)["present"] == 0.0  # never seen: not even a memory
    assert named(env, obs, "heroes", row=0, group="critic")["seen"] == 1.0
    assert named(env, obs, "targets", row=1)["present"] == 0.0

    env.games[0]["tick"] = 1
    units = env.games[0]["units"]
    units["x"][:2], units["y"][:2] = (-5.0, 5.0), 0.0  # face to face, 10 m apart
    obs = edited(env)
    enemy = named(env, obs, "heroes", row=0)
    assert (enemy["present"], enemy["seen"], enemy["hp"]) == (1.0, 1.0, 1.0)
    assert enemy["x"] == pytest.approx(10 / 30)
    assert named(env, obs, "targets", row=1)["attackable"] == 1.0
    seen_from_red = named(env, obs, "heroes", agent=1, row=0)
    assert seen_from_red["x"] == pytest.approx(10 / 30)

    units["x"][1] = 40.0
    env.games[0]["tick"] += 150  # ten seconds later it is gone
    obs = edited(env)
    enemy = named(env, obs, "heroes", row=0)
    assert (enemy["present"], enemy["seen"], enemy["hp"], enemy["mana"]) == (1.0, 0.0, 0.0, 0.0)
    assert enemy["x"] == pytest.approx(10 / 30)  # where it was last seen
    assert enemy["unseen"] == pytest.approx(0.5)
    hidden = named(env, obs, "heroes", row=0, group="critic")
    assert hidden["x"] == pytest.approx(45 / 65)


def test_policy_does_not_depend_on_what_is_hidden(edited):
    env = make()
    env.reset(0)
    before = env.restore(env.snapshot())["policy"][0, 0].clone()
    units, heroes = env.games[0]["units"], env.games[0]["heroes"]
    units["x"][1], units["hp"][1] = 30.0, 50.0
    heroes["mana"][1], heroes["gold"][1], heroes["level"][1] = 3.0, 777.0, 9
    assert torch.equal(edited(env)["policy"][0, 0], before)


def test_targets_are_the_slots_of_the_target_head(edited):
    env = make()
    env.reset(0)
    units = env.games[0]["units"]
    start = env.tables.shape.creep_start + rec.CREEPS_PER_LANE  # red's first creep slot
    env.games[0]["creep_top"][1, 0] = 2
    for slot, x in ((start, 6.0), (start + 1, 2.0)):
        units[slot]["x"], units[slot]["team"], units[slot]["alive"] = x, 1, 1
        units[slot]["kind"], units[slot]["hp"], units[slot]["max_hp"] = rec.KIND_SIEGE, 1.0, 100.0
    units["x"][0] = 0.0
    obs = edited(env)
    near, far = (named(env, obs, "targets", row=row) for row in (2, 3))
    assert near["distance"] == pytest.approx(2 / 22)  # nearest first
    assert far["distance"] == pytest.approx(6 / 26)
    assert (near["siege"], near["attackable"], near["last_hit"]) == (1.0, 1.0, 1.0)
    assert named(env, obs, "targets", row=0)["ally"] == 1.0
    tower, crystal = (named(env, obs, "targets", row=row) for row in (10, 11))
    assert (tower["tower"], tower["attackable"]) == (1.0, 1.0)
    assert (crystal["crystal"], crystal["attackable"]) == (1.0, 0.0)  # its tower still stands
    assert tower["x"] == pytest.approx(25 / 45)


def test_projectiles_and_zones_are_listed_enemy_first(edited):
    env = make()
    env.reset(0)
    game = env.games[0]
    game["units"]["x"][0] = 0.0
    for index, x, target in ((0, 1.0, -1), (10, 3.0, 0)):  # own skill-shot, enemy shot at me
        shot = game["projectiles"][index]
        shot["alive"], shot["x"], shot["target"], shot["vx"] = 1, x, target, 2.0
        shot["skill"] = 1 if target < 0 else -1
    game["shots"] = (1, 1)
    zone = game["zones"][4]
    zone["alive"], zone["x"], zone["radius"], zone["next"] = 1, 2.0, 4.0, 15
    game["areas"] = (0, 1)
    obs = edited(env)
    first, second = (named(env, obs, "projectiles", row=row) for row in (0, 1))
    assert (first["enemy"], first["homes_on_me"], first["skill"]) == (1.0, 1.0, 0.0)
    assert (second["enemy"], second["homes_on_me"], second["skill"]) == (0.0, 0.0, 1.0)
    assert first["vx"] == pytest.approx(0.5)  # 2 m a tick are 30 m/s
    area = named(env, obs, "zones", row=0)
    assert (area["enemy"], area["covers_me"]) == (1.0, 1.0)
    assert area["wait"] == pytest.approx(0.5)


def test_local_map_counts_units_in_cells(edited):
    env = make(local_map=True)
    env.reset(0)
    units = env.games[0]["units"]
    units["x"][:2], units["y"][:2] = (0.0, 6.0), (0.0, -4.0)
    layout = env.spec.observations["policy"]
    picture = layout.split(edited(env)["policy"])["map"][0, 0]
    # The enemy is 6 m ahead and 4 m down: one cell of 5 m right of and one below the centre (2, 4).
    assert float(picture[1, 1, 5]) == pytest.approx(1 / 3)
    assert float(picture[1].sum()) == pytest.approx(1 / 3)
    assert float(picture[2, 1, 5]) > 0
