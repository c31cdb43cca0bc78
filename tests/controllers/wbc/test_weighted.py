"""The weighted controller against the program with torques as variables, and by hand."""

from dataclasses import replace

import numpy as np
import pytest

from simrl_controllers.qp import STATUS_CODES
from simrl_controllers.wbc import (
    Contacts,
    LinearLimit,
    RobotDynamics,
    Task,
    WbcConfig,
    WeightedWbc,
)


def solve(scene, sizes, limits=(), **options):
    controller = WeightedWbc(WbcConfig(**options), **sizes)
    return controller.solve(scene.dynamics, scene.tasks, scene.contacts, limits)


@pytest.mark.parametrize("cone", ["pyramid", "cone"])
def test_the_reduced_form_equals_the_full_one(any_robot, full_form, sizes, cone):
    scene, bound = any_robot(40, 0), 0
    rng = np.random.default_rng(1)
    limits = [
        LinearLimit(
            "some", rng.normal(size=(40, 2, 14)), np.full((40, 2), -3.0), np.full((40, 2), 3.0)
        ),
        LinearLimit("fixed", rng.normal(size=(40, 1, 14)), np.ones((40, 1)), np.ones((40, 1))),
    ]
    result = solve(scene, sizes, limits, cone=cone)
    for row in range(40):
        form = full_form(
            scene, row, sizes["driven"], sizes["torque_limit"], limits,
            4 if cone == "pyramid" else 8, cone == "cone",
        )  # fmt: skip
        wanted = form.solve(*form.cost(scene.tasks, 1e-2, 1e-4, 1e-6))
        if not wanted.success:  # limits that conflict are another test's
            assert result.violation[row] > 0
            continue
        acceleration, force, torque = form.parts(wanted.x)
        assert result.status[row] == 0 and result.violation[row] == 0
        np.testing.assert_allclose(result.acceleration[row], acceleration, atol=1e-6)
        np.testing.assert_allclose(result.force[row], force, atol=1e-5)
        np.testing.assert_allclose(result.torque[row], torque, atol=1e-5)
        bound += (np.abs(torque) > sizes["torque_limit"] - 1e-6).any()
    assert bound > 3 and (result.violation == 0).sum() > 10


def test_the_motion_is_that_of_the_robot(any_robot, sizes):
    scene = any_robot(30, 4)
    result = solve(scene, sizes)
    assert (result.status == 0).all() and (result.residual < 1e-6).all()
    pull = np.einsum("nkai,nka->ni", scene.contacts.jacobian, result.force)
    need = np.einsum("nij,nj->ni", scene.dynamics.mass, result.acceleration) + scene.dynamics.bias
    np.testing.assert_allclose(need[:, :6], pull[:, :6], atol=1e-7)
    np.testing.assert_allclose(need[:, 6:] - pull[:, 6:], result.torque, atol=1e-7)
    assert (result.force[~scene.contacts.active] == 0).all()
    free = result.violation == 0
    kept = np.einsum("nkai,ni->nka", scene.contacts.jacobian, result.acceleration)
    stood = scene.contacts.active & free[:, None]
    np.testing.assert_allclose(kept[stood], scene.contacts.target[stood], atol=1e-6)
    assert (np.abs(result.torque[free]) <= sizes["torque_limit"] + 1e-6).all()


def one_joint(limits=(), torque=np.inf, wanted=3.0, **options):
    """2 kg m^2 on one motor, 4 N m of bias."""
    controller = WeightedWbc(WbcConfig(**options), 1, np.array([0]), np.array([torque]))
    dynamics = RobotDynamics(np.full((1, 1, 1), 2.0), np.full((1, 1), 4.0))
    task = Task("turn", np.ones((1, 1, 1)), np.full((1, 1), wanted))
    return controller.solve(dynamics, [task], None, limits)


def bound(low, high, price=1.0):
    return LinearLimit(
        "turn", np.ones((1, 1, 1)), np.full((1, 1), low), np.full((1, 1), high), price
    )


def test_an_arm_needs_no_contacts():
    # 2 * 3 + 4 = 10 N m; with 7 N m at most, (7 - 4) / 2 = 1.5 rad/s^2.
    result = one_joint(acceleration_weight=1e-12)
    np.testing.assert_allclose([result.acceleration[0, 0], result.torque[0, 0]], [3.0, 10.0])
    result = one_joint(torque=7.0)
    np.testing.assert_allclose([result.acceleration[0, 0], result.torque[0, 0]], [1.5, 7.0])
    result = one_joint([bound(-np.inf, 0.5)])
    np.testing.assert_allclose([result.acceleration[0, 0], result.torque[0, 0]], [0.5, 5.0])


def test_limits_that_conflict_give_way_by_their_price():
    # At least 2 and at most 1 rad/s^2: halfway, 1.5, exceeds both by 0.5.  If the first costs
    # three times as much, 3 (2 - a) = a - 1 gives a = 1.75; if it never yields, a = 2.
    for price, where, excess in ((1.0, 1.5, 0.5), (3.0, 1.75, 0.75), (np.inf, 2.0, 1.0)):
        result = one_joint([bound(2.0, np.inf, price), bound(-np.inf, 1.0)], slack_weight=1e8)
        assert result.status[0] == 0
        assert result.acceleration[0, 0] == pytest.approx(where, abs=1e-6)
        assert result.violation[0] == pytest.approx(excess, abs=1e-6)
    result = one_joint([bound(2.0, 2.0), bound(-np.inf, 1.0)], slack_weight=1e8)
    assert result.acceleration[0, 0] == pytest.approx(2.0, abs=1e-6)  # equalities never yield


