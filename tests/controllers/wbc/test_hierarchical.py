"""The strict hierarchy: no level yields to one below it, and each does its best."""

from dataclasses import replace

import numpy as np
import pytest

from simrl_controllers.qp import STATUS_CODES
from simrl_controllers.wbc import (
    Contacts,
    HierarchicalWbc,
    LinearLimit,
    RobotDynamics,
    Task,
    WbcConfig,
    WeightedWbc,
)


def solve(scene, sizes, tasks=None, limits=(), **options):
    controller = HierarchicalWbc(WbcConfig(), **sizes, **options)
    return controller.solve(
        scene.dynamics, scene.tasks if tasks is None else tasks, scene.contacts, limits
    )


def error(task, result, row):
    return task.jacobian[row] @ result.acceleration[row] - task.target[row]


def standing(any_robot, count, seed):
    """Fewer base tasks than freedom, so that every level has something to decide."""
    scene = any_robot(count, seed)
    base = scene.tasks[0]
    few = replace(base, jacobian=base.jacobian[:, :3], target=base.target[:, :3])
    scene.tasks = [few, replace(scene.tasks[1], weight=1.0)]
    return scene


@pytest.mark.parametrize("torque", [1.0, 0.5])
def test_lower_levels_never_change_higher_ones(any_robot, sizes, torque):
    """With weak motors the upper level does not reach its target, and still yields nothing."""
    sizes = sizes | {"torque_limit": torque * sizes["torque_limit"]}
    scene, rng, active = standing(any_robot, 40, 0), np.random.default_rng(5), 0
    first = solve(scene, sizes, scene.tasks[:1])
    both = solve(scene, sizes)
    other = replace(scene.tasks[1], target=rng.normal(size=(40, 8)) * 100, weight=1e4)
    wild = solve(scene, sizes, [scene.tasks[0], other])
    third = Task("third", rng.normal(size=(40, 4, 14)), rng.normal(size=(40, 4)) * 50, 1e3, 3)
    all_three = solve(scene, sizes, [*scene.tasks, third], force_level=4)
    again = solve(scene, sizes, force_level=3)
    for row in np.flatnonzero(first.violation == 0):
        wanted = error(scene.tasks[0], first, row)
        for result in (both, wild, all_three):
            assert result.status[row] == 0
            np.testing.assert_allclose(error(scene.tasks[0], result, row), wanted, atol=2e-5)
        second = error(scene.tasks[1], again, row)
        np.testing.assert_allclose(error(scene.tasks[1], all_three, row), second, atol=2e-5)
        active += np.linalg.norm(wanted) > 1e-3
    assert np.abs(wild.acceleration - both.acceleration).max() > 0.1  # the lower level did move
    assert active > 3 or torque == 1.0


@pytest.mark.parametrize("torque", [1.0, 0.6])
def test_each_level_does_its_best(any_robot, full_form, sizes, torque):
    """The optimum of each level, the ones above held, is that of the full form by quadprog."""
    limit = torque * sizes["torque_limit"]
    scene = standing(any_robot, 40, 3)
    result = solve(scene, sizes | {"torque_limit": limit}, force_level=3)
    done = 0
    for row in np.flatnonzero(result.violation == 0):
        form = full_form(scene, row, sizes["driven"], limit)
        first, second = scene.tasks
        best = form.solve(*form.cost([first], 0.0))
        if not best.success:
            continue
        reached = first.jacobian[row] @ form.parts(best.x)[0]
        missed = np.linalg.norm(reached - first.target[row])
        assert np.linalg.norm(error(first, result, row)) == pytest.approx(missed, abs=1e-4)
        held = form.wide(first.jacobian[row])
        now = first.jacobian[row] @ result.acceleration[row]
        best = form.solve(*form.cost([second], 0.0), held, now)
        if not best.success:
            continue
        missed = np.linalg.norm(second.jacobian[row] @ form.parts(best.x)[0] - second.target[row])
        assert np.linalg.norm(error(second, result, row)) == pytest.approx(
            missed, rel=1e-3, abs=1e-3
        )
        done += 1
    assert done > 8


def test_the_motion_is_that_of_the_robot(any_robot, sizes):
    scene = standing(any_robot, 30, 4)
    result = solve(scene, sizes)
    pull = np.einsum("nkai,nka->ni", scene.contacts.jacobian, result.force)
    need = np.einsum("nij,nj->ni", scene.dynamics.mass, result.acceleration) + scene.dynamics.bias
    np.testing.assert_allclose(need[:, :6], pull[:, :6], atol=1e-7)
    np.testing.assert_allclose(need[:, 6:] - pull[:, 6:], result.torque, atol=1e-7)
    kept = np.einsum("nkai,ni->nka", scene.contacts.jacobian, result.acceleration)
    active = scene.contacts.active
    np.testing.assert_allclose(kept[active], scene.contacts.target[active], atol=1e-6)
    free = result.violation == 0
    assert free.sum() > 10
    assert (np.abs(result.torque[free]) <= sizes["torque_limit"] + 1e-6).all()


