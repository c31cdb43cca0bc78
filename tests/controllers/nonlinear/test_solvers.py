"""The real-time iteration, run to its end, agrees with ipopt, fatrop and LQR."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_are

from simrl.core.plugins import make_env
from simrl_controllers.coordinates import Coordinates
from simrl_controllers.nonlinear import NmpcConfig, NmpcPolicy
from simrl_controllers.terminal_value import CriticValue, RiccatiValue

EXACT = {"iterations": 100, "first_iterations": 300, "tolerance": 1e-9}
FALLING = [0.0, 0.0, 0.5, 0.96, 0.2, -0.1, 0.17, 0.5, -0.5, -1.0, 1.0, -0.5, 0.3]


@pytest.fixture
def plan(act):
    """Plan once from a state; return states, inputs and the output."""

    def build(spec, row, solver="rti", **options):
        policy = NmpcPolicy(spec, NmpcConfig(solver=solver, **{**EXACT, **options}))
        output = act(policy, [row])
        assert output.extras["status"][0] == 0
        return output.state["plan_x"][0].numpy(), output.state["plan_u"][0].numpy(), output

    return build


@pytest.mark.parametrize("solver", ["ipopt", "fatrop"])
@pytest.mark.parametrize(
    ("system", "row", "options"),
    [
        ("cartpole", [0.3, 2.0, 0.0, 0.0], {"horizon": 25, "dt": 0.06}),
        ("cartpole", [1.85, 0.2, 1.0, 0.0], {"horizon": 15}),  # it runs against the track's end
        ("quadrotor", FALLING, {"horizon": 8}),
    ],
)
def test_converged_iteration_is_the_solution(system, row, options, solver, plan, request):
    spec = request.getfixturevalue(system)
    x, u, output = plan(spec, row, **options)
    wanted_x, wanted_u, other = plan(spec, row, solver, **options)
    assert float(output.extras["cost"][0]) == pytest.approx(float(other.extras["cost"][0]), 1e-6)
    np.testing.assert_allclose(x, wanted_x, atol=1e-4)
    np.testing.assert_allclose(u, wanted_u, atol=1e-4 * 10.0)
    assert float(output.extras["kkt_residual"][0]) < 1e-4
    assert float(other.extras["kkt_residual"][0]) < 1e-4


def test_converged_iteration_passes_obstacles_as_ipopt_does(plan):
    env = make_env("car-lane", 1)
    env.reset(5)
    row = env.snapshot()[0].numpy()
    x, u, _ = plan(env.spec, row, horizon=30)
    wanted_x, wanted_u, _ = plan(env.spec, row, "ipopt", horizon=30)
    np.testing.assert_allclose(x, wanted_x, atol=1e-3)
    np.testing.assert_allclose(u, wanted_u, atol=1e-2)


def test_without_active_limits_it_is_lqr(double_integrator, plan):
    # x'Qx + u'Ru with the default weights; both costs carry the same factor 1/2.
    h = 0.1
    a, b = np.array([[1.0, h], [0.0, 1.0]]), np.array([[h * h / 2.0], [h]])
    q, r = np.diag([1.0, 0.1]), np.array([[0.1]])
    p = solve_discrete_are(a, b, q, r)
    gain = np.linalg.solve(r + b.T @ p @ b, b.T @ p @ a)
    state = np.array([1.0, -2.0])
    options = {"terminal": "riccati", "levenberg": 0.0, "dt": h}
    for horizon in (1, 7):
        x, u, output = plan(double_integrator, state, horizon=horizon, **options)
        for k in range(horizon):
            np.testing.assert_allclose(u[k], -gain @ x[k], rtol=0, atol=1e-8)
        cost = 0.5 * state @ p @ state
        assert float(output.extras["cost"][0]) == pytest.approx(cost, rel=1e-8)


@pytest.mark.parametrize("solver", ["rti", "ipopt"])
@pytest.mark.parametrize("kind", ["riccati", "critic"])
def test_terminal_value_stands_for_what_lies_beyond(kind, solver, double_integrator, act):
    # With minus 1/2 x P x as terminal value and no other last cost, one stage is LQR.
    h = 0.1
    a, b = np.array([[1.0, h], [0.0, 1.0]]), np.array([[h * h / 2.0], [h]])
    p = solve_discrete_are(a, b, np.diag([1.0, 0.1]), np.array([[0.1]]))
    gain = np.linalg.solve(0.1 + b.T @ p @ b, b.T @ p @ a)
    half = torch.from_numpy(0.5 * p)
    if kind == "riccati":
        value = RiccatiValue(Coordinates(double_integrator), half, torch.zeros(2))
    else:
        value = CriticValue(lambda rows: -((rows @ half) * rows).sum(-1))
    config = NmpcConfig(
        solver=solver, horizon=2, dt=h, terminal_scale=0.0, first_iterations=5, levenberg=0.0
    )
    policy = NmpcPolicy(double_integrator, config, terminal_value=value)
    state = np.array([1.0, -2.0])
    force = act(policy, [state]).action[0].numpy()
    np.testing.assert_allclose(force, -gain @ state, atol=1e-5)


def test_terminal_value_of_a_quadrotor_turns_with_its_quaternion(quadrotor, act):
    # A value that wants the nose at yaw 1 rad makes the plan end nearer to it than none does.
    def critic(rows):
        w, z = rows[:, 3], rows[:, 6]
        return -200.0 * (1.0 - (w * math.cos(0.5) + z * math.sin(0.5)) ** 2)

    row = [1.0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    ends = {}
    for name, value in (("none", None), ("critic", CriticValue(critic))):
        policy = NmpcPolicy(quadrotor, NmpcConfig(horizon=10), terminal_value=value)
        output = act(policy, [row])
        output = act(policy, [row], output.state)
        assert output.extras["fallback"][0] == 0
        ends[name] = 2.0 * float(torch.asin(output.state["plan_x"][0, -1, 6]))
    assert 0.0 < ends["none"] < ends["critic"] - 0.1


def test_a_limit_that_binds_is_kept_and_used(quadrotor, plan):
    _, u, _ = plan(quadrotor, FALLING, horizon=8)
    assert u.min() >= 0.0 and u.max() <= 4.5
    assert (u > 4.4999).any()
