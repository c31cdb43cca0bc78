"""From a game to its page: play writes a replay into a run, report links it, a browser plays it."""

import pytest

from simrl.core.replay import load_replay
from simrl.runs.config import save_config
from simrl.runs.presets import preset


@pytest.fixture
def run_with_a_game(simrl, tmp_path):
    folder = tmp_path / "run"
    save_config(preset("moba-1v1"), folder / "config.yaml")
    words = ("--env", "moba-1v1", "--option", "max_minutes=0.5", "--heroes", "orrin,sable")
    game = folder / "replays" / "game.jsonl"
    code, said, _ = simrl("play", "macro", "lane-pusher", *words, "--out", game)
    assert code == 0
    assert "time limit" in said
    code, _, _ = simrl("report", folder)
    assert code == 0
    return folder


def test_heroes_and_options_reach_the_game(run_with_a_game):
    replay = load_replay(run_with_a_game / "replays" / "game.jsonl")
    assert replay.config["seats"] == ["orrin", "sable"]
    assert replay.config["max_minutes"] == 0.5
    assert replay.policies == ("macro", "lane-pusher")


def test_unknown_hero(simrl):
    code, _, err = simrl("play", "macro", "macro", "--env", "moba-1v1", "--heroes", "luna,sable")
    assert code == 2
    assert "unknown hero 'luna'; the heroes are" in err


@pytest.mark.browser
def test_the_reports_link_opens_the_game(run_with_a_game, page):
    page.goto((run_with_a_game / "report.html").as_uri())
    page.get_by_role("link", name="game").click()
    page.wait_for_url("**/replays/game.html")
    assert page.locator("canvas").first.is_visible()
