"""Jacobians, drifts and gaps of the controllers' own model against MuJoCo and differences."""

import mujoco
import numpy as np
import pytest

from simrl.core.plugins import make_env
from simrl_controllers.mobile.clearance import Clearance
from simrl_controllers.mobile.robot import MobileRobot

STEP = 1e-6


def data_at(robot, qpos, qvel=None):
    data = mujoco.MjData(robot.model)
    data.qpos[:] = qpos
    if qvel is not None:
        data.qvel[:] = qvel
    mujoco.mj_forward(robot.model, data)
    return data


def test_jacobian_of_the_hand_is_mujocos(robot, states, rng, spread):
    qpos = spread(robot.facts.part(states, "qpos"))
    site = robot.model.site("end_effector").id
    jacobian, _ = robot.site_jacobian(robot.evaluate(qpos), site)
    for row in range(len(qpos)):
        data, linear = data_at(robot, qpos[row]), np.zeros((3, robot.model.nv))
        angular = np.zeros_like(linear)
        mujoco.mj_jacSite(robot.model, data, linear, angular, site)
        expected = np.concatenate([linear, angular])[:, robot.qvel]
        np.testing.assert_allclose(jacobian[row], expected, atol=1e-12)


def test_drift_is_the_jacobians_rate(robot, states, rng, spread):
    qpos = spread(robot.facts.part(states, "qpos"))
    qvel = np.zeros((len(qpos), robot.model.nv))
    qvel[:, robot.qvel] = rng.normal(0.0, 1.0, (len(qpos), robot.size))
    site = robot.model.site("end_effector").id
    _, drift = robot.site_jacobian(robot.evaluate(qpos, qvel), site)
    rates = []
    for sign in (1.0, -1.0):
        moved = qpos.copy()
        moved[:, robot.qpos] += sign * STEP * qvel[:, robot.qvel]
        jacobian, _ = robot.site_jacobian(robot.evaluate(moved), site)
        rates.append((jacobian @ qvel[:, robot.qvel, None])[..., 0])
    np.testing.assert_allclose(drift, (rates[0] - rates[1]) / (2.0 * STEP), atol=1e-6)


def test_inertia_and_bias_are_mujocos(robot, states, rng, spread):
    qpos = spread(robot.facts.part(states, "qpos"))
    qvel = np.zeros((len(qpos), robot.model.nv))
    qvel[:, robot.qvel] = rng.normal(0.0, 1.0, (len(qpos), robot.size))
    motion = robot.evaluate(qpos, qvel)
    for row in range(len(qpos)):
        data, mass = data_at(robot, qpos[row], qvel[row]), np.zeros((robot.model.nv,) * 2)
        mujoco.mj_fullM(robot.model, data, mass)
        np.testing.assert_allclose(motion.mass[row], mass[np.ix_(robot.qvel, robot.qvel)])
        bias = (data.qfrc_bias - data.qfrc_passive)[robot.qvel]
        np.testing.assert_allclose(motion.bias[row], bias, atol=1e-10)


def test_gaps_change_as_their_jacobians_say(robot, states, rng):
    clearance = Clearance(robot)
    qpos = np.repeat(robot.facts.part(states, "qpos"), 3, axis=0)
    rows = np.repeat(states, 3, axis=0)
    qpos[:, robot.qpos[3:]] += rng.uniform(-0.4, 0.4, (len(qpos), 7))
    options = {"near": 0.3, "most": 12}
    gaps = clearance.gaps(qpos, rows, robot.evaluate(qpos), **options)
    compared = 0
    for joint in range(robot.size):
        moved = [qpos.copy(), qpos.copy()]
        for sign, part in zip((1.0, -1.0), moved, strict=True):
            part[:, robot.qpos[joint]] += sign * 1e-5
        after = [clearance.gaps(q, rows, robot.evaluate(q), near=0.32, most=60) for q in moved]
        for row in range(len(qpos)):
            for place, pair in enumerate(gaps.pair[row]):
                found = [part.distance[row][part.pair[row] == pair] for part in after]
                if pair < 0 or not all(len(value) for value in found):
                    continue
                slope = (found[0][0] - found[1][0]) / 2e-5
                # Nearest points of parallel faces jump, which differences do not forgive.
                if abs(slope - gaps.jacobian[row, place, joint]) < 2e-2:
                    compared += 1
                else:
                    compared -= 20
    assert compared > 300


def test_the_cheap_test_drops_no_pair_that_is_near(robot, states, spread):
    clearance = Clearance(robot)
    qpos = spread(robot.facts.part(states, "qpos"))
    near = 0.2
    gaps = clearance.gaps(qpos, states, robot.evaluate(qpos), near=near, most=200)
    place = robot.facts.state["mocap_pos"]
    turn = robot.facts.state["mocap_quat"]
    for row in range(len(qpos)):
        data = mujoco.MjData(robot.model)
        data.qpos[:] = qpos[row]
        data.mocap_pos[:] = states[row, place].reshape(-1, 3)
        data.mocap_quat[:] = states[row, turn].reshape(-1, 4)
        mujoco.mj_kinematics(robot.model, data)
        free = clearance.pairs[: clearance.num_free]
        all_pairs = [
            mujoco.mj_geomDistance(robot.model, data, int(a), int(b), near, None) for a, b in free
        ]
        expected = {index for index, gap in enumerate(all_pairs) if gap < near}
        assert {int(pair) for pair in gaps.pair[row] if pair >= 0} == expected


def test_the_bases_gap_to_a_leg_of_the_table_is_what_a_ruler_says(robot, states):
    # The table's front is at y = -1.75, and the base, 0.35 m long to its front, looks at it.
    qpos, rows = robot.facts.part(states, "qpos")[:1].copy(), states[:1]
    qpos[:, robot.qpos[:3]] = 1.76, -1.75 + 0.35 + 0.1, -0.5 * np.pi
    clearance = Clearance(robot)
    gaps = clearance.gaps(qpos, rows, robot.evaluate(qpos), near=0.15, most=40)
    table = {
        clearance.names(int(pair)): float(gap)
        for pair, gap in zip(gaps.pair[0], gaps.distance[0], strict=True)
        if pair >= 0
    }
    # The chassis is lower than the top; the leg at x = 1.76 stands 3 cm behind the top's edge.
    chassis = [gap for (first, second), gap in table.items() if first == "chassis"]
    assert min(chassis) == pytest.approx(0.13, abs=1e-6)


def test_what_is_missing_is_named():
    spec = make_env("arm-reach", 1, threads=1).spec
    with pytest.raises(ValueError, match=r"arm-reach is no mobile manipulator: .*'arm'"):
        MobileRobot(spec)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end_effector": "hook"}, "no site 'hook'; its sites are .*end_effector"),
        ({"torque_limit": None}, "does not tell 'torque_limit' in spec.physics; it tells mjcf"),
        ({"joint_speed": [0.0] * 7}, "'joint_speed' must be 7 limits above 0"),
    ],
)
def test_facts_that_do_not_fit_are_named(pick_env, change, message):
    from dataclasses import replace

    physics = {**pick_env.spec.physics, **change}
    physics = {name: value for name, value in physics.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        MobileRobot(replace(pick_env.spec, physics=physics))


def test_a_geom_to_ignore_must_exist(robot):
    with pytest.raises(ValueError, match=r"no geom 'knob'; its geoms are .*shelf_a0"):
        Clearance(robot, ignore=["knob"])
