"""Fuse IMU, encoders and contacts to the motion of the base: an error-state Kalman filter.

After Bloesch et al. 2012, "State estimation for legged robots: consistent fusion of leg kinematics
and IMU": the state holds the IMU's place, velocity and attitude, both biases, and the place of each
standing foot.  Three things are different.  Attitude errors turn about the world's axes.  The
joints' speeds count as well, as the speed of the feet.  Feet are balls that roll: their centres
move while they stand.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simrl_controllers.legged.delay import turn_quaternion
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
from simrl_controllers.legged.estimator.sensors import Channels, Sample
from simrl_controllers.legged.kernels.algebra import apply, cross, quaternion_matrix
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.tree import Tree

Array = np.ndarray
LARGE = 1e2
"""Most by which the noise of a barely loaded foot is raised."""
FLOATING_SPEED = 0.5
"""Standard deviation of the velocity where no foot has stood for long [m/s]."""


class Tuning(NamedTuple):
    """Hold what the filter expects, as densities and deviations; see `EstimatorConfig`."""

    gyro: float
    gyro_bias: float
    gyro_walk: float
    accelerometer: float
    accelerometer_bias: float
    accelerometer_walk: float
    angle: float
    speed: float
    touch: float
    leave: float
    firm: float
    by_torque: bool
    start_tilt: float
    start_speed: float
    slip_speed: float
    foot_walk: float
    kinematic: float
    gate: float
    floating_seconds: float


class Legs(NamedTuple):
    """Hold the kinematics of one sample; arrays are written anew in each."""

    feet: Array
    speed: Array
    spin: Array
    jacobian: Array
    arm: Array
    """R s: from the IMU to each foot's centre, world axes [m] `[4, 3]`."""
    turn: Array
    """Base to world `[3, 3]`."""
    column: Array
    value: Array
    gain: Array
    error: Array


@kernel
def empty_legs() -> Legs:
    """Return room for the kinematics of one sample."""
    return Legs(
        np.zeros((4, 3)),
        np.zeros((4, 3)),
        np.zeros((4, 3)),
        np.zeros((4, 3, 3)),
        np.zeros((4, 3)),
        np.zeros((3, 3)),
        np.zeros(6, np.int64),
        np.zeros(6),
        np.zeros(ERRORS),
        np.zeros(ERRORS),
    )


@kernel
def face(channels: Channels, memory: Any, legs: Legs) -> None:
    """Turn the legs' kinematics into the present attitude."""
    quaternion_matrix(memory.quaternion, legs.turn)
    reach = np.empty(3)
    for leg in range(4):
        for k in range(3):
            reach[k] = legs.feet[leg, k] - channels.imu_place[k]
        apply(legs.turn, reach, legs.arm[leg])


@kernel
def begin(tree: Tree, channels: Channels, tuning: Tuning, memory: Any, legs: Legs) -> None:
    """Start in the attitude that `memory` holds, at rest, the lowest foot on the ground z = 0."""
    lowest = 0.0
    for leg in range(4):
        lowest = min(lowest, legs.arm[leg, 2] - tree.foot_radius[leg])
    place = np.empty(3)
    apply(legs.turn, channels.imu_place, place)
    for k in range(3):
        memory.position[k] = place[k] if k < 2 else -lowest
        memory.velocity[k] = 0.0
        memory.gyro[k] = 0.0
        memory.accelerometer[k] = 0.0
        memory.covariance[VELOCITY + k, VELOCITY + k] = tuning.start_speed**2
        memory.covariance[TURN + k, TURN + k] = tuning.start_tilt**2
        bias = tuning.accelerometer_bias
        memory.covariance[ACCELEROMETER + k, ACCELEROMETER + k] = bias**2
        memory.covariance[GYRO + k, GYRO + k] = tuning.gyro_bias**2


