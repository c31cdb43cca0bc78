"""Inside another page the player hides its controls, loops, and obeys and tells by messages."""

import dataclasses

import pytest

from simrl_envs.moba.page import replay_page

pytestmark = pytest.mark.browser
STEPS = 60

OUTER = """<!doctype html><body style="margin:0"><iframe id="inner" src="replay.html#embed"
 sandbox="allow-scripts" style="width:480px;height:300px;border:0"></iframe><script>
const told = [];
addEventListener("message", (event) => told.push(event.data));
const send = (message) => inner.contentWindow.postMessage(message, "*");
</script>"""


@pytest.fixture(scope="module")
def folder(record, tmp_path_factory):
    replay, _ = record(STEPS, 5, ("left", "right"), seats=("orrin", "brakka"))
    path = tmp_path_factory.mktemp("embedded")
    html = replay_page(dataclasses.replace(replay, seat=1))
    (path / "replay.html").write_text(html, encoding="utf-8")
    (path / "outer.html").write_text(OUTER, encoding="utf-8")
    return path


@pytest.fixture
def outer(page, folder):
    page.goto((folder / "outer.html").as_uri())
    page.wait_for_function("told.some((one) => one.simrl === 'ready')")
    return page


def last(page):
    return page.evaluate("told[told.length - 1]")


def test_only_the_field_is_left(outer):
    inner = outer.frame_locator("#inner")
    for part in (".controls", ".below", "footer"):
        assert not inner.locator(part).is_visible()
    assert inner.locator("#result").inner_text() == "Look at Brakka (red)"
    box = inner.locator("#field").bounding_box()
    assert box["width"] == 480
    assert box["y"] + box["height"] == pytest.approx(300, abs=1)


def test_it_plays_at_once_and_starts_over(outer):
    outer.evaluate("send({speed: 16})")
    outer.wait_for_function(
        "told.some((one, k) => k && one.time < told[k - 1].time - 5)", timeout=15000
    )
    assert last(outer)["playing"] is True


def test_it_obeys(outer):
    outer.evaluate("send({pause: true, seek: 3.9})")
    outer.wait_for_function("Math.abs(told[told.length - 1].time - 3.9) < 0.01")
    assert last(outer)["playing"] is False
    duration = outer.evaluate("told[0].duration")
    assert duration == pytest.approx(STEPS * 2 / 15, abs=1e-3)
    outer.evaluate("send({loop: false, seek: 7.5, speed: 4, play: true})")
    outer.wait_for_function("told.some((one) => one.simrl === 'end')", timeout=15000)
    assert last(outer)["time"] == pytest.approx(duration)
    for nonsense in ("null", "'text'", "{seek: 'x'}", "{seek: NaN, speed: -1}", "[]"):
        outer.evaluate(f"send({nonsense})")
    outer.evaluate("send({seek: 1})")
    outer.wait_for_function("Math.abs(told[told.length - 1].time - 1) < 0.01")


def test_keys_are_told_to_the_outer_page(outer):
    outer.frame_locator("#inner").locator("#field").click()
    outer.keyboard.press("ArrowLeft")
    outer.wait_for_function("told.some((one) => one.simrl === 'key' && one.key === 'ArrowLeft')")


def test_alone_nothing_is_hidden(page, folder):
    page.goto((folder / "replay.html").as_uri())
    assert page.locator(".controls").is_visible()
    assert page.input_value("#view") == "1"
