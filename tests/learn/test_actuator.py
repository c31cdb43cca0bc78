"""Fits of motors: a known law with a delay is found, files go to the environment, errors."""

from dataclasses import replace

import numpy as np
import pytest

from simrl.learn.actuator import ActuatorConfig, ActuatorLog, fit_actuator, save_actuator
from simrl_envs.robot.actuator import ActuatorNet

SHORT = ActuatorConfig(epochs=40, hidden=(32, 32), minibatch_size=128)


def log(samples=1500, joints=3, delay=2, strength=(1.0, 1.0, 1.0), seed=0):
    """Return motors that answer `delay` samples late, and no further than to their limit."""
    rng = np.random.default_rng(seed)
    smooth = np.ones(8) / 8
    error, velocity = (
        np.stack([np.convolve(rng.normal(0, size, samples), smooth, "same") for _ in range(joints)])
        for size in (1.0, 8.0)
    )
    late = np.roll(error.T, delay, axis=0)
    limit = 10.0 * np.array(strength)
    torque = np.clip(np.array(strength) * (30.0 * late - 1.5 * velocity.T), -limit, limit)
    return ActuatorLog(error.T, velocity.T, torque, 0.005), limit


def test_a_late_and_limited_motor_is_found():
    given, _ = log()
    fitted = fit_actuator(given, SHORT)
    assert fitted.share > 0.98
    blind = fit_actuator(given, replace(SHORT, lags=(0.0,)))
    assert blind.share < 0.85  # what was 0.01 s ago cannot be told from now


def test_motors_of_different_strength_are_told_by_shares():
    given, limit = log(strength=(0.5, 1.0, 3.0))
    shares = fit_actuator(replace(given, limit=limit), SHORT)
    assert shares.relative
    assert shares.share > 0.98
    assert fit_actuator(given, SHORT).share < 0.9


def test_what_was_fitted_is_what_robots_read(tmp_path):
    given, _ = log(samples=400)
    fitted = fit_actuator(given, replace(SHORT, epochs=2))
    save_actuator(fitted, tmp_path / "motor.npz")
    net = ActuatorNet.load(tmp_path / "motor.npz")
    assert net.lags.tolist() == [0.0, 0.01, 0.02]
    steps = [0, 2, 4]
    rows = np.arange(320, 400)  # the last fifth was held out: 396 windows from sample 4 on
    error = np.stack([given.error[rows - step] for step in steps], -1).reshape(-1, 3)
    velocity = np.stack([given.velocity[rows - step] for step in steps], -1).reshape(-1, 3)
    wrong = net.torque(error, velocity) - given.torque[rows].reshape(-1)
    assert np.sqrt(np.mean(wrong**2)) == pytest.approx(fitted.rmse, rel=0.02)


def test_logs_survive_their_files(tmp_path):
    given, limit = log(samples=20)
    replace(given, limit=limit).save(tmp_path / "log.npz")
    again = ActuatorLog.load(tmp_path / "log.npz")
    for name in ("error", "velocity", "torque"):
        assert np.array_equal(getattr(again, name), getattr(given, name))
    assert np.array_equal(again.limit, limit)
    assert again.step_seconds == 0.005


def test_the_same_seed_fits_the_same():
    given, _ = log(samples=200)
    fits = [fit_actuator(given, replace(SHORT, epochs=2), seed=4) for _ in range(2)]
    for (left, _), (right, _) in zip(fits[0].layers, fits[1].layers, strict=True):
        assert np.array_equal(left, right)


def test_wrong_logs_and_settings_are_told(tmp_path):
    given, _ = log(samples=50)
    with pytest.raises(ValueError, match="no whole numbers of the log's steps"):
        fit_actuator(replace(given, step_seconds=0.004), SHORT)
    with pytest.raises(ValueError, match="too short"):
        fit_actuator(log(samples=40)[0], replace(SHORT, lags=(0.0, 0.2)))
    with pytest.raises(ValueError, match="must all be"):
        replace(given, torque=given.torque[:5])
    with pytest.raises(ValueError, match="velocity holds numbers that are not finite"):
        replace(given, velocity=given.velocity * np.nan)
    with pytest.raises(ValueError, match="begin with 0 and grow"):
        ActuatorConfig(lags=(0.01, 0.0))
    np.savez(tmp_path / "log.npz", error=given.error, velocity=given.velocity)
    with pytest.raises(ValueError, match="lacks step_seconds, torque"):
        ActuatorLog.load(tmp_path / "log.npz")
