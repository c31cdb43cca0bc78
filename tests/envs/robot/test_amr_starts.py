"""Starts of the mobile manipulator: nothing touches, everything can be reached, nothing repeats."""

import mujoco
import numpy as np
import pytest
import torch
from scipy import ndimage

from simrl.core.plugins import make_env, make_scripted
from simrl.rollout import evaluate
from simrl_envs.robot.amr_model import AmrModelConfig, build_amr
from simrl_envs.robot.amr_room import Room
from simrl_envs.robot.amr_start import draw_pose, to_sweep
from simrl_envs.robot.streams import Draw, first_streams
from simrl_envs.robot.terms.amr_starts import arm_points, draw_arm

TASKS = ("amr-drive", "amr-reach", "amr-pick", "amr-drawer")
SEEDS = 80


def _part(env, name):
    return env.snapshot()[:, env.spec.physics["state"][name]].numpy()


def _robot_geoms(model):
    """Return the geoms of the base and of all that it carries."""
    root = model.body("base").id
    return {g for g in range(model.ngeom) if model.body_rootid[model.geom_bodyid[g]] == root}


def _touching(model, data, own, allowed=()):
    """Return names of what the robot touches, wheels on the floor and `allowed` apart."""
    found = []
    for contact in data.contact:
        pair = {int(contact.geom1), int(contact.geom2)}
        names = {model.geom(geom).name for geom in pair}
        if pair & own and not names & {"wheel_left", "wheel_right", *allowed}:
            found.append(names)
    return found


@pytest.mark.parametrize("drive", ["holonomic", "differential"])
@pytest.mark.parametrize("task", TASKS)
def test_nothing_touches_the_robot_at_the_start(task, drive):
    env = make_env(task, SEEDS, drive=drive, moving=1, obstacles=6)
    env.reset(1)
    own = _robot_geoms(env.task.robot.model)
    for row in range(0, SEEDS, 4):
        assert not _touching(*env.mujoco_state(row), own)
    sensors = _part(env, "data.sensordata")
    model = env.task.robot.model
    hits = [i for i in range(model.nsensor) if model.sensor(i).name.startswith(("hit", "grip"))]
    assert len(hits) >= 10
    assert not sensors[:, model.sensor_adr[hits]].any()


@pytest.mark.parametrize(
    ("task", "control"),
    [*((task, "position") for task in TASKS), ("amr-pick", "torque"), ("amr-pick", "velocity")],
)
def test_standing_still_moves_nothing_and_collides_with_nothing(task, control):
    options = {"seconds": 2.0, "control": control}
    still = make_scripted(task, "still", **options)
    env = make_env(task, 16, **options)
    score = evaluate(env, still, games=16, seed=3).scores[0]
    assert score.metrics["collisions"] == 0.0
    assert score.metrics["success"] == 0.0
    assert score.metrics["overspeed"] == 0.0
    assert score.metrics["energy"] < 5.0  # the joints start up to 0.05 rad from home


def _free_cells(env, row, radius, cell=0.05):
    """Label what a disc can reach on a grid of its own, by boxes and discs of the facts."""
    physics = env.spec.physics
    x, y = (np.arange(-side + cell / 2, side, cell) for side in physics["room"])
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), -1)
    free = (np.abs(grid) + radius <= np.array(physics["room"])).all(-1)
    for bx, by, hx, hy, _ in physics["boxes"].values():
        gap = np.maximum(np.abs(grid - [bx, by]) - [hx, hy], 0.0)
        free &= np.hypot(gap[..., 0], gap[..., 1]) >= radius
    discs = _part(env, "obstacles")[row].reshape(-1, 5)
    for ox, oy, vx, vy, r in discs:
        if r and not (vx or vy):
            free &= np.hypot(grid[..., 0] - ox, grid[..., 1] - oy) >= radius + r
    labels = ndimage.label(free)[0]

    def label(point):
        i, j = (int((p + s) / cell) for p, s in zip(point, physics["room"], strict=True))
        return labels[i, j]

    return label


