"""What every scripted bot must keep to: legal actions, fog, symmetry, one row at a time."""

import numpy as np
import pytest
import torch

from simrl.core.policy import PolicyOutput
from simrl_envs.moba import MobaConfig, MobaEnv
from simrl_envs.moba.bots import KERNELS, LEVELS, make_bot
from simrl_envs.moba.bots.arena import draw_heroes, observe
from simrl_envs.moba.bots.orders import slot_of
from simrl_envs.moba.mask import action_spec
from simrl_envs.moba.records import (
    BUTTON_ATTACK,
    BUTTON_BUY,
    BUTTON_MOVE,
    BUTTON_NONE,
    BUTTON_RECALL,
    BUTTON_SKILL,
    HEAD_BUTTON,
    NUM_HEADS,
    NUM_SKILLS,
)
from simrl_envs.moba.rules.step import reset_game, step_games
from simrl_envs.moba.rules.targets import target_of_slot
from simrl_envs.moba.tables import Tables, load_tables

TABLES = load_tables()
BOTS = list(KERNELS)


def act(tables: Tables, level: str, games: np.ndarray, agent: int, seed: int = 0) -> np.ndarray:
    """Return deterministic actions of one seat in each game, int64 `[rows, 5]`."""
    bot = make_bot(tables, level)
    obs = observe(tables, games, agent, bot.reads)
    memory = bot.initial_state(len(games))
    rng = torch.Generator().manual_seed(seed)
    return bot.act(obs, memory, rng, deterministic=True).action.numpy()


def play(tables: Tables, levels: list[str], heroes: np.ndarray, decisions: int) -> list[np.ndarray]:
    """Play games and return copies of all records, one array every 20 decisions."""
    games = tables.new_games(len(heroes))
    for row in range(len(heroes)):
        reset_game(games, tables.record, row, row, heroes[row])
    kept = []
    for step in range(decisions):
        actions = np.zeros((len(games), heroes.shape[1], NUM_HEADS), np.int64)
        for agent in range(heroes.shape[1]):
            actions[:, agent] = act(tables, levels[agent % len(levels)], games, agent)
        step_games(games, tables.record, actions, 0, len(games))
        if step % 20 == 19:
            kept.append(games.copy())
    return kept


@pytest.fixture(scope="module")
def moments() -> np.ndarray:
    """Records from 12 games of macro against skill-user, over the first four minutes."""
    kept = play(TABLES, ["macro", "skill-user"], draw_heroes(TABLES, 12, seed=4), 1800)
    return np.concatenate(kept)


@pytest.mark.parametrize(
    "config",
    [MobaConfig(threads=1), MobaConfig(threads=1, agent_buys=True)],
    ids=["default", "agent-buys"],
)
@pytest.mark.parametrize("level", LEVELS)
def test_no_action_is_illegal(level: str, config: MobaConfig) -> None:
    # Against random-legal, which brings about states that no sane player would.
    env = MobaEnv(config, 16)
    tables = load_tables(agent_buys=config.agent_buys)
    bots = [make_bot(tables, level), make_bot(tables, "random-legal")]
    obs, rng = env.reset(3), torch.Generator().manual_seed(3)
    memory = [bot.initial_state(16) for bot in bots]
    buttons = set()
    for _ in range(1500 if config.agent_buys else 700):  # long enough to earn an item
        outputs: list[PolicyOutput] = []
        for agent, bot in enumerate(bots):
            seen = {"seat": torch.full((16,), agent), "state": obs["state"]}
            seen["action_mask"] = obs["action_mask"][:, agent]
            outputs.append(bot.act(seen, memory[agent], rng))
            used = env.spec.actions.used(seen["action_mask"], outputs[-1].action[:, 0])
            assert not outputs[-1].action[~used].any(), "a head that does not count is not 0"
        buttons |= set(outputs[0].action[:, HEAD_BUTTON].tolist())
        obs = env.step(torch.stack([output.action for output in outputs], 1)).obs  # raises
    assert {BUTTON_NONE, BUTTON_MOVE, BUTTON_ATTACK} <= buttons
    assert (BUTTON_BUY in buttons) == (config.agent_buys and level in ("random-legal", "macro"))


def test_teams_of_three_play_legally() -> None:
    tables = load_tables(map="3v3")
    spec = action_spec(tables)
    checked = 0
    for games in play(tables, ["macro", "skill-user"], draw_heroes(tables, 4, seed=1), 500):
        for agent in range(6):
            mask = observe(tables, games, agent, frozenset({"action_mask"}))["action_mask"]
            for level in BOTS:
                action = torch.from_numpy(act(tables, level, games, agent))
                assert spec.legal(mask, action).all()
                checked += int((action[:, HEAD_BUTTON] > BUTTON_MOVE).sum())
    assert checked > 200  # attacks and skills, not walks alone


