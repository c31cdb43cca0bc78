"""Riccati solutions, linearisation, and the regulator as a policy."""

import math

import numpy as np
import pytest
import torch

from simrl.core.checks import check_policy
from simrl.core.plugins import env_plugin, make_config, make_env, make_scripted
from simrl_controllers.coordinates import Coordinates
from simrl_controllers.lqr import (
    LqrConfig,
    linearise,
    linearise_casadi,
    make_lqr,
    solve_finite,
    solve_lqr,
    solve_time_varying,
)

A = np.array([[1.0, 0.1], [0.0, 1.0]])
B = np.array([[0.005], [0.1]])
Q, R = np.diag([1.0, 0.1]), np.array([[0.1]])


def test_scalar_riccati_by_hand():
    # x' = x + u, cost x^2 + u^2: P = 1 + P - P^2 / (1 + P), so P^2 = P + 1: the golden ratio, and
    # K = P / (1 + P) = 1 / P.
    one = np.ones((1, 1))
    solution = solve_lqr(one, one, one, one)
    golden = (1 + math.sqrt(5)) / 2
    np.testing.assert_allclose(solution.cost_to_go, golden, rtol=1e-12)
    np.testing.assert_allclose(solution.gain, 1 / golden, rtol=1e-12)


def test_long_horizon_tends_to_the_stationary_gain():
    stationary = solve_lqr(A, B, Q, R)
    finite = solve_finite(A, B, Q, R, np.zeros((2, 2)), 400)
    np.testing.assert_allclose(finite.gains[0], stationary.gain, rtol=1e-9)
    np.testing.assert_allclose(finite.cost_to_go[0], stationary.cost_to_go, rtol=1e-9)
    # From P itself the recursion stays at P.
    np.testing.assert_allclose(
        solve_finite(A, B, Q, R, stationary.cost_to_go, 1).cost_to_go[0], stationary.cost_to_go
    )


def _random_problem(rng, steps=6, n=3, nu=2):
    return {
        "a": rng.normal(size=(steps, n, n)),
        "b": rng.normal(size=(steps, n, nu)),
        "q": np.stack([np.diag(rng.uniform(0, 2, n)) for _ in range(steps)]),
        "r": np.stack([np.diag(rng.uniform(0.5, 2, nu)) for _ in range(steps)]),
        "final": np.diag(rng.uniform(0, 2, n)),
        "offset": rng.normal(size=(steps, n)),
        "state_slope": rng.normal(size=(steps, n)),
        "final_slope": rng.normal(size=n),
    }


def _total(problem, x, controls):
    cost = 0.0
    for k, u in enumerate(controls):
        cost += x @ problem["q"][k] @ x + 2 * problem["state_slope"][k] @ x
        cost += u @ problem["r"][k] @ u
        x = problem["a"][k] @ x + problem["b"][k] @ u + problem["offset"][k]
    return cost + x @ problem["final"] @ x + 2 * problem["final_slope"] @ x


def test_time_varying_solution_is_the_minimum_of_the_whole_problem():
    """The oracle knows no recursion: the total cost is a quadratic of all inputs at once."""
    problem, x0 = _random_problem(np.random.default_rng(0)), np.array([1.0, -2.0, 0.5])
    solution = solve_time_varying(**problem)
    x, controls = x0, []
    for k in range(6):
        controls.append(-solution.gains[k] @ x - solution.offsets[k])
        x = problem["a"][k] @ x + problem["b"][k] @ controls[-1] + problem["offset"][k]

    def total(flat):
        return _total(problem, x0, flat.reshape(6, 2))

    zero, eye = total(np.zeros(12)), np.eye(12)
    gradient = np.array([(total(e) - total(-e)) / 2 for e in eye])
    hessian = np.array([[total(i + j) - total(i) - total(j) + zero for j in eye] for i in eye])
    best = np.linalg.solve(hessian, -gradient)
    np.testing.assert_allclose(np.ravel(controls), best, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": np.eye(3)}, r"Q must have shape \(2, 2\)"),
        ({"q": np.diag([1.0, -1.0])}, "Q must be positive semidefinite"),
        ({"r": np.zeros((1, 1))}, "R must be positive definite"),
        ({"a": np.array([[np.nan, 0], [0, 1]])}, "A has entries that are not finite"),
        ({"b": np.zeros((2, 1))}, "no gain stabilises"),
    ],
)
def test_bad_problems_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        solve_lqr(**{"a": A, "b": B, "q": Q, "r": R, **change})


