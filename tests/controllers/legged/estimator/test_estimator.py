"""Estimates against the true motion of a pushed robot."""

import dataclasses

import numpy as np
import pytest

from simrl_controllers.legged.estimator import Estimator, EstimatorConfig
from simrl_controllers.legged.estimator.memory import MEMORY, records

SETTLED = 500
"""Samples after which errors count: 1 s."""


def _run(spec, robot, states, config=None):
    """Return estimates `[T, n, 37]`, contacts `[T, n, 4]` and the memory's records `[T, n]`."""
    estimator = Estimator(spec, robot, config)
    memory = np.zeros((states.shape[1], estimator.size))
    found, contacts, kept = [], [], []
    for rows in states:
        estimate = estimator.update(rows, memory)
        found.append(np.concatenate([estimate.qpos, estimate.qvel], axis=1))
        contacts.append(estimate.contact)
        kept.append(records(memory).copy())
    return np.array(found), np.array(contacts), np.array(kept)


@pytest.fixture(scope="module")
def run(spec, robot, pushed):
    return _run(spec, robot, pushed)


def _vertical(quaternion):
    """Return the world's vertical in the body's axes `[..., 3]`."""
    w, x, y, z = np.moveaxis(quaternion, -1, 0)
    return np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1)


def test_velocity_and_attitude_are_found(run, pushed):
    found, truth = run[0][SETTLED:], pushed[SETTLED:, :, :37]
    error = found - truth
    moves = np.sqrt((truth[:, :, 19:21] ** 2).mean())
    assert moves > 0.08  # m/s: the pushes are felt
    assert np.sqrt((error[:, :, 19:21] ** 2).mean()) < 0.02
    assert np.sqrt((error[:, :, 21] ** 2).mean()) < 0.01
    assert np.sqrt((error[:, :, 22:25] ** 2).mean()) < 0.03  # the gyroscope's noise is 0.022
    tilt = _vertical(found[:, :, 3:7]) - _vertical(truth[:, :, 3:7])
    assert np.sqrt((tilt**2).mean()) < 0.02
    drift = found[-1, :, :3] - truth[-1, :, :3] - (run[0][0, :, :3] - pushed[0, :, :3])
    assert np.abs(drift).max() < 0.05


def test_errors_are_as_large_as_the_filter_says(run, pushed):
    found, _, kept = run
    velocity = slice(3, 6)
    error = (found - pushed[:, :, :37])[SETTLED:, :, 19:22]
    covariance = kept["covariance"][SETTLED:, :, velocity, velocity]
    square = np.einsum("tni,tnij,tnj->tn", error, np.linalg.inv(covariance), error)
    # Three numbers: 3 on average if all were white and normal.  Soft contacts that give way to
    # pushes are neither.
    assert 0.3 < square.mean() < 6.0
    turn = kept["covariance"][-1, :, [6, 7], [6, 7]].T
    tilt = _vertical(found[-1, :, 3:7]) - _vertical(pushed[-1, :, 3:7])
    assert (tilt[:, :2] ** 2 / turn).mean() < 6.0


def test_biases_are_found(run):
    kept = run[2]
    gyro = kept["gyro"] - kept["true_gyro"]
    assert np.abs(gyro[0]).mean() > 0.008
    assert np.abs(gyro[-1, :, :2]).mean() < 0.003  # about the vertical it takes longer
    upright = kept["accelerometer"] - kept["true_accelerometer"]
    assert np.abs(upright[0, :, 2]).mean() > 0.03
    assert np.abs(upright[-1, :, 2]).mean() < 0.02


def test_contacts_are_those_of_the_feet(run, spec, robot, pushed):
    sensors = spec.physics["sensors"]
    forces = np.stack(
        [np.linalg.norm(pushed[:, :, sensors[f"{foot}_force"]], axis=2) for foot in robot.feet], 2
    )
    weight = robot.mass * robot.gravity
    # Noise of 2 N; a standing foot is given up below 4.5 N, another one stands from 12 N on.
    loaded, lifted = run[1][forces > 0.12 * weight], run[1][forces == 0.0]
    assert loaded.mean() > 0.9995 and len(loaded) > 30000
    assert lifted.mean() < 0.1 and len(lifted) > 500


