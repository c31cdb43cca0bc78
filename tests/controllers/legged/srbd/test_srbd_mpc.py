"""Limits, rows and errors of the single-rigid-body MPC."""

from dataclasses import replace

import numpy as np
import pytest

from simrl_controllers.legged.srbd import NOT_ASKED, SrbdConfig, SrbdMpc, SrbdState
from simrl_controllers.qp import STATUS_CODES

INERTIA = np.diag([0.11, 0.33, 0.36])


def mpc(**options):
    return SrbdMpc(SrbdConfig(**options), 15.2, INERTIA)


def plan_of(controller, scene, **options):
    return controller.solve(scene.state, scene.reference, scene.feet, scene.contact, **options)


def fast(trotting, seed=2):
    """Ask for more than friction gives: 3 m/s sideways and forwards at once."""
    scene = trotting(20, seed)
    scene.reference[:, :, 9:11] = 3.0
    return scene


def test_the_cone_is_never_left_and_the_pyramid_by_its_corners_only(trotting):
    scene = fast(trotting)
    steep = {}
    for cone in ("cone", "pyramid"):
        forces = plan_of(mpc(cone=cone, friction=0.5), scene).all_forces[scene.contact]
        steep[cone] = (np.hypot(forces[:, 0], forces[:, 1]) / forces[:, 2]).max()
    assert 0.5 * np.cos(np.pi / 8) - 1e-6 <= steep["cone"] <= 0.5 + 1e-6
    assert 0.5 + 1e-3 < steep["pyramid"] <= 0.5 * np.sqrt(2) + 1e-6


def test_normal_forces_keep_their_limits(trotting):
    scene = fast(trotting)
    scene.reference[:, :, 5] = 0.6
    forces = plan_of(mpc(min_force=5.0, max_force=90.0), scene).all_forces[scene.contact]
    assert forces[:, 2].min() == pytest.approx(5.0, abs=1e-6)
    assert forces[:, 2].max() == pytest.approx(90.0, abs=1e-6)


def test_limits_stand_on_the_ground_that_each_foot_stands_on(trotting):
    scene, rng = fast(trotting), np.random.default_rng(0)
    normals = rng.normal(size=(20, 4, 3)) * 0.2 + [0, 0, 1]
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    friction = rng.uniform(0.3, 0.8, 20)
    plan = plan_of(mpc(cone="cone", min_force=5.0), scene, normals=normals, friction=friction)
    along = np.einsum("nkfi,nfi->nkf", plan.all_forces, normals)
    across = np.linalg.norm(plan.all_forces - along[..., None] * normals[:, None], axis=3)
    assert along[scene.contact].min() > 5.0 - 1e-6
    ratio = (across / np.maximum(along, 1e-9) / friction[:, None, None])[scene.contact]
    assert 0.92 < ratio.max() < 1.0 + 1e-6


def test_rows_are_alone(trotting):
    scene = trotting(5, 11)
    controller = mpc()
    scene.contact[2, :, :2] = True  # another size in between
    together = plan_of(controller, scene)
    again = plan_of(controller, scene)
    for row in (4, 0, 2, 1, 3):
        part = slice(row, row + 1)
        state = replace(scene.state, **{k: v[part] for k, v in vars(scene.state).items()})
        alone = mpc().solve(state, scene.reference[part], scene.feet[part], scene.contact[part])
        for name in ("all_forces", "states", "status", "residual"):
            assert (getattr(alone, name)[0] == getattr(together, name)[row]).all()
            assert (getattr(again, name)[row] == getattr(together, name)[row]).all()


def test_only_the_asked_rows_are_solved(trotting):
    scene = trotting(4, 1)
    scene.reference[0, 0, 0] = np.nan  # nobody looks
    plan = plan_of(mpc(), scene, rows=np.array([1, 3]))
    assert plan.status.tolist() == [NOT_ASKED, 0, NOT_ASKED, 0]
    assert (plan.all_forces[[0, 2]] == 0).all() and (plan.seconds[[0, 2]] == 0).all()
    assert (plan.seconds[[1, 3]] > 0).all() and (plan.forces[1] != 0).any()


