"""The linear MPC problem: condensed and sparse forms, limits, and the regulator as its limit."""

from dataclasses import replace

import numpy as np
import pytest

from simrl_controllers.linear import (
    FinalCost,
    LinearMpc,
    MpcInstance,
    MpcProblem,
    condense_cost,
    predict_matrices,
)
from simrl_controllers.lqr import solve_lqr

A = np.array([[1.0, 0.1], [0.0, 1.0]])
B = np.array([[0.005], [0.1]])
Q, R = np.diag([1.0, 0.1]), np.array([[0.1]])
P = solve_lqr(A, B, Q, R).cost_to_go
INF = np.inf


def _problem(**change):
    parts = {
        "a": A, "b": B, "q": Q, "r": R, "final": P, "horizon": 12,
        "low": np.array([-INF]), "high": np.array([INF]), "rows": np.eye(2),
        "row_low": np.full(2, -INF), "row_high": np.full(2, INF), "rate": np.array([INF]),
        "soft": np.zeros(2, np.bool_),
    }  # fmt: skip
    return MpcProblem(**{**parts, **change})


def _at(x, horizon=12, targets=None, previous=0.0):
    if targets is None:
        targets = np.zeros((horizon + 1, 2))
    return MpcInstance(np.array(x, float), targets, np.array([previous]))


def test_prediction_is_the_recursion():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    phi, gamma = predict_matrices(a, b, 5)
    x = x0 = rng.normal(size=3)
    controls = rng.normal(size=(5, 2))
    for k, u in enumerate(controls):
        np.testing.assert_allclose(phi[k] @ x0 + gamma[k] @ controls.ravel(), x, atol=1e-12)
        x = a @ x + b @ u
    np.testing.assert_allclose(phi[5] @ x0 + gamma[5] @ controls.ravel(), x, atol=1e-12)


def test_condensed_cost_is_the_sum_over_steps():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    q, r, final = np.diag([1.0, 2.0, 3.0]), np.diag([0.5, 0.7]), np.diag([4.0, 0.0, 1.0])
    phi, gamma = predict_matrices(a, b, 4)
    hessian, slope, pull = condense_cost(phi, gamma, q, r, final)
    x0, targets = rng.normal(size=3), rng.normal(size=(5, 3))

    def direct(controls):
        x, total = x0, 0.0
        for k, u in enumerate(controls):
            total += (x - targets[k]) @ q @ (x - targets[k]) + u @ r @ u
            x = a @ x + b @ u
        return total + (x - targets[4]) @ final @ (x - targets[4])

    g = slope @ x0 - np.einsum("kmn,kn->m", pull, targets)
    controls = rng.normal(size=(4, 2))
    u = controls.ravel()
    wanted = direct(controls) - direct(0 * controls)
    np.testing.assert_allclose(0.5 * u @ hessian @ u + g @ u, wanted, rtol=1e-10)


@pytest.mark.parametrize(("form", "solver"), [("condensed", "daqp"), ("sparse", "piqp")])
@pytest.mark.parametrize("horizon", [1, 3, 20])
def test_without_active_limits_it_is_the_regulator(form, solver, horizon):
    mpc = LinearMpc(_problem(horizon=horizon), form=form, solver=solver)
    gain = solve_lqr(A, B, Q, R).gain
    for x in ([1.0, 0.0], [-0.3, 2.0]):
        solution = mpc.solve(_at(x, horizon))
        assert solution.success
        np.testing.assert_allclose(solution.controls[0], -gain @ x, atol=1e-6)
        assert solution.cost == pytest.approx(x @ P @ np.array(x))


