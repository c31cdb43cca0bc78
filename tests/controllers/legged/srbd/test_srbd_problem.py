"""The condensed program against the same one written out, and its model against true motion."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import block_diag, expm
from scipy.spatial.transform import Rotation

from simrl_controllers.legged.srbd import SrbdConfig, SrbdMpc, SrbdState
from simrl_controllers.qp import SOLVERS, solve_qp

MASS = 15.2
HIPS = np.array(
    [[0.19, 0.14, -0.3], [0.19, -0.14, -0.3], [-0.19, 0.14, -0.3], [-0.19, -0.14, -0.3]]
)
INERTIA = np.array([[0.11, 0.004, -0.01], [0.004, 0.33, 0.002], [-0.01, 0.002, 0.36]])
PULL = np.array([0.0, 0.0, -9.81])


def euler_rates(rpy):
    """Differentiate scipy's Euler angles along small turns about the world's axes."""
    turned = Rotation.from_euler("ZYX", rpy[::-1])
    columns = []
    for axis in np.eye(3):
        ahead, back = (
            (Rotation.from_rotvec(sign * 1e-6 * axis) * turned).as_euler("ZYX")[::-1]
            for sign in (1.0, -1.0)
        )
        columns.append((ahead - back) / 2e-6)
    return np.array(columns).T


def sparse_plan(config, scene, row):
    """Solve one row with its states as variables, discretised by the matrix exponential."""
    steps, dt = config.horizon, config.dt
    state = scene.state
    now = np.concatenate(
        [part[row] for part in (state.rpy, state.position, state.omega, state.velocity)]
    )
    weights = np.concatenate(
        [config.rpy_weight, config.position_weight, config.omega_weight, config.velocity_weight]
    )
    contact = scene.contact[row]
    equations, target = np.zeros((12 * steps, 24 * steps)), np.zeros(12 * steps)
    for k in range(steps):
        rpy = now[:3] if k == 0 else scene.reference[row, k - 1, :3]
        turned = Rotation.from_euler("ZYX", rpy[::-1]).as_matrix()
        inverse = np.linalg.inv(turned @ INERTIA @ turned.T)
        flow = np.zeros((25, 25))  # 12 states, 12 forces, 1
        flow[:3, 6:9] = euler_rates(rpy)
        flow[3:6, 9:12] = np.eye(3)
        for foot in range(4):
            columns = slice(12 + 3 * foot, 15 + 3 * foot)
            flow[6:9, columns] = inverse @ np.cross(scene.feet[row, k, foot], np.eye(3)).T
            flow[9:12, columns] = np.eye(3) / MASS
        flow[9:12, 24] = PULL
        omega = now[6:9] if k == 0 else scene.reference[row, k - 1, 6:9]
        flow[6:9, 24] = -inverse @ np.cross(omega, turned @ INERTIA @ turned.T @ omega)
        step = expm(dt * flow)
        at = slice(12 * k, 12 * k + 12)
        equations[at, at] = np.eye(12)
        target[at] = step[:12, 24]
        if k:
            equations[at, 12 * k - 12 : 12 * k] = -step[:12, :12]
        else:
            target[at] += step[:12, :12] @ now
        equations[at, 12 * steps + 12 * k : 12 * steps + 12 * k + 12] = -step[:12, 12:24]
    limits, low, high = [], [], []
    share = np.zeros((steps, 4, 3))
    for k in range(steps):
        share[k, contact[k], 2] = MASS * 9.81 / max(contact[k].sum(), 1)
        for foot in range(4):
            where = 12 * steps + 12 * k + 3 * foot
            lines = np.zeros((6, 24 * steps))
            lines[:3, where : where + 3] = np.eye(3)
            if not contact[k, foot]:
                limits.append(lines[:3])
                low += [0.0] * 3
                high += [0.0] * 3
                continue
            mu = config.friction
            lines[:5, where : where + 3] = [
                [1, 0, -mu],
                [-1, 0, -mu],
                [0, 1, -mu],
                [0, -1, -mu],
                [0, 0, 1],
            ]
            limits.append(lines[:5])
            low += [-np.inf] * 4 + [config.min_force]
            high += [0.0] * 4 + [config.max_force]
    cost = block_diag(np.diag(np.tile(weights, steps)), config.force_weight * np.eye(12 * steps))
    linear = np.concatenate(
        [
            -np.tile(weights, steps) * scene.reference[row].ravel(),
            -config.force_weight * share.ravel(),
        ]
    )
    result = solve_qp(
        cost, linear, np.vstack([equations, *limits]), np.concatenate([target, low]),
        np.concatenate([target, high]), solver="quadprog",
    )  # fmt: skip
    assert result.success
    return result.x[: 12 * steps].reshape(steps, 12), result.x[12 * steps :].reshape(steps, 4, 3)


def mpc(**options):
    return SrbdMpc(SrbdConfig(**options), MASS, INERTIA)


def plan_of(controller, scene, **options):
    return controller.solve(scene.state, scene.reference, scene.feet, scene.contact, **options)


@pytest.mark.parametrize("seed", range(3))
def test_the_plan_is_that_of_the_sparse_problem(trotting, seed):
    scene = trotting(2, seed)
    scene.reference[:, :, 9:11] += 2.0  # more than friction gives
    controller = mpc(force_weight=1e-4)
    plan = plan_of(controller, scene)
    for row in range(2):
        states, forces = sparse_plan(controller.config, scene, row)
        np.testing.assert_allclose(plan.all_forces[row], forces, atol=1e-6 * 150)
        np.testing.assert_allclose(plan.states[row], states, atol=1e-6)
    assert (plan.status == 0).all() and (plan.residual < 1e-6).all()
    assert (np.abs(plan.all_forces[..., 0]) > 0.59 * plan.all_forces[..., 2]).any()  # limits bind


@pytest.mark.parametrize("solver", SOLVERS)
def test_all_solvers_plan_the_same(trotting, solver):
    scene = trotting(3, 5)
    wanted = plan_of(mpc(force_weight=1e-4), scene)
    got = plan_of(mpc(force_weight=1e-4, solver=solver), scene)
    assert (got.status == 0).all()
    np.testing.assert_allclose(got.all_forces, wanted.all_forces, atol=1e-3)


def integrate(state, forces, places, dt, substeps=100):
    """Turn and move a rigid body under forces at fixed places; states after each step."""
    turned = Rotation.from_euler("ZYX", state.rpy[0, ::-1])
    position, velocity = state.position[0].copy(), state.velocity[0].copy()
    momentum = turned.as_matrix() @ INERTIA @ turned.as_matrix().T @ state.omega[0]
    small, out, centres = dt / substeps, [], []
    for push in forces:
        centres.append(position.copy())
        for _ in range(substeps):
            arms = places - position
            momentum = momentum + small * np.cross(arms, push).sum(axis=0)
            matrix = turned.as_matrix()
            omega = matrix @ np.linalg.solve(INERTIA, matrix.T @ momentum)
            turned = Rotation.from_rotvec(small * omega) * turned
            position = position + small * velocity
            velocity = velocity + small * (push.sum(axis=0) / MASS + PULL)
        out.append(np.concatenate([turned.as_euler("ZYX")[::-1], position, omega, velocity]))
    return np.array(out), np.array(centres)


def test_predictions_follow_finite_rotations():
    """Along the motion itself the model errs by the step's order: half the step, half the error."""
    push = np.array([[4.0, 3.0, 40.0], [-3.0, 5.0, 35.0], [2.0, -6.0, 42.0], [5.0, 1.0, 30.0]])
    state = SrbdState(
        *np.array([[[0.25, -0.2, 0.9]], [[0, 0, 0.3]], [[0.5, -0.6, 0.9]], [[0.5, 0, 0]]])
    )
    places = HIPS + state.position[0]
    errors = []
    for dt, steps in ((0.02, 6), (0.01, 12), (0.005, 24)):
        forces = np.tile(push, (steps, 1, 1))
        true, centres = integrate(state, forces, places, dt)
        feet = (places - centres[:, None])[None]
        controller = mpc(horizon=steps, dt=dt)
        model = model_under(controller, state, true[None], feet, forces)
        errors.append(np.abs(model - true).max(axis=0))
    errors = np.array(errors)
    np.testing.assert_allclose(errors[:, [3, 4, 5, 9, 10, 11]], 0.0, atol=2e-4)
    assert (np.ptp(true[:, :3], axis=0) > 0.03).all()  # it did turn
    turning = errors[:, [0, 1, 2, 6, 7, 8]]
    np.testing.assert_allclose(turning[:-1] / turning[1:], 2.0, atol=0.15)
    assert (turning[2] < 0.08 * np.abs(true[-1, [0, 1, 2, 6, 7, 8]]) + 1e-2).all()


