"""Move and shrink the covariance of the estimator's errors, in place."""

from __future__ import annotations

import numpy as np

from simrl_controllers.legged.estimator.memory import (
    ACCELEROMETER,
    ERRORS,
    FEET,
    GYRO,
    POSITION,
    TURN,
    VELOCITY,
)
from simrl_controllers.legged.kernels.compile import kernel

Array = np.ndarray


@kernel
def propagate(covariance: Array, turn: Array, push: Array, dt: float) -> None:
    """Apply F P F' of one step, without noise.

    F: place' = place + dt velocity; velocity' = velocity - dt [push]x angle - dt R bias_a;
    angle' = angle - dt R bias_g.

    Args:
        covariance: `[27, 27]`.
        turn: R, base to world `[3, 3]`.
        push: Specific force in the world's axes [m/s^2] `[3]`.
        dt: Length of the step [s].
    """
    # F P by rows, whose numbers lie side by side; then (F P) F' within each row.
    for k in range(3):
        place, speed = covariance[POSITION + k], covariance[VELOCITY + k]
        one, two = (k + 1) % 3, (k + 2) % 3
        for j in range(ERRORS):
            place[j] += dt * speed[j]
            speed[j] -= dt * (
                push[one] * covariance[TURN + two, j]
                - push[two] * covariance[TURN + one, j]
                + turn[k, 0] * covariance[ACCELEROMETER, j]
                + turn[k, 1] * covariance[ACCELEROMETER + 1, j]
                + turn[k, 2] * covariance[ACCELEROMETER + 2, j]
            )
    for k in range(3):
        angle = covariance[TURN + k]
        for j in range(ERRORS):
            angle[j] -= dt * (
                turn[k, 0] * covariance[GYRO, j]
                + turn[k, 1] * covariance[GYRO + 1, j]
                + turn[k, 2] * covariance[GYRO + 2, j]
            )
    for i in range(ERRORS):
        line = covariance[i]
        for k in range(3):
            line[POSITION + k] += dt * line[VELOCITY + k]
        for k in range(3):
            one, two = (k + 1) % 3, (k + 2) % 3
            line[VELOCITY + k] -= dt * (
                push[one] * line[TURN + two]
                - push[two] * line[TURN + one]
                + turn[k, 0] * line[ACCELEROMETER]
                + turn[k, 1] * line[ACCELEROMETER + 1]
                + turn[k, 2] * line[ACCELEROMETER + 2]
            )
        for k in range(3):
            line[TURN + k] -= dt * (
                turn[k, 0] * line[GYRO] + turn[k, 1] * line[GYRO + 1] + turn[k, 2] * line[GYRO + 2]
            )


@kernel
def correct(
    covariance: Array,
    error: Array,
    column: Array,
    value: Array,
    innovation: float,
    variance: float,
    gate: float,
    gain: Array,
) -> float:
    """Take in one scalar measurement; return its squared normalised innovation before gating.

    Args:
        covariance: `[27, 27]`.
        error: Errors found by the measurements before `[27]`; this one's are added.
        column: Which errors the measurement tells of `[m]`.
        value: By how much of each `[m]`.
        innovation: What was measured less what was expected before any correction.
        variance: Of the measurement's noise.
        gate: Squared normalised innovation beyond which the noise is raised to explain it.
        gain: Scratch `[27]`.
    """
    rest, total = innovation, variance
    for i in range(ERRORS):
        gain[i] = 0.0
    for a in range(column.shape[0]):
        line = covariance[column[a]]
        for i in range(ERRORS):
            gain[i] += value[a] * line[i]
    for a in range(column.shape[0]):
        total += value[a] * gain[column[a]]
        rest -= value[a] * error[column[a]]
    square = rest * rest / total
    if square > gate:
        total = rest * rest / gate
    share = 1.0 / total
    for i in range(ERRORS):
        if gain[i] != 0.0:
            scaled = gain[i] * share
            error[i] += scaled * rest
            line = covariance[i]
            for j in range(ERRORS):
                line[j] -= (gain[i] * gain[j]) * share
    return square


@kernel
def forget_foot(covariance: Array, leg: int) -> None:
    """Remove a foot that no longer stands."""
    for k in range(3):
        covariance[FEET + 3 * leg + k, :] = 0.0
        covariance[:, FEET + 3 * leg + k] = 0.0


@kernel
def add_foot(covariance: Array, leg: int, arm: Array, variance: Array) -> None:
    """Give a foot that begins to stand the errors of place + R s, from which it was computed.

    Args:
        covariance: `[27, 27]`; the foot's rows and columns must be zero.
        leg: Which foot.
        arm: R s, from the IMU to the foot in the world's axes [m] `[3]`.
        variance: Of the kinematics along the world's axes [m^2] `[3]`.
    """
    start = FEET + 3 * leg
    for k in range(3):
        one, two = (k + 1) % 3, (k + 2) % 3
        # The error is that of the place, plus angle x arm.
        for j in range(ERRORS):
            covariance[start + k, j] = (
                covariance[POSITION + k, j]
                + covariance[TURN + one, j] * arm[two]
                - covariance[TURN + two, j] * arm[one]
            )
    for k in range(3):
        one, two = (k + 1) % 3, (k + 2) % 3
        for j in range(ERRORS):
            covariance[j, start + k] = (
                covariance[j, POSITION + k]
                + covariance[j, TURN + one] * arm[two]
                - covariance[j, TURN + two] * arm[one]
            )
        covariance[start + k, start + k] += variance[k]
