"""The QP adapter: five solvers, one answer."""

import numpy as np
import pytest
import scipy.sparse as sp

from simrl_controllers.qp import (
    SOLVERS,
    QPProblem,
    QPSettings,
    QPWorkspace,
    kkt_residual,
    solve_qp,
)

SEEDS = range(8)


def _psd(rng, n):
    root = rng.normal(size=(n, n))
    return root @ root.T + 0.1 * np.eye(n)


def _box(rng):
    n = 8
    return {"H": _psd(rng, n), "g": 3 * rng.normal(size=n), "lb": -np.ones(n), "ub": np.ones(n)}


def _rows(rng):
    n, m = 10, 15
    rows, inside = rng.normal(size=(m, n)), rng.normal(size=n)
    u = rows @ inside + rng.uniform(0, 1, m)
    lower = np.where(rng.random(m) < 0.5, u - 2.0, -np.inf)
    return {"H": _psd(rng, n), "g": 5 * rng.normal(size=n), "A": rows, "l": lower, "u": u}


def _mixed(rng):
    """Equalities, one-sided rows, rows without limits, fixed and free variables."""
    n, m = 12, 9
    rows, inside = rng.normal(size=(m, n)), rng.uniform(-0.5, 0.5, n)
    at = rows @ inside
    lower, upper = at - 0.3, at + 0.3
    lower[:3] = upper[:3] = at[:3]
    upper[3], lower[4] = np.inf, -np.inf
    lower[5], upper[5] = -np.inf, np.inf
    lb, ub = np.full(n, -1.0), np.full(n, 1.0)
    lb[0] = ub[0] = inside[0]
    lb[1], ub[1] = -np.inf, np.inf
    return {
        "H": _psd(rng, n), "g": 4 * rng.normal(size=n), "A": rows, "l": lower, "u": upper,
        "lb": lb, "ub": ub,
    }  # fmt: skip


def _degenerate(rng):
    """Repeated rows, dependent equalities, and a vertex of more rows than there are axes."""
    n = 6
    base, inside = rng.normal(size=(2, n)), rng.normal(size=n)
    way = np.linalg.svd(base)[2][-1]  # along the equalities, and into every inequality
    cuts = rng.normal(size=(8, n))
    cuts *= -np.sign(cuts @ way)[:, None]
    rows = np.vstack([base, cuts[:2], base, base[0] + base[1], cuts])
    at = rows @ inside
    lower, upper = np.full(len(rows), -np.inf), at.copy()
    lower[[0, 1, 4, 5, 6]] = upper[[0, 1, 4, 5, 6]]
    return {"H": _psd(rng, n), "g": 5 * rng.normal(size=n), "A": rows, "l": lower, "u": upper}


KINDS = {"box": _box, "rows": _rows, "mixed": _mixed, "degenerate": _degenerate}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_random_problems_equal_quadprog(kind, solver):
    for seed in SEEDS:
        problem = KINDS[kind](np.random.default_rng(seed))
        wanted = solve_qp(**problem, solver="quadprog")
        result = solve_qp(**problem, solver=solver)
        assert wanted.status == result.status == "solved"
        assert result.kkt_residual <= 1e-6 and wanted.kkt_residual <= 1e-6
        np.testing.assert_allclose(result.x, wanted.x, atol=1e-6)
        assert result.solve_time > 0


