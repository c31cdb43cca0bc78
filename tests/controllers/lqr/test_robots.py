"""The linear controllers on the MuJoCo tasks."""

import math

import numpy as np
import pytest
import torch

from simrl.core.checks import check_policy
from simrl.core.plugins import make_env
from simrl.rollout import evaluate
from simrl_controllers.linear import LinearMpcConfig, make_linear_mpc
from simrl_controllers.lqr import IlqrConfig, LqrConfig, make_ilqr, make_lqr

pytest.importorskip("mujoco")


def test_cartpole_linearisation_equals_the_equations():
    """A point-mass-and-rod cart-pole upright, linearised by hand and discretised by its series."""
    spec = make_env("cartpole-balance", 1).spec
    known, model = spec.physics, make_lqr(spec, LqrConfig()).plant.model
    m, length = known["pole_mass"], known["pole_com"]
    total, inertia = known["cart_mass"] + m, known["pole_inertia"] + m * length**2
    # total x'' + m l th'' = F - c x';  m l x'' + inertia th'' = m g l th - b th' (th from upright)
    mass = np.array([[total, m * length], [m * length, inertia]])
    force = np.zeros((2, 4))
    force[1, 1] = m * known["gravity"] * length
    force[0, 2], force[1, 3] = -known["cart_damping"], -known["pole_damping"]
    flow = np.zeros((5, 5))
    flow[:2, 2:4] = np.eye(2)
    flow[2:4, :4] = np.linalg.solve(mass, force)
    flow[2:4, 4] = np.linalg.solve(mass, [1.0, 0.0])
    step = sum(
        np.linalg.matrix_power(flow * spec.step_seconds, k) / math.factorial(k) for k in range(20)
    )
    np.testing.assert_allclose(np.abs(model.a), np.abs(step[:4, :4]), atol=1e-4)
    np.testing.assert_allclose(np.abs(model.b), np.abs(step[:4, 4:]), atol=1e-4)


def test_quadrotor_hovers_on_a_quarter_of_its_weight():
    spec = make_env("quadrotor-hover", 1).spec
    policy = make_lqr(spec, LqrConfig())
    np.testing.assert_allclose(policy.plant.model.control, spec.physics["mass"] * 9.81 / 4.0)
    assert policy.plant.coordinates.size == 12  # a rotation is three numbers, not four


@pytest.mark.parametrize("name", ["cartpole-balance", "quadrotor-hover", "quadrotor-track"])
@pytest.mark.parametrize("kind", ["lqr", "linear-mpc"])
def test_success_on_random_starts(name, kind):
    env = make_env(name, 4, seconds=4.0)
    if kind == "lqr":
        policy = make_lqr(env.spec, LqrConfig())
    else:
        policy = make_linear_mpc(env.spec, LinearMpcConfig(horizon=15))
    table = evaluate(env, policy, games=4, seed=0, deterministic=True).scores[0].episodes
    assert table.metric("success").mean() == 1.0


def test_policies_keep_their_contract_on_robots():
    env = make_env("cartpole-balance", 3)
    check_policy(make_lqr(env.spec, LqrConfig()), env, num_steps=4)
    check_policy(make_linear_mpc(env.spec, LinearMpcConfig(horizon=8)), env, num_steps=4)
    ilqr = make_ilqr(env.spec, IlqrConfig(horizon=5, first_iterations=2))
    check_policy(ilqr, env, num_steps=2)


@pytest.mark.slow
def test_ilqr_swings_the_pole_up():
    env = make_env("cartpole-swingup", 2)
    obs, policy = env.reset(0), make_ilqr(env.spec, IlqrConfig())
    memory, rng = policy.initial_state(2), torch.Generator()
    for _ in range(200):
        output = policy.act({"state": obs["state"]}, memory, rng)
        memory, step = output.state, env.step(output.action[:, None])
        assert not step.done.any()
        obs = step.obs
    assert float(obs["state"][:, 1].abs().max()) < 0.1
