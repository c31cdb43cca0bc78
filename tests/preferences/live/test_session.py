"""Live sessions without a browser: what is sent, what is recorded, what is learned."""

import asyncio
import io
import json
import time

import numpy as np
import pytest
import torch
from PIL import Image

from simrl.core.plugins import make_env, make_scripted
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.preferences.clips import ClipLibrary
from simrl.preferences.coach import CoachConfig, CoachLearner
from simrl.preferences.live import LiveConfig, LiveSession, LiveTask, open_session, read_frame
from simrl.preferences.store.values import check_value
from simrl.preferences.tamer import TamerConfig, TamerLearner
from simrl.rollout import RandomPolicy

FAST = LiveConfig(seconds=30.0, speed=20.0, speeds=(0.1, 1000.0), turn_seconds=0.05)


def make_policy(name, spec, options):
    if name == "random":
        return RandomPolicy(spec)
    return make_scripted(spec.id, name, **options)


class Page:
    """Stand in for the browser: collects what a session sends, and waits for things."""

    def __init__(self, session):
        self.session = session
        self.texts, self.frames = [], []
        session.start()

    def send(self, **message):
        self.session.receive(json.dumps(message))

    def read(self, timeout=5.0):
        message = self.session.next(timeout)
        if isinstance(message, str):
            self.texts.append(json.loads(message))
            return self.texts[-1]
        if message is not None:
            self.frames.append(read_frame(message))
            return self.frames[-1][0]
        return None

    def until(self, kind, where=lambda message: True, timeout=20.0):
        """Read until a message of a type comes; "frame" too."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            message = self.read(end - time.monotonic())
            assert message is not None, f"no {kind} came; last was {self.texts[-1:]}"
            if message["type"] == kind and where(message):
                return message
            assert message["type"] != "done" or kind == "done", message
        raise AssertionError(f"no {kind} came in {timeout} s")


@pytest.fixture
def library(tmp_path):
    return ClipLibrary(tmp_path)


@pytest.fixture
def sessions():
    """Hand out pages and end their sessions after the test."""
    opened = []

    def open_page(session):
        opened.append(session)
        return Page(session)

    yield open_page
    for session in opened:
        session.close()


def live(library, config=FAST, **settings):
    given = {"env": "cart-pole", "policies": "balance"} | settings
    return open_session("live", (), given, library, make_policy, seed=1, config=config)


def test_a_session_starts_paused_shows_a_frame_and_runs_when_told(library, sessions):
    page = sessions(live(library))
    ready = page.until("ready")
    assert ready["env"] == "cart-pole"
    assert ready["policies"] == ["balance"]
    assert ready["controls"][0] == ["arrowleft a", "push left"]
    first = page.until("frame")
    assert (first["step"], first["time"]) == (0, 0.0)
    picture = Image.open(io.BytesIO(page.frames[0][1]))
    assert picture.format == "JPEG"
    assert picture.size == (ready["width"], ready["height"])
    time.sleep(0.2)
    assert page.session.next(0.05) is None or page.texts  # nothing moves while paused
    page.send(pause=False)
    frame = page.until("frame", lambda f: f["step"] >= 20)
    assert frame["return"] == frame["step"]  # cart-pole pays 1 a step
    page.send(pause=True)
    page.until("state", lambda s: s["paused"])
    while page.session.next(0.3) is not None:
        pass
    assert page.session.next(0.2) is None


def test_the_pace_is_that_of_the_task_and_frames_are_bounded(library, sessions):
    config = LiveConfig(fps=10.0, seconds=60.0)
    page = sessions(live(library, config))
    page.until("frame")
    page.send(pause=False)
    begin = time.monotonic()
    count = 0
    while time.monotonic() - begin < 1.5:
        message = page.read(0.5)
        count += message is not None and message["type"] == "frame"
    assert 4 <= count <= 17  # at most 10 a second
    step, shown = page.frames[-1][0]["step"], page.frames[-1][0]["time"]
    assert step * 0.02 <= shown + 0.3  # cart-pole's step is 20 ms: never faster than life
    page.send(speed=0.1, pause=False)
    page.until("state", lambda s: s["speed"] == 0.1)
    before = page.until("frame")
    after = page.until("frame", lambda f: f["step"] >= before["step"] + 3)
    assert after["time"] - before["time"] > 0.4  # 3 steps of 0.2 s


def test_a_slow_reader_gets_the_newest_frame_and_no_queue(library, sessions):
    page = sessions(live(library))
    page.until("frame")
    page.send(pause=False)
    time.sleep(1.0)  # nobody reads
    page.send(pause=True)
    time.sleep(0.2)
    frames = 0
    while (message := page.read(0.2)) is not None:
        frames += message["type"] == "frame"
    assert frames == 1
    assert page.session.outbox.dropped > 3


def test_judgements_are_stored_with_their_moments_and_the_clips(library, sessions):
    page = sessions(live(library))
    page.until("frame")
    page.send(pause=False)
    frame = page.until("frame", lambda f: f["step"] >= 30)
    page.send(feedback=1, t=frame["time"])
    page.until("feedback", lambda f: f["count"] == 1)
    page.send(feedback=-0.5)
    page.until("feedback", lambda f: f["count"] == 2)
    page.send(submit=True)
    done = page.until("done")
    assert done["reason"] == "submitted"
    value = page.session.result()
    assert value == done["value"]
    check_value("live", value, (), {})
    (first, good), (second, bad) = value["events"]
    assert (good, bad) == (1.0, -0.5)
    assert first == pytest.approx(frame["step"] * 0.02, abs=0.021)
    assert second >= first
    assert value["speeds"] == [20.0, 20.0]
    clip = library.get(value["clip"])
    assert clip.policies == ("balance",)
    assert clip.num_steps >= frame["step"]
    assert [0.0, value["clip"]] == value["clips"][0]


def test_every_episode_becomes_a_clip_that_replays(library, sessions):
    page = sessions(live(library, policies="random", env_options={"max_steps": 12}))
    page.until("frame")
    page.send(pause=False)
    page.until("episode")
    episode = page.until("episode")
    assert 0 < episode["steps"] <= 12
    page.until("frame")
    page.send(submit=True)
    page.until("done")
    clips = page.session.result()["clips"]
    assert len(clips) >= 3
    game_seconds = 0.0
    for begin, name in clips:
        clip = library.get(name)
        assert begin == pytest.approx(game_seconds)
        game_seconds += clip.num_steps * 0.02
        env = make_env("cart-pole", 1, **clip.env_options)
        env.reset(0)
        obs = env.restore(torch.from_numpy(clip.snapshot)[None])
        for seen, action in zip(clip.obs, clip.action, strict=True):
            np.testing.assert_array_equal(obs["policy"][0, 0].numpy(), seen)
            obs = env.step(torch.from_numpy(action)[None]).obs


def recorded(library, name, options, steps, seat=0, policies=None):
    """Record a clip of scripted play through a live session itself."""
    names = policies or "random"
    config = LiveConfig(seconds=60.0, speed=500.0, speeds=(0.1, 1000.0), turn_seconds=0.05)
    session = open_session(
        "live",
        (),
        {"env": name, "env_options": options, "policies": names, "seat": seat},
        library,
        make_policy,
        seed=4,
        config=config,
    )
    page = Page(session)
    page.until("frame")
    page.send(pause=False)
    page.until("frame", lambda f: f["step"] >= steps)
    page.send(submit=True)
    page.until("done")
    return session.result()["clip"]


def test_a_clip_is_taken_over_at_a_step(library, sessions):
    name = recorded(library, "cart-pole", {}, 30, policies="balance")
    clip = library.get(name)
    page = sessions(open_session("correct", (name,), {}, library, make_policy, config=FAST))
    ready = page.until("ready")
    assert (ready["mode"], ready["steps"], ready["person"]) == ("correct", clip.num_steps, True)
    page.until("frame")
    page.send(seek=20)
    frame = page.until("frame", lambda f: f["step"] == 20)
    page.send(keys=["arrowright"])
    page.send(pause=False)
    state = page.until("state", lambda s: s["over"])  # pushing right only, the pole falls
    assert state["paused"]
    assert state["step"] > frame["step"]
    page.send(submit=True)
    assert page.until("done")["reason"] == "submitted"
    value = page.session.result()
    check_value("correct", value, (name,), {})
    assert (value["clip"], value["step"]) == (name, 20)
    demo = library.get(value["demonstration"])
    assert demo.policies == ("person",)
    assert demo.episode == clip.episode  # so that held-out data are split alike
    assert (demo.action[1:] == 1).all()
    assert bool(demo.terminated[-1])
    np.testing.assert_array_equal(demo.obs[0], clip.obs[20])
    np.testing.assert_array_equal(demo.lead, np.concatenate([clip.lead, clip.action[:20]]))


def test_a_correction_can_be_started_again(library, sessions):
    name = recorded(library, "cart-pole", {}, 30, policies="balance")
    page = sessions(open_session("correct", (name,), {}, library, make_policy, config=FAST))
    page.until("frame")
    page.send(keys=["a"], pause=False)
    page.until("state", lambda s: s["over"])
    page.send(pause=False)  # it is over: only seek or submit help
    assert page.until("state")["paused"]
    page.send(seek=5)
    page.until("frame", lambda f: f["step"] == 5)
    page.send(keys=["d"], pause=False)
    page.until("state", lambda s: s["over"])
    page.send(submit=True)
    page.until("done")
    demo = library.get(page.session.result()["demonstration"])
    assert page.session.result()["step"] == 5
    assert (demo.action[1:] == 1).all()


def test_a_game_by_turns_waits_for_the_person_and_lets_go(library, sessions):
    page = sessions(live(library, env="tic-tac-toe", policies=["tactical", "tactical"], seat=0))
    page.until("frame")
    page.send(take_over=True, pause=False)
    page.until("state", lambda s: s["waiting"])
    time.sleep(0.3)
    page.send(clicks=[[0.5, 0.5]])  # the middle
    page.until("state", lambda s: not s["waiting"])
    page.until("state", lambda s: s["waiting"])  # its next turn
    page.send(take_over=False)  # the policy plays the rest
    page.until("episode")
    page.send(submit=True)
    page.until("done")
    clip = library.get(page.session.result()["clip"])
    assert clip.policies == ("person", "tactical")
    assert clip.action[0, 0, 0] == 4
    assert clip.action[0, 1, 0] == 9  # the other waits


def test_a_session_ends_when_time_is_over_and_when_nobody_plays(library, sessions):
    page = sessions(live(library, LiveConfig(seconds=0.3)))
    page.until("frame")
    page.send(pause=False)
    assert page.until("done")["reason"] == "time"
    assert page.session.result()["events"] == []
    idle = sessions(live(library, LiveConfig(idle_seconds=0.2)))
    assert idle.until("done")["reason"] == "idle"
    assert idle.session.result() is None
    gone = sessions(live(library))
    gone.until("frame")
    gone.session.close()
    assert gone.until("done")["reason"] == "cancelled"
    assert gone.session.result() is None


def test_errors_are_told_in_one_line(library, sessions):
    page = sessions(live(library))
    page.until("frame")
    page.send(speed=5000)
    assert page.until("error")["message"] == "speed must be from 0.1 to 1000, got 5000"
    page.send(seek=3)
    assert "only a clip" in page.until("error")["message"]
    page.send(pause=False)  # the session goes on
    page.until("frame", lambda f: f["step"] > 3)

    class Broken(RandomPolicy):
        def act(self, obs, state, rng, *, deterministic=False):
            raise ValueError("no plan was found\nwith details")

    env = make_env("cart-pole", 1)
    task = LiveTask("live", "cart-pole", [Broken(env.spec)], ("broken",))
    broken = sessions(LiveSession(task, library, FAST))
    broken.until("frame")
    broken.send(pause=False)
    assert broken.until("error")["message"] == "no plan was found"
    assert broken.until("done")["reason"] == "error"
    assert broken.session.result() is None
    counting = sessions(live(library, env="counting", policies="random"))
    counting.until("frame")
    counting.send(take_over=True)
    assert counting.until("error")["message"] == "counting has no controls for people"


def test_questions_that_cannot_be_played_are_refused(library):
    with pytest.raises(ValueError, match="needs the setting env"):
        open_session("live", (), {}, library, make_policy)
    with pytest.raises(ValueError, match="has 1 seats, got the policies"):
        live(library, policies=["balance", "balance"])
    with pytest.raises(ValueError, match="unknown learner 'dqn'"):
        live(library, learner="dqn")
    with pytest.raises(ValueError, match=r"seat must be in 0\.\.0"):
        live(library, seat=3)
    with pytest.raises(ValueError, match="no live sessions of kind 'rate'"):
        open_session("rate", (), {}, library, make_policy)
    with pytest.raises(ValueError, match="kind correct has one clip, got 0"):
        open_session("correct", (), {}, library, make_policy)


def test_messages_come_by_asyncio_as_well(library):
    async def run():
        session = live(library)
        kinds = []
        async for message in session.messages():
            kinds.append("frame" if isinstance(message, bytes) else json.loads(message)["type"])
            if kinds[-1] == "frame":
                session.receive('{"submit": true}' if len(kinds) > 6 else '{"pause": false}')
        return kinds, session

    kinds, session = asyncio.run(asyncio.wait_for(run(), 20))
    assert kinds[0] == "ready"
    assert kinds[-1] == "done"
    assert kinds.count("frame") >= 2
    assert session.result()["clip"]
    session.close()


def teach(learner, library, sessions, count):
    """Praise every push to the right and blame every other; return the last actions."""
    env = make_env("cart-pole", 1)
    config = LiveConfig(seconds=60.0, speed=0.25, fps=20.0)  # a step lasts 80 ms
    task = LiveTask("live", "cart-pole", [RandomPolicy(env.spec)], ("random",), learner=learner)
    page = sessions(LiveSession(task, library, config))
    assert page.until("ready")["learner"] == learner.kind
    page.until("frame")
    step = 0
    for number in range(1, count + 1):
        # Judged while it stands still, so that a busy machine cannot change what is judged.
        page.send(pause=False)
        step = page.until("frame", lambda f, last=step: f["step"] > last)["step"]
        page.send(pause=True)
        page.until("state", lambda s: s["paused"])
        time.sleep(0.05)
        action, shown = learner.newest()
        page.send(feedback=1 if action == 1 else -1, t=shown + 0.006)
        told = page.until("feedback")
        assert told["learner"]["count"] == told["count"] == number
    page.send(submit=True)
    page.until("done")
    clips = [library.get(name) for _, name in page.session.result()["clips"]]
    return np.concatenate([clip.action[:, 0, 0] for clip in clips])[-12:], page


@pytest.mark.slow  # forty judgements in real time; test_tamer.py teaches it in no time
def test_tamer_learns_from_the_page(library, sessions):
    class Learner(TamerLearner):
        def newest(self):
            return int(self._recent[-1].action[0, 0]), self._recent[-1].begin

    spec = make_env("cart-pole", 1).spec
    learner = Learner(spec, TamerConfig(delay=(0.0, 0.005), learning_rate=1e-2))
    actions, page = teach(learner, library, sessions, 40)
    assert actions.mean() > 0.7
    assert page.frames[-1][0]["predicted"] > 0.2  # it expects praise


def test_coach_learns_from_the_page(library, sessions):
    class Learner(CoachLearner):
        def newest(self):
            return int(self._last.action[0, 0]), self._last.time

    spec = make_env("cart-pole", 1).spec
    torch.manual_seed(0)
    net = ActorCritic(spec, ActorCriticConfig(hidden=(16,)))
    learner = Learner(net, CoachConfig(delay=0.0, trace=0.0, learning_rate=0.5))
    actions, _ = teach(learner, library, sessions, 25)
    assert actions.mean() > 0.8


def test_learners_are_made_by_name(library):
    session = live(library, learner="coach")
    assert session.task.names == ("coach",)
    assert live(library, learner="tamer").task.learner.kind == "tamer"
    again = open_session(
        "live",
        (),
        {"env": "cart-pole", "policies": "random"},
        library,
        make_policy,
        learner=session.task.learner,
    )
    assert again.task.learner is session.task.learner  # teaching goes on


@pytest.mark.slow
def test_the_moba_is_played_with_the_mouse_and_corrected(library, sessions):
    config = LiveConfig(seconds=60.0, speed=4.0)
    page = sessions(live(library, config, env="moba-1v1", policies=["skill-user", "lane-pusher"]))
    assert page.until("ready")["width"] == 960
    page.until("frame")
    page.send(take_over=True, clicks=[[0.9, 0.57]], pause=False)
    page.until("frame", lambda f: f["step"] >= 20)
    page.send(submit=True)
    page.until("done")
    clip = library.get(page.session.result()["clip"])
    assert clip.policies == ("person", "lane-pusher")
    assert (clip.action[:, 0, 0] == 1).mean() > 0.5  # it walks where the click was
    fix = sessions(
        open_session(
            "correct", (page.session.result()["clip"],), {}, library, make_policy, config=config
        )
    )
    fix.until("frame")
    fix.send(seek=10)
    fix.until("frame", lambda f: f["step"] == 10)
    fix.send(clicks=[[0.0, 0.57]], pause=False)  # back home
    fix.until("frame", lambda f: f["step"] >= 20)
    fix.send(submit=True)
    fix.until("done")
    demo = library.get(fix.session.result()["demonstration"])
    assert (demo.action[:, 0, 1] == 8).mean() > 0.5  # 180 degrees: towards the own base