def test_torques_tell_contacts_as_well(spec, robot, pushed):
    config = EstimatorConfig(contact="torque", touch=0.1, leave=0.05)
    estimator = Estimator(spec, robot, config)
    memory = np.zeros((6, estimator.size))
    forces = [estimator.update(rows, memory).force for rows in pushed[:700]]
    total = np.array(forces)[SETTLED:].sum(axis=2)
    # Legs are taken for weightless, and joints have dry friction.
    assert total.mean() == pytest.approx(robot.mass * robot.gravity, rel=0.2)


def test_true_motion_of_the_base_is_never_read(run, spec, robot, pushed):
    """Beyond the first row, whose attitude is the start's, the base's columns may hold anything."""
    blind = pushed.copy()
    blind[1:, :, :7] = np.nan
    blind[1:, :, 19:25] = np.nan
    for name in ("base_force", *(f"{foot}_pos" for foot in robot.feet)):
        blind[1:, :, spec.physics["sensors"][name]] = np.nan
    found, contacts, _ = _run(spec, robot, blind[:400])
    assert np.array_equal(found, run[0][:400])
    assert np.array_equal(contacts, run[1][:400])


def test_same_rows_give_the_same_bits_however_many(run, spec, robot, pushed):
    again, _, kept = _run(spec, robot, pushed[:300, [4, 1]])
    assert np.array_equal(again, run[0][:300, [4, 1]])
    assert kept.tobytes() == run[2][:300, [4, 1]].tobytes()
    other, _, _ = _run(spec, robot, pushed[:50], EstimatorConfig(seed=1))
    assert not np.array_equal(other, run[0][:50])


def test_an_episode_goes_on_from_its_memory(run, spec, robot, pushed):
    estimator = Estimator(spec, robot)
    memory = run[2][199].copy().view(np.float64).reshape(6, -1)
    estimate = estimator.update(pushed[200], memory)
    assert np.array_equal(estimate.qpos, run[0][200, :, :19])


def test_a_row_seen_twice_is_no_step(spec, robot, pushed):
    estimator = Estimator(spec, robot, EstimatorConfig(noise_scale=0.0))
    memory = np.zeros((6, estimator.size))
    for rows in pushed[:100]:
        first = estimator.update(rows, memory)
    place = first.qpos[:, :3].copy()
    second = estimator.update(pushed[99], memory)
    assert np.abs(second.qpos[:, :3] - place).max() < 1e-3
    assert np.array_equal(
        records(memory)["time"], pushed[99][:, spec.physics["state"]["time"]][:, 0]
    )


def test_without_feet_the_velocity_does_not_run_away(spec, robot, pushed):
    sensors = spec.physics["sensors"]
    hanging = np.repeat(pushed[600:601], 2000, axis=0)
    hanging[:, :, spec.physics["state"]["time"]] += 0.002 * np.arange(2000)[:, None, None]
    for foot in robot.feet:
        hanging[:, :, sensors[f"{foot}_force"]] = 0.0
    hanging[:, :, sensors["imu_acc"]] = [0.5, 0.0, 9.81]  # 0.5 m/s^2 for 4 s
    found, contacts, _ = _run(spec, robot, hanging)
    assert contacts.mean() < 1e-3
    assert np.abs(found[-1, :, 19:22]).max() < 0.7


def test_memory_of_the_wrong_size_is_refused(spec, robot, pushed):
    estimator = Estimator(spec, robot)
    assert estimator.size == MEMORY.itemsize // 8
    with pytest.raises(ValueError, match=r"memory is float64 \[n, \d+\], got float64 \[6, 3\]"):
        estimator.update(pushed[0], np.zeros((6, 3)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contact": "eyes"}, "contact is 'eyes'; it is one of force, torque"),
        ({"gyro_noise": -1.0}, "gyro_noise must be at least 0"),
        ({"gate": 0.0}, "gate must be above 0"),
        ({"leave": 0.5}, "leave .* must not be above touch"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        EstimatorConfig(**options)


def test_robots_without_foot_sensors_need_torques(spec, robot):
    sensors = {n: where for n, where in spec.physics["sensors"].items() if n != "FL_force"}
    deaf = dataclasses.replace(spec, physics={**spec.physics, "sensors": sensors})
    with pytest.raises(ValueError, match="no foot forces; tell contacts by contact=torque"):
        Estimator(deaf, robot)
    Estimator(deaf, robot, EstimatorConfig(contact="torque"))
