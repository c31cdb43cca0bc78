"""Rows of one environment follow their own ranges; actions act late by as much as they are told."""

import numpy as np
import pytest
import torch

from simrl.core.plugins import env_plugin, make_config, make_env

TASK = "quadrotor-track"
SCENARIOS = (
    {},
    {"mass": (1.3, 1.3)},
    {"payload": (0.2, 0.2), "latency": (0.01, 0.01)},
    {"push": (0.5, 0.5), "push_angle": (1.0, 1.0), "push_start": 0.1},
    {"push": (0.4, 0.4), "push_interval": 0.5},
    {"motor_gain": (0.8, 1.0), "observation_noise": 1.0},
    {"friction": (0.4, 0.4)},
)


def rows_of(name, scenarios):
    plugin = env_plugin(name)
    return plugin.make_rows([make_config(plugin.config, options, name) for options in scenarios])


def parts(env, state):
    layout = env.spec.physics["state"]
    return state[:, : layout["qvel"].stop].clone()


def test_each_row_moves_as_it_does_alone():
    together = rows_of(TASK, SCENARIOS)
    together.reset(0)
    before = together.snapshot()
    where = together.spec.physics["state"]
    alone = [make_env(TASK, 1, **options) for options in SCENARIOS]
    for row, env in enumerate(alone):
        env.reset(0)
        own = env.snapshot()
        for name, part in env.spec.physics["state"].items():
            own[:, part] = before[row : row + 1, where[name]]
        env.restore(own)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        action = 1.6 + 0.4 * torch.rand(len(SCENARIOS), 1, 4, generator=generator)
        seen = together.step(action).obs
        for row, env in enumerate(alone):
            own = env.step(action[row : row + 1]).obs
            assert torch.equal(own["policy"][0], seen["policy"][row]), SCENARIOS[row]
    after = parts(together, together.snapshot())
    assert all(not torch.equal(after[0], after[row]) for row in (1, 2, 3, 4))


def test_rows_must_share_what_is_no_range():
    with pytest.raises(ValueError, match=r"must share seconds, got 0.0 in row 0 and 3.0 in row 1"):
        rows_of(TASK, [{}, {"seconds": 3.0}])


def test_a_pushed_row_alone_among_others():
    env = rows_of(TASK, [{}, {"push": (0.5, 0.5), "push_angle": (0.0, 0.0), "push_start": 0.1}])
    env.reset(0)
    state = env.snapshot()
    state[1] = state[0]  # the same start, and the same stream
    env.restore(state)
    hover = torch.full((2, 1, 4), 1.7)
    speeds = []
    for _ in range(12):
        env.step(hover)
        speeds.append(env.snapshot()[:, env.spec.physics["state"]["qvel"]][:, 0].clone())
    gain = torch.stack(speeds)[:, 1] - torch.stack(speeds)[:, 0]
    assert torch.equal(gain[:5], torch.zeros(5, dtype=torch.float64))
    # 0.5 N s along x on a mass of physics["mass"] kg.
    assert float(gain[-1]) == pytest.approx(0.5 / env.spec.physics["mass"], rel=0.05)


def test_an_action_that_is_late_acts_late():
    # The quadrotor's physics has several steps in each control step: half of one is late by half.
    env = make_env(TASK, 3, compute_delay=0.04)
    env.reset(1)
    state = env.snapshot()
    state[:] = state[0].clone()
    vertical = env.spec.physics["state"]["qvel"].start + 2

    def gain(delays):
        """Return how much speed upwards a stronger thrust of one step brought in three steps."""
        found = []
        for strong in (False, True):
            env.restore(state)
            for step in range(6):
                thrust = torch.full((3, 1, 4), 1.7)
                if step == 2:
                    thrust += 1.0 * strong
                    env.delay_actions(np.array(delays))
                env.step(thrust)
            found.append(env.snapshot()[:, vertical].numpy().copy())
        return found[1] - found[0]

    on_time, half, full = gain([0.0, 0.01, 0.02])
    assert half == pytest.approx(0.5 * on_time, rel=0.1)  # overtaken by the next one half way
    assert full == pytest.approx(0.0, abs=1e-3 * on_time)  # overtaken before it acts
    later = gain([0.0, 0.0, 0.0])
    assert later == pytest.approx(np.full(3, on_time))  # a delay holds for one action alone


def test_late_actions_do_not_turn_back_time():
    # After an action has arrived, an older one that is still on its way counts no more.
    env = make_env(TASK, 1, compute_delay=0.04)
    env.reset(2)
    simulation, lags = env.simulation, env._random
    for delay in (0.036, 0.0, 0.0):
        lags.delay(np.array([delay]))
        simulation.extra[:, simulation.layout.extra["sent"]] = [1, 1, 1, 1, 2, 2, 2, 2]
        simulation._action[:] = 3.0
        control = simulation._delayed(lags.delays())[0, :, 0]
        if delay:
            assert (control == 2.0).all()  # the newest is late, the one before was not
    assert (control == 3.0).all()


def test_delays_beyond_what_was_asked_for_are_refused():
    env = make_env(TASK, 1, compute_delay=0.02)
    env.reset(0)
    with pytest.raises(ValueError, match=r"compute_delay = 0.02 s, got up to 0.5 s"):
        env.delay_actions(np.array([0.5]))
    plain = make_env(TASK, 1)
    plain.reset(0)
    with pytest.raises(ValueError, match="compute_delay"):
        plain.delay_actions(np.array([0.0]))


def test_the_measures_of_a_step_are_those_of_its_metrics():
    env = make_env(TASK, 2)
    env.reset(0)
    env.step(torch.full((2, 1, 4), 1.7))
    state = env.snapshot()
    target = env.spec.reference(state, torch.zeros(1))[:, 0, :3]
    distance = (state[:, :3] - target).norm(dim=1).numpy()
    assert env.measures["rmse"] == pytest.approx(distance)
    assert set(env.measures) == {"rmse", "largest_error", "saturation"}
