"""Simulated sensors against the states that they look at."""

import dataclasses

import numpy as np
import pytest

from simrl_controllers.legged.estimator import EstimatorConfig
from simrl_controllers.legged.estimator.estimator import sensor_levels
from simrl_controllers.legged.estimator.memory import MEMORY
from simrl_controllers.legged.estimator.sensors import (
    empty_sample,
    find_channels,
    motor_torque,
    rounded,
    take_sample,
)

DT = 0.002
QUIET = EstimatorConfig(noise_scale=0.0, encoder_step=0.0, force_step=0.0)


def _sample(spec, robot, config, row, memory):
    sample = empty_sample(12)
    take_sample(find_channels(spec, robot), sensor_levels(config), row, memory, DT, sample)
    return sample


def test_quiet_sensors_tell_the_truth(spec, robot, pushed):
    row, where = pushed[700, 2], spec.physics["sensors"]
    sample = _sample(spec, robot, QUIET, row, np.zeros(1, MEMORY)[0])
    # The IMU of this robot sits along the base's axes.
    assert np.array_equal(sample.gyro, row[where["imu_gyro"]])
    assert np.array_equal(sample.acceleration, row[where["imu_acc"]])
    assert np.array_equal(sample.angle, row[7:19])
    assert np.array_equal(sample.speed, row[25:37])
    assert np.array_equal(sample.torque, row[spec.physics["state"]["ctrl"]])
    forces = [np.linalg.norm(row[where[f"{foot}_force"]]) for foot in robot.feet]
    assert sample.force == pytest.approx(forces)


def test_noise_has_the_deviations_of_the_config(spec, robot, pushed):
    row, config = pushed[700, 2], EstimatorConfig(gyro_walk=0.0, accelerometer_walk=0.0)
    truth = _sample(spec, robot, QUIET, row, np.zeros(1, MEMORY)[0])
    memory = np.zeros(1, MEMORY)[0]
    seen = []
    for _ in range(4000):
        one = _sample(spec, robot, config, row, memory)
        parts = (one.gyro, one.acceleration, one.angle, one.speed, one.force)
        seen.append(np.concatenate(parts))
    error = np.array(seen) - np.concatenate(
        [truth.gyro, truth.acceleration, truth.angle, truth.speed, truth.force]
    )
    deviation = error.std(axis=0)
    # 0.001 / sqrt(0.002) = 0.0224 rad/s; 0.01 / sqrt(0.002) = 0.2236 m/s^2.
    assert deviation[:3] == pytest.approx([0.0224] * 3, rel=0.05)
    assert deviation[3:6] == pytest.approx([0.2236] * 3, rel=0.05)
    assert deviation[6:18] == pytest.approx([5.12e-4] * 12, rel=0.06)  # with 1.1e-4 of rounding
    assert deviation[18:30] == pytest.approx([0.05] * 12, rel=0.06)
    assert deviation[30:] == pytest.approx([2.02] * 4, rel=0.06)  # with 0.29 of rounding
    assert error[:, :3].mean(axis=0) == pytest.approx(memory["true_gyro"], abs=2e-3)


def test_biases_start_anywhere_and_walk(spec, robot, pushed):
    config = EstimatorConfig(gyro_bias=0.02, gyro_walk=0.01, accelerometer_walk=0.05)
    first, walked = [], []
    for seed in range(300):
        memory = np.zeros(1, MEMORY)[0]
        memory["seed"] = seed
        for step in range(51):
            _sample(spec, robot, config, pushed[700, 2], memory)
            if not step:
                start = memory.copy()
        first.append(start["true_gyro"])
        walked.append(memory["true_accelerometer"] - start["true_accelerometer"])
    assert np.std(first) == pytest.approx(0.02, rel=0.08)
    # 50 steps of 2 ms: 0.05 sqrt(0.1) = 0.0158.
    assert np.std(walked) == pytest.approx(0.0158, rel=0.08)


def test_encoders_round():
    assert rounded(0.37, 0.1) == pytest.approx(0.4)
    assert rounded(-0.37, 0.1) == pytest.approx(-0.4)
    assert rounded(0.37, 0.0) == 0.37


def test_servos_torque_follows_from_its_target(spec, robot):
    channels = find_channels(spec, robot)
    servo = channels._replace(stiffness=np.full(12, 40.0), damping=np.full(12, 2.0))
    # 40 (0.5 - 0.3) - 2 * 1.5 = 5 N m; far off it is the motor's limit.
    assert motor_torque(servo, 0, 0.5, 0.3, 1.5) == pytest.approx(5.0)
    assert motor_torque(servo, 0, 9.0, 0.3, 1.5) == robot.torque_limit[0]
    assert motor_torque(channels, 0, -3.0, 0.3, 1.5) == -3.0


def test_a_task_without_an_imu_says_so(spec, robot):
    sensors = {name: where for name, where in spec.physics["sensors"].items() if "imu" not in name}
    blind = dataclasses.replace(spec, physics={**spec.physics, "sensors": sensors})
    with pytest.raises(ValueError, match=r"missing: imu_acc, imu_gyro \(the state's sensors are"):
        find_channels(blind, robot)
