"""The page in a real browser when there is no network, session, lease or work."""

import pytest

from simrl.preferences.web import WebConfig

pytestmark = pytest.mark.browser


def test_answers_given_offline_are_kept_and_sent_once(kit, site, page):
    kit.enter(page, site, "anna")
    kit.settle(page)
    page.context.set_offline(True)
    page.keyboard.press("ArrowLeft")
    kit.until(page, "!document.getElementById('banner').hidden")
    assert "1 answer is kept on this device" in page.inner_text("#banner")
    page.wait_for_function(kit.READY)
    page.keyboard.press("ArrowDown")
    kit.until(page, "document.getElementById('banner').textContent.includes('2 answers')")
    keys = page.evaluate(
        "Object.keys(localStorage).filter((one) => one.startsWith('simrl.outbox'))"
    )
    assert len(keys) == 2 and kit.stored(site.store) == []
    page.context.set_offline(False)
    kit.wait_for(page, lambda: len(kit.stored(site.store)) == 2, "two answers")
    kit.until(page, "document.getElementById('banner').hidden")
    page.wait_for_function(kit.READY)
    assert page.evaluate("Object.keys(localStorage).length") == 0
    assert [answer.value["choice"] == "tie" for answer in kit.stored(site.store)] == [False, True]


@pytest.mark.slow
def test_a_reply_that_was_lost_stores_nothing_twice(kit, site, page):
    kit.enter(page, site, "anna")
    kit.settle(page)
    lost = []

    def lose_the_first(route):
        if lost:
            return route.continue_()
        lost.append(route.request.post_data_json["key"])
        route.fetch()  # the server stores it
        return route.abort()

    page.route("**/api/answer", lose_the_first)
    page.keyboard.press("ArrowLeft")
    kit.until(page, "!document.getElementById('banner').hidden")
    assert len(kit.stored(site.store)) == 1
    kit.until(page, "document.getElementById('banner').hidden")
    assert len(site.store.history()) == 1
    assert page.evaluate("Object.keys(localStorage).length") == 0
    assert page.inner_text("#pace") == "1 done · 5 left"


@pytest.mark.slow
def test_answers_outlive_the_page_and_the_session(kit, store, library, clips, page):
    store.add_questions(kit.compare(clips, 4))
    store.add_user("anna", kit.PASSWORD)
    config = WebConfig(min_seconds=0.0, session_cache_seconds=0.0)
    with kit.serving(store, library, config) as site:
        kit.enter(page, site, "anna")
        kit.settle(page)
        chosen = kit.shown(page)[0]
        token = next(c["value"] for c in page.context.cookies() if c["name"] == "simrl_session")
        store.end_session(token)
        page.keyboard.press("ArrowLeft")
        kit.until(page, "!document.getElementById('banner').hidden")
        assert "You are logged out. 1 answer is kept" in page.inner_text("#banner")
        page.click("#banner a")
        page.wait_for_selector("#password")
        assert kit.stored(store) == []
        kit.enter(page, site, "anna")
        kit.wait_for(page, lambda: len(kit.stored(store)) == 1, "the answer of before")
        answer = kit.stored(store)[0]
        assert answer.clips[("first", "second").index(answer.value["choice"])] == chosen
        assert chosen in answer.clips and set(kit.shown(page)) != set(answer.clips)


@pytest.mark.slow
def test_clips_that_went_to_somebody_else_are_taken_off_the_screen(
    kit, store, library, clips, page
):
    now = [1000.0]
    store.clock = lambda: now[0]
    store.add_questions(kit.compare(clips, 4))
    store.add_user("anna", kit.PASSWORD)
    config = WebConfig(min_seconds=0.0, lease_seconds=3.0)
    with kit.serving(store, library, config) as site:
        bert = site.person("bert")
        kit.enter(page, site, "anna")
        kit.settle(page)
        before = kit.shown(page)
        now[0] += 10
        taken = bert.get("/api/next").json()
        assert {clip["id"] for clip in taken["clips"]} == set(before)
        kit.until(page, "document.getElementById('toast').textContent.includes('somebody else')")
        page.wait_for_function(kit.READY)
        assert set(kit.shown(page)) != set(before)


@pytest.mark.slow
def test_the_end_is_gentle_and_new_clips_come_by_themselves(kit, store, library, clips, page):
    store.add_questions(kit.compare(clips, 1))
    store.add_user("anna", kit.PASSWORD)
    with kit.serving(store, library, WebConfig(min_seconds=0.0)) as site:
        kit.enter(page, site, "anna")
        page.keyboard.press("ArrowDown")
        kit.until(page, "document.getElementById('restTitle').textContent.startsWith('All done')")
        assert "1 answer." in page.inner_text("#restCount") and page.is_hidden("#work")
        store.add_questions(kit.compare(clips, 2)[1:])
        page.wait_for_function(kit.READY)
        assert page.inner_text("#prompt") == "Which clip is better?"
        page.keyboard.press("ArrowDown")
        kit.wait_for(page, lambda: len(kit.stored(store)) == 2, "the second answer")
