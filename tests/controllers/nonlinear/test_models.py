"""The symbolic models move as the environments' own dynamics do."""

import casadi as ca
import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env
from simrl_controllers.nonlinear.model import read_rows
from simrl_controllers.nonlinear.models import build_model
from simrl_controllers.nonlinear.transcription import integrate

CASES = [
    ("double-integrator", {}, 1, 1e-12),
    ("car-lane", {}, 1, 1e-12),
    ("car-lane", {"model": "dynamic"}, 10, 1e-12),
    ("car-lane", {"model": "dynamic", "tyre": "linear"}, 10, 1e-12),
    ("cartpole-swingup", {}, 10, 1e-5),
    ("quadrotor-track", {}, 10, 1e-5),
]
"""Environment, options, Runge-Kutta steps in one of its steps, tolerance."""


@pytest.mark.parametrize(("name", "options", "substeps", "tolerance"), CASES)
def test_model_moves_as_the_environment(name, options, substeps, tolerance):
    if name in ("cartpole-swingup", "quadrotor-track"):
        pytest.importorskip("mujoco")
    env = make_env(name, 8, **options)
    env.reset(3)
    model = build_model(env.spec, {})
    x, u = ca.SX.sym("x", model.num_states), ca.SX.sym("u", model.num_inputs)
    motion = ca.Function("f", [x, u], [integrate(model, x, u, env.spec.step_seconds, substeps)])
    rng, state = np.random.default_rng(0), env.snapshot()
    for _ in range(5):
        share = rng.random((8, model.num_inputs))
        action = torch.from_numpy(model.low + share * (model.high - model.low)).float()
        after = env.spec.dynamics().step(state, action[:, None])[0].clone()
        before, wanted = read_rows(state)[:, model.columns], read_rows(after)[:, model.columns]
        found = np.array(motion(before.T, action.double().numpy().T)).T
        np.testing.assert_allclose(found, wanted, atol=tolerance, rtol=tolerance)
        state = after


def test_a_car_driven_by_setpoints_is_refused():
    with pytest.raises(ValueError, match="it needs control=rates, and control is setpoints"):
        build_model(make_env("car-lane", 1, control="setpoints").spec, {})


@pytest.mark.parametrize("name", ["car-lane", "cartpole-swingup", "quadrotor-track"])
def test_cost_is_lowest_at_the_targets(name):
    if name != "car-lane":
        pytest.importorskip("mujoco")
    env = make_env(name, 1)
    env.reset(0)
    model = build_model(env.spec, {})
    x, target = ca.SX.sym("x", model.num_states), ca.SX.sym("t", len(model.goal))
    residual = ca.Function("r", [x, target], [model.residual(x, target)])
    goal = np.linspace(0.1, 0.4, len(model.goal))
    if name == "car-lane":
        goal[4:] = 0.0  # a straight road, and no wanted offset
    rest = ca.Function("rest", [target], [model.rest(target)])(goal)
    assert float(ca.sumsqr(residual(rest, goal))) == pytest.approx(0.0, abs=1e-20)


def test_quadrotor_cost_is_the_same_for_both_signs_of_the_quaternion(quadrotor):
    model = build_model(quadrotor, {})
    x, target = ca.SX.sym("x", 13), ca.SX.sym("t", 7)
    cost = ca.Function("c", [x, target], [ca.sumsqr(model.residual(x, target))])
    state = np.array([0, 0, 1, 0.8, 0.3, -0.2, 0.48, 0, 0, 0, 0, 0, 0], np.float64)
    turned = state.copy()
    turned[3:7] *= -1.0
    goal = np.array([0, 0, 1, 0, 0, 0, 0.7], np.float64)
    assert float(cost(state, goal)) == pytest.approx(float(cost(turned, goal)), rel=1e-12)
    assert float(cost(state, goal)) > 0.01


def test_what_a_model_lacks_is_named(cartpole):
    with pytest.raises(ValueError, match=r"no weight 'tilt'; its weights are x, angle"):
        build_model(cartpole, {"tilt": 1.0})
    with pytest.raises(ValueError, match="weight 'x' must be 0 or more, got -1"):
        build_model(cartpole, {"x": -1.0})
    facts = {key: value for key, value in cartpole.physics.items() if key != "pole_com"}
    object.__setattr__(cartpole, "physics", facts)
    with pytest.raises(ValueError, match="does not tell 'pole_com'"):
        build_model(cartpole, {})
    object.__setattr__(cartpole, "physics", {**facts, "model": "boat"})
    with pytest.raises(ValueError, match=r"no model of test-cartpole.*it knows amr, car, cartpole"):
        build_model(cartpole, {})
