"""The platoon's controller: prediction, program, fallback, string stability."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from simrl.core.checks import check_policy
from simrl.core.plugins import controller_plugin, make_env
from simrl.rollout import evaluate
from simrl_controllers.platoon import PlatoonMpc, PlatoonMpcConfig
from simrl_controllers.platoon import policy as policy_module
from simrl_controllers.platoon.predict import (
    aligned,
    condensed,
    exact_step,
    through_delay,
    travel,
    worst_case,
)
from simrl_controllers.qp import QPResult

EXACT = exact_step(0.3, 0.1)


def _mpc(num_cars=3, **options):
    env = make_env("platoon", 1, num_cars=num_cars, profile="cruise", spread=0.5)
    return env, PlatoonMpc(env.spec, PlatoonMpcConfig(**options))


def _act(mpc, obs, memory=None):
    rows = obs["policy"].flatten(0, 1)
    memory = mpc.initial_state(len(rows)) if memory is None else memory
    return mpc.act({"policy": rows}, memory, torch.Generator(), deterministic=True)


def test_one_step_by_hand():
    # From rest under u = 1, lag 0.3, for 0.1 s: a = g = 1 - exp(-1/3) = 0.283469,
    # v = 0.1 - 0.3 g = 0.0149594, s = 0.005 - 0.3 v = 0.000512184.
    a, b = EXACT
    assert b == pytest.approx([0.000512184, 0.0149594, 0.2834687], abs=1e-7)
    # At 10 m/s and 2 m/s^2 that fades: v = 10 + 2 * 0.3 g = 10.170081, a = 2 exp(-1/3) = 1.433063
    after = a @ [5.0, 10.0, 2.0]
    assert after[1:] == pytest.approx([10.170081, 1.433063], abs=1e-6)


def test_prediction_through_the_delay_is_where_the_car_will_be():
    env = make_env("platoon", 1, num_cars=2, profile="cruise", actuation_delay=0.3)
    obs, sent = env.reset(0), [1.5, -2.0, 0.7]
    parts = env.spec.physics["state"]
    for command in sent:
        action = torch.zeros(1, 1, env.spec.actions.size)
        action[0, 0, 0] = command
        obs = env.step(action).obs
    seen = env.spec.observations["policy"].split(obs["policy"])
    assert seen["sent"][0, 0].tolist() == pytest.approx(sent)
    start = env.snapshot()[0, parts["cars"]][3:].numpy().copy()
    predicted, way = through_delay(start[None], np.array([sent]), *EXACT)
    for k in range(3):
        env.step(torch.zeros(1, 1, env.spec.actions.size))
        real = env.snapshot()[0, parts["cars"]][3:].numpy()
        assert way[0, k] == pytest.approx(real[2], abs=1e-7)
    assert predicted[0] == pytest.approx(real, abs=1e-6)


def test_condensed_response_equals_rolling():
    free, forced = condensed(*EXACT, 6)
    commands, x = np.array([1.0, -2.0, 0.5, 3.0, 0.0, -1.0]), np.array([0.0, 20.0, 0.4])
    rolled, way = x, []
    for u in commands:
        rolled = EXACT[0] @ rolled + EXACT[1] * u
        way.append(rolled)
    assert free @ x + forced @ commands == pytest.approx(np.array(way), abs=1e-12)


def test_an_aged_plan_is_read_from_its_age_on():
    plan = np.array([[1.0, 2.0, 3.0, 4.0]])  # 1, 2, 3, 4 steps after sending
    assert aligned(plan, np.array([2]), 3).tolist() == [[2.0, 3.0, 4.0, 4.0]]


def test_predecessor_travels_at_constant_acceleration():
    place, speed = travel(np.array([8.0]), np.array([10.0]), np.full((1, 11), -2.0), *EXACT)
    # After 1 s at -2 m/s^2: 10 - 2 = 8 m/s and 8 + 10 - 1 = 17 m.
    assert speed[0, -1] == pytest.approx(8.0) and place[0, -1] == pytest.approx(17.0)
    place, speed = travel(np.array([8.0]), np.array([0.5]), np.full((1, 21), -2.0), *EXACT)
    assert speed[0, -1] == 0.0 and (np.diff(place[0]) >= 0.0).all()


def test_worst_case_is_the_least_over_the_ages():
    plan = np.zeros((1, 20))
    # At 20 m/s and 8 m/s^2, an age of 0.3 s may cost 8 * 0.3 * (1 - 0.15) = 2.04 m after 1 s.
    least = worst_case(np.array([10.0]), np.array([20.0]), plan, range(1, 4), 10, 8.0, *EXACT)
    assert least[0, -1] == pytest.approx(30.0 - 2.04)
    one = worst_case(np.array([10.0]), np.array([20.0]), plan, range(1, 2), 10, 8.0, *EXACT)
    assert (least <= one).all()
    stopped = worst_case(np.array([10.0]), np.array([0.0]), plan, range(1, 4), 10, 8.0, *EXACT)
    assert (stopped == 10.0).all()


@pytest.mark.parametrize("gap", [14.0, 6.0])
def test_answer_is_the_best_of_all_commands(gap):
    # A gap of 14 m leaves every limit inactive, one of 6 m at 20 m/s does not.
    _, mpc = _mpc(horizon=8, change_weight=1.0)
    program = mpc.program
    x, last = np.array([[0.0, 20.0, 0.3]]), np.array([0.2])
    rear, speed = travel(np.array([gap]), np.array([19.0]), np.full((1, 9), -1.0), *EXACT)
    gradient, room = program.gradient(x, rear, speed, last), program.room(x, rear - 4.0)
    commands, report = mpc._solve(gradient, room, np.zeros((1, 8)))
    assert report["constrained"][0] == (gap < 10.0)
    assert report["fallback"][0] == 0.0 and report["kkt_residual"][0] < 1e-6

    def cost(u):
        rolled, total, before = x[0], 0.0, last[0]
        for k in range(8):
            rolled = EXACT[0] @ rolled + EXACT[1] * u[k]
            error = rear[0, k] - rolled[0] - 3.0 - 0.6 * rolled[1]
            total += error**2 + (u[k] - before) ** 2
            before = u[k]
        short = max(0.0, float((program.forced[:, 0] @ u - room[0]).max()))
        return total + 1e3 * short + 1e3 * short**2

    best = cost(commands[0])
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1e-1, 1.0):
        for _ in range(200):
            other = np.clip(commands[0] + scale * rng.normal(size=8), -8.0, 3.0)
            assert cost(other) >= best - 1e-6
    if gap > 10.0:
        found = minimize(cost, np.zeros(8), bounds=[(-8.0, 3.0)] * 8, tol=1e-12)
        assert commands[0] == pytest.approx(found.x, abs=1e-3)


def test_a_failed_solve_falls_back_to_the_last_plan(monkeypatch):
    env, mpc = _mpc()
    obs = env.reset(0)
    first = _act(mpc, obs)
    failed = QPResult(np.zeros(21), np.zeros(41), "failed", math.inf, 0, 0.0)
    monkeypatch.setattr(policy_module, "solve_qp", lambda *args, **options: failed)
    monkeypatch.setattr(mpc.program, "allowed", lambda commands, room: np.zeros(2, np.bool_))
    second = _act(mpc, obs, first.state)
    assert second.extras["fallback"].tolist() == [1.0, 1.0]
    assert second.extras["status"].tolist() == [5.0, 5.0]
    assert torch.equal(second.state["commands"][:, :-1], first.state["commands"][:, 1:])
    assert torch.equal(
        second.action[:, 0].double(), second.state["commands"][:, 0].float().double()
    )


def test_numbers_that_are_not_finite_do_not_crash_the_loop():
    env, mpc = _mpc()
    obs = {"policy": env.reset(0)["policy"].clone()}
    obs["policy"][0, 1, 2] = float("nan")
    output = _act(mpc, obs)
    assert output.extras["fallback"].tolist() == [0.0, 1.0]
    assert output.action[:, 0].isfinite().all()


def test_a_car_far_too_close_brakes_fully():
    env, mpc = _mpc(num_cars=2)
    env.reset(0)
    state = env.snapshot()
    cars = state[0, env.spec.physics["state"]["cars"]]
    cars[3], cars[4] = cars[0] - 4.508 - 2.0, cars[1] + 8.0  # 2 m behind, 8 m/s faster
    output = _act(mpc, env.restore(state))
    assert output.action[0, 0] < -7.0
    assert output.extras["constrained"].tolist() == [1.0]


@pytest.mark.parametrize("options", [{}, {"compensate": False}])
def test_policy_keeps_its_contract(options):
    env = make_env("platoon", 3, num_cars=4, comm_jitter=0.1)
    check_policy(PlatoonMpc(env.spec, PlatoonMpcConfig(**options)), env)


@pytest.mark.parametrize("profile", ["brake", "steps"])
def test_compensation_makes_the_platoon_string_stable(profile):
    worst = {}
    for compensate in (True, False):
        env = make_env("platoon", 2, profile=profile, spread=0.0)
        mpc = PlatoonMpc(env.spec, PlatoonMpcConfig(compensate=compensate))
        score = evaluate(env, mpc, games=2, seed=5, deterministic=True).scores[0]
        assert score.metrics["collision"] == 0.0
        norms = score.episodes.metric("error_norm")
        worst[compensate] = (norms[:, 1:] / norms[:, :-1]).max()
    assert worst[True] <= 1.0 < 1.1 < worst[False]


def test_registered_with_its_options():
    env = make_env("platoon", 1)
    plugin = controller_plugin("platoon-mpc")
    assert isinstance(plugin.make(env.spec, plugin.config()), PlatoonMpc)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon"),
        ({"change_weight": 0.0}, "change_weight"),
        ({"min_gap": float("nan")}, "min_gap"),
        ({"solver": "magic"}, "daqp"),
    ],
)
def test_bad_options_are_named(options, message):
    env = make_env("platoon", 1, num_cars=2)
    with pytest.raises(ValueError, match=message):
        PlatoonMpc(env.spec, PlatoonMpcConfig(**options))


def test_another_environment_is_refused():
    env = make_env("double-integrator", 1)
    with pytest.raises(ValueError, match="platoon-mpc drives a platoon; double-integrator"):
        PlatoonMpc(env.spec, PlatoonMpcConfig())
