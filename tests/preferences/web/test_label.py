"""Asking and answering over HTTP: each answer once, for the right clip, in the right order."""

import concurrent.futures
import html
import json
import re

import pytest

from simrl.preferences.store import NewQuestion
from simrl.preferences.web import WebConfig


def body(task, choice="left", key="0123456789abcdef", seconds=1.5):
    return {"lease": task["lease"], "key": key, "value": {"choice": choice}, "seconds": seconds}


def answered(store):
    return [answer for answer in store.answers(include_gold=True) if answer.value is not None]


@pytest.fixture
def anna(site):
    return site.login("anna")


def test_hands_out_a_pair_with_all_that_the_page_needs(site, anna, library):
    task = anna.get("/api/next").json()
    question = site.store.question(task["question"]["id"])
    shown = [clip["id"] for clip in task["clips"]]
    assert sorted(shown) == sorted(question.clips)
    assert [clip["side"] for clip in task["clips"]] == ["left", "right"]
    left = task["clips"][0]
    assert left["video"] == f"/clips/{left['id']}.mp4" and left["steps"] == 30
    assert left["metrics"] == library.meta(left["id"])["metrics"]
    assert task["progress"]["open"] == 6 and task["progress"]["answered"] == 0


def test_never_tells_who_played_nor_the_right_answer(site, anna, clips):
    site.store.add_questions(
        [
            NewQuestion(
                kind="rate",
                clips=clips[:1],
                settings={"low": 1, "high": 7, "sides": "same"},
                gold={"rating": 7},
                attention=True,
                priority=5.0,
                provenance={"policies": ["secret"]},
            )
        ]
    )
    text = anna.get("/api/next").text
    assert json.loads(text)["question"]["settings"] == {"low": 1, "high": 7}
    for word in ("policy-", "secret", "gold", "attention", "seed", "provenance"):
        assert word not in text


def test_sides_of_the_screen_become_the_questions_own_order(kit, store, library, clips):
    # Twenty pairs: with the store's seed some are swapped and some are not.
    store.add_questions(kit.compare(clips, 20))
    said = {}
    with kit.serving(store, library) as site:
        anna = site.person("anna")
        for number in range(20):
            task = anna.get("/api/next").json()
            choice = ("left", "right", "tie", "incomparable")[number % 4]
            reply = anna.post("/api/answer", json=body(task, choice, f"key-{number:08d}"))
            assert reply.status_code == 200
            shown = dict(zip(("left", "right"), task["clips"], strict=True))
            said[task["question"]["id"]] = shown[choice]["id"] if choice in shown else choice
    swapped = set()
    for answer in answered(store):
        word = answer.value["choice"]
        places = {"first": answer.clips[0], "second": answer.clips[1]}
        assert places.get(word, word) == said[answer.question]
        swapped.add(answer.swapped)
    assert len(said) == 20 and swapped == {False, True}


def test_asking_again_gives_the_same_pair_unless_it_is_excluded(anna):
    first = anna.get("/api/next").json()
    assert anna.get("/api/next").json()["lease"] == first["lease"]
    other = anna.get(f"/api/next?exclude={first['question']['id']}").json()
    assert other["question"]["id"] != first["question"]["id"]
    both = f"{first['question']['id']},{other['question']['id']}"
    third = anna.get(f"/api/next?exclude={both}").json()
    assert third["question"]["id"] not in (first["question"]["id"], other["question"]["id"])


def test_two_people_never_get_the_same_pair(site, anna):
    bert = site.person("bert")
    mine = {anna.get("/api/next").json()["question"]["id"]}
    asked = set()
    for _ in range(5):
        task = bert.get("/api/next" + (f"?exclude={','.join(map(str, asked))}" if asked else ""))
        asked.add(task.json()["question"]["id"])
    assert len(asked) == 5 and not asked & mine
    rest = bert.get(f"/api/next?exclude={','.join(map(str, asked))}")
    assert rest.status_code == 204 and rest.content == b""


