"""Linear MPC as a policy: tracking, offsets, delay, terminal values and fallback."""

import math

import numpy as np
import pytest
import torch

from simrl.core.checks import check_policy
from simrl.core.plugins import controller_plugin, make_env
from simrl_controllers.linear import LinearMpcConfig, Offset, make_linear_mpc
from simrl_controllers.linear.delay import augment, predict_through
from simrl_controllers.lqr import LqrConfig, make_lqr
from simrl_controllers.terminal_value import CriticValue, RiccatiValue

RNG = torch.Generator()


def _toy(num_envs=4, **options):
    return make_env("double-integrator", num_envs, **options)


def _run(policy, start, steps, *, delay=0, push=0.0, sent=None):
    """Play the double integrator by hand (0.1 s, 1 kg) with a delay and a constant force [N]."""
    rows = len(start)
    state = torch.zeros(rows, 32, dtype=torch.uint8)
    x = torch.tensor(start, dtype=torch.float64)
    queue = [torch.zeros(rows, dtype=torch.float64)] * delay
    memory, history, outputs = policy.initial_state(rows), [x], []
    for _ in range(steps):
        state[:, 16:] = x.contiguous().view(torch.uint8)
        output = policy.act({"state": state}, memory, RNG)
        memory = output.state
        queue.append(output.action[:, 0].double())
        force = queue.pop(0) + push
        x = torch.stack([x[:, 0] + 0.1 * x[:, 1] + 0.005 * force, x[:, 1] + 0.1 * force], dim=1)
        history.append(x)
        outputs.append(output)
    return torch.stack(history), outputs


def test_it_is_the_regulator_where_no_limit_is_active():
    env = _toy(max_force=100.0)
    obs = env.reset(0)
    mpc, lqr = make_linear_mpc(env.spec, LinearMpcConfig()), make_lqr(env.spec, LqrConfig())
    output = mpc.act(obs, mpc.initial_state(4), RNG)
    torch.testing.assert_close(output.action, lqr.act(obs, {}, RNG).action, atol=1e-6, rtol=0)
    assert not output.extras["fallback"].any() and not output.extras["status"].any()
    assert float(output.extras["kkt_residual"].max()) < 1e-6
    cost = lqr.act(obs, {}, RNG).extras["cost"]
    torch.testing.assert_close(output.extras["cost"], cost, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "options",
    [{}, {"form": "sparse", "solver": "piqp"}, {"delay_steps": 2, "offset_free": True}],
)
def test_policy_keeps_its_contract(options):
    config = LinearMpcConfig(horizon=8, state_high={"qvel": (0.5,)}, rate=(20.0,), **options)
    check_policy(make_linear_mpc(_toy().spec, config), _toy(), num_steps=6)


def test_limits_hold_in_closed_loop():
    config = LinearMpcConfig(
        state_low={"qvel": (-0.5,)}, state_high={"qvel": (0.5,)}, rate=(10.0,), soft=False
    )
    policy = make_linear_mpc(_toy().spec, config)
    history, outputs = _run(policy, [[2.0, 0.0], [-2.0, 0.4]], 80)
    assert float(history[:, :, 1].abs().max()) <= 0.5 + 1e-5
    assert float(history[:, :, 1].abs().max()) > 0.4999  # the limit was active
    forces = torch.stack([output.action[:, 0] for output in outputs])
    assert float(forces.diff(dim=0).abs().max()) <= 1.0 + 1e-4  # 10 N/s in 0.1 s
    assert float(history[-1].abs().max()) < 1e-2


def test_offset_free_removes_what_a_constant_force_leaves():
    plain = make_linear_mpc(_toy().spec, LinearMpcConfig())
    free = make_linear_mpc(_toy().spec, LinearMpcConfig(offset_free=True))
    start = [[0.5, 0.0]]
    biased = _run(plain, start, 150, push=1.0)[0][-1]
    clean, outputs = _run(free, start, 150, push=1.0)
    # Without it the mass rests where K x balances 1 N; with it the force is cancelled.
    gain = plain.gain[0]
    assert float(biased[0, 0]) == pytest.approx(1.0 / gain[0], rel=1e-3)
    assert float(clean[-1].abs().max()) < 1e-5
    assert float(outputs[-1].action) == pytest.approx(-1.0, abs=1e-4)


