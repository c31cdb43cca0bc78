"""The report shows what the run's files say, needs nothing beside it, and owns up to its limits."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest

from simrl.core.plugins import EnvPlugin
from simrl.learn.checkpoint import Checkpoints
from simrl.runs.config import TrainConfig
from simrl.runs.report import page as page_module
from simrl.runs.report import read_run, write_report
from simrl.runs.report.charts import MAX_POINTS, Series, binned, line_chart, short_number
from simrl.runs.report.limits import limits
from simrl.runs.report.tables import payoff_table, player_label
from simrl.selfplay.payoff import Payoff


class Outside(HTMLParser):
    """Collect everything that a browser would fetch or link to, and whether elements close."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.stack = [], [], []
        self.feed(text)
        self.loads += re.findall(r"url\(([^)#]+)\)|@import", text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "a":
            self.links.append(attrs["href"])
        else:
            named = ("src", "href", "xlink:href", "data", "srcset", "poster")
            found = [attrs[name] for name in named if name in attrs]
            self.loads += [x for x in found if not x.startswith(("#", "data:"))]
        if tag in ("table", "figure", "div", "main", "section", "details", "ul", "h2", "svg"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if self.stack and tag in ("table", "figure", "div", "main", "details", "ul", "h2", "svg"):
            assert self.stack.pop() == tag


def test_the_page_loads_nothing_and_is_well_formed(report):
    assert report.name == "report.html"
    text = report.read_text()
    seen = Outside(text)
    assert seen.loads == []
    assert seen.stack == []
    assert "http" not in text
    assert "<script" not in text


def test_the_page_shows_the_runs_figures(report):
    text = report.read_text()
    assert "tic-tac-toe: my run" in text
    # Last evaluation: 20 and 47 of 50 games won, Wilson 27.6 to 53.8 % and 83.8 to 97.9 %; at
    # first 5 of 50.
    assert "<b>40 %</b>" in text
    assert "28 to 54 %" in text
    assert "84 to 98 %" in text
    assert "<td>10 %</td>" in text
    # 300,000 agent-steps in 2 minutes.
    assert "2,500 per second" in text
    # The learner's league games: 10 of 40 and 18 of 20, 120,000 steps apart.
    assert 'title="learner against tactical: 25 % (14 to 40 %) in 40 games"' in text
    assert "past self at 150k steps" in text
    assert "seed: 11" in text
    for heading in ("Last evaluation", "Learning curves", "League", "cannot say", "Machine"):
        assert heading in text


def test_every_curve_is_there_by_steps_and_by_minutes(report):
    text = report.read_text()
    figures = re.findall(r"<figure[^>]*><h3>([^<]+)</h3>", text)
    assert figures == [
        "Evaluation: win rate",
        "Wins in training",
        "League Elo",
        "Return",
        "Policy loss",
        "Entropy",
        "Explained variance",
        "Speed",
        "Where the time goes",
    ]
    assert text.count('<div class="by-steps"><svg') == len(figures)
    assert text.count('<div class="by-minutes"><svg') == len(figures)


def test_a_task_without_opponents(alone_folder):
    text = write_report(alone_folder).read_text()
    assert "Evaluation: mean return" in text
    assert "451.5" in text
    assert "18 to 470" in text
    assert "<h2>League" not in text


def test_a_run_that_only_began(tmp_path):
    from simrl.runs.config import save_config

    save_config(TrainConfig(env="cart-pole"), tmp_path / "config.yaml")
    text = write_report(tmp_path).read_text()
    assert "has not finished an update yet" in text
    assert "never evaluated" in text


def test_replay_without_a_page_names_the_command(report):
    text = report.read_text()
    (link,) = Outside(text).links
    assert unquote(link) == "replays/game #1.jsonl"
    assert "simrl watch" in text


def test_replay_pages_are_written_and_linked_from_anywhere(run_folder, tmp_path, monkeypatch):
    plugin = EnvPlugin("", object, make=lambda *_: None, replay_page=lambda replay: "<p>play</p>")
    monkeypatch.setattr(page_module, "env_plugin", lambda name: plugin)
    out = write_report(run_folder, tmp_path / "elsewhere" / "page.html")
    (link,) = Outside(out.read_text()).links
    assert "#" not in link
    target = (out.parent / unquote(link)).resolve()
    assert target == (run_folder / "replays" / "game #1.html").resolve()
    assert target.read_text() == "<p>play</p>"


def test_a_damaged_replay_does_not_stop_the_report(run_folder):
    (run_folder / "replays" / "game #1.jsonl").write_text("{")
    assert write_report(run_folder).exists()


def test_names_are_escaped(run_folder):
    evil = run_folder.with_name("<script>alert(1)")
    run_folder.rename(evil)
    assert "<script" not in write_report(evil).read_text()


def test_limits_are_stated(run_folder):
    said = " ".join(limits(read_run(run_folder)))
    assert "one seed (11)" in said
    # 20 of 50 games: the interval from 27.6 to 53.8 % is 13 points to each side.
    assert "50 games leave the win rate against tactical unsure by ± 13 points" in said
    assert "chosen by these same evaluations" in said
    assert "not finished" not in said


def test_an_unfinished_run_is_named(run_folder):
    lines = (run_folder / "metrics.jsonl").read_text().splitlines()[:150]
    (run_folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert "50 % of its planned length is done" in " ".join(limits(read_run(run_folder)))


def test_the_same_run_gives_the_same_page(report):
    before = report.read_text()
    assert write_report(report.parent).read_text() == before


def test_long_curves_are_binned():
    x = np.arange(10 * MAX_POINTS, dtype=float)
    short = binned(Series("a", x, x % 10))
    # Every bin holds ten values 0 to 9: mean 4.5, deciles at 0.9 and 8.1.
    assert len(short.x) == MAX_POINTS
    assert short.x[0] == 4.5
    assert short.y == pytest.approx(4.5)
    assert short.low == pytest.approx(0.9)
    assert short.high == pytest.approx(8.1)
    few = Series("b", x[:5], x[:5])
    assert binned(few) is few


def test_charts_take_their_colours_from_the_page():
    one = Series("one", np.array([0.0, 1.0]), np.array([0.2, 0.4]))
    svg = line_chart([one, one], "steps", title="t")
    assert "var(--c0)" in svg
    assert "var(--c1)" in svg
    assert "#0102" not in svg
    assert "<metadata" not in svg


def test_a_square_table_for_a_tournament_and_a_column_for_a_league():
    payoff = Payoff()
    for first, second in (("a", "b"), ("b", "c"), ("a", "c")):
        payoff.record(first, second, 1, games=3)
    assert payoff_table(payoff).count("<td") == 9
    league = Payoff()
    for name in ("x", "y", "z"):
        league.record("learner", name, 1, games=3)
    assert payoff_table(league).count("<td") == 3


def test_a_league_without_games_says_so(run_folder):
    empty = {"payoff": Payoff(["learner"]).state_dict(), "skill": {}}
    Checkpoints(run_folder / "checkpoints").save(400_000, {"parts": {"league": empty}})
    assert "No game against an opponent has ended yet" in write_report(run_folder).read_text()


def test_short_texts():
    assert short_number(1_500_000) == "1.5M"
    assert short_number(20_000) == "20k"
    assert short_number(0.00312) == "0.00312"
    assert player_label("snapshot-000001500000") == "past self at 1.5M steps"
    assert player_label("snapshot-x") == "snapshot-x"


@pytest.mark.browser
def test_the_page_in_a_browser(report, page):
    path = report
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
    assert set(asked) == {path.as_uri()}
    by_steps, by_minutes = page.locator(".by-steps").first, page.locator(".by-minutes").first
    assert by_steps.is_visible()
    assert not by_minutes.is_visible()
    page.locator("#x-minutes").check()
    assert by_minutes.is_visible()
    assert not by_steps.is_visible()
    assert by_minutes.locator("svg").bounding_box()["height"] > 80
    colour = "getComputedStyle(document.querySelector('figure svg path[style*=c0]')).stroke"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(colour) != light
