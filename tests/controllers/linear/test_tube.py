"""Invariant sets, and limits that hold under every disturbance."""

import math

import numpy as np
import pytest
import torch

from simrl.core.checks import check_policy
from simrl.core.plugins import make_env
from simrl_controllers.linear import (
    DisturbanceTube,
    LinearMpcConfig,
    TubeMpcConfig,
    admissible_set,
    make_linear_mpc,
    make_tube_mpc,
)

LIMITS = {"state_low": {"qvel": (-0.6,)}, "state_high": {"qpos": (0.2,), "qvel": (0.6,)}}
WIDTH = np.array([0.004, 0.03])


def _toy(num_envs=4):
    return make_env("double-integrator", num_envs)


def test_tube_of_a_scalar_by_hand():
    # x' = x / 2 + w, |w| <= 1: the sum of 1, 1/2, 1/4, ... is 2. After 3 steps 1.75.
    tube = DisturbanceTube(np.array([[0.5]]), np.ones(1))
    np.testing.assert_allclose(tube.support(np.array([[1.0], [-3.0]])), [2.0, 6.0], rtol=1e-8)
    np.testing.assert_allclose(tube.reach(np.array([[1.0]]), 3), [1.75])


def test_tube_is_invariant_and_smallest():
    """The worst disturbances come as close to the support as one likes, and never beyond."""
    a = np.array([[0.9, 0.1], [-0.2, 0.7]])
    tube, direction = DisturbanceTube(a, WIDTH), np.array([0.6, -0.8])
    x = np.zeros(2)
    for k in range(300, -1, -1):
        x = a @ x + WIDTH * np.sign(np.linalg.matrix_power(a.T, k) @ direction)
    worst = float(tube.support(direction[None])[0])
    assert direction @ x <= worst
    assert direction @ x == pytest.approx(worst, rel=1e-6)


def test_admissible_set_is_what_simulation_says():
    """A state is inside exactly if the free motion from it keeps the limits."""
    a = np.array([[0.95, 0.3], [-0.25, 0.85]])
    rows, high = np.vstack([np.eye(2), -np.eye(2)]), np.array([1.0, 0.5, 0.8, 0.7])
    found, limits = admissible_set(a, rows, high)
    rng = np.random.default_rng(0)
    counts = [0, 0]
    for _ in range(500):
        x = start = rng.uniform(-1.2, 1.2, 2)
        kept = True
        for _ in range(200):
            kept = kept and bool((rows @ x <= high + 1e-9).all())
            x = a @ x
        assert kept == bool((found @ start <= limits + 1e-9).all())
        counts[kept] += 1
    assert min(counts) > 50


def _play(policy, start, steps, disturb):
    """Play the double integrator with w = disturb(x, k) `[rows, 2]` added to each step."""
    x = torch.tensor(start, dtype=torch.float64)
    state, memory = torch.zeros(len(x), 32, dtype=torch.uint8), policy.initial_state(len(x))
    history, extras = [x], []
    for k in range(steps):
        state[:, 16:] = x.contiguous().view(torch.uint8)
        output = policy.act({"state": state}, memory, torch.Generator())
        memory, u = output.state, output.action[:, 0].double()
        x = torch.stack([x[:, 0] + 0.1 * x[:, 1] + 0.005 * u, x[:, 1] + 0.1 * u], dim=1)
        x = x + torch.from_numpy(disturb(x.numpy(), k))
        history.append(x)
        extras.append(output.extras)
    return torch.stack(history).numpy(), extras


def _adversaries():
    rng = np.random.default_rng(0)
    vertices = [np.array([a, b]) * WIDTH for a in (-1, 1) for b in (-1, 1)]
    for vertex in vertices:
        yield lambda x, k, vertex=vertex: np.tile(vertex, (len(x), 1))
    yield lambda x, k: rng.uniform(-1, 1, x.shape) * WIDTH
    yield lambda x, k: rng.choice([-1, 1], x.shape) * WIDTH
    for period in (3, 8, 15):  # push and pull in the motion's own rhythm
        yield lambda x, k, period=period: np.tile(
            WIDTH * np.sign(math.sin(2 * math.pi * k / period) or 1.0), (len(x), 1)
        )
    yield lambda x, k: np.where(x[:, 1:] > 0, 1.0, -1.0) * WIDTH  # with the speed


STARTS = [[-1.0, 0.0], [-0.6, 0.5], [0.03, -0.3], [0.05, 0.0]]


def test_limits_hold_under_every_disturbance():
    config = TubeMpcConfig(disturbance={"qpos": (0.004,), "qvel": (0.03,)}, **LIMITS)
    policy = make_tube_mpc(_toy().spec, config)
    closest = -np.inf
    for disturb in _adversaries():
        history, extras = _play(policy, STARTS, 60, disturb)
        assert history[:, :, 0].max() <= 0.2 + 1e-6
        assert np.abs(history[:, :, 1]).max() <= 0.6 + 1e-6
        assert not any(bool(extra["fallback"].any()) for extra in extras)
        assert max(float(extra["tube_error"].max()) for extra in extras) <= 1.0 + 1e-6
        closest = max(closest, history[:, :, 0].max())
    assert closest > 0.1  # the starts and disturbances are not all harmless


def test_plain_mpc_breaks_the_same_limits():
    config = LinearMpcConfig(**LIMITS)
    policy = make_linear_mpc(_toy().spec, config)
    over = [
        np.abs(_play(policy, STARTS, 60, disturb)[0][:, :, 1]).max() for disturb in _adversaries()
    ]
    assert max(over) > 0.61


def test_without_disturbance_it_settles_at_the_target():
    policy = make_tube_mpc(_toy().spec, TubeMpcConfig(**LIMITS))
    history, _ = _play(policy, [[-1.0, 0.0]], 120, lambda x, k: np.zeros_like(x))
    assert np.abs(history[-1]).max() < 1e-3


def test_policy_keeps_its_contract():
    check_policy(make_tube_mpc(_toy().spec, TubeMpcConfig(horizon=8)), _toy(), num_steps=6)


def test_a_start_without_any_plan_falls_back_to_the_regulator():
    policy = make_tube_mpc(_toy().spec, TubeMpcConfig(**LIMITS))
    history, extras = _play(policy, [[0.5, 2.0]], 40, lambda x, k: np.zeros_like(x))
    assert extras[0]["fallback"].tolist() == [1] and extras[-1]["fallback"].tolist() == [0]
    assert np.abs(history[-1]).max() < 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"disturbance": {"qvel": (5.0,)}, **LIMITS}, "less the tube of disturbances"),
        ({"disturbance": {"speed": (1.0,)}}, "unknown state part 'speed'"),
        ({"disturbance": {"qvel": (-1.0,)}}, "disturbance of qvel must be at least 0"),
        ({"horizon": 0}, "horizon"),
        ({"state_high": {"qpos": (-0.1,)}}, "leaves no room about the operating point"),
    ],
)
def test_bad_configs_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        make_tube_mpc(_toy().spec, TubeMpcConfig(**change))


def test_unstable_loops_have_no_tube():
    with pytest.raises(ValueError, match="the closed loop is not stable"):
        DisturbanceTube(np.eye(1), np.ones(1))
    with pytest.raises(ValueError, match="disturbance must be 1 finite numbers"):
        DisturbanceTube(np.array([[0.5]]), np.array([np.inf]))