def test_a_key_sent_twice_or_at_once_is_stored_once(site, anna):
    task = anna.get("/api/next").json()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: anna.post("/api/answer", json=body(task)), range(8)))
    assert [reply.status_code for reply in replies] == [200] * 8
    assert len({reply.json()["answer"]["id"] for reply in replies}) == 1
    assert len(site.store.history()) == 1
    assert anna.get("/api/progress").json()["progress"]["answered"] == 1


def test_an_answer_outlives_a_restart_of_the_server(kit, store, library, clips):
    store.add_questions(kit.compare(clips, 4))
    with kit.serving(store, library) as site:
        task = site.person("anna").get("/api/next").json()
    with kit.serving(store, library) as site:
        anna = site.login("anna")
        replies = [anna.post("/api/answer", json=body(task)).json() for _ in range(2)]
    assert replies[0]["answer"] == replies[1]["answer"]
    answer = answered(store)[0]
    chosen = answer.clips[("first", "second").index(answer.value["choice"])]
    assert chosen == task["clips"][0]["id"]


def test_a_second_answer_to_the_same_question_is_refused(site, anna):
    task = anna.get("/api/next").json()
    anna.post("/api/answer", json=body(task))
    again = anna.post("/api/answer", json=body(task, "right", "another-key"))
    assert again.status_code == 409 and "already" in again.json()["error"]
    assert len(site.store.history()) == 1


def test_nobody_hoards_questions(kit, store, library, clips):
    store.add_questions(kit.compare(clips, 25))
    with kit.serving(store, library) as site:
        anna, held = site.person("anna"), []
        for _ in range(20):
            task = anna.get("/api/next", params={"exclude": ",".join(held)}).json()
            held.append(str(task["question"]["id"]))
        more = anna.get("/api/next", params={"exclude": ",".join(held)})
        assert more.status_code == 429 and more.headers["retry-after"] == "120"
        assert len(set(held)) == store.progress().leased == 20
        assert site.person("bert").get("/api/next").status_code == 200


def test_progress_counts_answers_at_once(anna):
    counts = []
    for number in range(3):
        task = anna.get("/api/next").json()
        reply = anna.post("/api/answer", json=body(task, key=f"key-{number:08d}")).json()
        counts.append((reply["progress"]["answered"], reply["progress"]["open"]))
    assert counts == [(1, 5), (2, 4), (3, 3)]


def test_undo_gives_the_same_pair_back_on_the_same_sides(site, anna):
    task = anna.get("/api/next").json()
    anna.post("/api/answer", json=body(task))
    back = anna.post("/api/undo").json()
    assert back["clips"] == task["clips"] and back["question"] == task["question"]
    assert answered(site.store) == [] and back["progress"]["answered"] == 0
    reply = anna.post("/api/answer", json=body(back, "right", "another-key"))
    assert reply.status_code == 200
    assert [event.action for event in site.store.history()] == ["answer", "undo", "answer"]


def test_undo_without_an_answer(anna):
    reply = anna.post("/api/undo")
    assert reply.status_code == 404 and "no answer" in reply.json()["error"]


def test_skip_asks_somebody_else(site, anna):
    task = anna.get("/api/next").json()
    assert anna.post("/api/skip", json={"lease": task["lease"]}).status_code == 200
    seen = set()
    while (reply := anna.get("/api/next?exclude=" + ",".join(map(str, seen)))).status_code == 200:
        seen.add(reply.json()["question"]["id"])
    assert len(seen) == 5 and task["question"]["id"] not in seen
    bert = site.person("bert")
    assert bert.get("/api/next").json()["question"]["id"] == task["question"]["id"]


def test_a_lease_that_went_to_another_is_told_when_it_is_renewed(kit, store, library, clips):
    now = [1000.0]
    store.clock = lambda: now[0]
    store.add_questions(kit.compare(clips, 1))
    with kit.serving(store, library, WebConfig(lease_seconds=60.0)) as site:
        anna, bert = site.person("anna"), site.person("bert")
        task = anna.get("/api/next").json()
        now[0] += 40
        renewed = anna.post("/api/renew", json={"lease": task["lease"]})
        assert renewed.json()["expires"] == pytest.approx(1100.0)
        now[0] += 59
        assert bert.get("/api/next").status_code == 204
        now[0] += 2
        assert bert.get("/api/next").json()["question"] == task["question"]
        lost = anna.post("/api/renew", json={"lease": task["lease"]})
        assert lost.status_code == 409 and "ran out" in lost.json()["error"]
        late = anna.post("/api/answer", json=body(task))
        assert late.status_code == 409 and answered(store) == []


