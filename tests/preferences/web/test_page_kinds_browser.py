"""The page in a real browser: every kind of question by keyboard and mouse."""

import pytest

from simrl.preferences.store import NewQuestion
from simrl.preferences.web import WebConfig

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize(
    ("kind", "keys", "value"),
    [
        ("rate", ["4"], {"rating": 4}),
        ("thumbs", ["ArrowUp"], {"up": True}),
        ("thumbs", ["n"], {"up": False}),
        ("text", ["Enter", *"ok <b>", "Control+Enter"], {"text": "ok <b>"}),
    ],
)
def test_other_kinds_by_keyboard(kit, store, library, clips, page, kind, keys, value):
    prompt = "<img src=x onerror=alert(1)> & co"
    store.add_questions([NewQuestion(kind=kind, clips=clips[:1], prompt=prompt)])
    store.add_user("anna", kit.PASSWORD)
    with kit.serving(store, library, WebConfig(min_seconds=0.0)) as site:
        kit.enter(page, site, "anna")
        assert page.inner_text("#prompt") == prompt
        for key in keys:
            page.keyboard.press(key)
        kit.wait_for(page, lambda: len(kit.stored(store)) == 1, "an answer")
    assert kit.stored(store)[0].value == value


def test_a_moment_is_marked_where_the_clip_stands(kit, store, library, clips, page):
    store.add_questions([NewQuestion(kind="moment", clips=clips[:1])])
    store.add_user("anna", kit.PASSWORD)
    with kit.serving(store, library, WebConfig(min_seconds=0.0)) as site:
        kit.enter(page, site, "anna")
        page.keyboard.press("Enter")
        assert "Mark a moment first" in page.inner_text("#toast")
        page.keyboard.press("p")
        # 2 s are 30 steps of 1/15 s: a time of 0.9 s lies in step 13, one frame on in step 14.
        kit.scrub(page, 450)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("k")
        assert "step 15 of 30" in page.inner_text(".badge")
        page.fill("[name=note]", "it slips")
        page.keyboard.press("Enter")
        kit.wait_for(page, lambda: len(kit.stored(store)) == 1, "an answer")
    assert kit.stored(store)[0].value == {"step": 14, "clip": clips[0], "note": "it slips"}


def test_feedback_while_the_agent_plays(kit, store, played, page):
    settings = {"env": "cart-pole", "policies": "random"}
    store.add_questions([NewQuestion(kind="live", clips=(), settings=settings)])
    store.add_user("anna", kit.PASSWORD)
    with kit.serving(
        store, played[0], WebConfig(min_seconds=0.0), make_policy=kit.make_policy
    ) as site:
        kit.log_in(page, site, "anna")
        kit.until(page, "document.querySelector('[data-done]')?.textContent === 'Start'")
        kit.until(page, "document.querySelector('.screen canvas').width > 100")
        page.keyboard.press("Enter")
        kit.until(page, "document.querySelector('.badge').textContent > '0.0 s'")
        page.keyboard.press("+")
        page.keyboard.press("ArrowDown")
        kit.until(
            page, "document.querySelector('[data-tally]').textContent.startsWith('1 good, 1 bad')"
        )
        page.keyboard.press("Enter")
        kit.wait_for(page, lambda: len(kit.stored(store)) == 1, "an answer")
        page.wait_for_selector("text=All done for now")
    events = kit.stored(store)[0].value["events"]
    assert [value for _, value in events] == [1, -1]


@pytest.mark.parametrize("by", ["keys", "buttons"])
def test_a_person_takes_over(kit, store, played, page, by):
    library, clip = played
    store.add_questions([NewQuestion(kind="correct", clips=(clip,))])
    store.add_user("anna", kit.PASSWORD)
    with kit.serving(
        store, library, WebConfig(min_seconds=0.0), make_policy=kit.make_policy
    ) as site:
        kit.enter(page, site, "anna")
        page.keyboard.press("p")
        page.keyboard.press("t")
        button = page.locator("[data-pads] button", has_text="push right")
        button.wait_for()
        kit.until(page, "document.querySelector('.played canvas').width > 100")
        if by == "keys":
            page.keyboard.down("ArrowRight")
            page.wait_for_timeout(150)
            page.keyboard.up("ArrowRight")
        else:
            button.dispatch_event("pointerdown")
            page.wait_for_timeout(150)
            button.dispatch_event("pointerup")
        page.keyboard.press("Escape")
        if not kit.stored(store):  # the pole may have fallen already, which ends it, too
            page.keyboard.press("Enter")
        kit.wait_for(page, lambda: len(kit.stored(store)) == 1, "an answer")
    value = kit.stored(store)[0].value
    demonstration = library.get(value["demonstration"])
    assert value["clip"] == clip and demonstration.policies == ("person",)
    assert (demonstration.action == 1).any()  # pushed to the right
