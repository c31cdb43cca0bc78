"""Record games that searches play against each other, as positions to learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from simrl.core.spec import EnvSpec
from simrl.core.timestep import TimeStep
from simrl.learn.replay import Positions
from simrl.learn.search_targets import outcome_returns
from simrl.rollout.observer import Observer, StepRecord

SEARCHED, POLICY, VALUE = "searched", "search_policy", "search_policy_value"
"""Extras of a policy that searches: in which rows it did bool `[rows]`, and what it found there,
`[rows, K]` and `[rows]`; what other rows hold does not count."""


class SelfPlayRecorder(Observer):
    """Keep what was searched in running games; hand a game's positions on when it has ended.

    A position's outcome is the return of the agent that moved there, discounted by `gamma` a step,
    so in a two-player game of 1, 0, -1 it is how the game ended for that agent.  An episode that a
    time limit cut has no outcome: its positions take the search's value instead.
    """

    def __init__(
        self,
        spec: EnvSpec,
        num_envs: int,
        groups: frozenset[str],
        sink: Callable[[Positions], None],
        *,
        gamma: float = 1.0,
    ) -> None:
        """Record the observation `groups` of the agents that search, and give games to `sink`."""
        self.reads = groups | {"state"}
        self.searched = 0
        """Positions searched so far."""
        self._agents, self._groups, self._sink, self._gamma = (
            spec.num_agents,
            sorted(groups),
            sink,
            gamma,
        )
        self._steps = torch.zeros(num_envs, dtype=torch.int64)
        self._count = torch.zeros(num_envs, dtype=torch.int64)
        self._rewards = torch.zeros(num_envs, 16, spec.num_agents)
        self._open: dict[str, Tensor] = {}

    def on_act(self, record: StepRecord) -> None:
        """Keep the positions that were searched in this step."""
        for act in record.acts:
            extras = act.output.extras
            if SEARCHED not in extras:
                continue
            here = extras[SEARCHED].nonzero().squeeze(1)
            if not len(here):
                continue
            env = torch.div(act.rows[here], self._agents, rounding_mode="floor")
            seats = act.rows[here]
            self._put(
                env,
                {
                    **{
                        f"obs/{name}": record.obs[name].flatten(0, 1).index_select(0, seats)
                        for name in self._groups
                    },
                    "policy": extras[POLICY].index_select(0, here),
                    "value": extras[VALUE].index_select(0, here),
                    "state": record.obs["state"].index_select(0, env),
                    "seat": seats % self._agents,
                    "step": self._steps[env],
                },
            )

    def on_step(self, record: StepRecord, timestep: TimeStep) -> None:
        """Count rewards, and pass on the games that ended."""
        longest = int(self._steps.max())
        if longest == self._rewards.shape[1]:
            self._rewards = torch.cat([self._rewards, torch.zeros_like(self._rewards)], 1)
        rows = torch.arange(len(self._steps))
        self._rewards[rows, self._steps] = timestep.reward
        self._steps += 1
        done = timestep.done.nonzero().squeeze(1)
        if len(done):
            self._finish(done, timestep.truncated[done])
            self._steps[done] = 0
            self._count[done] = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the running games."""
        longest, most = int(self._steps.max()), int(self._count.max())
        return {
            "searched": self.searched,
            "steps": self._steps.clone(),
            "count": self._count.clone(),
            "rewards": self._rewards[:, :longest].clone(),
            "open": {name: value[:, :most].clone() for name, value in self._open.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.searched = int(state["searched"])
        self._steps.copy_(state["steps"])
        self._count.copy_(state["count"])
        rewards = state["rewards"]
        self._rewards = rewards.new_zeros(len(rewards), max(16, rewards.shape[1]), self._agents)
        self._rewards[:, : rewards.shape[1]] = rewards
        self._open = {name: value.clone() for name, value in state["open"].items()}

    def _put(self, env: Tensor, rows: Mapping[str, Tensor]) -> None:
        """Append a position to the games `env` `[P]` (ascending; a game may have several)."""
        _, per_game = torch.unique_consecutive(env, return_counts=True)
        first = torch.repeat_interleave(per_game.cumsum(0) - per_game, per_game)
        place = self._count[env] + torch.arange(len(env)) - first
        self._grow(int(place.max()) + 1, rows)
        for name, value in rows.items():
            self._open[name][env, place] = value
        self._count.index_add_(0, env, torch.ones_like(env))
        self.searched += len(env)

    def _grow(self, needed: int, rows: Mapping[str, Tensor]) -> None:
        held = next(iter(self._open.values())).shape[1] if self._open else 0
        if needed <= held:
            return
        size = max(16, 2 * held, needed)
        for name, value in rows.items():
            new = value.new_zeros(len(self._count), size, *value.shape[1:])
            if name in self._open:
                new[:, :held] = self._open[name]
            self._open[name] = new

    def _finish(self, done: Tensor, truncated: Tensor) -> None:
        """Hand on the positions of the games `done` `[E]`."""
        if not self._open:
            return
        held = next(iter(self._open.values())).shape[1]
        game, place = (torch.arange(held) < self._count[done, None]).nonzero().unbind(1)
        if not len(game):
            return
        rows = {name: value[done[game], place] for name, value in self._open.items()}
        lengths = self._steps[done]
        rewards = self._rewards[done, : int(lengths.max())]
        counts = torch.arange(rewards.shape[1]) < lengths[:, None]
        # What lies past the end of a shorter game is left over from an earlier one.
        played = torch.where(counts[..., None], rewards, 0.0)
        returns = outcome_returns(played.transpose(0, 1).flatten(1), self._gamma)
        returns = returns.unflatten(1, (len(done), self._agents))
        step, seat = rows.pop("step"), rows["seat"]
        outcome = torch.where(truncated[game], rows["value"], returns[step, game, seat])
        self._sink(Positions.from_flat({**rows, "outcome": outcome}))