def test_offset_by_hand():
    # x' = 0.5 x + u + d rests at x = 0 for u = -d: one input holds the one number.
    one = np.ones((1, 1))
    offset = Offset(0.5 * one, one, one, one, 0.25)
    state, control = offset.rest(torch.tensor([[2.0]], dtype=torch.float64))
    np.testing.assert_allclose(state, [[0.0]], atol=1e-6)
    np.testing.assert_allclose(control, [[-2.0]], atol=1e-6)
    # From x = 2 with u = 1 the model says 2; 6 came, so the error is 4 and a quarter is taken up.
    estimate = offset.update(*(torch.tensor([[v]]).double() for v in (0.0, 2.0, 1.0, 6.0)))
    assert estimate.tolist() == [[1.0]]
    with pytest.raises(ValueError, match=r"observer_gain must be in \(0, 1\]"):
        Offset(one, one, one, one, 0.0)


def test_delay_is_compensated_both_ways_where_the_naive_one_oscillates():
    """Five steps late (0.5 s): the naive plan never settles, both compensated ones do."""
    start = [[1.0, 0.0], [-0.5, 1.0]]
    final = {}
    for way in ("none", "predict", "augment"):
        config = LinearMpcConfig(delay_steps=5, compensation=way)
        history, _ = _run(make_linear_mpc(_toy().spec, config), start, 120, delay=5)
        final[way] = float(history[-20:].abs().max())
    assert final["none"] > 1.0
    assert final["predict"] < 1e-3
    assert final["augment"] < 1e-3


def test_delay_and_offset_together():
    config = LinearMpcConfig(delay_steps=3, offset_free=True)
    history, _ = _run(make_linear_mpc(_toy().spec, config), [[0.5, 0.0]], 200, delay=3, push=0.7)
    assert float(history[-1].abs().max()) < 1e-4


def test_augmented_model_by_hand():
    # Two inputs on their way: x' = x + s0, s0' = s1, s1' = u.
    one = np.ones((1, 1))
    a, b, q = augment(one, one, 3.0 * one, 2)
    assert a.tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert b.tolist() == [[0], [0], [1]]
    assert q.tolist() == [[3, 0, 0], [0, 0, 0], [0, 0, 0]]
    sent = torch.tensor([[[2.0], [5.0]]], dtype=torch.float64)
    ahead = predict_through(torch.ones(1, 1).double(), torch.ones(1, 1).double(), sent[:, 0], sent)
    assert ahead.tolist() == [[9.0]]  # 2 + 2 + 5


def test_terminal_values_that_say_the_same_do_the_same():
    """Riccati's P as built in, as a terminal value, and as a critic."""
    spec = _toy().spec
    plain = make_linear_mpc(spec, LinearMpcConfig(horizon=5))
    plant = plain.plant
    p = torch.from_numpy(plain.cost_to_go)
    riccati = RiccatiValue(plant.coordinates, p, plant.origin)
    critic = CriticValue(lambda x: -((x @ p) * x).sum(-1), plant.coordinates.read)
    start = [[1.0, 0.0], [-0.5, 2.0]]
    wanted = _run(plain, start, 5)[0]
    for value in (riccati, critic):
        valued = make_linear_mpc(spec, LinearMpcConfig(horizon=5), terminal_value=value)
        torch.testing.assert_close(_run(valued, start, 5)[0], wanted, atol=1e-5, rtol=0)
    none = make_linear_mpc(spec, LinearMpcConfig(horizon=5, terminal="none"))
    assert float((_run(none, start, 5)[0] - wanted).abs().max()) > 1e-2


