"""Clips become videos that are whole, paced as they were played, and say whom to judge."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simrl.core import plugins
from simrl.core.plugins import env_plugin, make_env, make_scripted
from simrl.preferences.clips import render
from simrl.preferences.clips.pool import RenderPool
from simrl.preferences.clips.record import record_clips
from simrl.preferences.clips.render import caption, captioned, pace, render_clip
from simrl.rollout.random import RandomPolicy

av = pytest.importorskip("av")


def record(library, env="cart-pole", count=1, steps=20, **options):
    policies = {"random": RandomPolicy(make_env(env, 1, **options).spec)}
    return record_clips(
        library, env, options, policies, count=count, steps=steps, seed=0, play_steps=80
    )


def pictures(path):
    with av.open(str(path)) as box:
        stream = box.streams.video[0]
        return stream.average_rate, [f.to_ndarray(format="rgb24") for f in box.decode(stream)]


def leftovers(library):
    return [path.name for path in library.folder.rglob(".*") if path.is_file()]


def test_a_video_shows_the_clip_in_real_time(library):
    (name,) = record(library, steps=20)
    assert library.video(name) is None and library.poster(name) is None
    render_clip(library, name)
    rate, frames = pictures(library.video(name))
    steps = library.meta(name)["steps"]
    # 50 steps a second are shown as 25 frames: the start, then each second step.
    assert rate == 25
    assert len(frames) == 1 + steps // 2
    clip = library.get(name)
    env = make_env("cart-pole", 1)
    replay = render.replay_of(clip, env)
    drawn = list(env_plugin("cart-pole").frames(replay))
    assert np.abs(frames[0].astype(int) - drawn[0]).mean() < 2
    assert np.abs(frames[-1].astype(int) - drawn[2 * (len(frames) - 1)]).mean() < 2
    poster = np.asarray(Image.open(library.poster(name)))
    assert np.abs(poster.astype(int) - drawn[0]).mean() < 3
    assert library.replay(name) is None
    assert leftovers(library) == []


def test_an_environment_that_draws_only_itself_is_stepped(library, monkeypatch):
    (name,) = record(library, steps=8)
    plugin = dataclasses.replace(env_plugin("cart-pole"), frames=None)
    real = plugins.env_plugin
    monkeypatch.setattr(render, "env_plugin", lambda e: plugin if e == "cart-pole" else real(e))
    live = list(render.clip_frames(*_stand(library, name), every=1))
    monkeypatch.undo()
    drawn = list(render.clip_frames(*_stand(library, name), every=1))
    clip = library.get(name)
    assert len(live) == clip.num_steps + (not clip.terminated[-1])
    for a, b in zip(live, drawn, strict=False):
        np.testing.assert_array_equal(a, b)


def _stand(library, name):
    env = make_env("cart-pole", 1)
    return render.replay_of(library.get(name), env), env


def test_moba_clips_get_a_page_that_looks_at_the_judged_hero(library):
    names = record(library, "moba-1v1", count=2, steps=6)
    for name in names:
        render_clip(library, name)
        text = library.replay(name).read_text()
        data = json.loads(text.split('type="application/json">')[1].split("</script>")[0])
        assert data["seat"] == library.meta(name)["seat"]
        assert data["frames"] == 7
        assert "random" not in json.dumps([hero["policy"] for hero in data["heroes"]])
        rate, frames = pictures(library.video(name))
        assert len(frames) == 7
        assert rate == pytest.approx(7.5)
        assert frames[0].shape == (380 + render.STRIP, 560, 3)


@pytest.mark.mujoco
def test_robots_are_drawn_without_a_display(library):
    (name,) = record(library, "gymnasium/HalfCheetah-v5", steps=3)
    render_clip(library, name)
    _, frames = pictures(library.video(name))
    assert len(frames) == 4 and frames[0].shape == (480, 640, 3)
    assert frames[0].std() > 20


@pytest.mark.parametrize(
    ("step_seconds", "fps", "every"),
    [
        (0.02, 25.0, 2),  # 50 Hz
        (0.008, 25.0, 5),  # 125 Hz
        (0.05, 20.0, 1),
        (1 / 30, 30.0, 1),
        (0.0, 2.0, 1),  # moves
        (5.0, 2.0, 1),  # slower than one wants to look at
    ],
)
def test_pace(step_seconds, fps, every):
    assert pace(step_seconds) == (pytest.approx(fps), every)


def test_captions_name_the_judged_agent_of_several():
    assert caption(make_env("cart-pole", 1).spec, 0) == ""
    assert caption(make_env("tic-tac-toe", 1).spec, 1) == "Judge: red"
    assert caption(make_env("platoon", 1).spec, 3) == "Judge: car 4"


def test_the_caption_stands_below_the_picture():
    frame = np.full((200, 480, 3), 200, np.uint8)
    plain, written = next(captioned([frame], "")), next(captioned([frame], "Judge: blue"))
    assert plain is frame
    assert written.shape == (230, 480, 3)
    np.testing.assert_array_equal(written[:200], frame)
    assert written[200:].max() > 200 > written[200:].min()


@pytest.mark.parametrize(
    ("size", "shown"), [((96, 96), (384, 384)), ((400, 300), (400, 300)), ((1920, 800), (960, 400))]
)
def test_pictures_are_brought_to_a_width_that_suits_a_page(size, shown):
    picture = next(captioned([np.zeros((size[1], size[0], 3), np.uint8)], ""))
    assert picture.shape == (shown[1], shown[0], 3)


def test_the_pool_draws_each_clip_once(library):
    names = record(library, count=3, steps=10)
    with RenderPool(library, 1) as pool:
        pool.submit(names[:2])
        pool.submit(names)
        assert pool.wait(120)
        assert pool.progress() == (3, 3, 0)
    before = [library.video(name).stat().st_mtime_ns for name in names]
    with RenderPool(library, 1) as pool:
        pool.submit(names)
        assert pool.wait(0)  # no process was needed
        assert pool.progress() == (3, 3, 0)
    assert [library.video(name).stat().st_mtime_ns for name in names] == before
    assert leftovers(library) == []


def test_a_clip_that_cannot_be_drawn_stops_no_other(library, make_clip):
    strange = library.add(make_clip(env="no-such-game"))
    damaged = library.add(make_clip(seed=9))
    (library.folder / "clips" / f"{damaged}.npz").write_bytes(b"half")
    (good,) = record(library, steps=6)
    with RenderPool(library, 1) as pool:
        pool.submit([strange, damaged, "f" * 16, good])
        assert pool.wait(120)
        assert pool.progress() == (1, 4, 3)
        failures = pool.failures()
    assert "unknown environment 'no-such-game'" in failures[strange]
    assert "is not a whole clip" in failures[damaged]
    assert "holds no clip" in failures["f" * 16]
    assert library.failure(strange).strip() == failures[strange]
    assert library.failure(good) is None
    assert library.video(good) is not None


@pytest.fixture
def slow(library):
    """A clip whose drawing takes many seconds: 2,000 steps."""
    return record_long(library)


def record_long(library):
    policies = {"balance": make_scripted("cart-pole", "balance", max_steps=3_000)}
    (name,) = record_clips(
        library, "cart-pole", {"max_steps": 3_000}, policies, count=1, steps=2000, seed=0
    )
    return name


def worker_pid(pool):
    return pool._workers[0]._process.pid


def drawing(library, clip):
    """Whether the encoder has begun to write the clip's video."""
    return any((library.folder / "videos").glob(f".{clip}.mp4.*"))


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "that took too long"
        time.sleep(0.02)


