"""The platoon: delay line, aged plans, exact motion, leaders, norms and ratios."""

import math

import numpy as np
import pytest
import torch

from simrl.core.checks import check_dynamics, check_env
from simrl.core.plugins import env_plugin, make_env, make_scripted
from simrl.rollout import evaluate
from simrl_envs.vehicle.platoon import string_ratios
from simrl_envs.vehicle.platoon.config import PlatoonConfig


def _still(num_cars=3, **options):
    env = make_env("platoon", 1, num_cars=num_cars, profile="cruise", spread=0.0, **options)
    return env, env.reset(0)


def _action(env, command=0.0, plan=0.0):
    action = torch.zeros(1, env.spec.num_agents, env.spec.actions.size)
    action[..., 0], action[..., 1:] = command, plan
    return action


def _cars(env):
    return env.snapshot()[0, env.spec.physics["state"]["cars"]].unflatten(-1, (-1, 3))


def test_a_command_takes_effect_after_the_delay():
    # Delay 0.2 s is two steps of 0.1 s; then a' = (1 - a) / 0.3 for one step: 1 - exp(-1/3).
    env, _ = _still(actuation_delay=0.2, lag=0.3)
    felt = []
    for command in (1.0, 0.0, 0.0, 0.0):
        env.step(_action(env, command))
        felt.append(_cars(env)[1, 2].item())
    gained = 1.0 - math.exp(-1.0 / 3.0)
    wanted = [0.0, 0.0, gained, gained * math.exp(-1.0 / 3.0)]
    assert felt == pytest.approx(wanted, abs=1e-12)


def test_without_delay_it_takes_effect_at_once():
    env, _ = _still(actuation_delay=0.0, lag=0.3)
    env.step(_action(env, 1.0))
    assert _cars(env)[1, 2].item() == pytest.approx(1.0 - math.exp(-1.0 / 3.0), abs=1e-12)


def test_motion_is_the_exact_solution():
    # u = 1, a = 0 at first, lag 0.3, g = 1 - e^(-1/3): v = 0.1 - 0.3 g, s = 0.005 - 0.3 v.
    env, _ = _still(actuation_delay=0.0, lag=0.3)
    before = _cars(env).clone()
    env.step(_action(env, 1.0))
    moved = _cars(env) - before
    g = 1.0 - math.exp(-1.0 / 3.0)
    assert moved[1, 1].item() == pytest.approx(0.1 - 0.3 * g, abs=1e-12)
    cruise = before[1, 1].item() * 0.1
    assert moved[1, 0].item() == pytest.approx(cruise + 0.005 - 0.3 * (0.1 - 0.3 * g), abs=1e-9)


def test_a_plan_arrives_after_the_communication_delay():
    env, _ = _still(comm_delay=0.3, horizon=4)
    layout = env.spec.observations["policy"]
    heard = []
    for number in (1.0, 2.0, 3.0, 4.0, 5.0):
        action = _action(env)
        action[0, 0, 1:] = torch.tensor([number, 10.0, -1.0, 0.5])
        obs = env.step(action).obs
        heard.append(layout.split(obs["policy"])["message"][0, 1].tolist())
    assert [message[1] for message in heard] == [0.0, 0.0, 1.0, 2.0, 3.0]
    assert all(message[0] == pytest.approx(0.3) for message in heard)
    assert heard[2][2:] == [10.0, -1.0, 0.5]


def test_late_messages_do_not_replace_fresher_ones():
    env = make_env("platoon", 4, comm_delay=0.1, comm_jitter=0.3, profile="cruise", spread=0.0)
    env.reset(0)
    ages = []
    for _ in range(60):
        obs = env.step(torch.zeros(4, 9, 21)).obs
        ages.append(env.spec.observations["policy"].split(obs["policy"])["message"][..., 0] / 0.1)
    steps = torch.stack(ages).round()
    assert steps.min() == 1.0 and steps.max() == 4.0
    assert (steps[1:] - steps[:-1]).max() <= 1.0


def test_pending_commands_are_shown_oldest_first():
    env, _ = _still(actuation_delay=0.2)
    env.step(_action(env, 0.25))
    obs = env.step(_action(env, 0.5)).obs
    assert env.spec.observations["policy"].split(obs["policy"])["sent"][0, 0].tolist() == [
        0.25,
        0.5,
    ]


