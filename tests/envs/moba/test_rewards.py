"""Reward terms against hand-worked numbers."""

import numpy as np
import pytest
import torch

from simrl_envs.moba import MobaConfig, MobaEnv, rewards
from simrl_envs.moba import records as rec


def itemise(changes, minutes=0.0, zero_sum=True, spirit=0.0, scaling=1.0):
    """Return the terms [A, R] for changes [A] of gold and of win alike."""
    agents = len(changes)
    before = np.zeros((agents, rewards.NUM_TERMS), np.float32)
    after = before.copy()
    after[:, rewards.TERM_GOLD] = changes
    after[:, rewards.TERM_WIN] = changes
    terms = np.zeros_like(before)
    rewards.itemise(before, after, minutes, zero_sum, spirit, scaling, terms)
    assert (np.delete(terms, [rewards.TERM_GOLD, rewards.TERM_WIN], axis=1) == 0).all()
    return terms[:, rewards.TERM_GOLD].tolist(), terms[:, rewards.TERM_WIN].tolist()


def test_zero_sum_subtracts_the_enemy_teams_mean():
    assert itemise([30, 10])[0] == [20, -20]
    # Blue earns 30, 0, 6 (mean 12), red 3, 3, 0 (mean 2).
    assert itemise([30, 0, 6, 3, 3, 0])[0] == [28, -2, 4, -9, -9, -12]
    assert itemise([30, 10], zero_sum=False)[0] == [30, 10]


def test_team_spirit_moves_each_towards_the_teams_mean():
    # 30, 0, 6 have mean 12; half way: 21, 6, 9.
    assert itemise([30, 0, 6, 0, 0, 0], spirit=0.5, zero_sum=False)[0][:3] == [21, 6, 9]
    assert itemise([30, 10], spirit=0.5, zero_sum=False)[0] == [30, 10]  # a team of one


def test_time_scaling_shrinks_all_but_the_win():
    gold, win = itemise([8, 0], minutes=10.0, scaling=0.5)
    assert gold == pytest.approx([4, -4])
    assert win == [8, -8]
    assert itemise([8, 0], minutes=20.0, scaling=0.5)[0] == pytest.approx([2, -2])


def measures(env, agent=0):
    out = np.zeros(rewards.NUM_TERMS, np.float32)
    rewards.measure(env.games[0], agent, out)
    return dict(zip(rewards.TERMS, out.tolist(), strict=True))


def test_measures_read_the_record():
    env = MobaEnv(MobaConfig(threads=1), 1)
    env.reset(0)
    game = env.games[0]
    unit, hero = game["units"][0], game["heroes"][0]
    unit["max_hp"], unit["hp"] = 400.0, 100.0
    hero["max_mana"], hero["mana"] = 200.0, 50.0
    hero["gold_earned"], hero["xp_earned"] = 70.0, 90.0
    hero["kills"], hero["deaths"], hero["assists"], hero["last_hits"] = 3, 2, 1, 9
    hero["damage_to_heroes"] = 1500.0
    start = env.tables.shape.structure_start
    structures = game["units"][start:]
    structures["hp"][0] = 0.75 * structures["max_hp"][0]  # own tower has lost a quarter
    structures["alive"][2] = 0  # the enemy's is gone
    structures["hp"][3] = 0.5 * structures["max_hp"][3]
    blue, red = measures(env), measures(env, 1)
    assert blue["hp"] == pytest.approx(0.5)  # sqrt(1/4)
    assert blue["mana"] == 0.25
    assert (blue["gold"], blue["xp"]) == (70.0, 90.0)
    assert [blue[name] for name in ("kill", "death", "assist", "last_hit")] == [3, 2, 1, 9]
    assert blue["hurt_hero"] == pytest.approx(1.5)
    assert blue["tower"] == 0.75  # 1 - 0.25
    assert blue["crystal"] == 0.5
    assert (red["tower"], red["crystal"]) == (-0.75, -0.5)
    assert blue["win"] == 0.0
    game["winner"] = rec.RED
    unit["alive"] = 0
    assert (measures(env)["win"], measures(env, 1)["win"]) == (-1.0, 1.0)
    assert measures(env)["hp"] == 0.0


def test_rewards_are_weighted_terms_and_sum_to_zero(lively):
    env = MobaEnv(MobaConfig(threads=1, team_size=3, max_minutes=3.0), 8)
    obs = env.reset(0)
    weights = torch.tensor(env.spec.reward_weights)
    rng = np.random.default_rng(0)
    paid = torch.zeros(len(weights))
    for _ in range(600):
        step = env.step(lively(obs["action_mask"], rng))
        obs = step.obs
        assert torch.allclose((step.reward_terms * weights).sum(-1), step.reward, atol=1e-5)
        total = step.reward[:, :3].sum(1) + step.reward[:, 3:].sum(1)
        assert total.abs().max() <= 1e-6 * max(1.0, float(step.reward.abs().max())) * 6
        paid += step.reward_terms.abs().sum((0, 1))
    names = [n for n, value in zip(env.spec.reward_terms, paid, strict=True) if value == 0]
    assert set(names) <= {"kill", "assist", "crystal", "win"}  # rare in play as poor as this


def test_a_death_to_a_tower_counts(edited):
    env = MobaEnv(MobaConfig(threads=1, zero_sum=False, time_scaling=1.0), 1)
    env.reset(0)
    units = env.games[0]["units"]
    units["x"][0], units["hp"][0] = 22.0, 5.0  # under red's tower, nearly dead, nobody else near
    edited(env)
    death = env.spec.reward_terms.index("death")
    paid = 0.0
    for _ in range(20):
        paid += float(env.step(torch.zeros(1, 2, 5, dtype=torch.int64)).reward_terms[0, 0, death])
    assert paid == 1.0


def test_a_death_to_a_creep_counts(edited):
    env = MobaEnv(MobaConfig(threads=1, zero_sum=False, time_scaling=1.0), 1)
    env.reset(0)
    game, shape = env.games[0], env.tables.shape
    game["units"]["x"][0], game["units"]["y"][0], game["units"]["hp"][0] = 0.0, 9.0, 1.0
    creep = game["units"][shape.creep_start + rec.CREEPS_PER_LANE]  # red's first
    game["creep_top"][1, 0] = 1
    creep["kind"], creep["team"], creep["alive"], creep["stage"] = rec.KIND_MELEE, 1, 1, 1
    creep["x"], creep["y"], creep["hp"], creep["max_hp"] = 1.5, 9.0, 400.0, 400.0
    creep["attack"] = 50.0
    edited(env)
    names = env.spec.reward_terms
    paid = torch.zeros(2, len(names))
    for _ in range(10):
        paid += env.step(torch.zeros(1, 2, 5, dtype=torch.int64)).reward_terms[0]
    assert paid[:, names.index("death")].tolist() == [1.0, 0.0]
    assert paid[:, names.index("kill")].tolist() == [0.0, 0.0]  # no hero had hit it


def test_the_rewards_of_a_duel_cancel_exactly(lively):
    env = MobaEnv(MobaConfig(threads=1, max_minutes=1.0), 16)
    obs, rng = env.reset(0), np.random.default_rng(3)
    paid = 0.0
    for _ in range(500):  # over the end of the games: 450 decisions
        step = env.step(lively(obs["action_mask"], rng))
        obs = step.obs
        assert torch.equal(step.reward[:, 0], -step.reward[:, 1])
        assert torch.equal(step.reward_terms[:, 0], -step.reward_terms[:, 1])
        paid += float(step.reward.abs().sum())
    assert paid > 10.0
