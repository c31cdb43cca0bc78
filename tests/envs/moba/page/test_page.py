"""The replay page holds the very game that was played."""

import dataclasses
import json
import re

import numpy as np
import pytest

from simrl.core.plugins import env_plugin
from simrl.core.replay import load_replay
from simrl_envs.moba.columns import values_of
from simrl_envs.moba.frames import Playback, frames, play_back
from simrl_envs.moba.page import replay_page
from simrl_envs.moba.page.data import page_data
from simrl_envs.moba.page.events import find_events
from simrl_envs.moba.page.orders import order_text
from simrl_envs.moba.tables import load_tables

STEPS = 260


@pytest.fixture(scope="module")
def played(record):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(8), (STEPS, 2)).astype(np.float32)
    value = rng.normal(size=(STEPS, 2, 5)).astype(np.float32)
    value[:, 1] = np.nan  # red is a script: it has no value
    policies = ("a policy", "</script><b>&")
    return record(STEPS, 3, policies, {"value": value, "button_probs": probs})


@pytest.fixture(scope="module")
def data(played):
    return page_data(played[0], play_back(played[0]))


def test_playing_back_gives_the_same_bytes(played, tmp_path):
    replay, live = played
    replay.save(tmp_path / "game.jsonl")
    again = play_back(load_replay(tmp_path / "game.jsonl"))
    assert again.games.tobytes() == live.tobytes()
    assert again.seconds == pytest.approx(2 / 15)


def test_playing_back_keeps_the_last_moment(record):
    # 0.1 minutes are 90 ticks, 45 decisions; the environment would show the next episode by then.
    replay, live = record(60, max_minutes=0.1)
    games = play_back(replay).games
    assert len(games) == 46 and games["tick"].tolist() == list(range(0, 92, 2))
    assert games["done"][-1] == 2 and games[:-1].tobytes() == live.tobytes()


def test_columns_hold_the_game(data, played):
    live = played[1]
    for hero in (0, 1):
        columns = data["heroes"][hero]["columns"]
        x = values_of(columns["x"], len(live)) / data["grain"]
        assert np.abs(x - live["units"]["x"][:, hero]).max() <= 0.5 / data["grain"] + 1e-5
        gold = values_of(columns["gold_earned"], len(live))
        assert np.abs(gold - live["heroes"]["gold_earned"][:, hero]).max() <= 0.5


def test_every_creep_is_told_once(data, played):
    units = played[1]["units"][:, 2:-4]
    told = np.zeros(len(units), int)
    for track in data["creeps"]:
        told[track["first"] : track["first"] + track["count"]] += 1
    assert told.max() >= 10 and np.array_equal(told, (units["alive"] != 0).sum(axis=1))
    # Each walks: 3.6 m/s are at most 0.48 m in a decision, 9.6 twentieths, rounded at both ends.
    steps = np.abs(np.concatenate([t["x"][1:] for t in data["creeps"] if t["count"] > 1]))
    assert 5 <= steps.max() <= 11


def test_figures_of_the_agents(data, played):
    blue, red = data["heroes"]
    assert data["valueNames"] == ["farming", "kda", "damage", "pushing", "win"]
    value = values_of(blue["values"][2], STEPS) / 1000
    assert np.allclose(value, played[0].extras["value"][:, 0, 2], atol=6e-4)
    assert red["values"] is None and len(red["probs"]) == 8
    assert blue["policy"] == "a policy"


def test_missing_figures_repeat_the_last(record):
    value = np.array([[np.nan, 0], [2, 0], [np.nan, 0], [5, 0]], np.float32)[..., None]
    replay, _ = record(4, extras={"value": value})
    values = page_data(replay, play_back(replay))["heroes"][0]["values"]
    assert values_of(values[0], 4).tolist() == [2000, 2000, 2000, 5000]


def test_page_is_whole_and_safe(played):
    page = replay_page(played[0])
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "http" not in page
    assert "{{" not in page.split('type="application/json"')[0]
    assert page.count("</script>") == 2  # a policy's name cannot end the data
    text = page.split('type="application/json">')[1].split("</script>")[0]
    assert json.loads(text)["heroes"][1]["policy"] == "</script><b>&"


def test_page_of_a_long_game_is_small(played, record):
    # 260 decisions are 35 s; six minutes may take 3 MB.
    fixed = len(replay_page(record(1)[0]))
    assert (len(replay_page(played[0])) - fixed) / STEPS * (360 * 7.5) < 2.5e6


def test_plugin_draws_and_shows(played):
    plugin = env_plugin("moba-1v1")
    assert plugin.replay_page(played[0]).startswith("<!doctype html>")
    picture = next(iter(plugin.frames(played[0])))
    assert picture.shape == (400, 960, 3)


