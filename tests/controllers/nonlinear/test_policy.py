import math

import numpy as np
import pytest
import torch

from simrl.core.checks import check_policy
from simrl.core.plugins import controller_plugin, make_config, make_env
from simrl_controllers.nonlinear import NmpcConfig, NmpcPolicy
from simrl_controllers.nonlinear.kernels.linearise import shift
from simrl_controllers.nonlinear.model import read_rows


def test_policy_keeps_its_contract():
    plugin = controller_plugin("nmpc")
    for name in ("car-lane", "double-integrator"):
        env = make_env(name, 3)
        config = make_config(plugin.config, {"horizon": 8}, "nmpc")
        check_policy(plugin.make(env.spec, config), env, num_steps=3)


def test_swing_up_from_exactly_hanging(cartpole, close_loop):
    # Hanging at rest is a stationary point of the cost: only the guess breaks the tie.
    policy = NmpcPolicy(cartpole, NmpcConfig())
    states, outputs = close_loop(policy, [0.0, math.pi, 0.0, 0.0], 200)
    assert math.cos(states[-1, 1]) > 0.99 and abs(states[-1, 0]) < 0.2
    assert np.abs(states[:, 0]).max() < 2.0
    assert all(float(output.extras["sqp_iterations"][0]) == 1.0 for output in outputs[1:])
    assert sum(float(output.extras["fallback"][0]) for output in outputs) == 0


def test_quadrotor_recovers_and_hovers_where_it_is_told(quadrotor, close_loop):
    policy = NmpcPolicy(quadrotor, NmpcConfig())
    turned = [math.cos(0.5), math.sin(0.5), 0.0, 0.0]  # rolled by 1 rad
    states, _ = close_loop(policy, [0, 0, 2, *turned, 0, 1, 0, 1, 0, -1], 200)
    np.testing.assert_allclose(states[-1, :3], [1.0, 0.0, 1.0], atol=0.02)
    yaw = 2.0 * math.atan2(states[-1, 6], states[-1, 3])
    assert yaw == pytest.approx(0.3, abs=0.05)


def test_obstacles_are_passed_at_a_distance():
    env = make_env("car-lane", 4)
    obs, policy = env.reset(11), NmpcPolicy(env.spec, NmpcConfig())
    memory, discs = policy.initial_state(4), env.spec.physics["state"]["obstacles"]
    nearest = np.inf
    for _ in range(200):
        output = policy.act({"state": obs["state"]}, memory, torch.Generator())
        step = env.step(output.action[:, None])
        assert not step.terminated.any()
        obs, memory = step.obs, output.state
        rows = read_rows(obs["state"])
        middle = 0.5 * env.spec.physics["wheelbase"]
        pose = rows[:, policy.model.columns[:3]]
        place = pose[:, :2] + middle * np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], 1)
        disc = rows[:, discs].reshape(4, -1, 5)
        gap = np.linalg.norm(disc[..., :2] - place[:, None], axis=2) - disc[..., 4]
        nearest = min(nearest, gap.min())
    # Half the car's width is 0.8 m, and they were really passed.
    assert 0.8 < nearest < 5.0


@pytest.mark.parametrize("solver", ["rti", "ipopt"])
def test_a_hopeless_start_falls_back_and_is_counted(cartpole, act, solver):
    options = {"max_iterations": 1} if solver == "ipopt" else {}
    policy = NmpcPolicy(cartpole, NmpcConfig(solver=solver, horizon=10, **options))
    fine = [0.0, 0.1, 0.0, 0.0]
    hopeless = [0.0, 1.0, 0.0, 1e200] if solver == "rti" else [0.0, math.pi, 3.0, -4.0]
    output = act(policy, [fine, hopeless])
    if solver == "rti":
        assert output.extras["fallback"].tolist() == [0.0, 1.0]
    assert output.extras["status"][1] == 1 and output.extras["fallback"][1] == 1
    assert torch.isfinite(output.action).all()
    assert output.action.abs().max() <= 10.0
    assert output.state["failures"][1] == -1