def test_goals_of_driving_can_be_reached_past_the_obstacles():
    env = make_env("amr-drive", SEEDS, obstacles=8)
    env.reset(2)
    start, goal = _part(env, "qpos")[:, :2], _part(env, "command")[:, :2]
    for row in range(SEEDS):
        label = _free_cells(env, row, 0.43)
        assert label(start[row]) == label(goal[row]) > 0
    assert (np.linalg.norm(goal - start, axis=1) > 2.0).all()
    discs = _part(env, "obstacles").reshape(SEEDS, 9, 5)
    assert (discs[:, :, 4] > 0).sum(axis=1).mean() > 6  # few obstacles had to be left away


def test_places_to_work_at_can_be_reached():
    env = make_env("amr-pick", SEEDS, obstacles=8)
    env.reset(2)
    command, qpos = _part(env, "command"), _part(env, "qpos")
    places = env.spec.physics["places"]
    for row in range(0, SEEDS, 2):
        label = _free_cells(env, row, 0.43)
        here = label(qpos[row, :2])
        begin = qpos[row, env.spec.physics["object_qpos"]][:3]
        for point, face in ((begin, command[row, 4]), (command[row, :3], command[row, 3])):
            away = point[:2] - 0.74 * np.array([np.cos(face), np.sin(face)])
            assert label(away) == here > 0
            # 5 to 15 cm behind the front edge of one of the places, turned towards it.
            assert any(
                abs((point[:2] - [x, y]) @ [np.cos(f), np.sin(f)] - 0.11) < 0.021
                and abs((point[:2] - [x, y]) @ [-np.sin(f), np.cos(f)]) <= half + 1e-9
                and 0.05 <= point[2] - top <= 0.081
                for x, y, top, f, half in places.values()
                if abs(f - face) < 1e-9
            )


def test_objects_stand_and_their_goals_hold_them():
    env = make_env("amr-pick", 64)
    env.reset(5)
    physics, parts = env.spec.physics, env.spec.physics["state"]
    where = torch.tensor(physics["object_qpos"]) + parts["qpos"].start
    begin = env.snapshot()
    goal = begin[:, parts["command"]][:, :3].clone()
    apart = (begin[:, where[:2]] - goal[:, :2]).norm(dim=1)
    assert float(apart.min()) > 0.8
    action = torch.zeros(64, 1, env.spec.actions.size)
    action[:, 0, 3:10] = torch.tensor(physics["pose"])
    for at_goal in (False, True):
        state = begin.clone()
        if at_goal:
            state[:, where[:3]] = goal
        env.restore(state)
        for _ in range(20):
            env.step(action)
        moved = env.snapshot()[:, where[:3]] - state[:, where[:3]]
        assert float(moved.abs().max()) < 0.003


def test_object_goals_are_on_other_furniture():
    env = make_env("amr-pick", 200)
    env.reset(6)
    command = _part(env, "command")
    assert (np.abs(np.sin(0.5 * (command[:, 3] - command[:, 4]))) > 0.5).all()
    tops = {round(float(top), 6) for top in (0.62, 1.02, 0.72)}
    half = _part(env, "object")[:, 3]
    assert set(np.round(command[:, 2] - half, 6)) == tops


def test_goals_of_reaching_are_poses_in_which_the_robot_touches_nothing():
    built = build_amr(AmrModelConfig(goal="hand", obstacles=0))
    room, draw = Room(built), Draw(first_streams(7, SEEDS), np.zeros(SEEDS))
    sweep = np.zeros((SEEDS, 2))
    base = draw_pose(draw, "goal", room, sweep)
    angles = draw_arm(draw, room, base, sweep, 1.0, 0.25, 0.15)
    points, turn = arm_points(room, base, angles)
    own, data = _robot_geoms(built.model), mujoco.MjData(built.model)
    for row in range(SEEDS):
        data.qpos[:] = built.home
        data.qpos[:3] = base[row]
        data.qpos[built.qpos(*(f"joint{index}" for index in range(1, 8)))] = angles[row]
        mujoco.mj_forward(built.model, data)
        assert not _touching(built.model, data, own)
        for index, site in enumerate(("elbow", "wrist", "end_effector")):
            np.testing.assert_allclose(points[row, index], data.site(site).xpos, atol=1e-9)
        matrix = np.zeros(9)
        mujoco.mju_quat2Mat(matrix, turn[row])
        np.testing.assert_allclose(matrix, data.site("end_effector").xmat, atol=1e-9)
    assert points[:, 2, 2].std() > 0.1