@pytest.mark.parametrize("solver", SOLVERS)
def test_problem_worked_by_hand(solver):
    # min 1/2 (a^2 + b^2) - 2 a - b, a + b = 1, a <= 0.4: the plane alone gives a = 1, so a stops at
    # 0.4 and b = 0.6. Stationarity: 0.6 - 1 + y = 0 -> y = 0.4; 0.4 - 2 + 0.4 + z = 0 -> z = 1.2.
    result = solve_qp(
        np.eye(2), np.array([-2.0, -1.0]), np.ones((1, 2)), np.ones(1), np.ones(1),
        ub=np.array([0.4, np.inf]), solver=solver,
    )  # fmt: skip
    np.testing.assert_allclose(result.x, [0.4, 0.6], atol=1e-7)
    np.testing.assert_allclose(result.row_duals, [0.4], atol=1e-6)
    np.testing.assert_allclose(result.bound_duals, [1.2, 0.0], atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_large_limits_count_as_none(solver):
    # 1e20, 1e30 and infinity are the same limit: none. The minimum of (a - 3)^2 stays at 3.
    for big in (1e20, 1e30, np.inf):
        result = solve_qp(
            2 * np.eye(1), np.array([-6.0]), np.ones((1, 1)), np.array([-big]), np.array([big]),
            lb=np.array([-big]), ub=np.array([big]), solver=solver,
        )  # fmt: skip
        assert result.success
        np.testing.assert_allclose(result.x, [3.0], atol=1e-7)


@pytest.mark.parametrize("solver", SOLVERS)
def test_singular_cost(solver):
    # min 1/2 (a + b)^2 - (a + b) - c over the box [0, 2]^3: a + b = 1 and c = 2.
    cost = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    result = solve_qp(cost, -np.ones(3), lb=np.zeros(3), ub=np.full(3, 2.0), solver=solver)
    assert result.success
    np.testing.assert_allclose([result.x[0] + result.x[1], result.x[2]], [1.0, 2.0], atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_infeasible_problems_tell_a_status(solver):
    one = np.ones((1, 1))
    crossed = solve_qp(np.eye(1), np.zeros(1), lb=np.ones(1), ub=np.zeros(1), solver=solver)
    assert crossed.status == "infeasible" and not crossed.success
    apart = solve_qp(
        np.eye(1), np.zeros(1), np.vstack([one, one]), np.array([1.0, -np.inf]),
        np.array([np.inf, 0.0]), solver=solver,
    )  # fmt: skip
    assert apart.status in ("infeasible", "max_iter", "failed")
    assert apart.code != 0
    contradiction = solve_qp(
        np.eye(1), np.zeros(1), np.vstack([one, one]), np.array([1.0, 2.0]), np.array([1.0, 2.0]),
        solver=solver,
    )  # fmt: skip
    assert not contradiction.success


@pytest.mark.parametrize("solver", SOLVERS)
def test_unbounded_problem_is_no_success(solver):
    assert not solve_qp(np.zeros((1, 1)), np.ones(1), ub=np.zeros(1), solver=solver).success


@pytest.mark.parametrize("solver", SOLVERS)
def test_workspace_follows_a_sequence(solver):
    """Drifting vectors, then other matrices, then another size: each equal to a fresh solve."""
    rng = np.random.default_rng(0)
    workspace, problem = QPWorkspace(solver), _mixed(rng)
    warm = None
    for step in range(30):
        if step % 10 == 9:
            problem = _mixed(rng) if step < 20 else _rows(rng)
            warm = None
        problem = {**problem, "g": problem["g"] + rng.normal(size=len(problem["g"]))}
        result = workspace.solve(**problem, warm=warm if step % 2 else None)
        wanted = solve_qp(**problem, solver="quadprog")
        assert result.status == "solved"
        np.testing.assert_allclose(result.x, wanted.x, atol=1e-6)
        warm = result


@pytest.mark.parametrize("solver", SOLVERS)
def test_workspace_goes_on_after_an_infeasible_problem(solver):
    workspace = QPWorkspace(solver)
    good = {"H": np.eye(2), "g": -np.ones(2), "A": np.ones((1, 2)), "ub": np.full(2, 0.75)}
    assert workspace.solve(**good, u=np.ones(1)).success
    assert not workspace.solve(**good, l=np.full(1, 5.0)).success
    result = workspace.solve(**good, u=np.ones(1))
    assert result.success
    np.testing.assert_allclose(result.x, [0.5, 0.5], atol=1e-7)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", ["mixed", "rows"])
def test_sparse_matrices_give_the_same(kind, solver):
    problem = KINDS[kind](np.random.default_rng(3))
    wanted = solve_qp(**problem, solver="quadprog")
    problem["H"], problem["A"] = sp.csc_matrix(problem["H"]), sp.csr_matrix(problem["A"])
    settings = QPSettings(kkt_solver="sparse_multistage" if solver == "piqp" else "")
    workspace = QPWorkspace(solver, settings)
    for _ in range(2):
        result = workspace.solve(**problem)
        assert result.success
        np.testing.assert_allclose(result.x, wanted.x, atol=1e-6)


def test_a_claim_of_success_is_checked():
    """A solver that lies is found out: a sloppy piqp says solved, the residual does not."""
    problem = _rows(np.random.default_rng(1))
    sloppy = solve_qp(**problem, solver="piqp", settings=QPSettings(accuracy=1.0, max_iter=25))
    assert sloppy.status == "inaccurate"
    assert sloppy.kkt_residual > 1e-6


def test_residual_parts_by_hand():
    # min 1/2 x^2 with x >= 1 at x = 0.5 and z = -0.25: stationarity 0.5 - 0.25 = 0.25, violation
    # 0.5, and complementarity min(0.25, 0.5) = 0.25. With the multiplier's sign turned there is no
    # upper limit to hold it: 0.25.
    problem = QPProblem.build(np.eye(1), np.zeros(1), lb=np.ones(1))
    parts = kkt_residual(problem, np.array([0.5]), np.array([-0.25]))
    assert (parts.stationarity, parts.primal) == (0.25, 0.5)
    assert (parts.dual, parts.complementarity) == (0.0, 0.25)
    assert kkt_residual(problem, np.array([0.5]), np.array([0.25])).dual == 0.25
    assert kkt_residual(problem, np.array([np.nan]), np.array([0.0])).worst == np.inf


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"H": np.array([[1.0, np.nan], [0.0, 1.0]])}, r"H\[0, 1\] is nan"),
        ({"H": np.array([[1.0, 0.5], [0.0, 1.0]])}, r"H must be symmetric, but H\[0, 1\] = 0.5"),
        ({"H": np.diag([1.0, -1.0])}, "least eigenvalue is -1"),
        ({"H": np.eye(3)}, r"H must have shape \(2, 2\)"),
        ({"g": np.array([0.0, np.inf])}, r"g\[1\] is inf"),
        ({"A": np.ones((1, 3))}, r"A must have shape \(m, 2\)"),
        ({"A": np.array([[np.inf, 0.0]])}, r"A\[0, 0\] is inf"),
        ({"u": np.ones(2)}, r"u must have shape \(1,\)"),
        ({"lb": np.array([np.nan, 0.0])}, r"lb\[0\] is NaN"),
        ({"A": None}, "A was not given"),
        ({"solver": "simplex"}, "the solvers are daqp, quadprog, piqp, osqp, proxqp"),
        ({"warm": (np.zeros(3), None)}, r"warm: x must have shape \(2,\)"),
    ],
)
def test_bad_input_is_named(change, message):
    good = {"H": np.eye(2), "g": np.zeros(2), "A": np.ones((1, 2)), "u": np.ones(1)}
    with pytest.raises(ValueError, match=message):
        solve_qp(**{**good, **change})


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "daqp", None)
    with pytest.raises(ImportError, match="pip install daqp"):
        QPWorkspace("daqp")


@pytest.mark.parametrize("change", [{"tolerance": 0.0}, {"accuracy": np.inf}, {"max_iter": -1}])
def test_bad_settings_are_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        QPSettings(**change)