def test_horizon_of_zero_is_refused():
    with pytest.raises(ValueError, match="horizon must be at least 1 step, got 0"):
        solve_finite(A, B, Q, R, Q, 0)
    with pytest.raises(ValueError, match="preview: the horizon must be at least 1 step, got 0"):
        LqrConfig(preview=0)


def _toy(**options):
    return make_env("double-integrator", 4, **options)


def test_linearisation_of_the_toy_is_its_matrices():
    env = _toy()
    coordinates = Coordinates(env.spec)
    model = linearise(env.spec, coordinates, np.zeros(2), np.zeros(1))
    np.testing.assert_allclose(model.a, A, atol=1e-9)
    np.testing.assert_allclose(model.b, B, atol=1e-7)
    # At the limit only one side of the action can move; the slope is the same.
    at_limit = linearise(env.spec, coordinates, np.zeros(2), np.array([5.0]))
    np.testing.assert_allclose(at_limit.b, B, atol=1e-7)
    np.testing.assert_allclose(at_limit.offset, [0.025, 0.5], atol=1e-7)


def test_casadi_linearisation_by_hand():
    casadi = pytest.importorskip("casadi")
    x, u = casadi.SX.sym("x", 2), casadi.SX.sym("u", 1)
    f = casadi.Function("f", [x, u], [casadi.vertcat(x[0] * x[1], casadi.sin(x[0]) + u[0] ** 2)])
    # At x = (2, 3), u = 0.5: d(ab) = (3, 2); d sin a = cos 2; d u^2 = 1.
    a, b, after = linearise_casadi(f, np.array([2.0, 3.0]), np.array([0.5]))
    np.testing.assert_allclose(a, [[3.0, 2.0], [math.cos(2.0), 0.0]])
    np.testing.assert_allclose(b, [[0.0], [1.0]])
    np.testing.assert_allclose(after, [6.0, math.sin(2.0) + 0.25])
    with pytest.raises(ValueError, match="its inputs are"):
        linearise_casadi(f, np.zeros(3), np.zeros(1))


def test_policy_equals_the_toys_own_optimum():
    env = _toy()
    env.request(["policy", "state"])
    obs = env.reset(0)
    ours = make_lqr(env.spec, LqrConfig())
    theirs = make_scripted("double-integrator", "lqr")
    rng = torch.Generator()
    for _ in range(20):
        rows = {"state": obs["state"], "policy": obs["policy"][:, 0]}
        wanted = theirs.act(rows, {}, rng).action
        action = ours.act(rows, {}, rng).action
        torch.testing.assert_close(action, wanted, atol=1e-4, rtol=0)
        obs = env.step(action[:, None]).obs


def test_policy_keeps_its_contract():
    check_policy(make_lqr(_toy().spec, LqrConfig()), _toy())


def test_nan_in_the_state_is_named():
    env = _toy()
    env.reset(0)
    state = env.snapshot()
    state[2, 16:24] = torch.tensor([math.nan], dtype=torch.float64).view(torch.uint8)
    with pytest.raises(ValueError, match="lqr: row 2 of the state is nan"):
        make_lqr(env.spec, LqrConfig()).act({"state": state}, {}, torch.Generator())
    with pytest.raises(ValueError, match=r"state must have shape \[rows, 32\]"):
        make_lqr(env.spec, LqrConfig()).act({"state": state[:, :8]}, {}, torch.Generator())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (LqrConfig(state_weights={"speed": (1.0,)}), "unknown state part 'speed'"),
        (LqrConfig(state_weights={"qpos": (1.0, 2.0)}), "weights of qpos must be 1 or 1 numbers"),
        (LqrConfig(state_weights={"qpos": (-1.0,)}), "must be at least 0"),
        (LqrConfig(control_weights=(0.0,)), "control weights must be above 0"),
        (LqrConfig(position=(math.nan,)), "position of the operating point"),
        (LqrConfig(linearisation="mujoco"), "has no mjcf"),
    ],
)
def test_bad_configs_are_named(config, message):
    with pytest.raises(ValueError, match=message):
        make_lqr(_toy().spec, config)


def test_discrete_actions_are_refused():
    env = make_env("cart-pole", 1)
    with pytest.raises(ValueError, match="needs one agent with continuous actions"):
        make_lqr(env.spec, LqrConfig())


def test_toy_config_changes_the_model():
    plugin = env_plugin("double-integrator")
    config = make_config(plugin.config, {"step_seconds": 0.2}, "double-integrator")
    policy = make_lqr(plugin.make(config, 1).spec, LqrConfig())
    np.testing.assert_allclose(policy.plant.model.a, [[1.0, 0.2], [0.0, 1.0]], atol=1e-9)
