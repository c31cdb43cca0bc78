"""Actuator networks: numbers by hand, equality with the servo they replace, states, errors."""

import numpy as np
import pytest
import torch

from simrl.core.plugins import make_dynamics, make_env
from simrl_envs.robot.actuator import ActuatorNet

LAGS = np.array([0.0, 0.01])
STEPS = {"physics_step": 0.005, "control_step": 0.02}


def servo(kp=40.0, kd=1.0, lags=LAGS):
    """Return the network of one linear layer that is a spring and a damper."""
    weight = np.zeros((2 * len(lags), 1))
    weight[0], weight[len(lags)] = kp, -kd
    return ActuatorNet(lags, np.ones(3), [(weight, np.zeros(1))])


def save(net, path):
    arrays = {"lags": net.lags, "scales": net.scales, "relative": np.array(net.relative)}
    for index, (weight, bias) in enumerate(net.layers):
        arrays |= {f"weight_{index}": weight, f"bias_{index}": bias}
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture
def file(tmp_path):
    return save(servo(), tmp_path / "servo.npz")


def actions(env, count, seed=0, size=0.3):
    generator = torch.Generator().manual_seed(seed)
    low, high = torch.tensor(env.spec.actions.low), torch.tensor(env.spec.actions.high)
    shape = (count, env.num_envs, 1, len(low))
    unit = torch.rand(shape, generator=generator) * 2 - 1
    return (low + high) / 2 + size * (high - low) / 2 * unit


def test_torque_by_hand():
    net = ActuatorNet(
        np.array([0.0, 0.02]),
        np.array([0.5, 2.0, 10.0]),
        [
            (np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 0.0]]), np.array([0.0, 1.0])),
            (np.array([[1.0], [-1.0]]), np.array([0.5])),
        ],
    )
    # errors 1 and 0.5 are 2 and 1 in units of 0.5; velocities 4 and 6 are 2 and 3 in units of 2.
    # hidden: 2 + 2 = 4 and 2 * 1 + 1 = 3; softsign 4/5 and 3/4; out 0.8 - 0.75 + 0.5 = 0.55.
    assert net.torque(np.array([[1.0, 0.5]]), np.array([[4.0, 6.0]])) == pytest.approx([5.5])


def test_a_network_that_is_a_servo_moves_the_robot_as_the_servo_does(file):
    fine = {**STEPS, "physics_step": 0.001}
    with_net = make_env("quadruped-stand", 3, actuator=file, **fine)
    plain = make_env("quadruped-stand", 3, **fine)
    assert with_net.spec.actions == plain.spec.actions
    where = plain.spec.physics["state"]["qpos"]
    for env in (with_net, plain):
        env.reset(4)
    moved = 0.0
    start = plain.snapshot()[:, where].clone()
    for action in actions(plain, 25):
        rewards = [env.step(action).reward.clone() for env in (with_net, plain)]
        ours, theirs = (env.snapshot()[:, where] for env in (with_net, plain))
        # The servo's damper is integrated implicitly, the network's torque is not.
        assert (ours - theirs).abs().mean() < 0.004  # 30 N m/rad instead of 40: 0.037
        assert torch.allclose(*rewards, atol=0.001)
        moved = max(moved, float((theirs - start).abs().max()))
    assert moved > 0.2


def test_a_late_network_answers_late(tmp_path):
    late = ActuatorNet(
        np.array([0.0, 0.02]), np.ones(3), [(np.array([[0.0], [40.0], [-1.0], [0.0]]), np.zeros(1))]
    )
    env = make_env("quadruped-stand", 1, actuator=save(late, tmp_path / "late.npz"), **STEPS)
    env.reset(0)
    force = env.simulation.batch.bind("actuator_force")
    nominal = torch.tensor(env.spec.actions.low) / 2 + torch.tensor(env.spec.actions.high) / 2
    for _ in range(40):
        env.step(nominal[None, None])
    settled = force.copy()
    jump = nominal[None, None] + 0.2
    env.step(jump)  # four physics steps: the error of 0.02 s before is that before the jump
    assert np.abs(force - settled).max() < 1.0
    env.step(jump)
    assert (force - settled).mean() > 4.0  # 40 N m/rad times 0.2 rad, less what has moved by now


def test_states_hold_the_history(file):
    first = make_env("quadruped-velocity", 4, actuator=file, threads=1, **STEPS)
    second = make_env("quadruped-velocity", 4, actuator=file, threads=2, **STEPS)
    first.reset(1)
    steps = actions(first, 12)
    for action in steps[:6]:
        first.step(action)
    state = first.snapshot()
    assert state.shape[1] == make_env("quadruped-velocity", 1, **STEPS).spec.state_size + 2 * 2 * 12
    second.restore(state)
    for action in steps[6:]:
        first.step(action)
        second.step(action)
        assert torch.equal(first.snapshot(), second.snapshot())
    zeroed = state.clone()
    zeroed[:, first.spec.physics["state"]["motors"]] += 0.1
    second.restore(zeroed)
    first.restore(state)
    late = servo()
    assert late.lags.max() > 0  # the servo does not look back, so its past changes nothing
    assert torch.equal(first.step(steps[0]).reward, second.step(steps[0]).reward)


def test_delays_and_planners_go_along(file):
    env = make_env("quadruped-stand", 2, actuator=file, latency=(0.01, 0.01), **STEPS)
    env.reset(0)
    for action in actions(env, 5):
        assert torch.isfinite(env.step(action).reward).all()
    dynamics = make_dynamics("quadruped-stand", actuator=file, latency=(0.01, 0.01), **STEPS)
    state, action = env.snapshot(), actions(env, 1)[0]
    after, reward, _ = dynamics.step(state, action)
    assert after.shape == state.shape
    assert torch.isfinite(reward).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"control": "torque"}, "needs control=position"),
        ({"physics_step": 0.004}, "no whole numbers of physics steps of 0.004 s"),
        ({"motor_gain": (0.9, 1.1)}, "motor_gain has no meaning"),
        ({"actuator": "nowhere.npz"}, "nowhere.npz is no actuator network"),
    ],
)
def test_what_does_not_fit_is_told(options, message, file):
    with pytest.raises(ValueError, match=message):
        make_env("quadruped-stand", 1, **{"actuator": file, **STEPS, **options})


def test_networks_whose_parts_do_not_fit_are_refused():
    layer = (np.zeros((4, 1)), np.zeros(1))
    with pytest.raises(ValueError, match="expected a layer of 2 inputs"):
        ActuatorNet(np.zeros(1), np.ones(3), [layer])
    with pytest.raises(ValueError, match="one output"):
        ActuatorNet(LAGS, np.ones(3), [(np.zeros((4, 2)), np.zeros(2))])
    with pytest.raises(ValueError, match="scales"):
        ActuatorNet(LAGS, np.zeros(3), [layer])
