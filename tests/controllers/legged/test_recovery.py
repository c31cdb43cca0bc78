"""Robots that lie are helped up and walk on, or are given up and reported."""

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco.batch")

from simrl.core.plugins import make_env
from simrl_controllers.legged import LeggedConfig, LeggedPolicy
from simrl_controllers.legged.recovery import (
    AWAKE,
    FOLD,
    LOST,
    RIGHT,
    ROLL,
    SETTLE,
    STAND,
    GetUp,
    GetUpConfig,
)
from simrl_controllers.legged.robot import legged_robot

DT = 0.004
UPRIGHT, BACK = np.eye(3), np.diag([1.0, -1.0, -1.0])
LEFT_DOWN = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def recover(num_envs, seconds, config, seed=3, **options):
    """Return success of each row, phases told `[T, n]`, the speeds along the heading at the end."""
    env = make_env(
        "quadruped-recover", num_envs, control="torque", control_step=DT, physics_step=0.002,
        threads=1, seconds=seconds, **options,
    )  # fmt: skip
    env.request({"state"})
    policy = LeggedPolicy(env.spec, LeggedConfig(**config))
    obs, memory, told, speeds = env.reset(seed), policy.initial_state(num_envs), [], []
    for _ in range(round(seconds / DT)):
        output = policy.act({"state": obs["state"]}, memory, torch.Generator())
        memory = output.state
        timestep = env.step(output.action[:, None])
        obs = timestep.obs
        seen = timestep.final_obs["state"] if timestep.truncated.any() else obs["state"]
        qpos, qvel = seen[:, :19].numpy(), seen[:, 19:37].numpy()
        yaw = 2.0 * np.arctan2(qpos[:, 6], qpos[:, 3])
        speeds.append(np.cos(yaw) * qvel[:, 0] + np.sin(yaw) * qvel[:, 1])
        told.append(output.extras["recovery"].numpy().copy())
    assert timestep.truncated.all()
    return timestep.metrics["success"].numpy().ravel(), np.array(told), np.array(speeds)


def test_any_fall_is_righted_and_the_robot_walks_on():
    success, told, speeds = recover(5, 8.0, {"command": (0.4, 0.0, 0.0)})
    assert success.mean() >= 4 / 5
    up = success > 0
    assert (told[:, up].max(axis=0) == 1).all()  # all of them lay, and were helped
    assert (told[-250:, up] == 0).all()
    walked = speeds[-250:, up].mean(axis=0)
    np.testing.assert_allclose(walked, 0.4, atol=0.08)


def test_robots_that_stay_down_are_given_up_and_reported():
    weak = {"recovery": {"moves": ({"stiffness": 1e-3},), "tries": 2}}
    success, told, _ = recover(4, 4.0, weak)
    assert (success == 0).all() and (told[-1] == 2).all()


def test_nobody_is_helped_who_does_not_want_it():
    _, told, _ = recover(2, 1.0, {"get_up": False})
    assert (told == 0).all()


@pytest.fixture(scope="module")
def sequence():
    spec = make_env("quadruped-recover", 1, control="torque").spec
    robot = legged_robot(spec)
    return GetUp(spec, robot, GetUpConfig(), DT), robot


def step(sequence, memory, rotation, height=0.1, fallen=True):
    """Take one step of one row whose joints are at home."""
    helper, robot = sequence
    qpos = robot.home[None].copy()
    feet = np.full((1, 4, 3), robot.home[2] - height)
    return helper.act(memory, qpos, np.zeros((1, 18)), rotation[None], feet, np.array([fallen]))


def test_only_a_robot_that_keeps_lying_is_helped(sequence):
    memory = sequence[0].initial_state(1)["recovery"].numpy()
    patience = round(GetUpConfig().patience / DT)
    for _ in range(patience - 1):
        assert not step(sequence, memory, UPRIGHT).busy.any()
    assert step(sequence, memory, UPRIGHT, fallen=False) is None  # it caught itself
    assert (memory == 0).all()
    for _ in range(patience - 1):
        assert not step(sequence, memory, UPRIGHT).busy.any()
    assert step(sequence, memory, UPRIGHT).busy.all() and memory[0, 0] == FOLD


@pytest.mark.parametrize(
    ("rotation", "phases"),
    [
        (UPRIGHT, [FOLD, STAND, SETTLE, FOLD]),
        (LEFT_DOWN, [FOLD, RIGHT, FOLD, RIGHT]),
        (BACK, [FOLD, ROLL, FOLD, ROLL]),
    ],
)
def test_the_next_pose_is_chosen_by_how_the_robot_lies(sequence, rotation, phases):
    memory, seen = sequence[0].initial_state(1)["recovery"].numpy(), []
    for _ in range(1000):
        step(sequence, memory, rotation)
        if memory[0, 0] != AWAKE and (not seen or memory[0, 0] != seen[-1]):
            seen.append(memory[0, 0])
    assert seen[:4] == phases


def test_the_lower_side_pushes(sequence):
    helper, robot = sequence
    memory = helper.initial_state(1)["recovery"].numpy()
    while memory[0, 0] != RIGHT:
        step(sequence, memory, LEFT_DOWN)
    assert memory[0, 2] == 0  # the left side
    home, goal = robot.home[robot.tree.order + 1], helper.script.right[0, 0]
    left, right = robot.leg_joints[[0, 2], 0], robot.leg_joints[[1, 3], 0]
    assert (np.abs(goal - home)[left] > 0.5).all() and (np.abs(goal - home)[right] < 0.3).all()


def test_standing_ends_the_help_and_failing_often_gives_up(sequence):
    memory = sequence[0].initial_state(1)["recovery"].numpy()
    done = 0
    for _ in range(800):
        told = step(sequence, memory, UPRIGHT, 0.28, memory[0, 0] != SETTLE)
        if told is not None and told.done.all():
            done += 1
            break
    assert done == 1 and (memory[0, :5] == 0).all()
    for _ in range(4000):
        told = step(sequence, memory, BACK)
    assert memory[0, 0] == LOST and told.busy.all() and not told.done.any()


def test_torques_stay_within_the_motors(sequence):
    helper, robot = sequence
    memory = helper.initial_state(1)["recovery"].numpy()
    most = np.zeros(12)
    for _ in range(600):
        told = step(sequence, memory, BACK)
        most = np.maximum(most, np.abs(told.torque[0]))
    assert (most <= robot.torque_limit).all() and (most == robot.torque_limit).any()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"moves": ({"fold": (0.0, 1.0)},)}, "fold must be 3 angles"),
        ({"moves": ({"roll_seconds": 0.0},)}, "roll_seconds must be above 0"),
        ({"moves": ()}, "at least one way"),
        ({"tries": -1}, "tries must be at least 0"),
    ],
)
def test_bad_configs_name_the_offender(options, named):
    with pytest.raises(ValueError, match=named):
        GetUpConfig(**options)
    with pytest.raises(ValueError, match=named):
        LeggedConfig(recovery=options)