@kernel
def predict(
    tree: Tree, tuning: Tuning, sample: Sample, memory: Any, legs: Legs, gravity: Array, dt: float
) -> None:
    """Move the state by `dt` with what the IMU measured during it; `legs.turn` is the old R."""
    rate, push = np.empty(3), np.empty(3)
    for k in range(3):
        rate[k] = sample.gyro[k] - memory.gyro[k]
        push[k] = sample.acceleration[k] - memory.accelerometer[k]
    world = np.empty(3)
    apply(legs.turn, push, world)
    propagate(memory.covariance, legs.turn, world, dt)
    for k in range(3):
        speed = memory.velocity[k] + (world[k] + gravity[k]) * dt
        memory.position[k] += 0.5 * (memory.velocity[k] + speed) * dt
        memory.velocity[k] = speed
    turn_quaternion(memory.quaternion, rate, dt, False)
    covariance = memory.covariance
    for i in range(ERRORS):
        for j in range(i):
            mean = 0.5 * (covariance[i, j] + covariance[j, i])
            covariance[i, j] = mean
            covariance[j, i] = mean
    for k in range(3):
        covariance[VELOCITY + k, VELOCITY + k] += tuning.accelerometer**2 * dt
        covariance[TURN + k, TURN + k] += tuning.gyro**2 * dt
        bias = ACCELEROMETER + k
        covariance[bias, bias] += tuning.accelerometer_walk**2 * dt
        covariance[GYRO + k, GYRO + k] += tuning.gyro_walk**2 * dt
        for leg in range(4):
            if memory.contact[leg] > 0.0:
                covariance[FEET + 3 * leg + k, FEET + 3 * leg + k] += tuning.foot_walk**2 * dt
    roll(tree, memory, legs, rate, dt)


@kernel
def roll(tree: Tree, memory: Any, legs: Legs, rate: Array, dt: float) -> None:
    """Move the centres of standing feet: balls that roll on level ground."""
    spin, world = np.empty(3), np.empty(3)
    for leg in range(4):
        if memory.contact[leg] > 0.0:
            for k in range(3):
                spin[k] = rate[k] + legs.spin[leg, k]
            apply(legs.turn, spin, world)
            memory.feet[leg, 0] += world[1] * tree.foot_radius[leg] * dt
            memory.feet[leg, 1] -= world[0] * tree.foot_radius[leg] * dt


@kernel
def find_contacts(tree: Tree, tuning: Tuning, sample: Sample, memory: Any, legs: Legs) -> None:
    """Update which feet stand; new ones join the state, lifted ones leave it."""
    variance = np.empty(3)
    for leg in range(4):
        force = torque_force(tree, sample, legs, leg) if tuning.by_torque else sample.force[leg]
        stood = memory.contact[leg] > 0.0
        stands = force > (tuning.leave if stood else tuning.touch)
        sample.force[leg] = force
        if stood and not stands:
            forget_foot(memory.covariance, leg)
        if stands and not stood:
            for k in range(3):
                memory.feet[leg, k] = memory.position[k] + legs.arm[leg, k]
            spread(legs, leg, tuning.angle, variance)
            for k in range(3):
                variance[k] += tuning.kinematic**2
            add_foot(memory.covariance, leg, legs.arm[leg], variance)
        memory.contact[leg] = 1.0 if stands else 0.0


@kernel
def torque_force(tree: Tree, sample: Sample, legs: Legs, leg: int) -> float:
    """Return how hard a foot presses down by its motors' torques [N], as if legs had no mass."""
    # The foot pushes the ground with f, J' f = torque: f = J'^-1 torque by Cramer's rule.
    a, b, c = legs.jacobian[leg, :, 0], legs.jacobian[leg, :, 1], legs.jacobian[leg, :, 2]
    bc, ca, ab = np.empty(3), np.empty(3), np.empty(3)
    cross(b, c, bc)
    cross(c, a, ca)
    cross(a, b, ab)
    volume = a[0] * bc[0] + a[1] * bc[1] + a[2] * bc[2]
    if abs(volume) < 1e-5:
        return 0.0
    shank = tree.foot_body[leg]
    thigh = tree.parent[shank]
    last, middle = sample.torque[shank - 1], sample.torque[thigh - 1]
    first = sample.torque[tree.parent[thigh] - 1]
    down = 0.0
    for k in range(3):
        force = bc[k] * first + ca[k] * middle + ab[k] * last
        down -= legs.turn[2, k] * force / volume
    return max(0.0, down)


@kernel
def spread(legs: Legs, leg: int, deviation: float, variance: Array) -> None:
    """Write the variances of a foot along the world's axes by those of its joints."""
    for k in range(3):
        total = 0.0
        for j in range(3):
            share = 0.0
            for m in range(3):
                share += legs.turn[k, m] * legs.jacobian[leg, m, j]
            total += share * share
        variance[k] = total * deviation * deviation


