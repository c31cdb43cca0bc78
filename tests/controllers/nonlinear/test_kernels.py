import numpy as np
import pytest

from simrl_controllers.nonlinear.kernels.active_set import solve_active_set
from simrl_controllers.nonlinear.kernels.interior import solve_interior
from simrl_controllers.nonlinear.kernels.problem import QpPoint, empty_qp, qp_residual
from simrl_controllers.nonlinear.kernels.riccati import empty_work
from simrl_controllers.nonlinear.sparse import assemble, split
from simrl_controllers.qp import solve_qp

SHAPES = [(4, 2, 1, 0), (6, 4, 2, 2), (5, 3, 3, 1)]


def random_qp(shape, seed, room=1.0):
    """A random stable program; `room` scales how far the inputs may go."""
    n, nx, nu, nh = shape
    rng, qp = np.random.default_rng(seed), empty_qp(*shape)
    for k in range(n + 1):
        root = rng.normal(size=(nx + nu, nx + nu)) / np.sqrt(nx + nu)
        hessian = root @ root.T + 0.1 * np.eye(nx + nu)
        qp.Q[k], qp.q[k] = hessian[:nx, :nx], rng.normal(size=nx)
        qp.C[k], qp.D[k] = rng.normal(size=(nh, nx)), rng.normal(size=(nh, nu))
        qp.c[k] = rng.normal(size=nh) - 0.5
        if k < n:
            qp.S[k], qp.R[k] = hessian[nx:, :nx], hessian[nx:, nx:]
            qp.r[k], qp.b[k] = rng.normal(size=nu), 0.3 * rng.normal(size=nx)
            motion = np.eye(nx) + 0.2 * rng.normal(size=(nx, nx))
            qp.A[k] = motion / max(1.0, np.linalg.norm(motion, 2))
            qp.B[k] = rng.normal(size=(nx, nu))
            qp.low[k], qp.high[k] = -room * rng.random(nu) - 0.01, room * rng.random(nu) + 0.01
    qp.w1[:], qp.w2[:] = rng.uniform(0.1, 5.0, nh), rng.uniform(0.0, 5.0, nh)
    return qp


def empty_point(qp):
    n, nx, nu = qp.B.shape
    return QpPoint(np.zeros((n + 1, nx)), np.zeros((n, nu)), np.zeros(qp.c.shape))


def work_of(qp):
    return empty_work(*qp.B.shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_interior_point_finds_what_an_independent_solver_finds(shape):
    for seed in range(8):
        qp = random_qp(shape, seed)
        point = empty_point(qp)
        assert solve_interior(qp, point, work_of(qp), 1e-11) > 0
        wanted = solve_qp(**assemble(qp), solver="piqp")
        x, u = split(qp, wanted.x)
        np.testing.assert_allclose(point.x, x, atol=1e-5)
        np.testing.assert_allclose(point.u, u, atol=1e-5)


@pytest.mark.parametrize("room", [0.05, 1.0, 1e3])
def test_active_set_is_exact_where_only_inputs_are_limited(room):
    solved = 0
    for seed in range(20):
        qp = random_qp((8, 4, 2, 0), seed, room)
        point, other = empty_point(qp), empty_point(qp)
        assert solve_interior(qp, other, work_of(qp), 1e-11) > 0
        if solve_active_set(qp, point, work_of(qp)) > 0:
            solved += 1
            np.testing.assert_allclose(point.u, other.u, atol=1e-5)
            assert qp_residual(qp, point, np.zeros_like(qp.q)) < 1e-9
    assert solved >= 18  # it may cycle, but seldom


def test_active_set_leaves_a_violated_soft_constraint_to_the_interior_point_method():
    qp = random_qp((4, 2, 1, 1), 0)
    qp.c[:] = 1.0
    assert solve_active_set(qp, empty_point(qp), work_of(qp)) == -1


def test_residual_sees_a_wrong_answer():
    qp = random_qp((6, 4, 2, 2), 3)
    point, costates = empty_point(qp), np.zeros_like(qp.q)
    solve_interior(qp, point, work_of(qp), 1e-11)
    assert qp_residual(qp, point, costates) < 1e-5
    point.u[2, 0] += 0.01
    assert qp_residual(qp, point, costates) > 1e-3
    point.u[2, 0] = np.nan
    assert np.isnan(qp_residual(qp, point, costates))


def test_a_program_without_minimum_is_refused():
    qp = random_qp((4, 2, 1, 0), 0)
    qp.R[:] = -1.0
    qp.B[:] = 0.0
    assert solve_active_set(qp, empty_point(qp), work_of(qp)) == -1


def test_one_stage_by_hand():
    # x1 = u + 1, cost u^2 + x1^2: the best u is -1/2, and -1/4 where that is its lower limit.
    qp = empty_qp(1, 1, 1, 0)
    qp.B[:], qp.b[:], qp.R[:], qp.Q[1] = 1.0, 1.0, 2.0, 2.0
    for low, best in ((-1.0, -0.5), (-0.25, -0.25)):
        qp.low[:], qp.high[:] = low, 1.0
        for solve in (solve_active_set, lambda *a: solve_interior(*a, 1e-12)):
            point = empty_point(qp)
            assert solve(qp, point, work_of(qp)) > 0
            assert point.u[0, 0] == pytest.approx(best, abs=1e-9)
            assert point.x[1, 0] == pytest.approx(1.0 + best, abs=1e-9)
