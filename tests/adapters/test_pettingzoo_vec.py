"""PettingZoo's environments as ours."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from simrl.adapters.pettingzoo import ParallelPettingZoo
from simrl.adapters.pettingzoo_vec import PettingZooVec
from simrl.core.checks.step import check_step
from simrl.core.plugins import make_env
from simrl.rollout import RandomPolicy, RolloutEngine, Seating


class Countdown:
    """Two agents count steps; "short" leaves after one, "long" after `length`."""

    metadata = {"name": "countdown"}  # noqa: RUF012
    possible_agents = ["short", "long"]  # noqa: RUF012

    def __init__(self, length=3, cut=False, other_space=False):
        self.length, self.cut, self.other_space = length, cut, other_space
        self.seeds = []

    def observation_space(self, agent):
        return spaces.Box(0.0, 10.0, (1 + (self.other_space and agent == "long"),))

    def action_space(self, agent):
        return spaces.Discrete(3, start=5)

    def reset(self, seed=None, options=None):
        self.agents, self.time, self.actions = ["short", "long"], 0, []
        self.seeds.append(seed)
        return {name: np.zeros(1) for name in self.agents}, {}

    def step(self, actions):
        self.time += 1
        self.actions.append(actions)
        seen = {name: np.array([float(self.time)]) for name in self.agents}
        ends = {"short": self.time == 1, "long": self.time == self.length}
        ended = {name: ends[name] and not self.cut for name in self.agents}
        cut = {name: ends[name] and self.cut for name in self.agents}
        reward = {name: 1.0 + (name == "long") for name in self.agents}
        self.agents = [name for name in self.agents if not ends[name]]
        return seen, reward, ended, cut, {name: {} for name in seen}


def test_an_agent_that_leaves_is_dead_and_the_last_one_ends_the_episode():
    env = PettingZooVec(Countdown, 1)
    obs = env.reset(seed=0)
    assert obs["alive"].tolist() == [[1, 1]]
    action = torch.tensor([[[2], [0]]])
    first = env.step(action)
    assert first.reward.tolist() == [[1, 2]] and not first.done.any()
    assert first.obs["alive"].tolist() == [[0, 1]]
    assert first.obs["policy"].tolist() == [[[0], [1]]]
    assert env._envs[0].actions == [{"short": 7, "long": 5}]  # the space starts at 5
    second = env.step(action)
    assert second.reward.tolist() == [[0, 2]]
    third = env.step(action)
    assert third.terminated.tolist() == [True] and third.truncated.tolist() == [False]
    assert third.final_obs["policy"].tolist() == [[[0], [3]]]
    assert third.obs["policy"].tolist() == [[[0], [0]]] and third.obs["alive"].tolist() == [[1, 1]]


def test_a_time_limit_truncates():
    env = PettingZooVec(lambda: Countdown(length=1, cut=True), 1)
    env.reset(seed=0)
    step = env.step(torch.zeros(1, 2, 1, dtype=torch.int64))
    assert step.truncated.tolist() == [True] and step.terminated.tolist() == [False]


def test_every_episode_of_every_row_has_its_own_seed():
    env = PettingZooVec(lambda: Countdown(length=1), 2)
    seeds = []
    for _ in range(2):
        env.reset(seed=3)
        env.step(torch.zeros(2, 2, 1, dtype=torch.int64))
        seeds.append([inner.seeds[-2:] for inner in env._envs])
    assert seeds[0] == seeds[1]
    assert len({seed for row in seeds[0] for seed in row}) == 4


def test_there_and_back_again_plays_the_same_game():
    ours = make_env("tic-tac-toe", 1)
    env = PettingZooVec(lambda: ParallelPettingZoo(make_env("tic-tac-toe", 1), on_illegal="raise"))
    assert env.spec.actions.heads[0].size == ours.spec.actions.heads[0].size
    engine = RolloutEngine(env, Seating.self_play(env, RandomPolicy(env.spec)), seed=0)
    table = engine.run_episodes(6)
    assert table.length.min() >= 5 and table.length.max() <= 9
    assert np.allclose(table.returns.sum(1), 0.0)


@pytest.mark.parametrize("name", ["tic-tac-toe", "identity-continuous"])
def test_steps_keep_the_contract(name):
    env = PettingZooVec(lambda: ParallelPettingZoo(make_env(name, 1)), 2)
    obs = env.reset(seed=1)
    policy, rng = RandomPolicy(env.spec), torch.Generator().manual_seed(0)
    for index in range(20):
        rows = {group: value.flatten(0, 1) for group, value in obs.items()}
        rows["seat"] = torch.arange(env.spec.num_agents).repeat(2)
        action = policy.act(rows, {}, rng).action
        step = env.step(action.unflatten(0, (2, -1)))
        check_step(env.spec, step, 2, f"step {index}")
        obs = step.obs


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="long and short have different spaces"):
        PettingZooVec(lambda: Countdown(other_space=True))
    with pytest.raises(ValueError, match="at least 1"):
        PettingZooVec(Countdown, 0)
    env = PettingZooVec(Countdown)
    with pytest.raises(ValueError, match="unknown observation group 'state'"):
        env.request(["state"])
    with pytest.raises(NotImplementedError, match="no snapshots"):
        env.snapshot()
