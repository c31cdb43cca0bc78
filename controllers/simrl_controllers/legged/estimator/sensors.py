"""Simulate the sensors of a robot on legs from its state row: noise, biases, resolution."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simrl.core import EnvSpec
from simrl_controllers.legged.estimator.noise import normals
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.robot import LeggedRobot

Array = np.ndarray


class Channels(NamedTuple):
    """Say where in a state row each sensor's numbers start, and how the IMU is mounted."""

    qpos: int
    qvel: int
    time: int
    accelerometer: int
    gyro: int
    force: Array
    """Contact force of each foot, three numbers each `[4]`; -1 where there is none."""
    control: int
    """Torques, or targets of the servos, that act."""
    order: Array
    """Hinge of each action, in the model's order `[nu]`."""
    stiffness: Array
    """Of the servos; zeros where actions are torques `[nu]`."""
    damping: Array
    torque_limit: Array
    imu_place: Array
    """IMU from the base's origin, base axes [m] `[3]`."""
    imu_turn: Array
    """IMU's axes to the base's `[3, 3]`."""


class Levels(NamedTuple):
    """Hold the sensors' noise: what is drawn in each sample, see `EstimatorConfig`."""

    scale: float
    gyro: float
    gyro_bias: float
    gyro_walk: float
    accelerometer: float
    accelerometer_bias: float
    accelerometer_walk: float
    angle: float
    angle_step: float
    speed: float
    force: float
    force_step: float


class Sample(NamedTuple):
    """Hold what the sensors of one row say; written anew in each sample."""

    gyro: Array
    """Angular velocity, base axes [rad/s] `[3]`."""
    acceleration: Array
    """Specific force at the IMU, base axes [m/s^2] `[3]`."""
    angle: Array
    """Of each hinge, in the model's order [rad] `[nj]`."""
    speed: Array
    """Of each hinge [rad/s] `[nj]`."""
    torque: Array
    """Of each hinge's motor [N m] `[nj]`."""
    force: Array
    """Size of each foot's contact force [N] `[4]`."""


@kernel
def empty_sample(hinges: int) -> Sample:
    """Return room for one sample."""
    return Sample(
        np.zeros(3), np.zeros(3), np.zeros(hinges), np.zeros(hinges), np.zeros(hinges), np.zeros(4)
    )


def find_channels(spec: EnvSpec, robot: LeggedRobot) -> Channels:
    """Find the sensors of a task; ValueError says which are missing, and what there is."""
    facts = spec.physics
    sensors, parts = facts.get("sensors", {}), facts["state"]
    lost = [name for name in ("imu_acc", "imu_gyro") if name not in sensors]
    lost += [name for name in ("imu_position", "imu_quaternion") if name not in facts]
    if lost:
        raise ValueError(
            f"{spec.id}: the estimator needs an inertial measurement unit; missing: "
            f"{', '.join(lost)} (the state's sensors are {', '.join(sensors) or 'none'})"
        )
    for name in ("time", "ctrl"):
        if name not in parts:
            raise ValueError(f"{spec.id}: the state has no part {name!r}: {', '.join(parts)}")
    forces = [sensors.get(f"{foot}_force") for foot in robot.feet]
    return Channels(
        qpos=robot.qpos.start,
        qvel=robot.qvel.start,
        time=parts["time"].start,
        accelerometer=sensors["imu_acc"].start,
        gyro=sensors["imu_gyro"].start,
        force=np.array([-1 if where is None else where.start for where in forces], np.int64),
        control=parts["ctrl"].start,
        order=robot.tree.order - 6,
        stiffness=robot.stiffness,
        damping=robot.damping,
        torque_limit=robot.torque_limit,
        imu_place=np.array(facts["imu_position"], np.float64),
        imu_turn=_matrix(np.array(facts["imu_quaternion"], np.float64)),
    )


def _matrix(quaternion: Array) -> Array:
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@kernel
def take_sample(
    channels: Channels, levels: Levels, row: Array, memory: Any, dt: float, sample: Sample
) -> None:
    """Write what the sensors say of a state row `[S]`; the biases in `memory` walk on by `dt`.

    In the first sample of an episode (count 0) the biases are drawn.
    """
    hinges = sample.angle.shape[0]
    drawn = np.empty(16 + 2 * hinges)
    normals(memory.seed, memory.count, levels.scale, drawn)
    root = np.sqrt(max(dt, 1e-9))
    first = memory.count == 0.0
    memory.count += 1.0
    for k in range(3):
        if first:
            memory.true_gyro[k] = levels.gyro_bias * drawn[k]
            memory.true_accelerometer[k] = levels.accelerometer_bias * drawn[3 + k]
        else:
            memory.true_gyro[k] += levels.gyro_walk * root * drawn[k]
            memory.true_accelerometer[k] += levels.accelerometer_walk * root * drawn[3 + k]
    for k in range(3):
        rate, push = 0.0, 0.0
        for j in range(3):
            rate += channels.imu_turn[k, j] * row[channels.gyro + j]
            push += channels.imu_turn[k, j] * row[channels.accelerometer + j]
        sample.gyro[k] = rate + memory.true_gyro[k] + levels.gyro / root * drawn[6 + k]
        noise = levels.accelerometer / root * drawn[9 + k]
        sample.acceleration[k] = push + memory.true_accelerometer[k] + noise
    for i in range(hinges):
        angle = row[channels.qpos + 7 + i] + levels.angle * drawn[16 + i]
        sample.angle[i] = rounded(angle, levels.angle_step)
        speed = row[channels.qvel + 6 + i]
        sample.speed[i] = speed + levels.speed * drawn[16 + hinges + i]
    for i in range(channels.order.shape[0]):
        hinge = channels.order[i]
        sample.torque[hinge] = motor_torque(
            channels, i, row[channels.control + i], sample.angle[hinge], sample.speed[hinge]
        )
    for leg in range(4):
        start = channels.force[leg]
        sample.force[leg] = 0.0
        if start >= 0:
            x, y, z = row[start], row[start + 1], row[start + 2]
            force = np.sqrt(x * x + y * y + z * z) + levels.force * drawn[12 + leg]
            sample.force[leg] = max(0.0, rounded(force, levels.force_step))


@kernel
def motor_torque(
    channels: Channels, motor: int, control: float, angle: float, speed: float
) -> float:
    """Return what a motor exerts [N m]: its control, or that of its servo."""
    torque = control
    if channels.stiffness[motor] > 0.0:
        torque = channels.stiffness[motor] * (control - angle) - channels.damping[motor] * speed
    limit = channels.torque_limit[motor]
    return min(max(torque, -limit), limit)


@kernel
def rounded(value: float, step: float) -> float:
    """Return the nearest multiple of `step`; with step 0 the value."""
    return np.rint(value / step) * step if step > 0.0 else value
