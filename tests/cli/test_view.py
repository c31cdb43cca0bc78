"""`simrl view` drives a window with a policy; `simrl play` writes videos of robots."""

import contextlib

import pytest

from simrl.cli import main
from simrl.cli.view import LEFT, STOP, UP, ViewArguments, steer, view
from simrl.core.plugins import make_env, make_scripted


class Window:
    """Stands for MuJoCo's viewer: closes after some frames and keeps what it was shown."""

    def __init__(self, model, data, frames):
        self.data, self.left, self.heights = data, frames, []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def is_running(self):
        self.left -= 1
        return self.left >= 0

    def lock(self):
        return contextlib.nullcontext()

    def sync(self):
        self.heights.append(float(self.data.qpos[2]))


def test_window_shows_the_policy_until_it_is_closed():
    windows = []

    def launch(model, data, key_callback):
        windows.append(Window(model, data, frames=30))
        return windows[0]

    env = make_env("quadruped-recover", 1)
    policy = make_scripted("quadruped-recover", "pose")
    view(env, policy, ViewArguments("quadruped-recover", speed=100.0), launch)
    heights = windows[0].heights
    assert len(heights) == 30
    assert heights[0] > heights[20]  # it falls


def test_window_closes_after_the_seconds_given():
    windows = []

    def launch(model, data, key_callback):
        windows.append(Window(model, data, frames=1000))
        return windows[0]

    env = make_env("quadruped-stand", 1)
    arguments = ViewArguments("quadruped-stand", speed=100.0, seconds=0.2)
    view(env, make_scripted("quadruped-stand", "pose"), arguments, launch)
    assert len(windows[0].heights) == 10


def test_keys_steer_a_commanded_velocity():
    def launch(model, data, key_callback):
        for key in (UP, UP, LEFT, ord("."), ord("x")):
            key_callback(key)
        return Window(model, data, frames=3)

    options = {"command_x": (0.0, 0.0), "command_y": (0.0, 0.0), "command_yaw": (0.0, 0.0)}
    env = make_env("quadruped-velocity", 1, **options)
    policy = make_scripted("quadruped-velocity", "pose")
    view(env, policy, ViewArguments("quadruped-velocity", speed=100.0), launch)
    command = env.spec.physics["state"]["command"]
    assert env.snapshot()[0, command].tolist() == pytest.approx([0.2, -0.1, 0.2])
    steer(env, STOP)
    assert env.snapshot()[0, command].tolist() == [0.0, 0.0, 0.0]


def test_no_display_is_one_line_and_exit_code_2(monkeypatch, capsys):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["view", "quadruped-stand"]) == 2
    said = capsys.readouterr().err
    assert "there is no display" in said
    assert "--env quadruped-stand --mp4" in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["view", "quadruped-fly"], "unknown environment 'quadruped-fly'"),
        (["view", "tic-tac-toe"], "is no MuJoCo task"),
        (["view", "quadruped-stand", "--speed", "0"], "speed must be above 0"),
        (["view", "quadruped-stand", "--policy", "trot"], "unknown policy 'trot'"),
    ],
)
def test_mistakes_are_named(words, message, monkeypatch, capsys):
    monkeypatch.setenv("DISPLAY", ":99")
    assert main(words) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.mujoco
def test_play_writes_a_video_of_a_robot(tmp_path, capsys):
    av = pytest.importorskip("av")
    video, replay = tmp_path / "stand.mp4", tmp_path / "stand.jsonl"
    words = ["play", "pose", "--env", "quadruped-stand", "--option", "seconds=0.4"]
    assert main([*words, "--mp4", str(video), "--out", str(replay)]) == 0
    said = capsys.readouterr().out
    assert "0.4 seconds (time limit)" in said
    assert str(video) in said
    with av.open(str(video)) as box:
        stream = box.streams.video[0]
        frames = sum(1 for _ in box.decode(stream))
        # 50 steps a second are too many: every second one of the start and 20 steps is drawn.
        assert frames == 11
        assert float(stream.average_rate) == pytest.approx(25.0)
    assert main(["watch", str(replay), "--gif", str(tmp_path / "stand.gif")]) == 0


def test_play_refuses_a_second_player_in_a_task_of_one(capsys):
    assert main(["play", "pose", "random", "--env", "quadruped-stand"]) == 2
    assert "has nobody to play against" in capsys.readouterr().err.replace("\n", " ")