def test_a_failed_solve_goes_on_with_the_last_plan():
    """A limit that a shove makes impossible: the shifted plan acts, and is counted."""
    config = LinearMpcConfig(state_high={"qvel": (0.5,)}, soft=False, horizon=10)
    policy = make_linear_mpc(_toy(max_force=1.0).spec, config)
    state = torch.zeros(1, 32, dtype=torch.uint8)

    def at(position, speed):
        x = torch.tensor([[position, speed]], dtype=torch.float64)
        state[:, 16:] = x.view(torch.uint8)
        return {"state": state.clone()}

    first = policy.act(at(-1.0, 0.0), policy.initial_state(1), RNG)
    assert first.extras["fallback"].tolist() == [0]
    shoved = policy.act(at(-1.0, 3.0), first.state, RNG)
    assert shoved.extras["fallback"].tolist() == [1] and shoved.extras["status"].item() != 0
    assert shoved.action.item() == pytest.approx(first.state["plan"][0, 0, 0].item())
    assert shoved.state["plan"][0, 0, 0].item() == first.state["plan"][0, 1, 0].item()
    # Without any plan the clipped regulator acts: it brakes.
    fresh = policy.act(at(-1.0, 3.0), policy.initial_state(1), RNG)
    assert fresh.extras["fallback"].tolist() == [1] and fresh.action.item() == -1.0
    # A deadline that no solve can meet is a fallback too.
    hurried = make_linear_mpc(_toy().spec, LinearMpcConfig(deadline=1e-9))
    output = hurried.act(at(0.3, 0.0), hurried.initial_state(1), RNG)
    assert output.extras["fallback"].tolist() == [1] and output.extras["status"].tolist() == [0]


def test_terminal_set_makes_short_horizons_safe():
    """Looking 2 steps ahead it would be too late to brake; the safe end makes the plan brake."""
    limits = {"state_high": {"qpos": (0.5,)}, "state_weights": {"qpos": (1.0,), "qvel": (1e-4,)}}
    spec = _toy(max_force=1.0).spec
    start = [[-3.0, 0.0]]
    short = LinearMpcConfig(horizon=2, terminal="none", control_weights=(1e-4,), **limits)
    safe = LinearMpcConfig(horizon=2, terminal_set=True, soft=False, control_weights=(1e-4,),
                           state_low={"qvel": (-9.0,)}, **limits)  # fmt: skip
    fast = make_linear_mpc(spec, short)
    assert float(_run(fast, start, 60)[0][:, :, 0].max()) > 0.5
    history, outputs = _run(make_linear_mpc(spec, safe), [[-0.05, 0.0]], 60)
    assert float(history[:, :, 0].max()) <= 0.5 + 1e-6
    assert not any(output.extras["fallback"].any() for output in outputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, "horizon: the horizon must be at least 1 step, got 0"),
        ({"solver": "simplex"}, "unknown solver 'simplex'; they are daqp"),
        ({"compensation": "hope"}, "compensation must be one of predict, augment, none"),
        ({"delay_steps": -1}, "delay_steps"),
        ({"state_low": {"qpos": (2.0,)}, "state_high": {"qpos": (1.0,)}}, "are infeasible: low 2"),
        ({"state_high": {"speed": (1.0,)}}, "unknown state part 'speed'"),
        ({"state_high": {"qpos": (math.nan,)}}, "limits of qpos"),
        ({"rate": (1.0, 2.0)}, "rate must be 1 or 1 numbers"),
        ({"rate": (0.0,)}, "rate must be above 0"),
        ({"offset_free": True, "observer_gain": 2.0}, "observer_gain"),
    ],
)
def test_bad_configs_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        make_linear_mpc(_toy().spec, LinearMpcConfig(**change))


def test_nan_in_the_state_is_named():
    policy = make_linear_mpc(_toy().spec, LinearMpcConfig())
    state = torch.zeros(2, 32, dtype=torch.uint8)
    state[1, 24:] = torch.tensor([math.nan]).double().view(torch.uint8)
    with pytest.raises(ValueError, match="linear-mpc: row 1 of the state is nan at number 1"):
        policy.act({"state": state}, policy.initial_state(2), RNG)


def test_controllers_are_registered():
    for name in ("lqr", "ilqr", "linear-mpc", "tube-mpc"):
        plugin = controller_plugin(name)
        policy = plugin.make(_toy().spec, plugin.config())
        assert policy.reads == frozenset({"state"})
