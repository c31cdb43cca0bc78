"""Live sessions over a real WebSocket: whose they are, what they store, and what is refused."""

import json
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from simrl.preferences.live import LiveConfig, read_frame
from simrl.preferences.store import NewQuestion
from simrl.preferences.web import WebConfig

CONFIG = WebConfig(live=LiveConfig(fps=20.0, idle_seconds=20.0))
LIVE = {"env": "cart-pole", "policies": "random"}


@pytest.fixture
def site(kit, store, played):
    library, clip = played
    store.add_questions(
        [
            NewQuestion(kind="live", clips=(), settings=LIVE, priority=2.0),
            NewQuestion(kind="correct", clips=(clip,), priority=1.0),
        ]
    )
    with kit.serving(store, library, CONFIG, make_policy=kit.make_policy) as served:
        served.anna = served.person("anna")
        yield served


def task(person, kind):
    first = person.get("/api/next").json()
    if first["question"]["kind"] == kind:
        return first
    return person.get(f"/api/next?exclude={first['question']['id']}").json()


def dial(site, lease, person=None, **headers):
    person = person or site.anna
    origin = headers.pop("Origin", site.url)
    cookie = f"simrl_session={person.cookies.get('simrl_session', '')}"
    return connect(
        f"{site.url.replace('http', 'ws')}/ws/live/{lease}",
        additional_headers={"Cookie": cookie, **headers},
        origin=origin,
    )


def hello(site, key="live-key-1", **change):
    return json.dumps({"csrf": site.anna.headers["X-CSRF-Token"], "key": key, **change})


def listen(line, until):
    """Read messages up to the first of type `until`; frames as their headers."""
    heard = []
    while True:
        message = line.recv(timeout=30)
        heard.append(read_frame(message)[0] if isinstance(message, bytes) else json.loads(message))
        if heard[-1]["type"] == until:
            return heard


def test_feedback_while_the_agent_plays_is_stored_as_the_answer(site):
    lease = task(site.anna, "live")["lease"]
    with dial(site, lease) as line:
        line.send(hello(site))
        heard = listen(line, "frame")
        assert heard[0]["type"] == "ready" and heard[0]["env"] == "cart-pole"
        line.send(json.dumps({"pause": False}))
        frame = listen(line, "frame")[-1]
        line.send(json.dumps({"feedback": 1, "t": frame["time"]}))
        listen(line, "feedback")
        line.send(json.dumps({"submit": True}))
        heard = listen(line, "stored")
    assert heard[-1]["progress"]["answered"] == 1
    answer = site.store.answers()[0]
    assert answer.kind == "live" and [value for _, value in answer.value["events"]] == [1]
    assert answer.seconds > 0 and site.store.history()[0].action == "answer"


def test_a_correction_is_stored_with_its_demonstration(site, played):
    library, clip = played
    lease = task(site.anna, "correct")["lease"]
    with dial(site, lease) as line:
        line.send(hello(site))
        assert listen(line, "ready")[-1]["controls"]
        line.send(json.dumps({"seek": 2}))
        line.send(json.dumps({"take_over": True, "keys": ["arrowright"]}))
        line.send(json.dumps({"pause": False}))
        time.sleep(0.2)  # a pole that is pushed one way falls soon: then the episode's end submits
        line.send(json.dumps({"submit": True}))
        done = listen(line, "stored")[-2]
    assert done["type"] == "done" and done["reason"] in ("submitted", "episode")
    value = site.store.answers()[0].value
    assert value["clip"] == clip and value["step"] == 2
    assert library.get(value["demonstration"]).policies == ("person",)


def test_the_same_key_in_two_connections_is_stored_once(site):
    lease = task(site.anna, "live")["lease"]
    with dial(site, lease) as first, dial(site, lease) as second:
        for line in (first, second):
            line.send(hello(site))
            listen(line, "ready")
            line.send(json.dumps({"pause": False}))
            listen(line, "frame")
        for line in (first, second):
            line.send(json.dumps({"submit": True}))
            listen(line, "stored")
    assert len(site.store.history()) == 1
    assert refusal(site, lease) == 409  # and a third time it is not even played


def test_a_page_that_goes_away_stores_nothing_and_frees_its_place(site):
    lease = task(site.anna, "live")["lease"]
    for _ in range(CONFIG.live_sessions + 2):
        with dial(site, lease) as line:
            line.send(hello(site))
            listen(line, "ready")
    assert site.store.history() == []


def test_more_sessions_than_places_are_told_to_wait(kit, store, played):
    library, _ = played
    config = WebConfig(live_sessions=1, live=CONFIG.live)
    store.add_questions([NewQuestion(kind="live", clips=(), settings=LIVE, overlap=2)])
    with kit.serving(store, library, config, make_policy=kit.make_policy) as site:
        site.anna = site.person("anna")
        lease = task(site.anna, "live")["lease"]
        with dial(site, lease) as first, dial(site, lease) as second:
            first.send(hello(site))
            listen(first, "ready")
            second.send(hello(site))
            with pytest.raises(ConnectionClosed) as closed:
                second.recv(timeout=20)
    assert "too many people" in closed.value.rcvd.reason


def refusal(site, lease, first=None, **options):
    """Connect, say hello, and return why that was refused."""
    try:
        with dial(site, lease, **options) as line:
            line.send(first if first is not None else hello(site))
            line.recv(timeout=20)
    except InvalidStatus as error:
        return error.response.status_code
    except ConnectionClosed as closed:
        return closed.rcvd.reason
    return "nothing was refused"


def test_strangers_and_forgers_are_refused(site, kit):
    lease = task(site.anna, "live")["lease"]
    bert = site.person("bert")
    assert refusal(site, lease, person=site.client()) == 401
    assert refusal(site, lease, person=bert) == 404
    assert refusal(site, lease, Origin="https://evil.example") == 403
    assert refusal(site, "1.0") == 404 and refusal(site, "..%2e1") == 404
    token = bert.headers["X-CSRF-Token"]
    assert "CSRF" in refusal(site, lease, hello(site, csrf=token))
    assert "CSRF" in refusal(site, lease, hello(site, csrf=7))
    assert "csrf and key" in refusal(site, lease, "{}")
    assert "csrf and key" in refusal(site, lease, "[" * 5000)
    assert "8 to 100" in refusal(site, lease, hello(site, key="short"))
    assert site.store.history() == [] and len(site.refusals()) == 10
    assert "nothing was refused" in refusal(site, lease)


def test_an_environment_that_does_not_exist_is_told_in_one_line(kit, store, played):
    library, _ = played
    settings = {"env": "no-such-game", "policies": "random"}
    store.add_questions([NewQuestion(kind="live", clips=(), settings=settings)])
    with kit.serving(store, library, CONFIG, make_policy=kit.make_policy) as site:
        site.anna = site.person("anna")
        why = refusal(site, task(site.anna, "live")["lease"])
    assert "no-such-game" in why and len(why.encode()) <= 123
