"""The gait's clock and its look ahead, against the clock itself run on; footholds and swings."""

import math

import numpy as np
import pytest

from simrl.core.plugins import make_env
from simrl_controllers.legged import GAITS, Gait, LeggedConfig, legged_robot
from simrl_controllers.legged.gaits import find_gait
from simrl_controllers.legged.kernels.clock import advance_clock, contact_table, follow_gait
from simrl_controllers.legged.kernels.contacts import follow_ground, height_at
from simrl_controllers.legged.kernels.slip import follow_friction
from simrl_controllers.legged.kernels.steps import choose_foothold, quintic
from simrl_controllers.legged.memory import fresh_memory, records
from simrl_controllers.legged.tuning import tune

pytest.importorskip("mujoco")

DT = 0.002


@pytest.fixture(scope="module")
def robot():
    return legged_robot(make_env("quadruped-velocity", 1, control="torque").spec)


def standing(tuning):
    """Return a row that stands on four feet under its hips, the base at the origin."""
    row = records(fresh_memory(1)).view(np.recarray)[0]
    row.period, row.duty = tuning.gaits[0, :2]
    row.offset[:] = tuning.gaits[0, 2:]
    row.stance[:], row.held[:] = 1.0, 1.0
    row.ground[:, :2] = tuning.stance_feet
    row.ground[:, 2] = tuning.radius
    return row


def stances(row, tuning, steps, wanted=True):
    found = []
    for _ in range(steps):
        advance_clock(row, tuning, wanted)
        found.append(row.stance.copy())
    return np.array(found)


@pytest.mark.parametrize("name", [name for name in GAITS if name != "stand"])
def test_each_foot_stands_for_its_share_of_the_cycle(robot, name):
    tuning = tune(robot, LeggedConfig(gait=name), DT)
    row, cycle = standing(tuning), round(tuning.gaits[0, 0] / DT)
    stances(row, tuning, 2 * cycle)  # a clock that starts lets feet wait for their turn
    share = stances(row, tuning, 10 * cycle).mean(axis=0)
    np.testing.assert_allclose(share, GAITS[name].duty, atol=0.02)


def test_diagonal_feet_of_a_trot_move_together(robot):
    tuning = tune(robot, LeggedConfig(gait="trot"), DT)
    found = stances(standing(tuning), tuning, 500)
    np.testing.assert_array_equal(found[:, 0], found[:, 3])
    np.testing.assert_array_equal(found[:, 1], found[:, 2])
    assert (found.sum(axis=1) == 2).mean() > 0.9  # duty 1/2: one pair or the other


@pytest.mark.parametrize("name", ["walk", "trot", "bound", "gallop"])
def test_the_look_ahead_is_what_the_clock_will_do(robot, name):
    tuning = tune(robot, LeggedConfig(gait=name), DT)
    row = standing(tuning)
    stances(row, tuning, 700)
    table = np.zeros((10, 4), np.bool_)
    contact_table(row, tuning, True, table)
    ahead = stances(row, tuning, round(10 * tuning.mpc_dt / DT))
    middle = [round((k + 0.5) * tuning.mpc_dt / DT) - 1 for k in range(10)]
    # A foot may change on the very tick that is looked at.
    wrong = (table != (ahead[middle] == 1.0)) & (table != (ahead[np.array(middle) + 1] == 1.0))
    assert not wrong.any()


def test_robots_that_need_not_move_finish_their_steps_and_stand(robot):
    tuning = tune(robot, LeggedConfig(gait="trot"), DT)
    row = standing(tuning)
    assert (stances(row, tuning, 40)[-1] == 0.0).any()
    found = stances(row, tuning, 200, wanted=False)
    lifted = (found[1:] < found[:-1]).any()
    assert not lifted and (found[-1] == 1.0).all() and row.moving == 0.0


def test_standing_never_lifts_a_foot(robot):
    tuning = tune(robot, LeggedConfig(gait="stand"), DT)
    assert (stances(standing(tuning), tuning, 400) == 1.0).all()


def test_gaits_change_gradually_to_the_fast_one_and_back(robot):
    config = LeggedConfig(gait="trot", fast_gait="gallop", fast_speed=1.0, transition_seconds=0.5)
    tuning = tune(robot, config, DT)
    row, offsets = standing(tuning), []
    for speed in [0.5] * 50 + [1.5] * 400 + [0.5] * 400:
        follow_gait(row, tuning, speed, 0.0)
        offsets.append(row.offset.copy())
    offsets = np.array(offsets)
    # Half a cycle in 0.5 s is 0.002 cycles in a step of 0.002 s.
    assert np.abs(np.diff(offsets, axis=0)).max() <= 0.002 + 1e-12
    assert np.allclose((offsets[449] - GAITS["gallop"].offsets + 0.5) % 1.0, 0.5, atol=1e-9)
    assert np.allclose((offsets[-1] - GAITS["trot"].offsets + 0.5) % 1.0, 0.5, atol=1e-9)