LIMITED = {
    "low": np.array([-1.0]), "high": np.array([0.8]), "rate": np.array([0.5]),
    "row_low": np.array([-INF, -0.4]), "row_high": np.array([1.2, 0.5]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("soft", "solver"),
    [(False, "piqp"), (False, "osqp"), (False, "quadprog"), (True, "piqp"), (True, "quadprog")],
)
def test_sparse_and_condensed_agree(soft, solver):
    problem = _problem(**LIMITED, soft=np.array([soft, soft]))
    dense, sparse = LinearMpc(problem), LinearMpc(problem, form="sparse", solver=solver)
    rng = np.random.default_rng(2)
    active = 0
    for _ in range(10):
        x = rng.uniform(-1, 1, 2) * [1.0, 0.4]
        targets = np.tile(rng.uniform(-1, 1, 2) * [1.0, 0.0], (13, 1))
        instance = _at(x, targets=targets, previous=float(rng.uniform(-0.3, 0.3)))
        left, right = dense.solve(instance), sparse.solve(instance)
        assert left.success == right.success
        if not left.success:
            continue
        np.testing.assert_allclose(left.controls, right.controls, atol=1e-5)
        np.testing.assert_allclose(left.states, right.states, atol=1e-5)
        assert left.cost == pytest.approx(right.cost, abs=1e-5)
        changes = np.diff(left.controls[:, 0], prepend=instance.previous)
        assert np.abs(changes).max() <= 0.5 + 1e-6
        assert (left.controls >= -1 - 1e-9).all() and (left.controls <= 0.8 + 1e-9).all()
        if not soft:
            assert left.states[1:, 1].min() >= -0.4 - 1e-6
            assert left.states[1:, 1].max() <= 0.5 + 1e-6
        active += int(np.abs(changes).max() > 0.499 or left.states[1:, 1].max() > 0.4999)
    assert active >= 3


def test_a_hard_limit_out_of_reach_is_infeasible_and_a_soft_one_is_not():
    # At 1 m/s the speed cannot be below 0.5 m/s one step later with a force of 1 N (0.1 m/s).
    limits = {"low": np.array([-1.0]), "high": np.array([1.0]), "row_high": np.array([INF, 0.5])}
    hard = LinearMpc(_problem(**limits)).solve(_at([0.0, 1.0]))
    assert hard.status == "infeasible"
    soft = LinearMpc(_problem(**limits, soft=np.array([True, True]))).solve(_at([0.0, 1.0]))
    assert soft.success
    # It brakes fully until the limit holds: 0.9, 0.8, 0.7, 0.6, 0.5.
    np.testing.assert_allclose(soft.controls[:5, 0], -1.0, atol=1e-6)
    np.testing.assert_allclose(soft.states[1:6, 1], [0.9, 0.8, 0.7, 0.6, 0.5], atol=1e-6)


def test_soft_limits_are_exact_where_they_can_be_kept():
    limits = {"row_high": np.array([INF, 0.3])}
    targets = np.tile([5.0, 0.0], (13, 1))
    hard = LinearMpc(_problem(**limits)).solve(_at([0.0, 0.0], targets=targets))
    soft = LinearMpc(_problem(**limits, soft=np.ones(2, np.bool_))).solve(
        _at([0.0, 0.0], targets=targets)
    )
    assert hard.success and hard.states[:, 1].max() == pytest.approx(0.3)
    np.testing.assert_allclose(soft.controls, hard.controls, atol=1e-6)


@pytest.mark.parametrize("form", ["condensed", "sparse"])
def test_final_cost_replaces_p(form):
    """The model of x P x about any point is the same problem."""
    solver = "daqp" if form == "condensed" else "piqp"
    with_p = LinearMpc(_problem(**LIMITED), form=form, solver=solver)
    nothing = replace(_problem(**LIMITED), final=np.zeros((2, 2)))
    without = LinearMpc(nothing, form=form, solver=solver)
    instance = _at([1.0, 0.2])
    wanted = with_p.solve(instance)
    given = replace(instance, final=FinalCost(np.zeros(2), 2.0 * P))
    for mpc in (with_p, without):
        found = mpc.solve(given)
        np.testing.assert_allclose(found.controls, wanted.controls, atol=1e-6)
        assert found.cost == pytest.approx(wanted.cost)
    assert np.abs(without.solve(instance).controls - wanted.controls).max() > 1e-2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, "horizon must be at least 1 step, got 0"),
        ({"low": np.array([1.0]), "high": np.array([0.0])}, "limits of input 0 are infeasible"),
        ({"row_low": np.array([0.0, 2.0]), "row_high": np.ones(2)}, "state row 1 are infeasible"),
        ({"rate": np.array([0.0])}, "rate limit must be above 0"),
        ({"rate": np.array([np.nan])}, "rate holds NaN"),
        ({"final": np.eye(3)}, r"final must have shape \(2, 2\)"),
        ({"soft_linear": -1.0}, "costs of violations"),
    ],
)
def test_bad_problems_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        _problem(**change)


def test_bad_instances_are_named():
    mpc = LinearMpc(_problem())
    with pytest.raises(ValueError, match="state holds numbers that are not finite"):
        mpc.solve(_at([np.nan, 0.0]))
    with pytest.raises(ValueError, match=r"targets must have shape \(13, 2\)"):
        mpc.solve(_at([0.0, 0.0], horizon=5))
    with pytest.raises(ValueError, match="unknown form 'banded'"):
        LinearMpc(_problem(), form="banded")