def model_under(controller, state, reference, feet, forces):
    """Predict by the controller's own linear model under forces of ours."""
    from simrl_controllers.legged.srbd.dynamics import predict
    from simrl_controllers.legged.srbd.problem import empty_model

    contact = np.ones(feet.shape[:3], bool)
    inputs = controller._inputs(state, reference, feet, contact, None, None, None, None)
    model = empty_model(*feet.shape[1:3])
    controller.program(0, inputs, model)
    out = np.empty_like(reference[0])
    predict(model.free, model.rates, model.levers, forces, MASS, controller.config.dt, out)
    return out


def test_swinging_feet_have_no_columns(trotting):
    scene = trotting(1, 0)
    controller = mpc()
    inputs = controller._inputs(
        scene.state, scene.reference, scene.feet, scene.contact, *[None] * 4
    )
    from simrl_controllers.legged.srbd.problem import empty_model

    program = controller.program(0, inputs, empty_model(10, 4))
    assert program.cost.shape == (60, 60)  # two feet of three forces in each of ten steps
    assert (plan_of(controller, scene).all_forces[~scene.contact] == 0.0).all()


def still(count=1, steps=10):
    position = np.tile([0.0, 0.0, 0.3], (count, 1))
    zero = np.zeros((count, 3))
    reference = np.zeros((count, steps, 12))
    reference[:, :, 5] = 0.3
    feet = np.tile(
        np.array([[0.2, 0.1, -0.3], [0.2, -0.1, -0.3], [-0.2, 0.1, -0.3], [-0.2, -0.1, -0.3]]),
        (count, steps, 1, 1),
    )
    return SrbdState(zero, position, zero, zero), reference, feet, np.ones((count, steps, 4), bool)


