"""The replay page works in a real browser: it plays, scrubs, hides and tells what is there."""

import numpy as np
import pytest

from simrl_envs.moba.page import replay_page

pytestmark = pytest.mark.browser
STEPS = 450


@pytest.fixture(scope="module")
def page_file(record, tmp_path_factory):
    rng = np.random.default_rng(0)
    extras = {
        "value": rng.normal(size=(STEPS, 2, 5)).cumsum(axis=0).astype(np.float32),
        "button_probs": rng.dirichlet(np.ones(8), (STEPS, 2)).astype(np.float32),
    }
    replay, _ = record(STEPS, 5, ("left", "right"), extras, seats=("orrin", "brakka"))
    path = tmp_path_factory.mktemp("page") / "replay.html"
    path.write_text(replay_page(replay), encoding="utf-8")
    return path


@pytest.fixture
def opened(page, page_file):
    page.goto(page_file.as_uri())
    return page


def picture(page):
    return page.eval_on_selector("#field", "canvas => canvas.toDataURL()")


def clock(page):
    settle(page)
    minutes, seconds = page.inner_text("#clock").split(":")
    return 60 * int(minutes) + int(seconds)


def settle(page):
    """Wait until the page has drawn what it was asked for."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def scrub(page, frame):
    page.eval_on_selector(
        "#time",
        "(bar, frame) => { bar.value = frame; bar.dispatchEvent(new Event('input')); }",
        frame,
    )
    settle(page)


def choose(page, selector, value):
    page.select_option(selector, value)
    settle(page)


def test_says_who_plays_and_reaches_nothing_outside(page, page_file):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    settle(page)
    assert page.inner_text("#side0").split("\n")[0] == "Orrin"
    assert "right" in page.inner_text("#side1")
    assert "Orrin against Brakka" in page.title()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_plays_at_the_chosen_speed_and_pauses(opened):
    before = picture(opened)
    opened.select_option("#speed", "16")
    opened.click("#play")
    opened.wait_for_function("document.getElementById('clock').textContent !== '0:00'")
    assert opened.get_attribute("#play", "aria-label") == "Pause"
    opened.focus("#field")
    opened.keyboard.press("Space")
    assert opened.get_attribute("#play", "aria-label") == "Play"
    settle(opened)
    assert picture(opened) != before
    stopped = opened.input_value("#time")
    opened.wait_for_timeout(200)
    assert opened.input_value("#time") == stopped and int(stopped) > 0
    assert pace(opened, "8") > 3 * pace(opened, "1")


def pace(page, speed):
    """Decisions per millisecond at a speed."""
    scrub(page, 0)
    page.select_option("#speed", speed)
    return page.evaluate(
        """async () => {
            play(true);
            const start = performance.now();
            await new Promise((done) => setTimeout(done, 500));
            play(false);
            return state.time / (performance.now() - start);
        }"""
    )


def test_scrubs_by_bar_and_keys(opened):
    scrub(opened, 300)  # 300 decisions of 2/15 s are 40 s
    assert clock(opened) == 40
    middle = picture(opened)
    scrub(opened, 150)
    assert clock(opened) == 20 and picture(opened) != middle
    assert opened.get_attribute("#time", "aria-valuetext") == "0:20"
    opened.focus("#field")
    for key, seconds in (("ArrowRight", 21), ("Shift+ArrowLeft", 11), ("End", 60), ("Home", 0)):
        opened.keyboard.press(key)
        assert clock(opened) == seconds, key
    opened.keyboard.press("ArrowUp")
    assert opened.input_value("#speed") == "2"


def test_fog_and_view_change_the_picture(opened):
    scrub(opened, 200)
    seen = [picture(opened)]
    for selector, value in (("#fog", "0"), ("#fog", "1"), ("#view", "1")):
        choose(opened, selector, value)
        seen.append(picture(opened))
    assert len(set(seen)) == 4


def test_tooltip_names_what_is_pointed_at(opened):
    scrub(opened, 100)
    box = opened.locator("#field").bounding_box()
    # The map is 120 by 40 m; blue's tower stands at (-25, 0).
    opened.mouse.move(box["x"] + box["width"] * (60 - 25) / 120, box["y"] + box["height"] / 2)
    assert "Blue's tower" in opened.inner_text("#tip")
    opened.mouse.move(box["x"] + 5, box["y"] + 5)
    assert opened.locator("#tip").is_hidden()


def test_figures_follow_the_time_and_can_be_clicked(opened):
    scrub(opened, 10)
    early = opened.inner_text(".below")
    scrub(opened, 440)
    assert opened.inner_text(".below") != early
    assert opened.locator("#mind").is_visible()
    assert "farming" in opened.inner_text("#mindCurves")
    opened.locator(".chart canvas").first.click(position={"x": 1, "y": 40})
    assert clock(opened) == 0
    opened.locator("#events button").last.click()
    settle(opened)
    assert int(opened.input_value("#time")) == STEPS


def test_fits_desk_and_phone(opened, tmp_path):
    for width in (1280, 390):
        opened.set_viewport_size({"width": width, "height": 844})
        settle(opened)
        assert opened.evaluate("document.documentElement.scrollWidth") == width
        opened.screenshot(path=tmp_path / f"{width}.png")
        assert (tmp_path / f"{width}.png").stat().st_size > 20_000