@pytest.mark.parametrize(
    ("kind", "settings", "value"),
    [
        ("rate", {"low": 0, "high": 10}, {"rating": 10}),
        ("thumbs", {}, {"up": False}),
        ("moment", {}, {"step": 12, "note": "drops it"}),
        ("text", {}, {"text": "It <b>wobbles</b>; DROP TABLE answers;--"}),
    ],
)
def test_answers_of_other_kinds(kit, store, library, clips, kind, settings, value):
    store.add_questions([NewQuestion(kind=kind, clips=clips[:1], settings=settings)])
    with kit.serving(store, library) as site:
        anna = site.person("anna")
        task = anna.get("/api/next").json()
        if kind == "moment":
            value = {**value, "clip": task["clips"][0]["id"]}
        sent = {"lease": task["lease"], "key": "0123456789", "value": value, "seconds": 2.0}
        assert task["clips"][0]["side"] == "only"
        assert anna.post("/api/answer", json=sent).status_code == 200
    assert answered(store)[0].value == value


def test_kinds_that_cannot_be_asked_here_are_left_for_other_servers(kit, store, library, clips):
    store.add_questions(
        [
            NewQuestion(kind="correct", clips=clips[:1], priority=9.0),
            NewQuestion(kind="thumbs", clips=clips[:1]),
            NewQuestion(kind="text", clips=clips[:1]),
        ]
    )
    with kit.serving(store, library, WebConfig(kinds=("text", "correct"))) as site:
        task = site.person("anna").get("/api/next").json()
    assert task["question"]["kind"] == "text"


def test_figures_are_not_sent_where_they_may_not_be_seen(kit, store, library, clips):
    store.add_questions(kit.compare(clips, 1))
    with kit.serving(store, library, WebConfig(metrics="never")) as site:
        task = site.person("anna").get("/api/next").json()
    assert [clip["metrics"] for clip in task["clips"]] == [{}, {}]


def test_clips_without_video_are_ordered_once_they_are_asked_about(kit, store, tmp_path):
    from simrl.preferences.clips import ClipLibrary

    library = ClipLibrary(tmp_path / "bare")
    pair = tuple(library.add(kit.make_clip(number)) for number in (20, 21))
    store.add_questions([NewQuestion(kind="compare", clips=pair)])
    ordered = []
    with kit.serving(store, library, render=ordered.append) as site:
        anna = site.person("anna")
        task = anna.get("/api/next").json()
        reply = anna.get(task["clips"][0]["video"])
        assert reply.status_code == 503 and reply.headers["retry-after"] == "2"
        library.path(pair[0], "error").parent.mkdir(exist_ok=True)
        library.path(pair[0], "error").write_text("no renderer")
        assert anna.get(f"/clips/{pair[0]}.mp4").status_code == 404
    assert sorted(ordered[0]) == sorted(pair) and len(ordered[1]) == 1


def test_the_page_holds_no_inline_script_and_its_settings_are_whole(site, anna):
    text = anna.get("/").text
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"\son\w+=|style=|javascript:", text)
    raw = re.search(r'name="simrl-settings" content="([^"]*)"', text)[1]
    settings = json.loads(html.unescape(raw))
    assert settings["csrf"] == anna.headers["X-CSRF-Token"]
    assert settings["title"] == "Cart and pole" and settings["progress"]["open"] == 6
    for kind in settings["kinds"]:
        assert f'<template id="task-{kind}">' in text
        assert anna.get(f"/static/tasks/{kind}.js").status_code == 200
    for name in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
        assert anna.get(name).status_code == 200