def test_hand_goals_differ_and_lie_all_over_the_room():
    env = make_env("amr-reach", SEEDS)
    env.reset(0)
    goal = _part(env, "command")
    assert (goal[:, :2].min(axis=0) < -1.5).all() and (goal[:, :2].max(axis=0) > 1.5).all()
    np.testing.assert_allclose(np.linalg.norm(goal[:, 3:], axis=1), 1.0, atol=1e-9)


def test_distance_from_the_moving_obstacle_s_way_by_hand():
    # It goes between (3, 0) and (-3, 0) and is 0.2 m thick.
    sweep = np.array([[3.0, 0.0], [0.0, 0.0]])
    points = np.array([[[0.0, 1.0], [5.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]])
    found = to_sweep(points, sweep)
    np.testing.assert_allclose(found[0], [0.8, 1.8, 3.8])
    assert np.isinf(found[1]).all()


def test_moving_obstacle_swings_on_its_way_without_loss():
    env = make_env("amr-drive", 4, seconds=20.0, obstacles=0)
    env.reset(3)
    still = torch.zeros(4, 1, env.spec.actions.size)
    still[:, 0, 3:10] = torch.tensor(env.spec.physics["pose"])
    path = []
    for _ in range(785):  # one period of 2 pi / 0.4 s = 15.7 s
        env.step(still)
        path.append(_part(env, "obstacles")[:, :4].copy())
    path = np.array(path)
    np.testing.assert_allclose(path[0, :, :2], path[-1, :, :2], atol=0.03)
    # On one line through the middle, as fast as its speed says, up to 0.4 /s times its reach.
    x, y = path[:, :, 0], path[:, :, 1]
    for row in range(4):
        far = np.hypot(x[:, row], y[:, row]).argmax()
        side = x[:, row] * y[far, row] - y[:, row] * x[far, row]
        assert np.abs(side).max() < 0.01
    slope = (path[2:, :, :2] - path[:-2, :, :2]) / 0.04
    np.testing.assert_allclose(slope, path[1:-1, :, 2:], atol=0.01)
    assert 0.15 < np.hypot(*np.moveaxis(path[:, :, 2:], -1, 0)).max() < 0.65


@pytest.mark.parametrize("task", ["amr-pick", "amr-drawer"])
def test_near_starts_stand_before_the_work_and_out_of_the_way(task):
    env = make_env(task, SEEDS, near=True, moving=1)
    env.reset(4)
    physics, qpos = env.spec.physics, _part(env, "qpos")
    if task == "amr-pick":
        target = qpos[:, physics["object_qpos"][:2]]
        face = _part(env, "command")[:, 4]
    else:
        target, face = np.array([[-2.39, -0.3]]), np.full(SEEDS, np.pi)
    gap = target - qpos[:, :2]
    ahead = np.cos(qpos[:, 2]) * gap[:, 0] + np.sin(qpos[:, 2]) * gap[:, 1]
    beside = np.cos(qpos[:, 2]) * gap[:, 1] - np.sin(qpos[:, 2]) * gap[:, 0]
    assert (ahead > 0.6).all() and (ahead < 1.1).all()
    assert np.abs(beside).max() < 0.2
    assert np.abs(np.sin(qpos[:, 2] - face)).max() < 0.11
    mover = _part(env, "obstacles").reshape(SEEDS, -1, 5)[:, -1]
    # Energy is conserved, so how far it goes at most follows from where and how fast it is.
    reach = np.hypot(
        np.linalg.norm(mover[:, :2], axis=1), np.linalg.norm(mover[:, 2:4], axis=1) / 0.4
    )
    way = mover[:, :2] + mover[:, 2:4]
    way /= np.linalg.norm(way, axis=1)[:, None]
    near = to_sweep(qpos[:, None, :2], reach[:, None] * way)[:, 0]
    assert near.min() > 0.44
