"""Stances are solved, stand on open floor and keep their gaps; ways lead around things."""

from itertools import pairwise

import mujoco
import numpy as np
import pytest

from simrl_controllers.mobile.clearance import Clearance
from simrl_controllers.mobile.plans import Grip, around, find_stance
from simrl_controllers.mobile.stances import HandPose, Stances, hand_turns
from simrl_controllers.nonlinear.models.base_paths import way_points


@pytest.fixture
def stances(robot):
    return Stances(robot, Clearance(robot))


def test_hands_point_and_open_as_they_are_asked_to():
    turns = hand_turns(np.array([0.0, 0.5 * np.pi]), np.array([0.0, 0.0]), np.array([False, True]))
    for turn, approach, opening in zip(
        turns, ([1, 0, 0], [0, 1, 0]), ([0, 1, 0], [1, 0, 0]), strict=True
    ):
        matrix = np.empty(9)
        mujoco.mju_quat2Mat(matrix, turn)
        matrix = matrix.reshape(3, 3)
        np.testing.assert_allclose(matrix[:, 2], approach, atol=1e-12)
        np.testing.assert_allclose(matrix[:, 1], opening, atol=1e-12)
    # Pointing down by a right angle, and opening up and down where it points level.
    down = Grip(0.3, 0.5 * np.pi, False)
    np.testing.assert_allclose(down.approach, [0, 0, -1], atol=1e-12)
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, Grip(0.3, 0.0, False, vertical=True).turn)
    assert abs(matrix.reshape(3, 3)[2, 1]) == pytest.approx(1.0)


def test_a_stance_brings_the_hand_where_it_is_asked(robot, stances, states):
    qpos, state = robot.facts.part(states, "qpos")[0], states[0]
    place = qpos[list(range(len(qpos) - 7, len(qpos) - 4))]
    face = float(robot.facts.part(states, "command")[0, 4])
    grip = Grip(face, 0.35, False)
    discs = robot.facts.part(states, "obstacles")[0].reshape(-1, 5)
    way = HandPose(
        np.array([place, place - 0.1 * grip.approach]), np.repeat(grip.turn[None], 2, axis=0)
    )
    found = find_stance(stances, qpos, state, discs, around(place, np.array([face]), 0.15), way)
    assert found is not None
    data = mujoco.MjData(robot.model)
    for index in range(2):
        data.qpos[:] = qpos
        data.qpos[robot.qpos[:3]], data.qpos[robot.qpos[3:]] = found.base, found.angles[index]
        mujoco.mj_forward(robot.model, data)
        site = data.site("end_effector")
        np.testing.assert_allclose(site.xpos, way.place[index], atol=2e-3)
        matrix = np.empty(9)
        mujoco.mju_quat2Mat(matrix, grip.turn)
        np.testing.assert_allclose(site.xmat, matrix, atol=2e-2)
    assert (found.angles > robot.facts.low).all() and (found.angles < robot.facts.high).all()


def test_a_place_out_of_reach_has_no_stance(robot, stances, states):
    qpos, place = robot.facts.part(states, "qpos")[0], np.array([0.0, 0.0, 3.0])
    grip = Grip(0.0, 0.0, False)
    bases = around(place, np.array([0.0]), 0.15)
    pose = HandPose(place[None], grip.turn[None])
    assert find_stance(stances, qpos, states[0], np.zeros((0, 5)), bases, pose) is None


def test_open_floor_is_told_by_hand_numbers(stances):
    # The base's discs have a radius of hypot(0.35 / 3, 0.25) = 0.276 m, the farthest ones 0.233 m
    # from its middle; the table's front is at y = -1.75.
    free = np.array([[1.2, -1.75 + 0.233 + 0.276 + 0.01, -0.5 * np.pi]])
    shut = free - [0.0, 0.02, 0.0]
    none = np.zeros((0, 5))
    assert stances.open_floor(free, none, 0.0).all()
    assert not stances.open_floor(shut, none, 0.0).any()
    beside = np.array([[0.0, 0.0, 0.0, 0.0, 0.2]])
    pose = np.array([[0.0, 0.5, 0.0]])
    assert stances.open_floor(pose, beside, 0.02).all()
    assert not stances.open_floor(pose, beside, 0.03).any()
    moving = np.array([[0.0, 0.0, 0.3, 0.0, 0.2]])
    assert stances.open_floor(pose, moving, 0.03).all()


def length(points, start):
    return float(np.hypot(*np.diff(np.vstack([start, points]), axis=0).T).sum())


def test_a_way_without_things_is_straight():
    none = np.zeros((0, 4)), np.zeros((0, 3))
    start, goal = np.array([0.0, 0.0]), np.array([1.0, 2.0])
    points = way_points(start, goal, *none, 0.3, 0.5)
    np.testing.assert_allclose(points, [goal])


def test_a_way_leads_around_a_wall():
    # A wall from y = -1 to 1 between start and goal: the way around it at 0.5 m is at least
    # 2 hypot(1, 1.5 - ...) long, and the straight one 2 m.
    boxes = np.array([[0.0, 0.0, 0.05, 1.0], [0.0, 0.0, 0.01, 0.01], [3.0, 0.0, 0.1, 2.5]])
    start, goal = np.array([-1.0, 0.0]), np.array([1.0, 0.0])
    points = way_points(start, goal, boxes, np.zeros((0, 3)), 0.3, 0.5)
    assert 2.0 * np.hypot(0.95, 1.3) < length(points, start) < 2.0 * np.hypot(1.0, 1.5) + 0.6
    line = np.vstack([start, points])
    for a, b in pairwise(line):
        for share in np.linspace(0.0, 1.0, 40):
            x, y = a + share * (b - a)
            gap = np.hypot(max(abs(x) - 0.05, 0.0), max(abs(y) - 1.0, 0.0))
            assert gap > 0.3 - 0.1
    np.testing.assert_allclose(points[-1], goal)


def test_a_disc_without_a_radius_is_not_there():
    start, goal = np.array([-1.0, 0.0]), np.array([1.0, 0.0])
    discs = np.array([[0.0, 0.0, 0.0]])
    points = way_points(start, goal, np.zeros((0, 4)), discs, 0.3, 0.5)
    np.testing.assert_allclose(points, [goal])
    discs[0, 2] = 0.2
    assert length(way_points(start, goal, np.zeros((0, 4)), discs, 0.3, 0.5), start) > 2.05