def test_a_robot_that_stands_is_carried_evenly():
    # 15.2 kg * 9.81 m/s^2 / 4 = 37.278 N a foot; nothing moves.
    plan = mpc().solve(*still())
    np.testing.assert_allclose(plan.forces[0], np.tile([0, 0, 37.278], (4, 1)), atol=1e-5)
    np.testing.assert_allclose(plan.states[0], still()[1][0], atol=1e-9)


def test_a_load_is_carried_where_it_lies():
    # 5 kg lie 0.12 m before the centre of 15 kg: together 20 kg, 0.03 m before it.  Feet 0.2 m
    # before and behind: the front ones carry 196.2 N * 0.23 / 0.4 = 112.815 N, the others 83.385 N.
    controller = SrbdMpc(SrbdConfig(force_weight=1e-9), 15.0, INERTIA)
    load = {"extra_mass": np.array([5.0]), "extra_com": np.array([[0.12, 0.0, 0.0]])}
    plan = controller.solve(*still(), **load)
    np.testing.assert_allclose(plan.forces[0, :2, 2].sum(), 112.815, atol=1e-3)
    np.testing.assert_allclose(plan.forces[0, 2:, 2].sum(), 83.385, atol=1e-3)
    np.testing.assert_allclose(plan.states[0], still()[1][0], atol=1e-5)


def test_a_load_is_the_same_as_a_heavier_body(trotting):
    scene = trotting(1, 7)
    load, place = 6.0, np.array([0.05, -0.04, 0.1])
    shift = load / (MASS + load) * place
    parts = [(MASS, -shift), (load, place - shift)]
    inertia = INERTIA + sum(m * (p @ p * np.eye(3) - np.outer(p, p)) for m, p in parts)
    other = SrbdMpc(SrbdConfig(), MASS + load, inertia)

    def moved(rpy):
        return (
            Rotation.from_euler("ZYX", rpy[..., ::-1].reshape(-1, 3))
            .apply(shift)
            .reshape(rpy.shape)
        )

    offset = moved(scene.state.rpy)
    state = replace(
        scene.state,
        position=scene.state.position + offset,
        velocity=scene.state.velocity + np.cross(scene.state.omega, offset),
    )
    reference = scene.reference.copy()
    along = moved(reference[..., :3])
    reference[..., 3:6] += along
    reference[..., 9:] += np.cross(reference[..., 6:9], along)
    feet = scene.feet - np.concatenate([offset[:, None], along[:, :-1]], axis=1)[:, :, None]
    want = other.solve(state, reference, feet, scene.contact)
    got = plan_of(mpc(), scene, extra_mass=np.array([load]), extra_com=place[None])
    np.testing.assert_allclose(got.all_forces, want.all_forces, atol=1e-6)
    place_of = want.states[..., 3:6] - along
    np.testing.assert_allclose(got.states[..., 3:6], place_of, atol=1e-9)
