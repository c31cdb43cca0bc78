"""Robots are drawn, each row by itself, and a machine without OpenGL is told what to install."""

import os
import sys

import mujoco
import numpy as np
import pytest
import torch

from simrl.core.plugins import env_plugin, make_env
from simrl.core.replay import Replay
from simrl_envs.robot import render
from simrl_envs.robot.models import build_robot
from simrl_envs.robot.render import choose_gl, draw


def _hold(env):
    low, high = (torch.tensor(side) for side in (env.spec.actions.low, env.spec.actions.high))
    return ((low + high) / 2).expand(env.num_envs, 1, -1).contiguous()


@pytest.mark.mujoco
@pytest.mark.parametrize("name", ["quadruped-velocity", "arm-track"])
def test_rows_are_drawn_as_they_are(name):
    env = make_env(name, 2)
    env.reset(0)
    first = env.render(0)
    assert first.shape == (480, 640, 3)
    assert first.dtype == np.uint8
    assert first.std() > 10.0
    assert not np.array_equal(first, env.render(1))
    assert np.array_equal(first, env.render(0))
    for _ in range(20):
        env.step(_hold(env))
    assert not np.array_equal(first, env.render(0))


@pytest.mark.mujoco
def test_camera_follows_the_robot():
    robot = build_robot("quadruped")
    data = mujoco.MjData(robot.model)
    pictures = []
    for x in (0.0, 1.0):  # the checker repeats every metre
        data.qpos[:] = robot.home
        data.qpos[0] = x
        mujoco.mj_forward(robot.model, data)
        pictures.append(draw(robot.model, data, size=(160, 120)).astype(int))
    orange = [(p[..., 0] > p[..., 2] + 60).nonzero() for p in pictures]
    assert len(orange[0][0]) > 50
    for axis in range(2):
        assert abs(orange[0][axis].mean() - orange[1][axis].mean()) < 1.0


@pytest.mark.mujoco
def test_ground_is_there_after_a_leap():
    robot = build_robot("quadruped")
    data, pictures = mujoco.MjData(robot.model), []
    for x in (0.0, 200.0, 200.0):  # infinite ground is drawn for some 80 m around
        data.qpos[:] = robot.home
        data.qpos[0] = x
        mujoco.mj_forward(robot.model, data)
        pictures.append(draw(robot.model, data, size=(160, 120)))
    assert np.array_equal(pictures[1], pictures[2])
    assert (pictures[1].sum(axis=2) > 0).all()  # beyond the ground it is black


@pytest.mark.mujoco
def test_reference_is_marked():
    robot = build_robot("arm")
    data = mujoco.MjData(robot.model)
    mujoco.mj_forward(robot.model, data)
    plain = draw(robot.model, data, size=(160, 120)).astype(int)
    marked = draw(robot.model, data, size=(160, 120), path=np.array([[0.5, -0.3, 0.5]])).astype(int)
    green = (marked[..., 1] - marked[..., 0] > 60) & (plain[..., 1] - plain[..., 0] < 40)
    assert green.sum() > 5


@pytest.mark.mujoco
def test_frames_play_a_randomised_episode_again():
    options = {"mass": (0.7, 1.3), "push": (20.0, 20.0), "push_interval": 0.2, "seconds": 0.2}
    env = make_env("quadruped-stand", 1, **options)
    env.reset(3)
    snapshot, actions = env.snapshot()[0].numpy().tobytes(), []
    for step in range(10):
        timestep = env.step(_hold(env))
        actions.append(_hold(env)[0].numpy())
        if step == 8:
            last_but_one = env.render(0)
    env.restore(timestep.final_obs["state"].clone())
    replay = Replay("quadruped-stand", options, snapshot, np.stack(actions))
    frames = list(env_plugin("quadruped-stand").frames(replay))
    assert len(frames) == 11
    assert np.array_equal(frames[9], last_but_one)
    assert np.array_equal(frames[10], env.render(0))
    thinned = list(env_plugin("quadruped-stand").frames(replay, every=5))
    assert len(thinned) == 3
    assert np.array_equal(thinned[2], frames[10])


@pytest.mark.mujoco
def test_unknown_camera_lists_those_there_are():
    model = build_robot("quadruped").model
    with pytest.raises(ValueError, match="unknown camera 'side'; the cameras are follow"):
        draw(model, mujoco.MjData(model), camera="side")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have OpenGL")
def test_machine_without_opengl_is_told_the_packages(monkeypatch):
    def missing(library):
        raise OSError(f"{library}: cannot open shared object file")

    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(render.ctypes, "CDLL", missing)
    with pytest.raises(ValueError, match=r"libegl1.*libosmesa6.*libEGL"):
        choose_gl()
    assert "MUJOCO_GL" not in os.environ


def test_choice_of_the_user_is_kept(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    assert choose_gl() == "glfw"