def test_a_killed_worker_leaves_nothing_and_is_replaced(library, slow):
    (other,) = record(library, steps=6)
    with RenderPool(library, 1) as pool:
        pool.submit([slow, other])
        until(lambda: drawing(library, slow))
        os.kill(worker_pid(pool), signal.SIGKILL)
        assert pool.wait(120)
        assert pool.progress() == (1, 2, 1)
        assert "ended with code -9" in pool.failures()[slow]
    assert library.video(slow) is None
    assert library.video(other) is not None
    assert leftovers(library) == []


def test_closing_in_the_middle_leaves_nothing_half(library, slow):
    pool = RenderPool(library, 1)
    pool.submit([slow])
    until(lambda: drawing(library, slow))
    pool.close()
    assert library.video(slow) is None
    assert library.failure(slow) is None
    assert leftovers(library) == []
    with pytest.raises(ValueError, match="the pool is closed"):
        pool.submit([slow])
    assert not pool.wait(0)


@pytest.mark.slow
def test_a_killed_program_leaves_no_half_video_and_no_process(library, slow):
    program = (
        "import sys, time\n"
        "from simrl.preferences.clips import ClipLibrary\n"
        "from simrl.preferences.clips.pool import RenderPool\n"
        "pool = RenderPool(ClipLibrary(sys.argv[1]), 1)\n"
        "pool.submit([sys.argv[2]])\n"
        "while pool._workers[0]._process is None: time.sleep(0.01)\n"
        "print(pool._workers[0]._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    words = [sys.executable, "-c", program, str(library.folder), slow]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    worker = int(child.stdout.readline())
    until(lambda: drawing(library, slow))
    child.kill()
    child.wait()
    child.stdout.close()
    assert library.video(slow) is None
    os.kill(worker, signal.SIGKILL)  # it would end by itself after this clip
    until(lambda: not Path(f"/proc/{worker}").exists() or _zombie(worker))
    assert library.video(slow) is None
    # What is left of it is a hidden file, which no one is shown and which is swept up later.
    assert [name for name in leftovers(library) if not name.startswith(f".{slow}.mp4.")] == []
    for path in (library.folder / "videos").glob(".*"):
        os.utime(path, (time.time() - 7200,) * 2)
    with RenderPool(library, 1):
        assert leftovers(library) == []


def _zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_worker_ends_when_its_input_does(library):
    (name,) = record(library, steps=6)
    words = [sys.executable, "-m", "simrl.preferences.clips.worker", str(library.folder)]
    done = subprocess.run(
        words, input=f"{name}\n../../x\n", capture_output=True, text=True, timeout=120, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[0] == {"id": name}
    assert "16 hex digits" in answers[1]["error"]
    assert library.video(name) is not None


def test_what_is_wanted_first_is_drawn_first(library, make_clip):
    names = record(library, count=5, steps=4)
    drawn = []

    class Noted(RenderPool):
        def _note(self, clip, trouble):
            super()._note(clip, trouble)
            drawn.append(clip)

    with Noted(library, 1) as pool:
        with pool._change:  # nobody takes a clip before all are there
            pool.submit(names[:3])
            pool.submit([names[4], names[1]], first=True)
        assert pool.wait(120)
    assert drawn == [names[4], names[1], names[0], names[2]]


def test_workers_must_be_positive(library):
    with pytest.raises(ValueError, match="workers must be at least 1"):
        RenderPool(library, 0)