def test_a_failed_plan_is_replaced_by_the_last_one_shifted(cartpole, act):
    policy = NmpcPolicy(cartpole, NmpcConfig(horizon=6, dt=0.02))
    good = act(policy, [[0.0, 0.3, 0.0, 0.0]])
    memory, planned = good.state, good.state["plan_u"][0, :, 0].tolist()
    for failures in range(1, 6):
        output = act(policy, [[0.0, 0.3, 0.0, 1e200]], memory)
        assert output.extras["fallback"][0] == 1
        assert float(output.action[0, 0]) == pytest.approx(planned[failures], abs=1e-6)
        memory = output.state
        assert memory["failures"][0] == failures
    # The sixth failure has used up the plan: the next one begins anew.
    assert act(policy, [[0.0, 0.3, 0.0, 1e200]], memory).state["failures"][0] == -1


def test_a_late_plan_is_not_used(cartpole, act):
    row = [[0.0, 0.3, 0.0, 0.0]]
    patient = NmpcPolicy(cartpole, NmpcConfig(horizon=6, dt=0.02))
    hasty = NmpcPolicy(cartpole, NmpcConfig(horizon=6, dt=0.02, deadline_ms=1e-6))
    planned = act(patient, row)
    output = act(hasty, [[0.0, 0.5, 0.0, 0.0]], planned.state)
    assert output.extras["status"][0] == 2 and output.extras["fallback"][0] == 1
    assert float(output.action[0, 0]) == pytest.approx(float(planned.state["plan_u"][0, 1, 0]))
    hurried = NmpcPolicy(cartpole, NmpcConfig(solver="ipopt", horizon=6, deadline_ms=1e-3))
    assert act(hurried, row).extras["status"][0] == 2
    leisure = NmpcPolicy(cartpole, NmpcConfig(horizon=6, dt=0.02, deadline_ms=1e5))
    assert act(leisure, row).extras["status"][0] == 0


def test_shifting_by_part_of_a_stage_interpolates(double_integrator):
    policy = NmpcPolicy(double_integrator, NmpcConfig(horizon=4, dt=0.1))
    problem = policy._code.problem
    for stages, wanted in ((1.0, [1, 2, 3, 3]), (0.5, [0.5, 1.5, 2.5, 3]), (2.5, [2.5, 3, 3, 3])):
        x, u = np.zeros((5, 2)), np.arange(4.0)[:, None]
        x[:, 0] = np.arange(5.0)
        shift(problem, x, u, stages)
        np.testing.assert_allclose(u[:, 0], wanted)
        kept = [k + stages for k in range(5) if k + stages <= 4]
        np.testing.assert_allclose(x[: len(kept), 0], kept)
        # Past the end: x + 0.1 v + u / 200.
        for k in range(len(kept), 5):
            after = x[k - 1, 0] + 0.1 * x[k - 1, 1] + u[k - 1, 0] / 200.0
            assert x[k, 0] == pytest.approx(after)


def test_a_held_policy_shifts_its_plan_by_its_own_period(double_integrator, act):
    for period, stages in ((None, 1), (0.3, 3)):
        config = NmpcConfig(horizon=8, dt=0.1, period=period, deadline_ms=1e-6)
        planned = act(NmpcPolicy(double_integrator, NmpcConfig(horizon=8)), [[1.0, 0.0]])
        # Every plan of the hasty policy is late, so it goes on with the old one.
        again = act(NmpcPolicy(double_integrator, config), [[1.0, 0.0]], planned.state)
        kept = planned.state["plan_u"][0, stages]
        assert float(again.action[0, 0]) == pytest.approx(float(kept[0]), abs=1e-6)


def test_bad_input_gives_one_clear_error(cartpole, act):
    with pytest.raises(ValueError, match="horizon must be at least 1, got 0"):
        NmpcConfig(horizon=0)
    with pytest.raises(ValueError, match=r"solver 'sqp' is unknown; the choices are rti, ipopt"):
        NmpcConfig(solver="sqp")
    with pytest.raises(ValueError, match="dt must be positive, got nan"):
        NmpcConfig(dt=math.nan)
    with pytest.raises(ValueError, match="deadline_ms must be 0 or more"):
        NmpcConfig(deadline_ms=-1.0)
    policy = NmpcPolicy(cartpole, NmpcConfig(horizon=3))
    with pytest.raises(ValueError, match="row 1: the state 'angle' is nan"):
        act(policy, [[0.0] * 4, [0.0, math.nan, 0.0, 0.0]])
    with pytest.raises(ValueError, match="nmpc controls one agent, platoon has"):
        NmpcPolicy(make_env("platoon", 1).spec, NmpcConfig())
