"""Covariances against dense matrices."""

import numpy as np
import pytest

from simrl_controllers.legged.estimator.covariance import (
    add_foot,
    correct,
    forget_foot,
    propagate,
)
from simrl_controllers.legged.estimator.memory import (
    ACCELEROMETER,
    ERRORS,
    FEET,
    GYRO,
    POSITION,
    TURN,
    VELOCITY,
)


def _covariance(seed=0):
    root = np.random.default_rng(seed).normal(size=(ERRORS, ERRORS))
    return root @ root.T / ERRORS


def _rotation(seed=1):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn))


def _skew(v):
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


def test_propagation_is_that_of_the_whole_matrix():
    covariance, turn, push, dt = _covariance(), _rotation(), np.array([1.0, -2.0, 9.0]), 0.01
    whole = np.eye(ERRORS)
    place, speed, angle = (slice(start, start + 3) for start in (POSITION, VELOCITY, TURN))
    whole[place, speed] = dt * np.eye(3)
    whole[speed, angle] = -dt * _skew(push)
    whole[speed, ACCELEROMETER : ACCELEROMETER + 3] = -dt * turn
    whole[angle, GYRO : GYRO + 3] = -dt * turn
    expected = whole @ covariance @ whole.T
    propagate(covariance, turn, push, dt)
    assert covariance == pytest.approx(expected, abs=1e-12)


def test_correction_is_kalmans():
    covariance, column = _covariance(), np.array([VELOCITY, TURN + 2, GYRO])
    value, variance, found = np.array([1.0, -0.3, 0.2]), 0.5, 0.7
    row = np.zeros(ERRORS)
    row[column] = value
    # Bayes: information adds up.
    information = np.linalg.inv(covariance) + np.outer(row, row) / variance
    expected = np.linalg.inv(information)
    mean = expected @ row * found / variance
    square = found**2 / (row @ covariance @ row + variance)
    error = np.zeros(ERRORS)
    got = correct(covariance, error, column, value, found, variance, 1e9, np.zeros(ERRORS))
    assert got == pytest.approx(square)
    assert covariance == pytest.approx(expected, abs=1e-10)
    assert error == pytest.approx(mean, abs=1e-10)
    assert np.array_equal(covariance, covariance.T)


def test_two_measurements_are_one_of_both():
    covariance, row = _covariance(), np.zeros((2, ERRORS))
    row[0, VELOCITY], row[1, VELOCITY + 1], row[1, TURN] = 1.0, 1.0, 0.4
    noise, found = np.array([0.1, 0.3]), np.array([0.5, -1.0])
    middle = row @ covariance @ row.T + np.diag(noise)
    gain = covariance @ row.T @ np.linalg.inv(middle)
    expected, mean = covariance - gain @ row @ covariance, gain @ found
    error, scratch = np.zeros(ERRORS), np.zeros(ERRORS)
    for k in range(2):
        column = np.flatnonzero(row[k])
        correct(covariance, error, column, row[k, column], found[k], noise[k], 1e9, scratch)
    assert covariance == pytest.approx(expected, abs=1e-10)
    assert error == pytest.approx(mean, abs=1e-10)


def test_gate_raises_the_noise_of_what_cannot_be():
    # Deviation 2 in all; 20 is 10 deviations: as if the deviation were 20 / 3.
    covariance, error = np.zeros((ERRORS, ERRORS)), np.zeros(ERRORS)
    covariance[VELOCITY, VELOCITY] = 3.0
    value = np.ones(1)
    column = np.array([VELOCITY])
    correct(covariance, error, column, value, 20.0, 1.0, 9.0, np.zeros(ERRORS))
    total = (20.0 / 3.0) ** 2
    assert error[VELOCITY] == pytest.approx(3.0 / total * 20.0)
    assert covariance[VELOCITY, VELOCITY] == pytest.approx(3.0 - 9.0 / total)


def test_a_new_foot_has_the_errors_of_what_it_is_computed_from():
    covariance, arm, variance = _covariance(), np.array([0.2, -0.1, -0.3]), np.full(3, 1e-4)
    forget_foot(covariance, 2)
    start = FEET + 6
    assert not covariance[start : start + 3].any() and not covariance[:, start : start + 3].any()
    whole = np.eye(ERRORS)
    whole[start : start + 3] = 0.0
    whole[start : start + 3, POSITION : POSITION + 3] = np.eye(3)
    whole[start : start + 3, TURN : TURN + 3] = -_skew(arm)
    expected = whole @ covariance @ whole.T
    expected[range(start, start + 3), range(start, start + 3)] += variance
    add_foot(covariance, 2, arm, variance)
    assert covariance == pytest.approx(expected, abs=1e-12)
