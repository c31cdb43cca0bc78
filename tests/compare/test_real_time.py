"""An action that took t to compute is applied t later; the clock is the test's own."""

import math

import pytest
import torch

from simrl.compare.real_time import RealTimePolicy
from simrl.core.actions import ContinuousActions, DiscreteActions, Head
from simrl.core.policy import PolicyOutput
from simrl.core.spec import Column, EnvSpec, Layout, vector

STEP = 0.1


class Counter:
    """Answer with the number seen, and remember how many decisions each row has made."""

    reads = frozenset({"policy"})

    def __init__(self, clock):
        self.clock = clock

    def initial_state(self, num_rows):
        return {"decisions": torch.zeros(num_rows, dtype=torch.int64)}

    def act(self, obs, state, rng, *, deterministic=False):
        assert len(obs["policy"]) == len(obs["seat"]) == 1  # each row is decided for alone
        self.clock.work()
        return PolicyOutput(obs["policy"].clone(), {"decisions": state["decisions"] + 1})


class Clock:
    """Let each decision take what a list says [s]."""

    def __init__(self, *takes):
        self.takes, self.now = list(takes), 0.0

    def __call__(self):
        return self.now

    def work(self):
        self.now += self.takes.pop(0)


def spec(actions=None, seconds=STEP):
    actions = actions or ContinuousActions((-100.0,), (100.0,))
    return EnvSpec(
        "t", 1, {"policy": Layout((vector("x", Column("x")),))}, actions, step_seconds=seconds
    )


def play(clock, within_step, num_steps, rows=1):
    """Return the actions sent, their delays and the decisions' seconds; the obs is the step."""
    policy = RealTimePolicy(Counter(clock), spec(), within_step=within_step, clock=clock)
    state, rng = policy.initial_state(rows), torch.Generator()
    sent, delays, seconds = [], [], []
    for step in range(num_steps):
        obs = {"policy": torch.full((rows, 1), float(step)), "seat": torch.zeros(rows).long()}
        output = policy.act(obs, state, rng)
        state = output.state
        sent.append(output.action[:, 0].tolist())
        delays.append(output.extras["delay"].tolist())
        seconds.append(output.extras["seconds"].tolist())
    return sent, delays, seconds, state


def flat(rows):
    return [value for (value,) in rows]


def test_a_decision_shorter_than_a_step_acts_within_it():
    sent, delays, seconds, state = play(Clock(0.03, 0.03, 0.05, 0.1), True, 3)
    assert flat(sent) == [0, 1, 2]
    assert flat(delays) == pytest.approx([0.0, 0.03, 0.05])  # the first one is free
    assert flat(seconds) == pytest.approx([0.03, 0.03, 0.05])
    assert state["inner/decisions"].tolist() == [3]


def test_a_decision_of_two_and_a_half_steps():
    # Begun at step 1 it is over at 3.5: sent in step 3, late by half of it; free again at 4.
    sent, delays, seconds, state = play(Clock(0.0, 0.25, 0.0), True, 5)
    assert flat(sent) == [0, 0, 0, 1, 4]
    assert flat(delays) == pytest.approx([0, 0, 0, 0.05, 0])
    assert [not math.isnan(value) for value in flat(seconds)] == [True, True, False, False, True]
    assert state["inner/decisions"].tolist() == [3]


def test_whole_steps_where_the_environment_knows_no_others():
    sent, delays, _, _ = play(Clock(0.0, 0.03, 0.03, 0.12, 0.0), False, 6)
    # Begun at 1: sent at 2.  Begun at 2: sent at 3.  Begun at 3, two steps: sent at 5, and free.
    assert flat(sent) == [0, 0, 1, 2, 2, 5]
    assert flat(delays) == [0] * 6


def test_a_decision_of_exactly_one_step():
    sent, delays, _, _ = play(Clock(0.0, STEP, STEP, STEP), True, 4)
    assert flat(sent) == [0, 1, 2, 3]  # at the very end of its step
    assert flat(delays) == pytest.approx([0, STEP, STEP, STEP])
    sent, delays, _, _ = play(Clock(0.0, STEP, STEP, STEP), False, 4)
    assert flat(sent) == [0, 0, 1, 2]
    assert flat(delays) == [0] * 4


def test_rows_keep_their_own_time():
    # Row 0 decides at once in every step; row 1 takes two and a half steps from step 1 on.
    sent, delays, seconds, _ = play(Clock(0, 0, 0, 0.25, 0, 0), True, 4, rows=2)
    assert sent == [[0, 0], [1, 0], [2, 0], [3, 1]]
    assert delays[3] == pytest.approx([0.0, 0.05])
    assert math.isnan(seconds[2][1]) and not math.isnan(seconds[2][0])


def test_what_cannot_be_held_is_refused():
    with pytest.raises(ValueError, match="continuous"):
        RealTimePolicy(Counter(None), spec(DiscreteActions((Head("button", 3),))), within_step=True)
    with pytest.raises(ValueError, match="length in seconds"):
        RealTimePolicy(Counter(None), spec(seconds=0.0), within_step=True)
