"""A game is its bytes: mirrored play, equal seeds, copies and rows give equal bytes."""

import numpy as np
import pytest

from simrl_envs.moba import records as rec
from simrl_envs.moba.bots.macro import play_macro
from simrl_envs.moba.rules import reset_game, step_games


def random_actions(rng, shape, mirrored):
    """Mostly fighting actions; mirrored gives both sides the same, each in its own frame."""
    actions = np.stack([rng.integers(0, s, (1, shape.num_heroes)) for s in shape.action_sizes], -1)
    odds = [0.25, 0.45, 0.1, 0.1, 0.08, 0.02]
    actions[..., 0] = rng.choice([1, 2, 3, 4, 5, 6], (1, shape.num_heroes), p=odds)
    at_hero = rng.random((1, shape.num_heroes)) < 0.5
    actions[..., 4] = np.where(at_hero, shape.team_size, actions[..., 4])
    if mirrored:
        actions[:, shape.team_size :] = actions[:, : shape.team_size]
    return actions


@pytest.mark.parametrize("map_name", ["1v1", "3v3", "5v5"])
def test_mirrored_play_stays_mirrored_bit_for_bit(match, map_name):
    size = {"1v1": 1, "3v3": 3, "5v5": 5}[map_name]
    for seed in range(6):
        names = match(("orrin",) * 2).tables.heroes
        team = [names[(seed + i) % 6] for i in range(size)]
        m = match([*team, *team], map_name=map_name, waves=True, seed=seed)
        rng = np.random.default_rng(seed)
        spots = rng.uniform(-2, 2, (size, 2))
        for i in range(size):
            m.place(i, *spots[i])
            m.place(size + i, *(-spots[i]))
        for i in range(2 * size):
            m.place(i, float(m.unit(i)["x"]), float(m.unit(i)["y"]))
        for _ in range(600):
            step_games(m.games, m.record, random_actions(rng, m.shape, True), 0, 1)
        assert_mirrored(m)
        assert m.games["heroes"]["damage_to_heroes"].sum() > 0
        assert m.games["heroes"]["skills_cast"].sum() > 10


@pytest.mark.parametrize("hero", range(6))
def test_mirrored_bots_stay_mirrored_through_deaths_and_recalls(match, hero):
    name = match(("orrin", "orrin")).tables.heroes[hero]
    m = match((name, name), waves=True, seed=hero)
    rng = np.random.default_rng(hero)
    actions = np.zeros((1, 2, 5), np.int64)
    for _ in range(2500):
        dither = rng.random()
        for seat in range(2):
            play_macro(m.games[0], m.record[0], seat, dither, actions[0, seat])
        step_games(m.games, m.record, actions, 0, 1)
    assert_mirrored(m)
    assert m.games["heroes"]["last_hits"].sum() > 10


def assert_mirrored(m):
    shape, game = m.shape, m.games[0]
    units = game["units"]
    heroes, creeps = shape.num_heroes, shape.num_creeps
    groups = [(0, heroes), (heroes, creeps), (shape.structure_start, 2 * shape.structures_per_team)]
    for start, count in groups:
        blue = units[start : start + count // 2]
        red = units[start + count // 2 : start + count]
        np.testing.assert_array_equal(blue["alive"], red["alive"])
        live = blue["alive"] == 1
        for name in ("hp", "max_hp", "slow", "burn", "attack_ready", "stun_until", "stage"):
            np.testing.assert_array_equal(blue[name][live], red[name][live], err_msg=name)
        for name in ("x", "y", "vx", "vy"):
            np.testing.assert_array_equal(blue[name][live], -red[name][live], err_msg=name)
    blue, red = game["heroes"][: heroes // 2], game["heroes"][heroes // 2 :]
    skip = ("facing_x", "facing_y", "last_seen_x", "last_seen_y", "creep_slots", "order_target")
    skip += ("order_move", "order_direction", "aggro_victim")
    for name in blue.dtype.names:
        if name not in skip:
            np.testing.assert_array_equal(blue[name], red[name], err_msg=name)


@pytest.mark.parametrize("map_name", ["1v1", "3v3", "5v5"])
def test_same_seed_and_actions_give_the_same_bytes(match, map_name):
    results = []
    for _ in range(2):
        size = {"1v1": 1, "3v3": 3, "5v5": 5}[map_name]
        m = match(("tamsin",) * 2 * size, map_name=map_name, waves=True, seed=7)
        rng = np.random.default_rng(3)
        for _ in range(400):
            step_games(m.games, m.record, random_actions(rng, m.shape, False), 0, 1)
        results.append(m.games.tobytes())
    assert results[0] == results[1]


def test_a_copy_of_the_bytes_is_a_snapshot_and_seeds_differ(match):
    m = match(("sable", "liora"), waves=True)
    rng = np.random.default_rng(0)
    actions = [random_actions(rng, m.shape, False) for _ in range(300)]
    for action in actions[:150]:
        step_games(m.games, m.record, action, 0, 1)
    saved = m.games.tobytes()
    for action in actions[150:]:
        step_games(m.games, m.record, action, 0, 1)
    restored = np.frombuffer(bytearray(saved), m.games.dtype)
    for action in actions[150:]:
        step_games(restored, m.record, action, 0, 1)
    assert restored.tobytes() == m.games.tobytes()
    other = match(("sable", "liora"), waves=True, seed=2)
    for action in actions:
        step_games(other.games, other.record, action, 0, 1)
    assert other.games["units"].tobytes() != m.games["units"].tobytes()


def test_rows_are_independent_and_finished_ones_rest(match):
    m = match(("sable", "liora"), waves=True)
    games = m.tables.new_games(3)
    for row in range(3):
        reset_game(games, m.record, row, 1, np.array([2, 5]))
    games["done"][1] = rec.TERMINATED
    frozen = games[1].tobytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        action = random_actions(rng, m.shape, False)
        step_games(games, m.record, np.repeat(action, 3, 0), 0, 3)
        step_games(m.games, m.record, action, 0, 1)
    assert games[1].tobytes() == frozen
    assert games[0].tobytes() == games[2].tobytes()