def test_whole_turns_do_not_matter(trotting):
    scene = trotting(3, 4)
    want = plan_of(mpc(), scene)
    scene.reference[:, :, 2] += 2 * np.pi * np.array([[1], [-2], [3]])
    got = plan_of(mpc(), scene)
    np.testing.assert_allclose(got.all_forces, want.all_forces, atol=1e-6)
    np.testing.assert_allclose(got.states, want.states, atol=1e-9)


def test_a_robot_in_the_air_falls():
    # 0.3 s: v = 1 - 9.81 * 0.3 = -1.943 m/s, z = 0.3 + 0.3 - 9.81 / 2 * 0.09 = 0.15855 m.
    zero = np.zeros((1, 3))
    state = SrbdState(zero, np.array([[0, 0, 0.3]]), zero, np.array([[0, 0, 1.0]]))
    plan = mpc().solve(state, np.zeros((1, 10, 12)), np.zeros((1, 10, 4, 3)), np.zeros((1, 10, 4)))
    assert plan.status[0] == 0
    np.testing.assert_allclose(plan.states[0, -1, [5, 11]], [0.15855, -1.943], atol=1e-12)


def test_a_plan_that_is_not_exact_is_no_plan(trotting):
    plan = plan_of(mpc(tolerance=1e-300), trotting(2, 0))
    assert (plan.status == STATUS_CODES["inaccurate"]).all()
    assert (plan.all_forces == 0).all()


@pytest.mark.parametrize(
    ("part", "index", "named"),
    [
        ("reference", (1, 4, 7), r"row 1: reference\[4\]\[7\] is nan"),
        ("feet", (1, 2, 3, 0), r"row 1: feet\[2\]\[3\]\[0\] is nan"),
    ],
)
def test_numbers_that_are_not_finite_are_named(trotting, part, index, named):
    scene = trotting(3, 0)
    getattr(scene, part)[index] = np.nan
    with pytest.raises(ValueError, match=named):
        plan_of(mpc(), scene)


def test_options_that_are_not_finite_are_named(trotting):
    scene = trotting(2, 0)
    scene.state.omega[1, 2] = np.inf
    with pytest.raises(ValueError, match=r"row 1: omega\[2\] is inf"):
        plan_of(mpc(), scene)
    scene.state.omega[1, 2] = 0.0
    with pytest.raises(ValueError, match=r"row 0: extra_mass is nan"):
        plan_of(mpc(), scene, extra_mass=np.array([np.nan, 0.0]))
    with pytest.raises(ValueError, match=r"row 1: friction is inf"):
        plan_of(mpc(), scene, friction=np.array([0.5, np.inf]))
    with pytest.raises(ValueError, match=r"row 1: the load makes a body of -1.0 kg"):
        plan_of(mpc(), scene, extra_mass=np.array([0.0, -16.2]))


def test_shapes_are_named(trotting):
    scene = trotting(2, 0)
    with pytest.raises(
        ValueError, match=r"contact must have shape \[n, 8, feet\], got \[2, 10, 4\]"
    ):
        plan_of(mpc(horizon=8), scene)
    scene.feet = scene.feet[:, :, :3]
    with pytest.raises(ValueError, match=r"feet must have shape \[2, 10, 4, 3\]"):
        plan_of(mpc(), scene)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"cone": "square"}, "the cones are pyramid, cone"),
        ({"solver": "simplex"}, "the solvers are daqp"),
        ({"horizon": 0}, "horizon must be at least 1"),
        ({"min_force": 10.0, "max_force": 5.0}, "min_force must be within 0 and max_force = 5.0"),
        ({"rpy_weight": (1.0, -1.0, 0.0)}, "rpy_weight"),
        ({"dt": float("nan")}, "dt must be positive"),
    ],
)
def test_bad_configs_name_the_offender(options, named):
    with pytest.raises(ValueError, match=named):
        SrbdConfig(**options)


@pytest.mark.parametrize(
    ("mass", "inertia", "gravity", "named"),
    [
        (0.0, INERTIA, 9.81, "mass must be positive"),
        (1.0, np.diag([1.0, -1.0, 1.0]), 9.81, "positive definite"),
        (1.0, np.eye(2), 9.81, "symmetric 3 x 3"),
        (1.0, INERTIA, np.zeros(2), "gravity"),
    ],
)
def test_bad_bodies_name_the_offender(mass, inertia, gravity, named):
    with pytest.raises(ValueError, match=named):
        SrbdMpc(SrbdConfig(), mass, inertia, gravity)