def test_frames_are_one_a_decision(record):
    replay, _ = record(5)
    assert len(list(frames(replay, (320, 180), team=0))) == 6


def test_a_replay_of_another_game_is_refused(played):
    with pytest.raises(ValueError, match="snapshot"):
        play_back(dataclasses.replace(played[0], snapshot=b"short"))
    with pytest.raises(ValueError, match="no option 'colour'"):
        play_back(dataclasses.replace(played[0], config={"colour": 1}))
    actions = played[0].actions.copy()
    actions[7, 1, 0] = 7  # nobody may buy by button here
    with pytest.raises(ValueError, match=r"decision 7 of the replay .* other rules"):
        play_back(dataclasses.replace(played[0], actions=actions))


@pytest.fixture
def staged():
    """Eleven records in which red kills blue, blue dies to creeps, red's tower falls, blue wins."""
    tables = load_tables()
    games = tables.new_games(11)
    games["winner"] = -1
    shape = tables.shape
    red_tower = shape.structure_start + shape.structures_per_team
    games["units"]["alive"][:, shape.structure_start :] = 1
    games["units"]["kind"][:, shape.structure_start :] = 4
    games["units"]["team"][:, red_tower:] = 1
    games["heroes"]["hero"] = [0, 1]
    games["heroes"]["deaths"][3:, 0] = 1
    games["heroes"]["kills"][3:, 1] = 1
    games["heroes"]["deaths"][6:, 0] = 2
    games["units"]["alive"][8:, red_tower] = 0
    games["winner"][-1], games["done"][-1] = 0, 1
    return Playback(tables, games, np.zeros((10, 2, 5), np.int64), 0.1)


def test_events(staged):
    names = [name.title() for name in staged.tables.heroes]
    events = [(e["frame"], e["kind"], e["team"], e["text"]) for e in find_events(staged)]
    assert events == [
        (3, "death", 1, f"{names[1]} kills {names[0]}"),
        (6, "death", 1, f"{names[0]} dies"),
        (8, "tower", 0, "Red's tower falls"),
        (10, "end", 0, "Blue wins"),
    ]


def test_orders_in_words(staged):
    game = staged.games[0]
    game["units"]["alive"][:2] = 1
    names = [name.title() for name in staged.tables.heroes]
    # Direction 0 is forward: to the right for blue, to the left for red.
    assert order_text(staged, game, 0, [1, 0, 0, 0, 0]) == "Move →"
    assert order_text(staged, game, 1, [1, 0, 0, 0, 0]) == "Move ←"
    assert order_text(staged, game, 0, [1, 4, 0, 0, 0]) == "Move ↑"
    # Slot 0 is oneself, slot 1 the enemy in 1v1, slots 10 and 11 the enemy's structures.
    assert order_text(staged, game, 0, [2, 0, 0, 0, 1]) == f"Attack {names[1]}"
    assert order_text(staged, game, 1, [2, 0, 0, 0, 10]) == "Attack tower"
    assert order_text(staged, game, 0, [6, 0, 0, 0, 0]) == "Recall"
    assert order_text(staged, game, 0, [0, 0, 0, 0, 0]) == "Wait"
    game["units"]["alive"][0] = 0
    assert order_text(staged, game, 0, [0, 0, 0, 0, 0]) == "Dead"


def test_a_game_that_ends_otherwise_than_recorded_is_refused(record):
    # 0.05 minutes are 45 ticks, which 23 decisions of two ticks pass.
    replay, _ = record(40, max_minutes=0.05)
    right = dataclasses.replace(replay, metrics={"gold": _gold(replay), "minutes": 0.05})
    assert len(play_back(right).actions) == len(replay.actions)
    wrong = dataclasses.replace(replay, metrics={"gold": [1e6, 0.0]})
    with pytest.raises(ValueError, match=r"ends otherwise than recorded.*different are gold"):
        play_back(wrong)


def _gold(replay):
    heroes = play_back(replay).games[-1]["heroes"]
    return [float(hero["gold_earned"]) for hero in heroes]


def test_a_replay_of_one_seat_is_drawn_close_and_told_to_the_page(record):
    replay, _ = record(3)
    seated = dataclasses.replace(replay, seat=1)
    assert {frame.shape for frame in frames(seated)} == {(380, 560, 3)}
    assert {frame.shape for frame in frames(replay)} == {(400, 960, 3)}
    assert page_data(seated, play_back(seated))["seat"] == 1
    assert page_data(replay, play_back(replay))["seat"] == -1
    stranger = dataclasses.replace(replay, seat=7)
    assert page_data(stranger, play_back(stranger))["seat"] == -1