@pytest.mark.parametrize("level", BOTS)
def test_what_the_fog_hides_changes_nothing(level: str, moments: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    changed = 0
    for agent in (0, 1):
        games = moments.copy()
        units = games["units"]
        hidden = (units["visible"] >> agent) & 1 == 0
        hidden &= (units["team"] != agent) & (units["alive"] == 1)
        changed += int(hidden[:, 1 - agent].sum())
        for name in ("x", "y", "hp", "attack", "vx", "vy"):
            noise = rng.uniform(-30.0, 30.0, units[name].shape).astype(np.float32)
            units[name] = np.where(hidden, noise, units[name])
        for name in ("mana", "gold", "xp"):  # never shown, seen or not
            games["heroes"][name][:, 1 - agent] = 1.0
        games["heroes"]["cooldown_ready"][:, 1 - agent] = 0
        before, after = (act(TABLES, level, rows, agent) for rows in (moments, games))
        assert np.array_equal(before, after)
    assert changed > 50  # the test saw heroes in the fog


@pytest.mark.parametrize("level", BOTS)
def test_a_row_does_not_depend_on_the_others(level: str, moments: np.ndarray) -> None:
    order = np.random.default_rng(1).permutation(len(moments))
    together = act(TABLES, level, moments, 0)
    assert np.array_equal(act(TABLES, level, moments[order], 0), together[order])
    assert np.array_equal(act(TABLES, level, moments[7:8], 0), together[7:8])


@pytest.mark.parametrize("level", BOTS)
def test_the_seed_of_a_call_comes_from_the_generator(level: str, moments: np.ndarray) -> None:
    bot = make_bot(TABLES, level)
    obs = observe(TABLES, moments, 0, bot.reads)
    first, again, other = (
        bot.act(obs, {}, torch.Generator().manual_seed(seed)).action for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)  # walks are dithered


@pytest.mark.parametrize("level", BOTS)
def test_red_plays_like_blue(level: str) -> None:
    # Two games that are half turns of each other stay so; a seat and its image act alike. Where a
    # walk is dithered the two draw different numbers, so the move head may differ by one.
    heroes = draw_heroes(TABLES, 8, seed=9)
    games, turned = TABLES.new_games(8), TABLES.new_games(8)
    for row in range(8):
        reset_game(games, TABLES.record, row, row, heroes[row])
        reset_game(turned, TABLES.record, row, row, heroes[row, ::-1].copy())
    casts = 0
    for _ in range(600):
        actions = np.stack([act(TABLES, level, games, agent) for agent in (0, 1)], 1)
        mirror = np.stack([act(TABLES, level, turned, agent) for agent in (1, 0)], 1)
        same = actions.copy()
        step = (mirror[..., 1] - actions[..., 1] + 8) % 16 - 8
        assert np.abs(step).max() <= 1
        same[..., 1] = mirror[..., 1]
        assert np.array_equal(same, mirror)
        casts += int((actions[..., 0] >= BUTTON_SKILL).sum())
        step_games(games, TABLES.record, actions, 0, 8)
        step_games(turned, TABLES.record, np.ascontiguousarray(actions[:, ::-1]), 0, 8)
    assert level == "lane-pusher" or casts > 0


def test_the_dead_and_the_stunned_do_nothing(moments: np.ndarray) -> None:
    games = moments.copy()
    games["units"]["stun_until"][:, 0] = games["tick"] + 5
    for level in BOTS:
        assert (act(TABLES, level, games, 0)[:, HEAD_BUTTON] == BUTTON_NONE).all()


def test_the_skill_user_uses_every_skill(moments: np.ndarray) -> None:
    buttons = set(act(TABLES, "skill-user", moments, 1)[:, HEAD_BUTTON])
    assert {BUTTON_SKILL + skill for skill in range(NUM_SKILLS)} <= buttons


def test_the_macro_player_goes_home_when_hurt(moments: np.ndarray) -> None:
    games = moments[:1].copy()
    units = games["units"][0]
    units["visible"][1] = 0  # nobody to be seen
    units["alive"][2 : TABLES.shape.structure_start] = 0
    games["heroes"]["creep_slots"] = -1
    games["heroes"]["recall_at"] = 0
    games["relic_ready"] = games["tick"] + 10_000
    games["areas"] = games["shots"] = 0
    units["alive"][:2] = 1
    units["x"][0], units["y"][0] = -10.0, 0.0
    units["hp"][0] = 0.1 * units["max_hp"][0]
    assert act(TABLES, "macro", games, 0)[0, HEAD_BUTTON] == BUTTON_RECALL
    units["hp"][0] = units["max_hp"][0]
    games["heroes"]["mana"] = games["heroes"]["max_mana"]
    assert act(TABLES, "macro", games, 0)[0, HEAD_BUTTON] in (BUTTON_NONE, BUTTON_MOVE)


def test_slot_of_inverts_target_of_slot() -> None:
    for name in ("1v1", "3v3"):
        tables = load_tables(map=name)
        heroes = draw_heroes(tables, 1, seed=0)
        game = play(tables, ["skill-user"], heroes, 200)[-1][0]
        found = 0
        for agent in range(tables.shape.num_heroes):
            for slot in range(tables.shape.num_unit_targets):
                unit = target_of_slot(game, agent, slot)
                if unit >= 0:
                    assert slot_of(game, agent, unit) == slot
                    found += 1
        assert found > tables.shape.num_heroes * tables.shape.num_heroes


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"unknown bot 'grandmaster'.*macro"):
        make_bot(TABLES, "grandmaster")
    bot = make_bot(TABLES, "macro")
    obs = {"seat": torch.zeros(2, dtype=torch.int64), "state": torch.zeros(2, 8, dtype=torch.uint8)}
    with pytest.raises(ValueError, match=r"expected states of shape \[rows, \d+\].*\(2, 8\)"):
        bot.act(obs, {}, torch.Generator())
