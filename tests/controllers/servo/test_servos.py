"""Servos on an arm: what holds still, follows, finds a load, and which inputs are refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from simrl.core import ContinuousActions
from simrl_controllers.servo import (
    InverseDynamicsConfig,
    OscConfig,
    PdConfig,
    PidConfig,
    RobotTerms,
    make_inverse_dynamics,
    make_osc,
    make_pd,
    make_pid,
)

HOME = np.array([0, 0.4, 0, 1.1, 0, 0.8, 0])
POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")


def fixed(values):
    """Make a reference that stays."""
    row = torch.tensor(values, dtype=torch.float64)
    return lambda state, ahead: row.expand(len(state), len(ahead), -1)


def circle(centre, radius=0.1, rate=2.0):
    """Make a reference that circles in the y-z plane; the time is in the state."""

    def reference(state, ahead):
        phase = rate * (state[:, 14:15] + ahead)
        x = torch.full_like(phase, centre[0])
        y = centre[1] + radius * torch.sin(phase)
        z = centre[2] + radius * torch.cos(phase)
        return torch.stack([x, y, z], dim=-1)

    return reference


def test_terms_agree_with_mujoco_row_by_row(make_arm):
    import mujoco

    arm = make_arm()
    terms = RobotTerms(arm.spec)
    rng = np.random.default_rng(0)
    qpos, qvel = rng.uniform(-2, 2, (5, 7)), rng.uniform(-2, 2, (5, 7))
    forces, site = terms.forces(qpos, qvel), terms.site(qpos, "end_effector")
    gravity = terms.gravity(qpos)
    for row in range(5):
        data = mujoco.MjData(arm.model)
        data.qpos[:], data.qvel[:] = qpos[row], qvel[row]
        # Inverse dynamics give M a + bias for any acceleration a, by another algorithm.
        data.qacc[:] = a = rng.uniform(-3, 3, 7)
        mujoco.mj_inverse(arm.model, data)
        assert forces.mass[row] @ a + forces.bias[row] == pytest.approx(data.qfrc_inverse)
        assert site.position[row] == pytest.approx(data.site_xpos[0])
        # A small motion of the joints moves the hand as the Jacobian says.
        before = data.site_xpos[0].copy()
        data.qpos[:] += 1e-6 * a
        mujoco.mj_kinematics(arm.model, data)
        moved = (data.site_xpos[0] - before) / 1e-6
        assert site.jacobian[row, :3] @ a == pytest.approx(moved, abs=1e-4)
        data.qpos[:], data.qvel[:] = qpos[row], 0.0
        mujoco.mj_forward(arm.model, data)
        assert gravity[row] == pytest.approx(data.qfrc_bias)
    # Fewer rows than before use the same batch.
    assert np.array_equal(terms.gravity(qpos[1:3]), gravity[1:3])


def test_gravity_compensation_alone_holds_the_arm_still(make_arm):
    arm = make_arm(rows=2)
    arm.batch.bind("qpos")[1] = [0.5, -1.0, 0.3, 0.7, 1.0, -0.5, 0.2]
    start = arm.batch.bind("qpos").copy()
    config = PdConfig(stiffness=(0.0,), damping=(0.0,), target="home")
    arm.run(make_pd(arm.spec, config), 1.0)
    assert np.abs(arm.batch.bind("qpos") - start).max() < 1e-3
    # Without it the arm falls.
    arm.run(make_pd(arm.spec, replace(config, compensate_gravity=False)), 0.5)
    assert np.abs(arm.batch.bind("qpos") - start).max() > 0.2


def test_pd_torque_by_hand(make_arm):
    # Joint 1 stands 0.1 rad short of its target and moves at 0.5 rad/s: 20 * 0.1 - 3 * 0.5 = 0.5;
    # the gear of 2 halves the command.
    arm = make_arm()
    state = arm.state
    state[0, 1] = HOME[1] - 0.1
    state[0, 8] = 0.5
    config = PdConfig(stiffness=(20.0,), damping=(3.0,), compensate_gravity=False, target="home")
    policy = make_pd(arm.spec, config)
    action = policy.act({"state": state}, {}, torch.Generator()).action
    assert action[0].tolist() == pytest.approx([0, 0.25, 0, 0, 0, 0, 0], abs=1e-6)


def test_pd_follows_a_joint_command(make_arm):
    goal = torch.tensor([[0.5, 0.0, -0.4, 1.4, 0.3, 0.2, -0.6]]).double()
    arm = make_arm(command=goal)
    output = arm.run(make_pd(arm.spec, PdConfig()), 2.5)
    assert arm.batch.bind("qpos")[0] == pytest.approx(goal[0].numpy(), abs=0.01)
    assert float(output.extras["saturated"]) == 0.0


def test_commanded_speeds_and_torques_are_fed_forward(make_arm):
    # A command of three times seven numbers: angles, speeds, torques.
    arm = make_arm()
    parts = {**arm.spec.physics["state"], "command": slice(15, 36)}
    physics = {
        **arm.spec.physics,
        "state": parts,
        "command": tuple(f"j{i} [rad]" for i in range(7)),
    }
    spec = replace(arm.spec, physics=physics, state_size=36)
    config = PdConfig(stiffness=(0.0,), damping=(4.0,), compensate_gravity=False)
    state = torch.zeros(1, 36).double()
    state[0, 22], state[0, 30] = 0.5, 6.0
    action = make_pd(spec, config).act({"state": state}, {}, torch.Generator()).action
    # Joint 0: 4 * 0.5 = 2 N m of damping; joint 1: 6 N m directly; the gear is 2.
    assert action[0, :3].tolist() == pytest.approx([1.0, 3.0, 0.0], abs=1e-6)


def test_pid_finds_a_load_that_pd_does_not_know(make_arm):
    errors = {}
    for name, policy in (
        ("pd", lambda spec: make_pd(spec, PdConfig(target="home"))),
        ("pid", lambda spec: make_pid(spec, PidConfig(target="home", compensate_gravity=True))),
    ):
        arm = make_arm(load=2.0)
        arm.run(policy(arm.spec), 4.0)
        errors[name] = np.abs(arm.batch.bind("qpos")[0] - HOME).max()
    assert errors["pd"] > 0.02
    assert errors["pid"] < 0.002


def test_pid_does_not_wind_up_at_the_limits(make_arm):
    # The motors can hold only a fiftieth of what is asked for over a second.
    arm = make_arm()
    weak = replace(arm.spec, actions=ContinuousActions((-0.01,) * 7, (0.01,) * 7))
    policy = make_pid(weak, PidConfig(target="home"))
    memory = policy.initial_state(1)
    state = arm.state
    state[0, :7] = torch.from_numpy(HOME) - 0.5
    for _ in range(100):
        memory = policy.act({"state": state}, memory, torch.Generator()).state
    assert bool((memory["integral"] == 0).all())
    free = make_pid(arm.spec, PidConfig(target="home", stiffness=(1.0,), damping=(0.0,)))
    memory = free.initial_state(1)
    for _ in range(100):
        memory = free.act({"state": state}, memory, torch.Generator()).state
    # 100 steps of 0.01 s at an error of 0.5 rad over 0.5 s: 1 * 0.5 * 1 / 0.5.
    assert memory["integral"][0].tolist() == pytest.approx([1.0] * 7)


def test_the_derivative_filter_by_hand(make_arm):
    # A speed error of -1 rad/s held from rest: after n steps 1 - exp(-n dt / tau) of it is through.
    arm = make_arm()
    config = PidConfig(target="home", filter_seconds=0.05)
    policy = make_pid(arm.spec, config)
    memory, state = policy.initial_state(1), arm.state
    state[0, 7:14] = 1.0
    for _ in range(5):
        memory = policy.act({"state": state}, memory, torch.Generator()).state
    assert float(memory["slope"][0, 0]) == pytest.approx(-(1 - math.exp(-1.0)))


def test_inverse_dynamics_make_each_joint_the_oscillator_that_was_asked_for(make_arm):
    # Critically damped at 8 rad/s from 0.3 rad away: after t, 0.3 (1 + 8 t) exp(-8 t) is left.
    goal = torch.from_numpy(HOME + 0.3)[None]
    arm = make_arm(command=goal)
    policy = make_inverse_dynamics(arm.spec, InverseDynamicsConfig(frequency=8.0))
    arm.run(policy, 0.25)
    left = goal[0].numpy() - arm.batch.bind("qpos")[0]
    assert left == pytest.approx(np.full(7, 0.3 * 3 * math.exp(-2.0)), rel=0.1)


@pytest.mark.parametrize(
    "maker",
    [
        lambda spec: make_osc(spec, OscConfig()),
        lambda spec: make_inverse_dynamics(spec, InverseDynamicsConfig()),
        lambda spec: make_pd(spec, PdConfig()),
    ],
    ids=["osc", "inverse-dynamics", "pd"],
)
def test_the_hand_reaches_a_pose(make_arm, maker):
    # A pose that the arm can take: the forward kinematics of another configuration.
    other = make_arm()
    other.batch.bind("qpos")[0] = HOME + np.array([0.6, -0.3, 0.4, 0.3, -0.5, 0.2, 0.3])
    position, rotation = other.site()
    from simrl_controllers.servo.pose import quat_of_matrix, rotation_error

    quaternion = quat_of_matrix(rotation)
    target = fixed([*position[0], *quaternion[0]])
    arm = make_arm(target, POSE, rows=2)
    arm.batch.bind("qpos")[1] += 0.2
    arm.run(maker(arm.spec), 3.0)
    reached, turned = arm.site()
    assert np.linalg.norm(reached - position, axis=1).max() < 0.005
    assert np.linalg.norm(rotation_error(quaternion, turned), axis=1).max() < 0.02


@pytest.mark.parametrize("name", ["osc", "inverse-dynamics"])
def test_the_hand_follows_a_circle(make_arm, name):
    centre = make_arm().site()[0][0]
    arm = make_arm(circle(centre), ("x", "y", "z"))
    policy = {
        "osc": lambda: make_osc(arm.spec, OscConfig()),
        "inverse-dynamics": lambda: make_inverse_dynamics(arm.spec, InverseDynamicsConfig()),
    }[name]()
    errors = []

    def watch(arm):
        wanted = circle(centre)(arm.state, torch.zeros(1).double())[0, 0].numpy()
        errors.append(np.linalg.norm(arm.site()[0][0] - wanted))

    arm.run(policy, 4.0, watch)
    assert max(errors[150:]) < 0.005


def test_osc_keeps_the_hand_while_the_posture_moves(make_arm):
    # The hand starts at its target, the arm turned away from home in its nullspace.
    arm = make_arm()
    arm.batch.bind("qpos")[0] = HOME + np.array([0.3, 0.2, -0.5, 0.1, 0.4, 0.1, 0.2])
    position, rotation = arm.site()
    from simrl_controllers.servo.pose import quat_of_matrix

    target = fixed([*position[0], *quat_of_matrix(rotation)[0]])
    moving = make_arm(target, POSE)
    start = moving.batch.bind("qpos")[0] = arm.batch.bind("qpos")[0]
    drift = []
    moving.run(
        make_osc(moving.spec, OscConfig()),
        2.0,
        lambda arm: drift.append(np.linalg.norm(arm.site()[0][0] - position[0])),
    )
    after = moving.batch.bind("qpos")[0]
    assert max(drift) < 0.01
    assert np.linalg.norm(after - HOME) < 0.9 * np.linalg.norm(start - HOME)


def test_actions_stay_within_the_motors_limits(make_arm):
    arm = make_arm(fixed([5.0, 5.0, 5.0]), ("x", "y", "z"))
    output = arm.run(make_osc(arm.spec, OscConfig(frequency=200.0, max_speed=100.0)), 0.1)
    assert float(output.action.abs().max()) <= 60.0
    assert float(output.extras["saturated"]) > 0.0


def test_a_row_does_not_depend_on_the_others(make_arm):
    arm = make_arm(fixed([0.3, 0.1, 0.7]), ("x", "y", "z"), rows=3)
    arm.batch.bind("qpos")[1] += 0.1
    arm.batch.bind("qpos")[2] -= 0.2
    for policy in (
        make_osc(arm.spec, OscConfig()),
        make_pd(arm.spec, PdConfig()),
        make_inverse_dynamics(arm.spec, InverseDynamicsConfig()),
    ):
        memory = policy.initial_state(3)
        whole = policy.act({"state": arm.state}, memory, torch.Generator()).action
        part = {key: value[2:] for key, value in memory.items()}
        alone = policy.act({"state": arm.state[2:]}, part, torch.Generator()).action
        assert torch.allclose(alone, whole[2:], atol=1e-5)


def test_bad_tasks_states_and_options_are_named(make_arm):
    arm = make_arm()
    spec = arm.spec
    with pytest.raises(ValueError, match="test-arm: there is no pose to follow"):
        make_osc(spec, OscConfig())
    posed = replace(spec, reference=fixed([0, 0, 1]), physics={**spec.physics, "reference": "xyz"})
    with pytest.raises(ValueError, match="no site 'hand'; its sites are end_effector"):
        make_osc(posed, OscConfig(site="hand"))
    with pytest.raises(ValueError, match="servo control needs a robot"):
        make_pd(replace(spec, physics={}), PdConfig())
    with pytest.raises(ValueError, match="the state has no part 'qpos'"):
        make_pd(replace(spec, physics={**spec.physics, "state": {}}), PdConfig())
    with pytest.raises(ValueError, match="unknown target 'foot'"):
        PdConfig(target="foot")
    with pytest.raises(ValueError, match="frequency must be above 0"):
        PdConfig(frequency=0.0)
    with pytest.raises(ValueError, match="stiffness needs numbers"):
        make_pd(spec, PdConfig(stiffness=(1.0, 2.0)))
    position = spec.physics["mjcf"].replace("<motor", "<position").replace('gear="2"', 'kp="9"')
    with pytest.raises(ValueError, match="motor 'm0' is a servo of its own"):
        make_pd(replace(spec, physics={**spec.physics, "mjcf": position}), PdConfig())
    state = arm.state
    state[0, 9] = math.nan
    with pytest.raises(ValueError, match=r"test-arm: row 0: qvel\[2\] of the state is nan"):
        make_pd(spec, PdConfig()).act({"state": state}, {}, torch.Generator())
