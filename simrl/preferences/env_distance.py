"""Measure a learned reward against the one that an environment pays, from states of its play."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import ContinuousActions
from simrl.core.env import VecEnv
from simrl.core.seeding import torch_generator
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs
from simrl.preferences.distance import dard_distance, epic_distance
from simrl.preferences.reward_model import RewardEnsemble
from simrl.rollout.random import sample_legal

ENDED = -1
"""Number of the state behind an episode's end."""


def reward_distances(
    env: VecEnv,
    ensemble: RewardEnsemble,
    snapshots: Tensor,
    *,
    gamma: float,
    seat: int = 0,
    num_actions: int = 8,
    seed: int = 0,
) -> dict[str, float]:
    """Return the EPIC and DARD distance of the learned reward to the true one, by name.

    Both rewards are seen as functions of state and action, which is how the simulator pays and how
    the ensemble is asked: in EPIC the next state of an imagined step does not count.  Actions are
    uniform among the legal ones, for every agent.  A step behind an episode's end pays nothing and,
    by the learned reward, what being absorbed pays.

    Args:
        env: Environment of the same kind, for this alone: its state is lost.
        ensemble: Learned reward, normalised (`fit_normaliser`).
        snapshots: States of play, `VecEnv.snapshot` rows `[M, S]`; a few hundred are enough.
        gamma: Discount.
        seat: Agent whose reward it is.
        num_actions: Actions K over which expectations are taken; DARD makes about M K² steps.
        seed: Draws the actions.

    Raises:
        ValueError: There is no such seat, or fewer than two states.
    """
    if len(snapshots) < 2:
        raise ValueError(f"distances need at least two states, got {len(snapshots)}")
    if num_actions < 2:
        raise ValueError(f"num_actions must be at least 2, got {num_actions}")
    # The first actions are for the expectations; then comes one for each transition.
    num_draws = num_actions + len(snapshots)
    probe = RewardProbe(env, ensemble, seat=seat, num_draws=num_draws, seed=seed)
    state, actions = probe.add(snapshots), torch.arange(num_actions)
    action = state + num_actions
    transitions = (state, action, probe.follow(state, action))
    profile = (actions, state[actions % len(state)])
    return {
        "EPIC": epic_distance(probe.true, probe.learned, transitions, profile, gamma),
        "DARD": dard_distance(probe.true, probe.learned, transitions, probe.follow, actions, gamma),
    }


class RewardProbe:
    """Ask the environment and the learned reward about steps; states and actions are numbers.

    An action number stands for one draw of uniform numbers, that becomes a legal action where it is
    taken.  What was asked once is remembered.
    """

    def __init__(
        self, env: VecEnv, ensemble: RewardEnsemble, *, seat: int, num_draws: int, seed: int
    ) -> None:
        """Draw `num_draws` joint actions; ValueError if there is no such seat."""
        spec = env.spec
        if not 0 <= seat < spec.num_agents:
            raise ValueError(f"there is no seat {seat}; the seats are 0 to {spec.num_agents - 1}")
        self.env, self.ensemble, self.seat = env, ensemble, seat
        actions = spec.actions
        masked = () if isinstance(actions, ContinuousActions) else ("action_mask",)
        env.request(["policy", *masked])
        width = actions.size if isinstance(actions, ContinuousActions) else actions.num_heads
        generator = torch_generator(seed, "reward distance")
        self.draws = torch.rand(num_draws, spec.num_agents, width, generator=generator)
        self._states: list[Tensor] = []
        self._paid: dict[tuple[int, int], tuple[float, float]] = {}
        self._next: dict[tuple[int, int], int] = {}

    def add(self, snapshots: Tensor) -> Tensor:
        """Take in states `[M, S]` and return their numbers `[M]`."""
        start = len(self._states)
        self._states.extend(snapshots.clone())
        return torch.arange(start, len(self._states))

    def true(self, state: Tensor, action: Tensor, following: Tensor) -> Tensor:
        """Return what the environment pays `[R]`; the next state is its own."""
        return self._rewards(state, action)[:, 0]

    def learned(self, state: Tensor, action: Tensor, following: Tensor) -> Tensor:
        """Return what the ensemble says `[R]`."""
        return self._rewards(state, action)[:, 1]

    def follow(self, state: Tensor, action: Tensor) -> Tensor:
        """Return the numbers of the states that follow `[R]`, `ENDED` behind an episode's end."""
        keys = list(zip(state.tolist(), action.tolist(), strict=True))
        self._visit([k for k in dict.fromkeys(keys) if k[0] != ENDED and k not in self._next], True)
        return torch.tensor([self._next.get(key, ENDED) for key in keys])

    def _rewards(self, state: Tensor, action: Tensor) -> Tensor:
        keys = list(zip(state.tolist(), action.tolist(), strict=True))
        self._visit(
            [k for k in dict.fromkeys(keys) if k[0] != ENDED and k not in self._paid], False
        )
        ended = (0.0, self.ensemble.absorbing_reward())
        return torch.tensor([self._paid.get(key, ended) for key in keys], dtype=torch.float64)

    def _visit(self, keys: list[tuple[int, int]], keep: bool) -> None:
        """Make the steps `keys`, each (state, action); with `keep` note the states that follow."""
        size = self.env.num_envs
        for start in range(0, len(keys), size):
            part = keys[start : start + size]
            padded = part + part[:1] * (size - len(part))
            obs = self.env.restore(torch.stack([self._states[state] for state, _ in padded]))
            action = joint_action(self.env.spec, obs, self.draws[[a for _, a in padded]])
            learned = self.ensemble.reward(obs["policy"][:, self.seat], action[:, self.seat])
            learned = learned.clone()
            timestep = self.env.step(action)
            true, done = timestep.reward[:, self.seat], timestep.done.tolist()
            pairs = torch.stack([true, learned], 1).double().tolist()
            after = self.env.snapshot() if keep else None
            for row, key in enumerate(part):
                self._paid[key] = (pairs[row][0], pairs[row][1])
                if after is not None:
                    self._next[key] = ENDED if done[row] else len(self._states)
                    if not done[row]:
                        self._states.append(after[row].clone())


def joint_action(spec: EnvSpec, obs: Obs, draw: Tensor) -> Tensor:
    """Turn uniform numbers `[N, A, width]` into legal actions `[N, A, width]` of every agent."""
    actions = spec.actions
    if isinstance(actions, ContinuousActions):
        low, high = torch.tensor(actions.low), torch.tensor(actions.high)
        return low + draw * (high - low)
    if "action_mask" in obs:
        mask = obs["action_mask"].flatten(0, 1)
    else:
        mask = torch.ones(draw.shape[0] * draw.shape[1], actions.mask_size, dtype=torch.bool)
    return sample_legal(actions, mask, draw.flatten(0, 1))[0].view(*draw.shape)


def play_states(
    env: VecEnv, choose: Callable[[Obs], Tensor], steps: int, count: int, seed: int
) -> Tensor:
    """Play `steps` steps and return `count` states of them `[count, S]`, drawn at random.

    `choose` turns observations into joint actions `[N, A, ...]`.  All states if there are fewer.
    """
    obs, kept = env.reset(seed), []
    for _ in range(steps):
        kept.append(env.snapshot().clone())
        obs = env.step(choose(obs)).obs
    states = torch.cat(kept)
    rng = np.random.default_rng(seed)
    return states[torch.from_numpy(rng.permutation(len(states))[:count])]