@kernel
def update(tree: Tree, tuning: Tuning, sample: Sample, memory: Any, legs: Legs, dt: float) -> None:
    """Correct the state by the standing feet."""
    legs.error[:] = 0.0
    rate, standing = np.empty(3), False
    for k in range(3):
        rate[k] = sample.gyro[k] - memory.gyro[k]
    for leg in range(4):
        if memory.contact[leg] > 0.0:
            standing = True
            doubt = min(max(1.0, (tuning.firm / max(sample.force[leg], 1e-6)) ** 2), LARGE)
            _by_speed(tree, tuning, memory, legs, leg, rate, doubt, dt)
            _by_place(tuning, memory, legs, leg, doubt)
    memory.floating = 0.0 if standing else memory.floating + dt
    if memory.floating > tuning.floating_seconds:
        for k in range(3):
            legs.column[0], legs.value[0] = VELOCITY + k, 1.0
            correct(
                memory.covariance, legs.error, legs.column[:1], legs.value[:1], -memory.velocity[k],
                FLOATING_SPEED**2, tuning.gate, legs.gain,
            )  # fmt: skip
    inject(memory, legs.error)


@kernel
def _by_speed(
    tree: Tree,
    tuning: Tuning,
    memory: Any,
    legs: Legs,
    leg: int,
    rate: Array,
    doubt: float,
    dt: float,
) -> None:
    """Take in that the point on which a foot stands does not move."""
    body, moved, lever = np.empty(3), np.empty(3), np.empty(3)
    reach, spin, roll_, variance = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for k in range(3):  # s, by the transposed attitude
        reach[k] = 0.0
        for m in range(3):
            reach[k] += legs.turn[m, k] * legs.arm[leg, m]
        lever[k] = legs.arm[leg, k]
    lever[2] -= tree.foot_radius[leg]
    cross(rate, reach, body)
    for k in range(3):
        body[k] += legs.speed[leg, k]
        spin[k] = rate[k] + legs.spin[leg, k]
    apply(legs.turn, body, moved)
    apply(legs.turn, spin, roll_)
    spread(legs, leg, tuning.speed, variance)
    drift = (tuning.gyro**2 / max(dt, 1e-4)) * (lever[0] ** 2 + lever[1] ** 2 + lever[2] ** 2)
    radius = tree.foot_radius[leg]
    for k in range(3):
        one, two = (k + 1) % 3, (k + 2) % 3
        extra = (-roll_[1] * radius, roll_[0] * radius, 0.0)[k]
        legs.column[0] = VELOCITY + k
        legs.value[0] = 1.0
        # angle x moved
        legs.column[1], legs.value[1] = TURN + one, moved[two]
        legs.column[2], legs.value[2] = TURN + two, -moved[one]
        # [lever]x R bias
        for m in range(3):
            legs.column[3 + m] = GYRO + m
            legs.value[3 + m] = lever[one] * legs.turn[two, m] - lever[two] * legs.turn[one, m]
        noise = variance[k] + drift + tuning.slip_speed**2 * doubt
        correct(
            memory.covariance, legs.error, legs.column, legs.value,
            -(memory.velocity[k] + moved[k] + extra), noise, tuning.gate, legs.gain,
        )  # fmt: skip


@kernel
def _by_place(tuning: Tuning, memory: Any, legs: Legs, leg: int, doubt: float) -> None:
    """Take in that a foot is where it was."""
    variance = np.empty(3)
    spread(legs, leg, tuning.angle, variance)
    for k in range(3):
        one, two = (k + 1) % 3, (k + 2) % 3
        expected = memory.feet[leg, k] - memory.position[k] - legs.arm[leg, k]
        legs.column[0], legs.value[0] = FEET + 3 * leg + k, 1.0
        legs.column[1], legs.value[1] = POSITION + k, -1.0
        # - angle x arm
        legs.column[2], legs.value[2] = TURN + one, -legs.arm[leg, two]
        legs.column[3], legs.value[3] = TURN + two, legs.arm[leg, one]
        noise = (variance[k] + tuning.kinematic**2) * doubt
        correct(
            memory.covariance, legs.error, legs.column[:4], legs.value[:4], -expected, noise,
            tuning.gate, legs.gain,
        )  # fmt: skip


@kernel
def inject(memory: Any, error: Array) -> None:
    """Add the errors that were found to the state."""
    angle = np.empty(3)
    for k in range(3):
        memory.position[k] += error[POSITION + k]
        memory.velocity[k] += error[VELOCITY + k]
        angle[k] = error[TURN + k]
        memory.accelerometer[k] += error[ACCELEROMETER + k]
        memory.gyro[k] += error[GYRO + k]
        for leg in range(4):
            memory.feet[leg, k] += error[FEET + 3 * leg + k]
    turn_quaternion(memory.quaternion, angle, 1.0, True)
