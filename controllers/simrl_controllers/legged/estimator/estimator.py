"""Estimate what a controller may know of a robot on legs: rows in, configurations out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simrl.core import EnvSpec
from simrl_controllers.legged.delay import turn_quaternion
from simrl_controllers.legged.estimator.config import EstimatorConfig
from simrl_controllers.legged.estimator.filter import (
    Legs,
    Tuning,
    begin,
    empty_legs,
    face,
    find_contacts,
    predict,
    update,
)
from simrl_controllers.legged.estimator.kinematics import leg_kinematics
from simrl_controllers.legged.estimator.memory import MEMORY_SIZE, records
from simrl_controllers.legged.estimator.noise import normals, seed_of
from simrl_controllers.legged.estimator.sensors import (
    Channels,
    Levels,
    Sample,
    empty_sample,
    find_channels,
    take_sample,
)
from simrl_controllers.legged.kernels.algebra import apply, cross
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.robot import LeggedRobot
from simrl_controllers.legged.tree import Tree

Array = np.ndarray
LONGEST = 0.1
"""Longest time between two samples that is integrated [s]."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Hold what is estimated of n rows, as MuJoCo's coordinates."""

    qpos: Array
    """Configurations `[n, nq]`.  Place and yaw drift; x and y start at 0, z at the ground."""
    qvel: Array
    """Velocities `[n, nv]`: the base's linear one in the world, its angular one in its axes."""
    contact: Array
    """Which feet stand `[n, 4]` bool."""
    force: Array
    """How hard each foot presses, as measured [N] `[n, 4]`."""


class Estimator:
    """Simulate a robot's sensors and estimate its motion from nothing but them.

    Of a row's true state only joints, IMU, foot forces and motor torques are read, with noise and
    biases.  The attitude at the start of an episode is known up to `config.start_tilt`.  Rows do
    not depend on one another, and the same rows and memory give the same bits.

    Attributes:
        size: Numbers of memory that a row needs; all zero is an episode that has not begun.

    Args:
        spec: The task.
        robot: The robot's facts.
        config: The options.

    Raises:
        ValueError: The task's rows hold no IMU, or no foot forces where these tell contacts.
    """

    size = MEMORY_SIZE

    def __init__(
        self, spec: EnvSpec, robot: LeggedRobot, config: EstimatorConfig | None = None
    ) -> None:
        self.config = config = config or EstimatorConfig()
        self.robot = robot
        self.channels = find_channels(spec, robot)
        if config.contact == "force" and (self.channels.force < 0).any():
            raise ValueError(
                f"{spec.id}: the state has no foot forces; tell contacts by contact=torque"
            )
        self._levels = sensor_levels(config)
        self._tuning = filter_tuning(config, robot)
        self._seed = int(config.seed)

    def update(self, rows: Array, memory: Array) -> Estimate:
        """Take in a sample of each row.

        Args:
            rows: States `[n, S]` float64.
            memory: `[n, size]` float64, changed in place.
        """
        count, robot = len(rows), self.robot
        result = Estimate(
            np.zeros((count, len(robot.home))),
            np.zeros((count, len(robot.home) - 1)),
            np.zeros((count, 4), np.bool_),
            np.zeros((count, 4)),
        )
        self.update_into(rows, memory, result)
        return result

    def update_into(self, rows: Array, memory: Array, result: Estimate) -> None:
        """Take in a sample of each row and write the estimates into `result`."""
        estimate_rows(
            self.robot.tree,
            self.channels,
            self._levels,
            self._tuning,
            self._seed,
            np.ascontiguousarray(rows),
            records(memory),
            result.qpos,
            result.qvel,
            result.contact,
            result.force,
        )


def sensor_levels(config: EstimatorConfig) -> Levels:
    """Return the sensors' noise as the kernels take it."""
    return Levels(
        scale=config.noise_scale,
        gyro=config.gyro_noise,
        gyro_bias=config.gyro_bias,
        gyro_walk=config.gyro_walk,
        accelerometer=config.accelerometer_noise,
        accelerometer_bias=config.accelerometer_bias,
        accelerometer_walk=config.accelerometer_walk,
        angle=config.encoder_noise,
        angle_step=config.encoder_step,
        speed=config.speed_noise,
        force=config.force_noise,
        force_step=config.force_step,
    )


