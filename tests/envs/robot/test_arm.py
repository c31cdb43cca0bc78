"""The tasks of the arm: poses within reach, smooth figures, and success that is earned."""

import mujoco
import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env
from simrl_envs.robot.kinematics import about, angle_between, product, rotated, site_poses
from simrl_envs.robot.models import build_robot


def _command(env):
    return env.snapshot()[:, env.spec.physics["state"]["command"]]


def test_forward_kinematics_agree_with_mujoco():
    model = build_robot("arm").model
    data = mujoco.MjData(model)
    angles = np.random.default_rng(0).uniform(-1.5, 1.5, (5, 7))
    places, turns = site_poses(model, "end_effector", angles)
    for row in range(5):
        data.qpos[:] = angles[row]
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(places[row], data.site("end_effector").xpos, atol=1e-12)
        matrix = np.zeros(9)
        mujoco.mju_quat2Mat(matrix, turns[row])
        np.testing.assert_allclose(matrix, data.site("end_effector").xmat, atol=1e-12)


def test_quaternions_by_hand():
    quarter = about(np.array([0.0, 0.0, 1.0]), np.array([np.pi / 2]))
    np.testing.assert_allclose(quarter, [[np.sqrt(0.5), 0, 0, np.sqrt(0.5)]])
    np.testing.assert_allclose(rotated(quarter, np.array([1.0, 0, 0])), [[0, 1, 0]], atol=1e-12)
    half = product(quarter, quarter)
    np.testing.assert_allclose(half, [[0, 0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(angle_between(quarter, -half), [np.pi / 2])


def test_targets_are_poses_of_the_arm_above_the_ground():
    env = make_env("arm-reach", 64)
    env.reset(0)
    target = _command(env)
    assert float(target[:, 2].min()) >= 0.15
    assert float(target[:, :3].norm(dim=1).max()) < 1.2  # the arm's reach
    assert float(target[:, :3].std(dim=0).min()) > 0.03
    torch.testing.assert_close(target[:, 3:].norm(dim=1), torch.ones(64, dtype=torch.float64))
    ahead = env.spec.reference(env.snapshot(), torch.tensor([0.0, 1.0]))
    assert env.spec.physics["reference"] == (
        "x",
        "y",
        "z",
        "qw",
        "qx",
        "qy",
        "qz",
        "vx",
        "vy",
        "vz",
    )
    torch.testing.assert_close(ahead[:, 1, :7], target)
    assert not ahead[:, :, 7:].any()


def test_figure_is_as_fast_as_it_says():
    env = make_env("arm-track", 8)
    env.reset(0)
    times = torch.linspace(0.0, 3.0, 3001)
    path = env.spec.reference(env.snapshot(), times)
    slope = (path[:, 2:, :3] - path[:, :-2, :3]) / 0.002
    torch.testing.assert_close(slope, path[:, 1:-1, 7:], atol=1e-4, rtol=0)
    torch.testing.assert_close(
        path[..., 3:7].norm(dim=-1), torch.ones(8, 3001, dtype=torch.float64)
    )
    # The reference at a later state is what was ahead at an earlier one.
    env.step(torch.zeros(8, 1, 7))
    later = env.spec.reference(env.snapshot(), torch.tensor([0.0]))[:, 0]
    torch.testing.assert_close(later, path[:, 10])


def test_being_at_the_target_pays_and_counts_as_success():
    env = make_env("arm-reach", 2, seconds=1.0)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    home = torch.tensor(env.spec.physics["home"], dtype=torch.float64)
    state[:, parts["qpos"]] = home
    state[:, parts["qvel"]] = 0.0
    place, turn = site_poses(build_robot("arm").model, "end_effector", home[None].numpy())
    state[0, parts["command"]] = torch.from_numpy(np.concatenate([place, turn], axis=1)[0])
    env.restore(state)
    hold = torch.tensor(env.spec.physics["rest_torque"], dtype=torch.float32)
    timestep = env.step(hold.expand(2, 1, 7).contiguous())
    near = timestep.reward_terms[:, 0, env.spec.reward_terms.index("near_place")]
    assert float(near[0]) > 0.99
    assert float(near[1]) < 0.9


def test_position_control_holds_targets():
    env = make_env("arm-reach", 2, control="position")
    env.reset(1)
    actions = env.spec.actions
    middle = (torch.tensor(actions.low) + torch.tensor(actions.high)) / 2
    for _ in range(200):
        env.step(middle.expand(2, 1, 7).contiguous())
    pose = torch.tensor(env.spec.physics["pose"], dtype=torch.float64)
    qpos = env.snapshot()[:, env.spec.physics["state"]["qpos"]]
    torch.testing.assert_close(qpos, pose.expand(2, 7), atol=0.02, rtol=0)


def test_legged_robot_is_refused():
    with pytest.raises(ValueError, match="is of kind 'quadruped', the task needs 'arm'"):
        make_env("arm-reach", 1, robot="quadruped")