def test_the_ground_is_the_plane_on_which_the_feet_stood(robot):
    tuning = tune(robot, LeggedConfig(), DT)
    row = standing(tuning)
    x, y = row.ground[:, 0], row.ground[:, 1]
    row.ground[:, 2] = 0.3 + 0.2 * x - 0.1 * y + tuning.radius
    follow_ground(row, tuning, np.array([0.05, 0.02, 0.5]))  # the first one is taken as it is
    for px, py in ((0.0, 0.0), (1.0, 0.0), (-0.5, 2.0)):
        assert height_at(row, px, py) == pytest.approx(0.3 + 0.2 * px - 0.1 * py, abs=5e-3)


def test_feet_land_under_their_hips_and_half_a_stance_ahead(robot):
    tuning = tune(robot, LeggedConfig(gait="trot"), DT)
    row = standing(tuning)
    stances(row, tuning, 10)
    assert row.stance[1] == 0.0
    place, yaw = np.array([0.0, 0.0, tuning.height]), 0.0
    choose_foothold(row, tuning, 1, place, np.zeros(3), yaw)
    np.testing.assert_allclose(row.target[1, :2], tuning.stance_feet[1], atol=1e-12)
    assert row.target[1, 2] == pytest.approx(tuning.radius[1])
    # At the commanded 0.5 m/s the foot lands where the hip will be half a stance after that.
    row["command"][0] = row["mean"][0] = 0.5
    choose_foothold(row, tuning, 1, place, np.array([0.5, 0.0, 0.0]), yaw)
    landing = (1.0 - (row.phase + 0.5) % 1.0) * row.period
    ahead = 0.5 * (landing + 0.5 * row.duty * row.period)
    np.testing.assert_allclose(row.target[1, :2] - tuning.stance_feet[1], [ahead, 0.0], atol=1e-9)


def test_a_push_moves_the_foothold_its_way(robot):
    tuning = tune(robot, LeggedConfig(gait="trot"), DT)
    row = standing(tuning)
    stances(row, tuning, 10)
    place = np.array([0.0, 0.0, tuning.height])
    choose_foothold(row, tuning, 1, place, np.array([0.0, 1.0, 0.0]), 0.0)
    assert row.target[1, 1] - tuning.stance_feet[1, 1] > 0.1
    choose_foothold(row, tuning, 1, place, np.array([0.0, 9.0, 0.0]), 0.0)
    # Never farther from the hip than a leg reaches.
    landing = (1.0 - (row.phase + 0.5) % 1.0) * row.period
    step = row.target[1, 1] - tuning.stance_feet[1, 1] - 9.0 * landing
    assert step == pytest.approx(tuning.reach)


def test_swings_keep_the_ends_that_they_are_given():
    out, eps = np.zeros(3), 1e-5

    def at(now, **ends):
        quintic(ends["a"], ends["b"], ends["pace"], ends["top"], 0.2, now, out)
        return out.copy()

    up = {"a": 0.1, "b": 0.2, "pace": math.nan, "top": -5.0}
    np.testing.assert_allclose(at(0.0, **up), [0.1, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(at(0.2, **up), [0.2, 0.0, -5.0], atol=1e-9)
    down = {"a": 0.2, "b": 0.02, "pace": -0.3, "top": -5.0}
    np.testing.assert_allclose(at(0.0, **down), [0.2, 0.0, -5.0], atol=1e-9)
    np.testing.assert_allclose(at(0.2, **down), [0.02, -0.3, 0.0], atol=1e-9)
    for ends in (up, down):
        before, here, after = (at(0.07 + d, **ends) for d in (-eps, 0.0, eps))
        assert here[1] == pytest.approx((after[0] - before[0]) / (2 * eps), rel=1e-5)
        assert here[2] == pytest.approx((after[1] - before[1]) / (2 * eps), rel=1e-5)


def slide(tuning, push, pace, steps=200):
    """Return what friction is believed in after a foot of 30 N slid or stood for some steps."""
    row = standing(tuning)
    row.friction = row.grip = tuning.friction
    force, speed = np.zeros((4, 3)), np.zeros((4, 3))
    force[:, 2], force[:, 0], speed[0, 0] = -30.0, push, pace
    for _ in range(steps):
        follow_friction(row, tuning, np.ones(4, np.bool_), force, speed)
    return row.friction


def test_feet_that_slip_tell_the_friction(robot):
    tuning = tune(robot, LeggedConfig(friction=0.6), DT)
    # 6 N along the ground under 30 N: a foot that slips so stands on a friction of 0.2.
    assert 0.12 < slide(tuning, 6.0, 0.3) < 0.2
    assert slide(tuning, 6.0, 0.0) == pytest.approx(0.6)  # it stands
    assert slide(tuning, 6.0, -0.3) == pytest.approx(0.6)  # it is dragged, not slipping
    # Ground that has held 24 N of 30 N is no ice, even where a foot moves a little.
    assert slide(tuning, 24.0, 0.3) == pytest.approx(0.6)


def test_wrong_gaits_and_options_are_told():
    with pytest.raises(ValueError, match="unknown gait 'hop'; the gaits are stand, walk, trot"):
        find_gait("hop")
    with pytest.raises(ValueError, match="unknown gait 'hop'"):
        LeggedConfig(gait="hop")
    with pytest.raises(ValueError, match="duty must be in"):
        Gait(0.3, 1.5, (0.0, 0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="command must be vx, vy, yaw rate"):
        LeggedConfig(command=(1.0, 2.0))
