"""`simrl watch` finds replays, serves one page and nothing else, and writes files."""

import os
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from simrl.cli import watch as module
from simrl.cli.watch import WatchConfig, find_replay, make_server, watch
from simrl.core.plugins import EnvPlugin
from simrl.core.replay import Replay


@dataclass(frozen=True)
class NoOptions:
    pass


def plugin(**parts):
    make = lambda config, num_envs: SimpleNamespace(spec=SimpleNamespace(step_seconds=0.2))  # noqa: E731
    return EnvPlugin(summary="a fake", config=NoOptions, make=make, **parts)


def draw(replay):
    for t in range(len(replay.actions)):
        yield np.full((32, 48, 3), 20 * t, np.uint8)


@pytest.fixture
def replay_file(tmp_path):
    path = tmp_path / "game.jsonl"
    Replay(env="fake", config={}, snapshot=b"start", actions=np.zeros((4, 2, 1), int)).save(path)
    return path


def use(monkeypatch, fake):
    monkeypatch.setattr(module, "env_plugin", lambda name: fake)


def test_newest_replay_of_a_run(tmp_path):
    folder = tmp_path / "run" / "replays"
    folder.mkdir(parents=True)
    for age, name in enumerate(["new", "middle", "old"]):
        (folder / f"{name}.jsonl").write_text("{}")
        os.utime(folder / f"{name}.jsonl", (1000 - age, 1000 - age))
    (folder / "newest.npz").write_text("not a replay")
    assert find_replay(tmp_path / "run").name == "new.jsonl"
    assert find_replay(folder).name == "new.jsonl"
    assert find_replay(folder / "old.jsonl").name == "old.jsonl"


def test_nothing_to_watch_is_said(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        find_replay(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no replay"):
        find_replay(tmp_path)


def test_server_answers_the_page_alone_and_only_locally():
    with make_server("<p>grüezi</p>", 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(root + "/?speed=2") as answer:
            assert answer.read().decode() == "<p>grüezi</p>"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(root + "/../etc/passwd")
        with pytest.raises(ValueError, match="cannot serve"):
            make_server("", server.server_port)
        server.shutdown()


def test_port_out_of_range():
    with pytest.raises(ValueError, match="cannot serve"):
        make_server("", 99999)


def test_html_and_video_are_written(replay_file, tmp_path, monkeypatch):
    av = pytest.importorskip("av")
    use(monkeypatch, plugin(replay_page=lambda replay: "<p>page</p>", frames=draw))
    said = []
    files = {name: tmp_path / "out" / f"game.{name}" for name in ("html", "mp4", "gif")}
    watch(WatchConfig(replay_file, speed=2.0, **files), said.append)
    assert files["html"].read_text() == "<p>page</p>"
    assert files["gif"].read_bytes()[:4] == b"GIF8"
    with av.open(str(files["mp4"])) as box:
        # 0.2 s a step at twice the pace: 10 frames a second.
        assert float(box.streams.video[0].average_rate) == pytest.approx(10)
    assert any("4 frames" in line for line in said)


def test_an_environment_that_draws_nothing(replay_file, tmp_path, monkeypatch):
    use(monkeypatch, plugin())
    with pytest.raises(ValueError, match="no replay page"):
        watch(WatchConfig(replay_file, browser=False))
    with pytest.raises(ValueError, match="draws no frames"):
        watch(WatchConfig(replay_file, mp4=tmp_path / "out.mp4"))


def test_a_damaged_replay_is_named(tmp_path):
    path = tmp_path / "broken.jsonl"
    path.write_text('{"format": "other"}\n')
    with pytest.raises(ValueError, match=r"broken\.jsonl is not a whole replay"):
        watch(WatchConfig(path))


def test_speed_must_be_positive(replay_file, tmp_path, monkeypatch):
    use(monkeypatch, plugin(frames=draw))
    with pytest.raises(ValueError, match="speed"):
        watch(WatchConfig(replay_file, gif=tmp_path / "out.gif", speed=0))
