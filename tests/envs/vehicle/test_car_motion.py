"""Hand-worked numbers of the car's two models."""

import math

import numpy as np
import pytest

from simrl_envs.vehicle.car import row as r
from simrl_envs.vehicle.car.config import CAR, CarLaneConfig
from simrl_envs.vehicle.car.motion import drive, tyre_curve


def _row(speed, steer=0.0):
    row = np.zeros(r.YAW_RATE + 1)
    row[r.SPEED], row[r.STEER] = speed, steer
    return row


def _numbers(**options):
    return CarLaneConfig(**options).numbers()


def test_kinematic_car_drives_a_circle():
    # Wheelbase 1.15620 + 1.42272 = 2.57891 m.  At tan(steer) = 0.257891 the radius is 10 m, so
    # 10 m/s turn it by 1 rad in 1 s: x = 10 sin 1 = 8.41471, y = 10 (1 - cos 1) = 4.59698.
    row, numbers = _row(10.0, math.atan(0.25789128)), _numbers(step_seconds=0.05)
    for _ in range(20):
        drive(row, numbers, 0.0, 0.0)
    assert row[r.HEADING] == pytest.approx(1.0, abs=1e-6)
    assert row[r.X] == pytest.approx(8.41471, abs=1e-4)
    assert row[r.Y] == pytest.approx(4.59698, abs=1e-4)
    assert row[r.YAW_RATE] == pytest.approx(1.0, abs=1e-6)
    assert row[r.LATERAL_SPEED] == pytest.approx(CAR.rear, abs=1e-6)


@pytest.mark.parametrize("model", ["kinematic", "dynamic"])
def test_braking_distance(model):
    # 10 m/s at 5 m/s^2: 2 s and 10 m, then it stands.
    row, numbers = _row(10.0), _numbers(model=model, step_seconds=0.05)
    for _ in range(60):
        drive(row, numbers, -5.0, 0.0)
    assert row[r.SPEED] == 0.0
    assert row[r.X] == pytest.approx(10.0, abs=1e-9)
    assert abs(row[r.Y]) < 1e-12


def test_dynamic_car_steers_neutrally():
    # Each axle's stiffness is proportional to its load, so slip is the same at both and the steady
    # yaw rate is v delta / wheelbase = 15 * 0.01 / 2.57891 = 0.058165 rad/s.
    row = _row(15.0, 0.01)
    numbers = _numbers(model="dynamic", tyre="linear")
    for _ in range(100):
        drive(row, numbers, 0.0, 0.0)
    assert row[r.YAW_RATE] == pytest.approx(0.058165, rel=2e-3)


def test_dynamic_car_slides_where_the_kinematic_one_cannot():
    # 15 m/s and 0.3 rad would take 15^2 tan(0.3) / 2.57891 = 26.99 m/s^2; tyres give mu g = 10.29.
    row, numbers = _row(15.0, 0.3), _numbers(model="dynamic")
    for _ in range(40):
        drive(row, numbers, 0.0, 0.0)
    assert 15.0 * row[r.YAW_RATE] < 11.5


def test_a_parked_car_does_not_turn():
    row, numbers = _row(0.0, 0.5), _numbers(model="dynamic")
    for _ in range(20):
        drive(row, numbers, 0.0, 0.0)
    assert row[r.HEADING] == 0.0 and row[r.X] == 0.0


def test_tyre_curves():
    linear, pacejka = _numbers(tyre="linear"), _numbers(tyre="pacejka")
    assert tyre_curve(0.01, linear) == pytest.approx(0.2089)
    # sin(1.3507 atan(20.89 / 1.3507 * 0.01)): atan(0.154661) = 0.153446,
    # and sin(1.3507 * 0.153446 = 0.207260) = 0.20578
    assert tyre_curve(0.01, pacejka) == pytest.approx(0.20578, abs=5e-6)
    slips = np.linspace(-1.0, 1.0, 41)
    assert max(abs(tyre_curve(slip, pacejka)) for slip in slips) <= 1.0
    assert tyre_curve(-0.05, pacejka) == -tyre_curve(0.05, pacejka)


def test_speed_and_steering_stop_at_their_limits():
    row, numbers = _row(14.9), _numbers()
    for _ in range(80):
        drive(row, numbers, 3.0, 0.4)
    assert row[r.SPEED] == 15.0
    assert row[r.STEER] == CAR.max_steer
