"""A real server on a real socket, with small clips, people and questions to answer."""

import contextlib
import re
import shutil
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import torch
from argon2 import PasswordHasher

from simrl.core.plugins import make_env
from simrl.preferences.clips import Clip, ClipLibrary
from simrl.preferences.clips.record import record_clips
from simrl.preferences.clips.render import render_clip
from simrl.preferences.store import LabelStore, NewQuestion
from simrl.preferences.web import WebConfig, create_app, make_server
from simrl.rollout.random import RandomPolicy
from simrl.rollout.video import write_mp4, write_png

PASSWORD = "correct horse"
FRAMES = 30


def make_clip(number, steps=FRAMES):
    """A clip of the pole's cart that nobody played; `number` makes it another."""
    rng = np.random.default_rng(number)
    rows = dict(dtype=np.float32)
    return Clip(
        env="cart-pole",
        env_options={},
        seat=0,
        policies=(f"policy-{number}",),
        seed=number,
        config_hash="0" * 16,
        step_seconds=1 / 15,
        episode=f"episode-{number}",
        snapshot=np.zeros(4, np.float32),
        lead=np.zeros((0, 1, 1), np.int64),
        obs=rng.normal(size=(steps, 4)).astype(np.float32),
        action=rng.integers(0, 2, (steps, 1, 1)),
        reward=np.ones((steps, 1), **rows),
        reward_terms=np.zeros((steps, 1, 0), **rows),
        terminated=np.zeros(steps, bool),
        truncated=np.zeros(steps, bool),
        metrics={"return": float(steps), "angle": 0.25 * number, "falls": float(number % 3)},
    )


def draw(number, steps=FRAMES):
    """Frames in which a ball of one colour crosses the picture."""
    y, x = np.mgrid[:180, :320]
    hue = np.array([90 + 37 * number % 160, 200 - 23 * number % 120, 80 + 61 * number % 170])
    for t in range(steps):
        frame = np.full((180, 320, 3), (28, 32, 40), np.uint8)
        frame[150:] = (60, 66, 76)
        across = 40 + 240 * t / steps
        up = 135 - abs(np.sin(t / (4 + number % 3))) * 80
        frame[(x - across) ** 2 + (y - up) ** 2 < 22**2] = hue
        yield frame


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Eight clips with videos and posters."""
    found = ClipLibrary(tmp_path_factory.mktemp("library"))
    for number in range(8):
        name = found.add(make_clip(number))
        write_mp4(draw(number), found.path(name, "mp4"), 15)
        write_png(next(iter(draw(number))), found.path(name, "jpg"))
    return found


@pytest.fixture(scope="session")
def clips(library):
    return sorted(library.ids())


def make_policy(name, spec, options):
    """Whatever the name, somebody who acts at random."""
    return RandomPolicy(spec)


@pytest.fixture(scope="session")
def played(tmp_path_factory):
    """A library with one drawn clip of the pole's cart that can be taken over, and its id."""
    torch.set_num_threads(1)
    library = ClipLibrary(tmp_path_factory.mktemp("played"))
    policy = RandomPolicy(make_env("cart-pole", 1).spec)
    clip = record_clips(
        library, "cart-pole", {}, {"random": policy}, count=1, seed=3, steps=8, play_steps=64
    )[0]
    render_clip(library, clip)
    return library, clip


def compare(clips, count=6, **options):
    """Questions about pairs of clips, each another pair."""
    pairs = [(a, b) for i, a in enumerate(clips) for b in clips[i + 1 :]]
    return [NewQuestion(kind="compare", clips=pair, **options) for pair in pairs[:count]]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A store's file with its tables made: making them takes longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "labels.db"
    LabelStore.open(path).close()
    return path


@pytest.fixture
def store(empty_store, tmp_path):
    path = shutil.copy(empty_store, tmp_path / "labels.db")
    with LabelStore.open(path, seed=1) as opened:
        # The real cost of a password is tested beside the store; here people log in by the dozen.
        opened.people.hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
        yield opened