def test_limits_that_never_yield_and_conflict_are_told():
    result = one_joint([bound(2.0, np.inf, np.inf), bound(-np.inf, 1.0, np.inf)])
    assert result.status[0] == STATUS_CODES["infeasible"]
    assert result.acceleration[0, 0] == 0 and result.torque[0, 0] == 0


def test_too_weak_motors_keep_motion_and_friction(any_robot, sizes):
    scene = any_robot(20, 8)
    result = solve(scene, sizes | {"torque_limit": np.full(8, 0.5)})
    assert (result.status == 0).all() and (result.violation > 0.01).any()
    pull = np.einsum("nkai,nka->ni", scene.contacts.jacobian, result.force)
    need = np.einsum("nij,nj->ni", scene.dynamics.mass, result.acceleration) + scene.dynamics.bias
    np.testing.assert_allclose(need[:, :6], pull[:, :6], atol=1e-5)
    force, active = result.force, scene.contacts.active
    assert (force[..., 2][active] > 1.0 - 1e-5).all()
    steep = np.abs(force[..., :2]).max(axis=-1) - scene.contacts.friction[:, None] * force[..., 2]
    assert (steep[active] < 1e-5).all()


def test_a_weight_of_zero_switches_a_line_off(any_robot, sizes):
    scene = any_robot(6, 2)
    weight = np.full((6, 6), 5.0)
    weight[:, 2], weight[3] = 0.0, 0.0
    base = scene.tasks[0]
    scene.tasks[0] = replace(base, weight=weight)
    got = solve(scene, sizes)
    base.target[:, 2] = 1e6  # nobody looks
    base.jacobian[3] = 7.0
    assert (solve(scene, sizes).acceleration == got.acceleration).all()


def test_rows_are_alone(any_robot, sizes):
    scene = any_robot(5, 3)
    controller = WeightedWbc(WbcConfig(), **sizes)
    together = controller.solve(scene.dynamics, scene.tasks, scene.contacts)
    for row in (3, 0, 4, 1, 2):
        part = slice(row, row + 1)
        contacts = Contacts(
            **{
                name: value[part] if np.ndim(value) else value
                for name, value in vars(scene.contacts).items()
                if value is not None
            }
        )
        tasks = [
            replace(task, jacobian=task.jacobian[part], target=task.target[part])
            for task in scene.tasks
        ]
        dynamics = RobotDynamics(scene.dynamics.mass[part], scene.dynamics.bias[part])
        alone = controller.solve(dynamics, tasks, contacts)
        for name in ("acceleration", "force", "torque", "status", "residual", "violation"):
            assert (getattr(alone, name)[0] == getattr(together, name)[row]).all()


def test_forces_push_against_slopes(any_robot, sizes):
    scene, rng = any_robot(10, 6), np.random.default_rng(0)
    normal = rng.normal(size=(10, 3, 3)) * 0.3 + [0, 0, 1]
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    scene.contacts = replace(scene.contacts, normal=normal)
    result = solve(scene, sizes, cone="cone")
    along = np.einsum("nka,nka->nk", result.force, normal)
    across = np.linalg.norm(result.force - along[..., None] * normal, axis=2)
    active = scene.contacts.active & (result.violation == 0)[:, None]
    assert active.any() and (along[active] > 1.0 - 1e-6).all()
    assert (across - scene.contacts.friction[:, None] * along)[active].max() < 1e-6


def test_what_is_wrong_is_named(any_robot, sizes):
    scene = any_robot(3, 0)
    scene.dynamics.bias[2, 5] = np.nan
    with pytest.raises(ValueError, match=r"WBC: row 2: bias\[5\] is nan"):
        solve(scene, sizes)
    scene = any_robot(3, 0)
    short = replace(scene.tasks[0], target=np.zeros((3, 5)))
    with pytest.raises(
        ValueError, match=r"task 'base': target must have shape \[3, 6\], got \[3, 5\]"
    ):
        WeightedWbc(WbcConfig(), **sizes).solve(scene.dynamics, [short], scene.contacts)
    limit = LinearLimit("range", np.zeros((3, 2, 14)), np.zeros((3, 2)), np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match=r"row 0: limit_high\[0\] is nan"):
        solve(scene, sizes, [limit])
    with pytest.raises(ValueError, match=r"limit 'range': price must be positive"):
        solve(scene, sizes, [replace(limit, price=0.0)])
    with pytest.raises(ValueError, match=r"contacts: active must have shape \[3, 3\]"):
        WeightedWbc(WbcConfig(), **sizes).solve(
            scene.dynamics, [], replace(scene.contacts, active=np.ones((3, 2), bool))
        )


def test_bad_robots_and_configs_are_named(sizes):
    with pytest.raises(ValueError, match="driven must be indices below num_dofs = 14"):
        WeightedWbc(WbcConfig(), **(sizes | {"driven": np.arange(8, 16)}))
    with pytest.raises(ValueError, match="driven must be different indices"):
        WeightedWbc(WbcConfig(), 3, np.array([1, 1]), np.ones(2))
    with pytest.raises(ValueError, match="torque_limit must be 8 limits of at least 0"):
        WeightedWbc(WbcConfig(), **(sizes | {"torque_limit": np.full(8, -1.0)}))
    with pytest.raises(ValueError, match="the cones are pyramid, cone"):
        WbcConfig(cone="ball")
    with pytest.raises(ValueError, match="slack_weight must be positive"):
        WbcConfig(slack_weight=0.0)
