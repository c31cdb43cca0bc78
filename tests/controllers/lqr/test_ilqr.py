"""Iterative LQR against exact answers, and as a policy."""

import math

import numpy as np
import pytest
import torch

from simrl.core.checks import check_policy
from simrl.core.plugins import make_env
from simrl_controllers.lqr import (
    IlqrConfig,
    LqrConfig,
    make_ilqr,
    make_lqr,
    solve_finite,
)
from simrl_controllers.lqr.backward import backward_rows
from simrl_controllers.qp import solve_qp
from simrl_controllers.terminal_value import RiccatiValue


def _toy(num_envs=4, **options):
    return make_env("double-integrator", num_envs, **options)


def test_backward_pass_keeps_the_box():
    """One step of two inputs equals the QP solver; held inputs get no feedback."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        root = rng.normal(size=(2, 2))
        curvature, slope = root @ root.T + 0.1 * np.eye(2), rng.normal(size=2)
        low, high = -rng.uniform(0, 1, 2), rng.uniform(0, 1, 2)
        change, gain = np.zeros((1, 1, 2)), np.zeros((1, 1, 2, 2))
        backward_rows(
            np.eye(2)[None, None], np.eye(2)[None, None], np.zeros((1, 1, 2)), np.eye(2),
            np.zeros((1, 1, 2)), slope[None, None], curvature,
            np.zeros((1, 2)), np.zeros((1, 2, 2)),
            low[None, None], high[None, None], np.zeros(1), change, gain,
        )  # fmt: skip
        wanted = solve_qp(curvature, slope, lb=low, ub=high).x
        np.testing.assert_allclose(change[0, 0], wanted, atol=1e-7)
        held = (wanted < low + 1e-9) | (wanted > high - 1e-9)
        assert not gain[0, 0][held].any()


def test_linear_problem_is_solved_in_one_iteration():
    """On a linear system with no active limit iLQR is the finite Riccati solution."""
    env = _toy(max_force=100.0)
    env.reset(0)
    rows = env.snapshot()
    policy = make_ilqr(env.spec, IlqrConfig(horizon=15, first_iterations=2))
    plan = policy._solvers[2].solve(
        rows, torch.zeros(4, 15, 1).double(), torch.zeros(4, 16, 2).double()
    )
    plant = policy.plant
    p = policy._solvers[2]._cost.final.numpy()
    wanted = solve_finite(plant.model.a, plant.model.b, plant.q, plant.r, p, 15)
    x = plant.error(rows).numpy()
    for k in range(15):
        u = -x @ wanted.gains[k].T
        np.testing.assert_allclose(plan.controls[:, k], u, atol=2e-5)
        x = x @ plant.model.a.T + u @ plant.model.b.T
    np.testing.assert_allclose(-plan.gains[0].numpy(), wanted.gains, atol=1e-5)


def test_active_limits_equal_the_quadratic_program():
    """With forces at their limit the plan is that of a QP over all inputs."""
    env, horizon = _toy(max_force=0.6), 12
    env.reset(3)
    rows = env.snapshot()
    policy = make_ilqr(env.spec, IlqrConfig(horizon=horizon, first_iterations=30))
    solver = policy._solvers[30]
    plan = solver.solve(
        rows, torch.zeros(4, horizon, 1).double(), torch.zeros(4, horizon + 1, 2).double()
    )
    a, b, q, r = policy.plant.model.a, policy.plant.model.b, policy.plant.q, policy.plant.r
    p = solver._cost.final.numpy()
    largest = []
    for row, x0 in enumerate(policy.plant.error(rows).numpy()):
        free = [np.linalg.matrix_power(a, k) @ x0 for k in range(horizon + 1)]
        push = np.zeros((horizon + 1, 2, horizon))
        for k in range(horizon + 1):
            for j in range(k):
                push[k, :, j] = (np.linalg.matrix_power(a, k - 1 - j) @ b)[:, 0]
        weights, limit = [q] * horizon + [p], np.full(horizon, 0.6)
        hessian = sum(g.T @ w @ g for g, w in zip(push, weights, strict=True)) + r * np.eye(horizon)
        slope = sum(g.T @ w @ f for g, w, f in zip(push, weights, free, strict=True))
        wanted = solve_qp(hessian, slope, lb=-limit, ub=limit)
        largest.append(np.abs(wanted.x).max())
        np.testing.assert_allclose(plan.controls[row, :, 0], wanted.x, atol=1e-4)
    assert max(largest) == pytest.approx(0.6)


class Pendulum:
    """A pole on a motor, upright at 0; rows are (angle, rate), steps are 0.05 s."""

    def step(self, state, action):
        rate = state[:, 1] + 0.05 * (9.81 * torch.sin(state[:, 0]) + action[:, 0, 0].double())
        after = torch.stack([state[:, 0] + 0.05 * rate, rate], dim=1)
        return after, torch.zeros(len(state), 1), torch.ones(len(state))


def _pendulum_spec(limit):
    from simrl.core import Column, ContinuousActions, EnvSpec, Layout, vector

    return EnvSpec(
        id="pendulum",
        num_agents=1,
        observations={"policy": Layout((vector("x", Column("x")),))},
        actions=ContinuousActions((-limit,), (limit,)),
        state_size=2,
        state_dtype=torch.float64,
        step_seconds=0.05,
        physics={"state": {"qpos": slice(0, 1), "qvel": slice(1, 2)}},
        dynamics=Pendulum,
    )


def test_pendulum_swings_up_with_little_torque():
    """5 N m cannot hold the pole sideways (9.81 N m), so it has to swing; the start hangs still."""
    policy = make_ilqr(
        _pendulum_spec(5.0), IlqrConfig(horizon=60, state_weights={"qpos": (1.0,), "qvel": (0.1,)})
    )
    state = torch.tensor([[math.pi, 0.0], [math.pi - 0.5, 0.3]], dtype=torch.float64)
    memory, rng = policy.initial_state(2), torch.Generator()
    for _ in range(150):
        output = policy.act({"state": state}, memory, rng)
        assert float(output.action.abs().max()) <= 5.0
        state, memory = Pendulum().step(state, output.action[:, None])[0], output.state
    assert float(state.abs().max()) < 0.05
    assert not output.extras["fallback"].any()


def test_state_limits_are_paid_for():
    """A mass that would go faster than 0.3 m/s stays near a limit of 0.1 m/s."""
    env = _toy(1)
    env.reset(0)
    row = env.snapshot()
    row[0, 16:] = torch.tensor([1.0, 0.0]).double().view(torch.uint8)

    def fastest(**limits):
        policy = make_ilqr(env.spec, IlqrConfig(horizon=30, limit_weight=1e4, **limits))
        plan = policy._solvers[50].solve(
            row, torch.zeros(1, 30, 1).double(), torch.zeros(1, 31, 2).double()
        )
        return float(plan.configurations[0, :, 1].min())

    assert fastest() < -0.3
    limited = fastest(state_low={"qvel": (-0.1,)})
    assert -0.105 < limited < -0.0999


def test_policy_equals_lqr_on_the_toy():
    env = _toy(max_force=100.0)
    obs = {"state": env.reset(1)["state"]}
    rng = torch.Generator()
    lqr = make_lqr(env.spec, LqrConfig()).act(obs, {}, rng).action
    policy = make_ilqr(env.spec, IlqrConfig(horizon=10))
    torch.testing.assert_close(
        policy.act(obs, policy.initial_state(4), rng).action, lqr, atol=1e-4, rtol=0
    )
    # A terminal value that is the same cost-to-go changes nothing.
    plant = policy.plant
    value = RiccatiValue(plant.coordinates, policy._solvers[1]._cost.final, plant.origin)
    valued = make_ilqr(env.spec, IlqrConfig(horizon=10), terminal_value=value)
    torch.testing.assert_close(
        valued.act(obs, valued.initial_state(4), rng).action, lqr, atol=1e-4, rtol=0
    )


def test_policy_keeps_its_contract():
    check_policy(
        make_ilqr(_toy().spec, IlqrConfig(horizon=8, first_iterations=3)), _toy(), num_steps=4
    )


def test_bad_input_is_named():
    for change in (
        {"horizon": 0},
        {"iterations": 0},
        {"terminal_weight": -1.0},
        {"limit_weight": -1.0},
    ):
        with pytest.raises(ValueError, match=next(iter(change))):
            IlqrConfig(**change)
    policy = make_ilqr(_pendulum_spec(5.0), IlqrConfig(horizon=5))
    bad = torch.tensor([[math.nan, 0.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match="ilqr: row 0 of the state is nan"):
        policy.act({"state": bad}, policy.initial_state(1), torch.Generator())