def test_the_leader_brakes_to_its_low_speed_and_returns():
    env = make_env("platoon", 3, num_cars=2, profile="brake", deceleration=5.0, max_steps=300)
    env.reset(4)
    parts, cacc = env.spec.physics["state"], make_scripted("platoon", "cacc", num_cars=2)
    profile = env.snapshot()[:, parts["profile"]].clone()
    obs, memory, speeds, pulls = env.reset(4), cacc.initial_state(3), [], []
    for _ in range(299):
        output = cacc.act({"policy": obs["policy"][:, 0]}, memory, torch.Generator())
        memory = output.state
        obs = env.step(output.action[:, None]).obs
        cars = env.snapshot()[:, parts["cars"]].unflatten(-1, (-1, 3))
        speeds.append(cars[:, 0, 1].clone())
        pulls.append(cars[:, 0, 2].clone())
    low = torch.stack(speeds).min(0).values
    # Commands change at whole steps of 0.1 s, so up to 0.1 s of braking more or less.
    assert (low - profile[:, 4]).abs().max() < 0.55
    assert (speeds[-1] - profile[:, 1]).abs().max() < 0.8
    assert torch.stack(pulls).min() == pytest.approx(-5.0, abs=0.05)


def test_error_norm_is_the_norm_over_time():
    env = make_env("platoon", 1, num_cars=4, profile="steps", max_steps=50)
    acc = make_scripted("platoon", "cacc", num_cars=4)
    obs, memory, squares = env.reset(1), acc.initial_state(3), np.zeros(3)
    for t in range(50):
        output = acc.act({"policy": obs["policy"][0]}, memory, torch.Generator())
        memory = output.state
        step = env.step(output.action[None])
        obs = step.obs
        shown = step.final_obs if t == 49 else step.obs
        error = env.spec.observations["policy"].split(shown["policy"])["car"][0, :, 4]
        squares += 0.1 * error.double().numpy() ** 2
    assert bool(step.truncated[0])
    assert step.metrics["error_norm"][0].numpy() == pytest.approx(np.sqrt(squares), rel=1e-4)


def test_string_ratios_of_a_known_chain():
    # Each car answers the one before with 1 / (s + 1); at 1 rad/s that is 1 / sqrt(2) = 0.70711.
    time = np.arange(0.0, 200.0, 0.01)
    errors, last = [np.sin(time)], np.sin(time)
    for _ in range(3):
        out = np.zeros_like(last)
        for k in range(1, len(time)):
            out[k] = out[k - 1] + 0.01 * (last[k - 1] - out[k - 1])
        errors.append(out)
        last = out
    ratios = string_ratios(np.sqrt((np.stack(errors) ** 2).sum(1) * 0.01))
    assert ratios == pytest.approx([0.7071] * 3, abs=0.01)
    assert string_ratios(np.array([2.0, 1.0, 3.0])).tolist() == [0.5, 3.0]
    assert string_ratios(np.array([0.0, 0.0])).tolist() == [0.0]
    with pytest.raises(ValueError, match="at least 2 followers"):
        string_ratios(np.array([1.0]))
    with pytest.raises(ValueError, match="finite"):
        string_ratios(np.array([1.0, np.nan]))


def test_a_collision_ends_the_episode_for_all():
    env, _ = _still(num_cars=3)
    action = _action(env)
    action[0, 0, 0], action[0, 1, 0] = -8.0, 3.0
    for _ in range(100):
        step = env.step(action)
        if bool(step.done[0]):
            break
    assert bool(step.terminated[0])
    assert step.metrics["collision"][0].tolist() == [1.0, 1.0]
    assert step.metrics["min_gap"][0, 1].item() <= 0.0
    assert step.metrics["success"][0].tolist() == [0.0, 0.0]


def test_cooperative_control_is_string_stable_where_plain_is_not():
    worst = {}
    for name in ("acc", "cacc"):
        env = make_env("platoon", 1, profile="sine", frequency=1.0, spread=0.0)
        policy = make_scripted("platoon", name)
        table = evaluate(env, policy, games=1, seed=0, deterministic=True).scores[0].episodes
        worst[name] = string_ratios(table.metric("error_norm")).max()
    assert worst["cacc"] <= 1.0 < worst["acc"]


def test_variant_keeps_the_contract():
    options = {"num_cars": 3, "comm_jitter": 0.2, "actuation_delay": 0.0, "horizon": 5}
    options["max_steps"] = 30
    check_env(lambda n: make_env("platoon", n, **options), num_steps=40)
    config = PlatoonConfig(**options)
    check_dynamics(env_plugin("platoon").dynamics(config), make_env("platoon", 3, **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_cars": 1}, "num_cars"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": 1}, "lengthen the horizon"),
        ({"profile": "zigzag"}, "random, cruise, brake, steps, sine"),
        ({"actuation_delay": 0.15}, "multiple of step_seconds"),
        ({"comm_delay": 0.0}, "at least one step"),
        ({"lag": 0.0}, "lag"),
        ({"actuation_delay": float("nan")}, "actuation_delay"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PlatoonConfig(**options)
