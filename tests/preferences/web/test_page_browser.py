"""The page in a real browser: labelling by keyboard, undo, playing, figures, dashboard."""

import json

import pytest

from simrl.preferences.web import WebConfig

pytestmark = pytest.mark.browser

REPLAY = """<!doctype html>
<body>
<script>
const facts = { time: 0, duration: 4, playing: false };
const tell = (what, more) => parent.postMessage({ simrl: what, ...facts, ...more }, "*");
addEventListener("message", ({ data }) => {
    document.body.dataset.heard = JSON.stringify(data);
});
addEventListener("keydown", (event) => tell("key", { key: event.key }));
try {
    document.body.textContent = parent.document.title;
} catch {
    document.body.textContent = "boxed";
}
tell("ready");
</script>
"""
"""A stand-in for a game's player, which tells whether it can reach the page around it."""


def test_labels_by_keyboard_and_shows_the_next_pair_at_once(kit, site, page):
    kit.enter(page, site, "anna")
    said = []
    answers = (
        ("ArrowLeft", "left"),
        ("ArrowRight", "right"),
        ("ArrowDown", "tie"),
        ("x", "incomparable"),
    )
    for done, (key, choice) in enumerate(answers, start=1):
        kit.settle(page)
        left, right = kit.press_and_wait(page, key)
        said.append({"left": left, "right": right}.get(choice, choice))
        # The mark follows the drawn frame: a key before it would be counted with the one before.
        page.wait_for_function(
            "(done) => performance.getEntriesByName('simrl:wait').length === done", arg=done
        )
    kit.wait_for(page, lambda: len(kit.stored(site.store)) == 4, "four answers")
    for answer, meant in zip(kit.stored(site.store), said, strict=True):
        word = answer.value["choice"]
        clip = dict(zip(("first", "second"), answer.clips, strict=True)).get(word, word)
        assert clip == meant and answer.seconds > 0
    waits = page.evaluate("performance.getEntriesByName('simrl:wait').map((one) => one.duration)")
    whole = page.evaluate(
        "performance.getEntriesByName('simrl:shown').map((one) => one.detail.whole)"
    )
    assert len(waits) == 4 and whole[1:] == [True] * 4  # the first pair had to be loaded
    print(f"next pair shown after {[round(wait) for wait in waits]} ms")
    assert page.inner_text("#pace") == "4 done · 2 left"
    assert page.get_attribute("#progress", "max") == "6"
    assert "Cannot compare" in page.inner_text("#said")


def test_undo_and_skip(kit, site, page):
    kit.enter(page, site, "anna")
    assert page.is_disabled("#undo")
    kit.settle(page)
    first = kit.press_and_wait(page, "ArrowLeft")
    second = kit.shown(page)
    kit.wait_for(page, lambda: len(kit.stored(site.store)) == 1, "an answer")
    page.keyboard.press("u")
    kit.wait_for(page, lambda: kit.shown(page) == first, "the pair of before")
    assert kit.stored(site.store) == []
    assert "Taken back" in page.inner_text("#toast")
    page.wait_for_function(kit.READY)
    assert kit.press_and_wait(page, "ArrowRight") == first
    assert kit.shown(page) == second  # what was interrupted comes next
    kit.settle(page)
    kit.press_and_wait(page, "s")
    kit.wait_for(page, lambda: site.store.progress().skipped == 1, "a skip")
    assert [event.action for event in site.store.history()] == ["answer", "undo", "answer"]


@pytest.mark.slow
def test_clips_play_together_in_a_loop_at_the_chosen_speed(kit, site, page):
    kit.enter(page, site, "anna")
    times = (
        "[...document.querySelectorAll('.layer:not(.next) video')].map((one) => one.currentTime)"
    )
    kit.until(page, f"{times}[0] > 0.3")
    left, right = page.evaluate(times)
    assert abs(left - right) < 0.15
    page.select_option("#speed", "4")
    rates = (
        "[...document.querySelectorAll('.layer:not(.next) video')].map((one) => one.playbackRate)"
    )
    assert page.evaluate(rates) == [4, 4]
    kit.until(page, f"{times}[0] > 1.2")
    kit.until(page, f"{times}[0] < 0.8")  # it has begun again by itself
    page.keyboard.press("p")
    page.wait_for_timeout(100)
    paused = page.evaluate(times)
    assert paused[0] == pytest.approx(paused[1], abs=0.01)
    page.wait_for_timeout(200)
    assert page.evaluate(times) == paused
    assert page.get_attribute("#play", "aria-label") == "Play"
    kit.scrub(page, 500)
    assert page.evaluate(times) == pytest.approx([1.0, 1.0], abs=0.05)
    page.keyboard.press(".")
    assert page.evaluate(times)[0] == pytest.approx(1.0 + 1 / 15, abs=0.04)
    page.keyboard.press("Space")
    kit.until(page, f"{times}[0] > 0.05 && {times}[0] < 1")
    page.keyboard.press("[")
    assert page.input_value("#speed") == "2"