def filter_tuning(config: EstimatorConfig, robot: LeggedRobot) -> Tuning:
    """Return the filter's expectations as the kernels take them."""
    weight = robot.mass * robot.gravity
    return Tuning(
        gyro=config.gyro_noise,
        gyro_bias=config.gyro_bias,
        gyro_walk=config.gyro_walk,
        accelerometer=config.accelerometer_noise,
        accelerometer_bias=config.accelerometer_bias,
        accelerometer_walk=config.accelerometer_walk,
        # Rounding to a step is like noise of the variance step^2 / 12.
        angle=float(np.hypot(config.encoder_noise, config.encoder_step / np.sqrt(12.0))),
        speed=config.speed_noise,
        touch=config.touch * weight,
        leave=config.leave * weight,
        firm=config.firm * weight,
        by_torque=config.contact == "torque",
        start_tilt=config.start_tilt,
        start_speed=config.start_speed,
        slip_speed=config.slip_speed,
        foot_walk=config.foot_walk,
        kinematic=config.kinematic_noise,
        gate=config.gate,
        floating_seconds=config.floating_seconds,
    )


@kernel
def estimate_rows(
    tree: Tree,
    channels: Channels,
    levels: Levels,
    tuning: Tuning,
    seed: int,
    rows: Array,
    memory: Array,
    qpos: Array,
    qvel: Array,
    contact: Array,
    force: Array,
) -> None:
    """Update n rows of memory and write their estimates; see `Estimate`."""
    sample, legs = empty_sample(tree.parent.shape[0] - 1), empty_legs()
    for i in range(rows.shape[0]):
        _estimate(tree, channels, levels, tuning, seed, rows[i], memory[i], sample, legs)
        _write(channels, sample, memory[i], legs, qpos[i], qvel[i])
        for leg in range(4):
            contact[i, leg] = memory[i].contact[leg] > 0.0
            force[i, leg] = sample.force[leg]


@kernel
def _estimate(
    tree: Tree,
    channels: Channels,
    levels: Levels,
    tuning: Tuning,
    seed: int,
    row: Array,
    memory: Any,
    sample: Sample,
    legs: Legs,
) -> None:
    """Take in one sample of one row."""
    starts = memory.started == 0.0
    now = row[channels.time]
    if starts:
        memory.started = 1.0
        memory.seed = seed_of(row, seed)
        tilt = np.empty(3)
        normals(memory.seed, -1.0, levels.scale * tuning.start_tilt, tilt)
        for k in range(4):
            memory.quaternion[k] = row[channels.qpos + 3 + k]
        turn_quaternion(memory.quaternion, tilt, 1.0, True)
        memory.time = now
    dt = min(max(now - memory.time, 0.0), LONGEST)
    memory.time = now
    take_sample(channels, levels, row, memory, dt if dt > 0.0 else 1.0, sample)
    leg_kinematics(
        tree, sample.angle, sample.speed, legs.feet, legs.speed, legs.spin, legs.jacobian
    )
    face(channels, memory, legs)
    if starts:
        begin(tree, channels, tuning, memory, legs)
    elif dt > 0.0:
        predict(tree, tuning, sample, memory, legs, tree.gravity, dt)
        face(channels, memory, legs)
    find_contacts(tree, tuning, sample, memory, legs)
    update(tree, tuning, sample, memory, legs, dt)


@kernel
def _write(
    channels: Channels, sample: Sample, memory: Any, legs: Legs, qpos: Array, qvel: Array
) -> None:
    """Write the base's motion from the IMU's, and the joints as measured."""
    face(channels, memory, legs)
    place, rate, swing, lever = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    apply(legs.turn, channels.imu_place, place)
    for k in range(3):
        rate[k] = sample.gyro[k] - memory.gyro[k]
    cross(rate, channels.imu_place, swing)
    apply(legs.turn, swing, lever)
    for k in range(3):
        qpos[k] = memory.position[k] - place[k]
        qvel[k] = memory.velocity[k] - lever[k]
        qvel[3 + k] = rate[k]
    for k in range(4):
        qpos[3 + k] = memory.quaternion[k]
    for i in range(sample.angle.shape[0]):
        qpos[7 + i] = sample.angle[i]
        qvel[6 + i] = sample.speed[i]
