"""Rotations against hand values and against scipy."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from simrl_controllers.servo.pose import (
    quat_conjugate,
    quat_log,
    quat_multiply,
    quat_of_matrix,
    rotation_error,
)


def scipy_quat(rotation):
    return np.roll(rotation.as_quat(), 1, axis=-1)


@pytest.fixture
def rotations():
    return Rotation.random(200, rng=np.random.default_rng(0))


def test_a_quarter_turn_about_z_by_hand():
    q = np.array([[np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]])
    assert quat_log(q) == pytest.approx(np.array([[0.0, 0.0, np.pi / 2]]))
    assert quat_log(-q) == pytest.approx(np.array([[0.0, 0.0, np.pi / 2]]))
    assert quat_multiply(q, quat_conjugate(q)) == pytest.approx(np.array([[1.0, 0.0, 0.0, 0.0]]))


def test_no_rotation_and_tiny_ones_have_exact_logarithms():
    q = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 5e-12, 0.0, 0.0]])
    assert quat_log(q).tolist() == [[0.0, 0.0, 0.0], [1e-11, 0.0, 0.0]]


def test_products_logarithms_and_matrices_agree_with_scipy(rotations):
    a, b = rotations[:100], rotations[100:]
    product = quat_multiply(scipy_quat(a), scipy_quat(b))
    assert np.abs((product * scipy_quat(a * b)).sum(-1)) == pytest.approx(np.ones(100))
    assert quat_log(scipy_quat(a)) == pytest.approx(a.as_rotvec())
    same = (quat_of_matrix(a.as_matrix()) * scipy_quat(a)).sum(-1)
    assert np.abs(same) == pytest.approx(np.ones(100))


def test_half_turns_about_each_axis_come_out_of_their_matrices():
    turns = Rotation.from_rotvec(np.pi * np.eye(3))
    assert np.abs(quat_of_matrix(turns.as_matrix())[:, 1:]) == pytest.approx(np.eye(3))


def test_the_rotation_error_leads_to_the_target(rotations):
    now, target = rotations[:100], rotations[100:]
    error = rotation_error(scipy_quat(target), now.as_matrix())
    reached = Rotation.from_rotvec(error) * now
    assert reached.as_matrix() == pytest.approx(target.as_matrix())
