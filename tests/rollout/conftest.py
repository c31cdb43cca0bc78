"""A tiny environment and a policy whose every number can be worked out by hand."""

import types

import pytest
import torch

from simrl.core import (
    Column,
    ContinuousActions,
    DiscreteActions,
    EnvSpec,
    Head,
    Layout,
    PolicyOutput,
    TimeStep,
    vector,
)


class CountEnv:
    """Count steps: the observation of agent a at step t of episode e is (t, e, a).

    Row i's episodes last `lengths[i]` steps; even rows terminate, odd rows are truncated.  The
    reward of the step to count t is t * (a + 1).  The outcome is decided by who has the greater sum
    of actions.
    """

    def __init__(self, lengths=(3, 2), agents=1, continuous=False, max_action=9):
        actions = (
            ContinuousActions((-1.0,), (1.0,))
            if continuous
            else DiscreteActions((Head("number", max_action + 1),))
        )
        columns = [Column(name, 0.0, 1e9) for name in ("count", "episode", "agent")]
        self.spec = EnvSpec(
            id="count",
            num_agents=agents,
            observations={
                "policy": Layout((vector("own", *columns),)),
                "critic": Layout((vector("all", Column("count", 0.0, 1e9)),)),
            },
            actions=actions,
            reward_terms=("count", "zero"),
            reward_weights=(1.0, 5.0),
            reward_groups=("main", "other"),
            state_size=2 + agents,
            state_dtype=torch.float64,
            metrics=("outcome", "score"),
        )
        self.num_envs, self.device = len(lengths), torch.device("cpu")
        self.lengths = torch.tensor(lengths, dtype=torch.float64)
        self.record = torch.zeros(self.num_envs, 2 + agents, dtype=torch.float64)
        self.groups = {"policy", "critic", "state", "alive"}
        self.requests, self.actions = [], []
        self.policy_obs = torch.zeros(self.num_envs, agents, 3)
        self.poison = None

    def request(self, groups):
        unknown = set(groups) - {"policy", "critic", "state", "alive", "action_mask"}
        if unknown:
            raise ValueError(f"unknown groups {unknown}")
        self.groups = set(groups)
        self.requests.append(self.groups)

    def _obs(self, into=None):
        out = torch.zeros_like(self.policy_obs) if into is None else into
        out[:, :, 0] = self.record[:, :1].float()
        out[:, :, 1] = self.record[:, 1:2].float()
        out[:, :, 2] = torch.arange(self.spec.num_agents).float()
        obs = {"policy": out}
        if "critic" in self.groups:
            obs["critic"] = 100 + out[:, :, :1]
        if "state" in self.groups:
            obs["state"] = self.record.clone() if into is None else self.record
        if "alive" in self.groups:
            obs["alive"] = torch.ones(out.shape[:2], dtype=torch.bool)
        return obs

    def reset(self, seed):
        self.seed = seed
        self.record.zero_()
        return self._obs(self.policy_obs)

    def step(self, action):
        assert action.shape == (self.num_envs, self.spec.num_agents, 1)
        self.actions.append(action.clone())
        self.record[:, 0] += 1
        self.record[:, 2:] += action[:, :, 0]
        count = self.record[:, 0]
        reward = (count[:, None] * torch.arange(1, self.spec.num_agents + 1)).float()
        if self.poison is not None:
            reward[self.poison] = torch.nan
        terms = torch.stack((reward, torch.zeros_like(reward)), dim=-1)
        done = count >= self.lengths
        even = torch.arange(self.num_envs) % 2 == 0
        final = self._obs()
        sums = self.record[:, 2:]
        outcome = torch.sign(2 * sums - sums.sum(1, keepdim=True)).long()
        score = self.record[:, 1].clone()
        self.record[done, 1] += 1
        self.record[done, 0] = 0
        self.record[done, 2:] = 0
        return TimeStep(
            self._obs(self.policy_obs),  # one buffer, overwritten at every step
            reward,
            done & even,
            done & ~even,
            final,
            terms,
            {"outcome": outcome, "score": score},
        )

    def snapshot(self):
        return self.record.clone()

    def restore(self, snapshot, rows=None):
        self.record[slice(None) if rows is None else rows] = snapshot
        return self._obs(self.policy_obs)

    def render(self, row):
        # Not unfinished: a made-up environment of the tests, of which no picture is asked.
        raise NotImplementedError("tests of the engine draw nothing")


class Fixed:
    """Always choose `action`; remember how many steps it acted for each row since its start."""

    def __init__(self, action=0, reads=("policy",), noisy=False):
        self.action, self.reads, self.noisy = action, frozenset(reads), noisy
        self.calls = []

    def initial_state(self, num_rows):
        return {"n": torch.zeros(num_rows)}

    def act(self, obs, state, rng, *, deterministic=False):
        seat = obs["seat"]
        rows = len(seat)
        self.calls.append({name: value.clone() for name, value in obs.items()} | dict(state))
        action = torch.full((rows, 1), self.action)
        if self.noisy:
            action = torch.randint(0, 10, (rows, 1), generator=rng)
        count = obs["policy"][:, 0] if "policy" in obs else torch.zeros(rows)
        extras = {"log_prob": -state["n"], "value": torch.stack((10 * count, -count), dim=1)}
        return PolicyOutput(action, {"n": state["n"] + 1}, extras)


@pytest.fixture
def toy():
    return types.SimpleNamespace(Env=CountEnv, Fixed=Fixed)