@pytest.mark.slow
def test_a_key_pressed_twice_does_not_judge_what_nobody_has_seen(kit, store, library, clips, page):
    store.add_questions(kit.compare(clips, 4))
    store.add_user("anna", kit.PASSWORD)
    with kit.serving(store, library, WebConfig(min_seconds=5.0)) as site:
        kit.enter(page, site, "anna")
        before = kit.shown(page)
        for _ in range(5):
            page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(300)
        assert kit.shown(page) == before and kit.stored(store) == []


@pytest.mark.slow
def test_figures_are_shown_or_hidden(kit, site, page):
    kit.enter(page, site, "anna")
    figures = page.locator(".layer:not(.next) .figures").first
    assert figures.is_hidden()
    page.keyboard.press("m")
    assert "return 30" in figures.inner_text().replace("\n", " ")
    kit.settle(page)
    kit.press_and_wait(page, "ArrowLeft")
    assert page.locator(".layer:not(.next) .figures").first.is_visible()
    page.click("#metrics")
    assert page.locator(".layer:not(.next) .figures").first.is_hidden()


@pytest.mark.slow
def test_the_games_own_player_stands_in_a_box_and_the_keys_still_answer(
    kit, store, library, clips, page
):
    store.add_questions(kit.compare(clips, 2))
    store.add_user("anna", kit.PASSWORD)
    pages = [library.path(clip, "html") for clip in clips]
    pages[0].parent.mkdir(exist_ok=True)
    for path in pages:
        path.write_text(REPLAY)
    try:
        with kit.serving(store, library, WebConfig(min_seconds=0.0)) as site:
            kit.enter(page, site, "anna")
            page.keyboard.press("g")
            frame = page.frame_locator(".layer:not(.next) iframe").first
            frame.locator("body[data-heard]").wait_for()
            assert frame.locator("body").inner_text() == "boxed"
            heard = json.loads(frame.locator("body").get_attribute("data-heard"))
            assert heard["loop"] is False and heard["speed"] == 1
            page.select_option("#speed", "2")
            frame.locator("body[data-heard='{\"speed\":2}']").wait_for()
            assert "/ 4.0 s" in page.inner_text("#when")
            frame.locator("body").click()
            page.keyboard.press("ArrowDown")  # pressed inside the frame
            kit.wait_for(page, lambda: len(kit.stored(store)) == 1, "an answer out of the frame")
    finally:
        for path in pages:
            path.unlink()


def test_an_administrator_exports_and_sees_who_answered(kit, site, page, tmp_path):
    anna = site.login("anna")
    lease = anna.get("/api/next").json()["lease"]
    sent = {"lease": lease, "key": "0123456789", "value": {"choice": "tie"}, "seconds": 1.0}
    anna.post("/api/answer", json=sent)
    site.store.add_user("root", kit.PASSWORD, "admin")
    kit.enter(page, site, "root")
    page.click(".menu summary")
    page.click("text=Dashboard")
    page.wait_for_url("**/admin")
    with page.expect_download() as download:
        page.click("text=Export JSONL")
    download.value.save_as(tmp_path / "labels.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [row["choice"] for row in rows] == ["tie"]
    assert page.locator("table >> nth=0").inner_text().count("anna") == 1
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("tr", has_text="anna").locator("button", has_text="Shut out").click()
    page.wait_for_selector("text=Let in again")
    assert anna.get("/api/next").status_code == 401


@pytest.mark.slow
def test_people_who_want_no_motion_start_it_themselves(kit, site, page):
    page.emulate_media(reduced_motion="reduce")
    kit.enter(page, site, "anna")
    page.wait_for_timeout(300)
    assert page.eval_on_selector(".layer:not(.next) video", "one => one.paused && !one.currentTime")
    page.keyboard.press("p")
    kit.until(page, "document.querySelector('.layer:not(.next) video').currentTime > 0.1")
