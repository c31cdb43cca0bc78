"""The compiled solver of small programs against quadprog, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from simrl_controllers.qp import solve_qp
from simrl_controllers.wbc import WbcConfig, WeightedWbc
from simrl_controllers.wbc.active_set import FAILED, SOLVED, least_distance
from simrl_controllers.wbc.build import EQUALITY, Program, residual
from simrl_controllers.wbc.reduce import solve_reduced


def distance(rng, size, lines):
    """Two-sided, one-sided, repeated and free rows around a point within them."""
    rows, inside = rng.normal(size=(lines, size)), rng.normal(size=size) * 0.3
    rows[1] = rows[0]
    at = rows @ inside
    low, high = at - rng.uniform(0, 0.5, lines), at + rng.uniform(0, 0.5, lines)
    low[2], high[3] = -np.inf, np.inf
    low[4], high[4] = -np.inf, np.inf
    return rng.normal(size=size) * 4, rows, low, high


@pytest.mark.parametrize("seed", range(40))
def test_least_distance_equals_quadprog(seed):
    rng = np.random.default_rng(seed)
    size, lines = int(rng.integers(2, 14)), int(rng.integers(6, 40))
    linear, rows, low, high = distance(rng, size, lines)
    x, duals = np.empty(size), np.empty(lines)
    assert least_distance(linear, rows, low, high, x, duals) == SOLVED
    wanted = solve_qp(np.eye(size), linear, rows, low, high, solver="quadprog")
    assert wanted.success
    np.testing.assert_allclose(x, wanted.x, atol=1e-8)
    np.testing.assert_allclose(x + linear + rows.T @ duals, 0.0, atol=1e-8)
    value = rows @ x
    assert (duals[value < high - 1e-6] <= 0).all() and (duals[value > low + 1e-6] >= 0).all()


def test_projection_by_hand():
    # The point of x <= 1, y <= 2, x + y <= 2.5 nearest to (3, 3): (1, 1.5), held by the first with
    # 3 - 1 - 1.5 = 0.5 and by the last with 3 - 1.5 = 1.5.
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    high, low = np.array([1.0, 2.0, 2.5]), np.full(3, -np.inf)
    x, duals = np.empty(2), np.empty(3)
    assert least_distance(np.array([-3.0, -3.0]), rows, low, high, x, duals) == SOLVED
    np.testing.assert_allclose(x, [1.0, 1.5], atol=1e-12)
    np.testing.assert_allclose(duals, [0.5, 0.0, 1.5], atol=1e-12)


def test_limits_that_conflict_are_refused():
    rows = np.array([[1.0, 0.0], [1.0, 0.0]])
    low, high = np.array([2.0, -np.inf]), np.array([np.inf, 1.0])
    assert least_distance(np.zeros(2), rows, low, high, np.empty(2), np.empty(2)) == FAILED


@pytest.mark.parametrize("seed", range(30))
def test_programs_with_equalities_equal_quadprog(seed):
    rng = np.random.default_rng(seed)
    n, equal, lines = 18, int(rng.integers(0, 12)), 20
    root = rng.normal(size=(n, n))
    cost = root @ root.T + 0.1 * np.eye(n)
    rows, inside = rng.normal(size=(equal + lines, n)), rng.normal(size=n)
    at = rows @ inside
    low, high = at - rng.uniform(0, 2, len(at)), at + rng.uniform(0, 2, len(at))
    sense = np.zeros(len(at), np.int32)
    where = rng.permutation(len(at))[:equal]  # anywhere among the rows
    low[where], high[where], sense[where] = at[where], at[where], EQUALITY
    linear = rng.normal(size=n) * 10
    x = np.empty(n)
    outcome, gap = solve_reduced(
        Program(cost, linear, rows, low, high, sense, np.zeros(0, np.int64)), x
    )
    wanted = solve_qp(cost, linear, rows, low, high, solver="quadprog")
    assert outcome == SOLVED and gap < 1e-8
    np.testing.assert_allclose(x, wanted.x, atol=1e-6)


def test_a_wrong_answer_would_be_noticed():
    cost, linear, rows = np.eye(2), np.array([-1.0, 0.0]), np.array([[1.0, 0.0]])
    low, high = np.array([-np.inf]), np.array([0.5])
    right = residual(cost, linear, rows, low, high, np.array([0.5, 0.0]), np.array([0.5]))
    assert right < 1e-12
    for x, dual in (([0.4, 0.0], 0.5), ([0.5, 0.1], 0.5), ([0.5, 0.0], 0.4), ([1.0, 0.0], 0.0)):
        wrong = residual(cost, linear, rows, low, high, np.array(x), np.array([dual]))
        assert wrong > 0.05
    nothing = residual(cost, linear, rows, low, high, np.array([np.nan, 0.0]), np.array([0.5]))
    assert nothing == np.inf


def test_dependent_contacts_are_solved_by_another_way(any_robot, sizes):
    """Two contacts at one point: their equalities depend on each other, and one answer exists."""
    scene = any_robot(4, 1)
    contacts = scene.contacts
    jacobian, target = contacts.jacobian.copy(), contacts.target.copy()
    jacobian[:, 1], target[:, 1] = jacobian[:, 0], target[:, 0]
    active = np.zeros((4, 3), bool)
    active[:, :2] = True
    scene.contacts = replace(contacts, jacobian=jacobian, target=target, active=active)
    controller = WeightedWbc(WbcConfig(), **sizes)
    result = controller.solve(scene.dynamics, scene.tasks, scene.contacts)
    assert (result.status == 0).all()
    kept = np.einsum("nai,ni->na", jacobian[:, 0], result.acceleration)
    free = result.violation < 1e-6
    assert free.any()
    np.testing.assert_allclose(kept[free], target[free, 0], atol=1e-5)