def test_weights_far_apart_come_near_the_hierarchy(any_robot, sizes):
    scene = standing(any_robot, 20, 9)
    scene.contacts = replace(scene.contacts, force_weight=0.0)
    strict = solve(scene, sizes)
    heavy = [replace(scene.tasks[0], weight=1e5), scene.tasks[1]]
    config = WbcConfig(acceleration_weight=1e-8, force_weight=1e-10)
    weighted = WeightedWbc(config, **sizes).solve(scene.dynamics, heavy, scene.contacts)
    both = (strict.violation == 0) & (weighted.violation == 0)
    assert both.sum() > 8
    np.testing.assert_allclose(
        weighted.acceleration[both], strict.acceleration[both], rtol=2e-2, atol=2e-2
    )


def two_joints(tasks, limits=(), torque=100.0):
    """Two joints of 1 kg m^2, without bias."""
    controller = HierarchicalWbc(WbcConfig(), 2, np.arange(2), np.full(2, torque))
    dynamics = RobotDynamics(np.eye(2)[None], np.zeros((1, 2)))
    return controller.solve(dynamics, tasks, None, limits)


def line(name, jacobian, target, level, weight=1.0):
    return Task(name, np.array([[jacobian]]), np.array([[target]]), weight, level)


def test_ranks_by_hand():
    # Level 1: a + b = 2.  Level 2 wants a = 3, so b = -1.  Level 3 wants b = 5 and gets nothing.
    tasks = [
        line("c", [0.0, 1.0], 5.0, 3),
        line("a", [1.0, 0.0], 3.0, 2),
        line("s", [1.0, 1.0], 2.0, 1),
    ]
    result = two_joints(tasks)
    np.testing.assert_allclose(result.acceleration[0], [3.0, -1.0], atol=1e-7)
    # At most 2.5 N m on a motor: a stops at 2.5, and b = -0.5 keeps level 1.
    np.testing.assert_allclose(
        two_joints(tasks, torque=2.5).acceleration[0], [2.5, -0.5], atol=1e-7
    )
    # At most 0.5: level 1 itself gets only a + b = 1, with both at 0.5.
    np.testing.assert_allclose(two_joints(tasks, torque=0.5).acceleration[0], [0.5, 0.5], atol=1e-6)
    # Within a level weights count: a = 3 and a = 0 at 2 to 1 give a = 2.
    tasks = [line("a", [1.0, 0.0], 3.0, 2, 2.0), line("b", [1.0, 0.0], 0.0, 2, 1.0)]
    np.testing.assert_allclose(two_joints(tasks).acceleration[0], [2.0, 0.0], atol=1e-7)


def test_equalities_come_before_all_tasks():
    # a - b = 1 always; level 1 wants a + b = 3: a = 2, b = 1.
    roll = LinearLimit("roll", np.array([[[1.0, -1.0]]]), np.array([[1.0]]), np.array([[1.0]]))
    result = two_joints([line("s", [1.0, 1.0], 3.0, 1)], [roll])
    np.testing.assert_allclose(result.acceleration[0], [2.0, 1.0], atol=1e-7)


def test_limits_that_conflict_give_way_once():
    # a at least 2 and at most 1: both yield by 0.5; level 1, which wants a = 9, gets no more.
    limits = [
        LinearLimit("low", np.array([[[1.0, 0.0]]]), np.array([[2.0]]), np.array([[np.inf]])),
        LinearLimit("high", np.array([[[1.0, 0.0]]]), np.array([[-np.inf]]), np.array([[1.0]])),
    ]
    tasks = [line("a", [1.0, 0.0], 9.0, 1), line("b", [0.0, 1.0], 4.0, 2)]
    result = two_joints(tasks, limits)
    assert result.status[0] == 0 and result.violation[0] == pytest.approx(0.5, abs=1e-5)
    np.testing.assert_allclose(result.acceleration[0], [1.5, 4.0], atol=1e-5)


def test_limits_that_never_yield_and_conflict_are_told():
    limits = [
        LinearLimit("low", np.array([[[1.0, 0.0]]]), np.array([[2.0]]), np.array([[9.0]]), np.inf),
        LinearLimit("high", np.array([[[1.0, 0.0]]]), np.array([[0.0]]), np.array([[1.0]]), np.inf),
    ]
    result = two_joints([line("a", [1.0, 0.0], 9.0, 1)], limits)
    assert result.status[0] == STATUS_CODES["infeasible"]
    assert (result.acceleration == 0).all() and (result.torque == 0).all()


def test_rows_are_alone(any_robot, sizes):
    scene = standing(any_robot, 4, 3)
    together = solve(scene, sizes)
    for row in range(4):
        part = slice(row, row + 1)
        contacts = Contacts(
            **{
                name: value[part] if np.ndim(value) else value
                for name, value in vars(scene.contacts).items()
                if value is not None
            }
        )
        tasks = [replace(t, jacobian=t.jacobian[part], target=t.target[part]) for t in scene.tasks]
        dynamics = RobotDynamics(scene.dynamics.mass[part], scene.dynamics.bias[part])
        alone = HierarchicalWbc(WbcConfig(), **sizes).solve(dynamics, tasks, contacts)
        for name in ("acceleration", "force", "torque", "status", "residual", "violation"):
            assert (getattr(alone, name)[0] == getattr(together, name)[row]).all()


def test_numbers_that_are_not_finite_are_named(any_robot, sizes):
    scene = any_robot(3, 0)
    scene.contacts.force_target[1, 2, 0] = np.inf
    with pytest.raises(ValueError, match=r"WBC: row 1: force_target\[2\]\[0\] is inf"):
        solve(scene, sizes)