@dataclass
class Site:
    """A served page."""

    store: LabelStore
    url: str
    clients: list = field(default_factory=list)

    def client(self, **options):
        client = httpx.Client(base_url=self.url, timeout=20, **options)
        self.clients.append(client)
        return client

    def person(self, name, role="annotator"):
        """Add a person and return a client that is logged in as them."""
        self.store.add_user(name, PASSWORD, role)
        return self.login(name)

    def login(self, name, password=PASSWORD):
        client = self.client()
        reply = submit_login(client, name, password)
        assert reply.status_code == 303 and reply.headers["location"] == "/"
        client.headers["X-CSRF-Token"] = client.get("/api/me").json()["csrf"]
        return client

    def refusals(self):
        return [entry.detail for entry in self.store.audit_log(1000, action="refused")]


def submit_login(client, name, password):
    form = client.get("/login").text
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', form)[1]
    return client.post("/login", data={"name": name, "password": password, "csrf": token})


@contextlib.contextmanager
def serving(store, library, config=None, **options):
    """Serve the page on a free port of the loopback."""
    server = make_server(create_app(store, library, config, **options), port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    limit = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive() and time.monotonic() < limit, "the server does not start"
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    site = Site(store, f"http://127.0.0.1:{port}")
    try:
        yield site
    finally:
        for client in site.clients:
            client.close()
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def site(store, library, clips):
    """A page with one annotator's account and six pairs to compare."""
    store.add_questions(compare(clips))
    store.add_user("anna", PASSWORD)
    with serving(store, library, WebConfig(title="Cart and pole", min_seconds=0.0)) as served:
        yield served


@pytest.fixture(scope="session")
def kit():
    """What tests call."""
    return SimpleNamespace(
        make_clip=make_clip,
        make_policy=make_policy,
        draw=draw,
        compare=compare,
        serving=serving,
        submit_login=submit_login,
        log_in=log_in,
        enter=enter,
        shown=shown,
        stored=stored,
        until=until,
        wait_for=wait_for,
        settle=settle,
        press_and_wait=press_and_wait,
        scrub=scrub,
        READY=READY,
        NEXT_READY=NEXT_READY,
        PASSWORD=PASSWORD,
    )


def log_in(page, site, name):
    """Log in through the form."""
    page.goto(f"{site.url}/login")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")


def enter(page, site, name):
    """Log in and wait for the clips that are to be judged."""
    log_in(page, site, name)
    page.wait_for_function(READY)


READY = """() => {
    const videos = [...document.querySelectorAll(".layer:not(.next) video")];
    return videos.length && videos.every((video) => video.readyState >= 2)
        && !document.getElementById("work").hidden;
}"""
"""Whether the clips that are to be judged are there."""

NEXT_READY = """() => {
    const videos = [...document.querySelectorAll(".layer.next video")];
    return videos.length && videos.every((video) => video.readyState >= 2);
}"""
"""Whether those that come next are loaded."""


def stored(store):
    """Answers that stand, those that measure people too."""
    return [answer for answer in store.answers(include_gold=True) if answer.value is not None]


def until(page, expression):
    """Wait until a JavaScript expression holds; as a function, since our policy forbids eval."""
    page.wait_for_function(f"() => {expression}")


def wait_for(page, condition, what, tries=200):
    """Wait for something that the page does not show."""
    for _ in range(tries):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"timed out: {what}")


def settle(page):
    """Wait until these clips and the next are there."""
    page.wait_for_function(READY)
    page.wait_for_function(NEXT_READY)


def press_and_wait(page, key):
    """Press a key, wait for other clips, and return those that were shown before."""
    before = shown(page)
    page.keyboard.press(key)
    page.wait_for_function(
        """(before) => {
            const all = [...document.querySelectorAll(".layer:not(.next) figure")];
            return all.length && all.map((one) => one.dataset.clip).join() !== before;
        }""",
        arg=",".join(before),
    )
    return before


def scrub(page, thousandths):
    """Move the time bar."""
    page.eval_on_selector(
        "#time",
        "(bar, place) => { bar.value = place; bar.dispatchEvent(new Event('input')); }",
        thousandths,
    )


def shown(page):
    """Ids of the clips on the screen, from left to right."""
    return page.eval_on_selector_all(
        ".layer:not(.next) figure", "all => all.map((one) => one.dataset.clip)"
    )
