"""Turn small batched rules into an environment and into a dynamics function.

A toy is a `Rules` object: what a row's record holds, how an episode starts, what an action does and
what is seen, all over many rows at once.  `ToyEnv` adds buffers, autoreset, snapshots and checks;
`ToyDynamics` is the same rules as a pure function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import ContinuousActions, DiscreteActions
from simrl.core.controls import Controls
from simrl.core.plugins import EnvPlugin
from simrl.core.policy import Policy
from simrl.core.replay import Replay
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, TimeStep
from simrl_envs.toy.streams import first_states

CHEAP_GROUPS = frozenset({"policy", "action_mask"})
"""Observation groups that every call returns; the others only on request."""


def record(*fields: Any) -> np.dtype:
    """Make a row's packed record: its random stream, step count and end mark, then `fields`."""
    return np.dtype([("rng", np.uint64), ("steps", np.int32), ("ended", np.int32), *fields])


@dataclass(frozen=True)
class Move:
    """Hold what one action did in B rows."""

    reward: np.ndarray
    """Weighted reward `[B, A]`."""
    terminated: np.ndarray
    """Whether the task ended by its own rules `[B]` bool."""
    terms: np.ndarray | None = None
    """Unweighted reward terms `[B, A, R]`, if the spec names any."""


class Rules(Protocol):
    """Play B independent rows: `games` is a structured array `[B]`, changed in place."""

    spec: EnvSpec
    record: np.dtype

    def start(self, games: np.ndarray) -> None:
        """Begin an episode; the fields of the toy's own still hold the last one's values."""
        ...

    def advance(self, games: np.ndarray, action: np.ndarray) -> Move:
        """Apply legal joint actions `[B, A, heads or size]`; "steps" counts this one already."""
        ...

    def observe(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Return each group `[B, A, ...]`, the legal-action mask of discrete actions included."""
        ...

    def metrics(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Return the figures of the episode, `[B]` or `[B, A]`, named by `spec.metrics`."""
        ...

    def draw(self, game: np.void) -> np.ndarray:
        """Draw one row as `(height, width, 3)` uint8."""
        ...


class ToyEnv:
    """Step N rows of a toy; the buffers are written in place, so copy what must outlive a step."""

    def __init__(self, rules: Rules, num_envs: int) -> None:
        if num_envs < 1:
            raise ValueError(f"{rules.spec.id}: num_envs must be at least 1, got {num_envs}")
        self.rules = rules
        self.spec = rules.spec
        self.num_envs = num_envs
        self.device = torch.device("cpu")
        agents, terms = self.spec.num_agents, len(self.spec.reward_terms)
        self._games = np.zeros(num_envs, rules.record)
        self._final_state = self._bytes().copy()
        self._reward = np.zeros((num_envs, agents), np.float32)
        self._terms = np.zeros((num_envs, agents, terms), np.float32)
        self._terminated = np.zeros(num_envs, np.bool_)
        self._truncated = np.zeros(num_envs, np.bool_)
        seen = rules.observe(self._games)
        self._obs = {name: _buffer(value) for name, value in seen.items()}
        self._final_obs = {name: _buffer(value) for name, value in seen.items()}
        figures = rules.metrics(self._games)
        self._metrics = {name: value.astype(np.float32) for name, value in figures.items()}
        self._started = False
        self.request([*self._obs, "state"])

    def request(self, groups: Iterable[str]) -> None:
        """Return only these groups from now on, and always "policy" and "action_mask"."""
        valid = [*self._obs, "state"]
        wanted = set(groups)
        for name in sorted(wanted):
            if name not in valid:
                raise ValueError(
                    f"{self.spec.id}: unknown observation group {name!r}; "
                    f"the groups are {', '.join(valid)}"
                )
        now = {**self._obs, "state": self._bytes()}
        last = {**self._final_obs, "state": self._final_state}
        keep = [name for name in valid if name in wanted or name in CHEAP_GROUPS]
        self._seen: Obs = {name: torch.from_numpy(now[name]) for name in keep}
        self._step = TimeStep(
            obs=self._seen,
            reward=torch.from_numpy(self._reward),
            terminated=torch.from_numpy(self._terminated),
            truncated=torch.from_numpy(self._truncated),
            final_obs={name: torch.from_numpy(last[name]) for name in keep},
            reward_terms=torch.from_numpy(self._terms) if self.spec.reward_terms else None,
            metrics={name: torch.from_numpy(value) for name, value in self._metrics.items()},
        )

    def reset(self, seed: int) -> Obs:
        """Start every row anew from its own stream of `seed`."""
        self._games[:] = 0
        self._games["rng"] = first_states(seed, self.num_envs)
        self.rules.start(self._games)
        self._started = True
        return self._look()

    def step(self, action: Tensor) -> TimeStep:
        """Apply int64 `[N, A, heads]` or float32 `[N, A, size]`; done rows reset in this step."""
        joint = self._checked(action)
        games = self._games
        games["steps"] += 1
        move = self.rules.advance(games, joint)
        self._reward[:] = move.reward
        if move.terms is not None:
            self._terms[:] = move.terms
        self._terminated[:] = move.terminated
        limit = self.spec.max_steps
        self._truncated[:] = ~self._terminated & (games["steps"] >= limit) if limit else False
        self._look()
        done = np.flatnonzero(self._terminated | self._truncated)
        if done.size:
            self._restart(done)
        return self._step

    def snapshot(self) -> Tensor:
        """Copy each row's record `[N, S]` uint8, its random stream included."""
        self._require_start()
        return torch.from_numpy(self._bytes().copy())

    def restore(self, snapshot: Tensor, rows: Tensor | None = None) -> Obs:
        """Put records `[len(rows), S]` into `rows` and return the observations of all rows."""
        count = self.num_envs if rows is None else len(rows)
        shape = (count, self.spec.state_size)
        if tuple(snapshot.shape) != shape or snapshot.dtype != torch.uint8:
            raise ValueError(
                f"{self.spec.id}: a snapshot of {count} rows is uint8 {shape}, "
                f"got {snapshot.dtype} {tuple(snapshot.shape)}"
            )
        where = slice(None) if rows is None else rows.numpy()
        self._bytes()[where] = snapshot.numpy()
        self._started = self._started or rows is None
        return self._look()

    def render(self, row: int) -> np.ndarray:
        """Draw one row as `(height, width, 3)` uint8."""
        self._require_start()
        if not 0 <= row < self.num_envs:
            raise ValueError(f"{self.spec.id}: row {row} is not in 0..{self.num_envs - 1}")
        return self.rules.draw(self._games[row])

    def _bytes(self) -> np.ndarray:
        return self._games.view(np.uint8).reshape(self.num_envs, self.rules.record.itemsize)

    def _look(self) -> Obs:
        for name, value in self.rules.observe(self._games).items():
            self._obs[name][:] = value
        return self._seen

    def _restart(self, rows: np.ndarray) -> None:
        """Keep what the ended episodes showed last, then begin the next ones."""
        self._games["ended"][rows] = self._terminated[rows]
        games = self._games[rows]
        for name, figure in self.rules.metrics(games).items():
            self._metrics[name][rows] = figure
        for name, value in self._obs.items():
            self._final_obs[name][rows] = value[rows]
        self._final_state[rows] = self._bytes()[rows]
        games["steps"] = 0
        games["ended"] = 0
        self.rules.start(games)
        self._games[rows] = games
        for name, value in self.rules.observe(games).items():
            self._obs[name][rows] = value

    def _require_start(self) -> None:
        if not self._started:
            raise ValueError(f"{self.spec.id}: call reset before anything else")

    def _checked(self, action: Tensor) -> np.ndarray:
        """Return the joint action as an array, or say which part of it is not legal."""
        self._require_start()
        actions = self.spec.actions
        check_action_shape(self.spec, self.num_envs, action)
        if isinstance(actions, DiscreteActions):
            actions.check(self._seen["action_mask"], action, self.spec.id)
            return action.numpy()
        if not bool(torch.isfinite(action).all()):
            row, agent, index = (int(i) for i in (~torch.isfinite(action)).nonzero()[0])
            raise ValueError(
                f"{self.spec.id}: environment {row}, agent {agent}: index {index} of the action "
                f"is {float(action[row, agent, index])}; actions must be finite"
            )
        return _clipped(action, actions)


class ToyDynamics:
    """Step rows of `ToyEnv.snapshot` as a pure function; a time limit does not end a state."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return next states `[B, S]` uint8, rewards `[B, A]` and discounts `[B]`.

        Actions must be legal; floats beyond their bounds are clipped.  A state that has ended stays
        as it is, pays 0 and has discount 0.
        """
        before = self._checked(state)
        games = before.copy().view(self.rules.record).reshape(len(before))
        ended = games["ended"] != 0
        actions = self.rules.spec.actions
        if isinstance(actions, DiscreteActions):
            joint = action.numpy()
        else:
            joint = _clipped(action, actions)
        games["steps"] += 1
        move = self.rules.advance(games, joint)
        games["ended"] = move.terminated
        after = games.view(np.uint8).reshape(before.shape)
        after[ended] = before[ended]
        reward = np.where(ended[:, None], 0.0, move.reward).astype(np.float32)
        discount = (~(ended | move.terminated)).astype(np.float32)
        return torch.from_numpy(after), torch.from_numpy(reward), torch.from_numpy(discount)

    def observe(self, state: Tensor) -> Obs:
        """Return what the agents see in `state` `[B, S]`, and "state" itself.

        Each group is `[B, A, ...]`, as the environment gives it.
        """
        games = self._checked(state).view(self.rules.record).reshape(len(state))
        seen: dict[str, Tensor] = {"state": state}
        for name, value in self.rules.observe(games).items():
            shown = _buffer(value)
            shown[:] = value
            seen[name] = torch.from_numpy(shown)
        return seen

    def _checked(self, state: Tensor) -> np.ndarray:
        """Return the states as an array, or say what does not fit."""
        spec = self.rules.spec
        if state.dtype != torch.uint8 or state.ndim != 2 or state.shape[1] != spec.state_size:
            raise ValueError(
                f"{spec.id}: expected uint8 states [B, {spec.state_size}], "
                f"got {state.dtype} {tuple(state.shape)}"
            )
        return state.contiguous().numpy()


def toy_plugin(
    summary: str,
    config: type,
    rules: Callable[[Any], Rules],
    *,
    env: Callable[[Any, int], ToyEnv] = ToyEnv,
    dynamics: Callable[[Any], ToyDynamics] = ToyDynamics,
    policies: dict[str, Callable[[Any], Policy]] | None = None,
    controls: Callable[[Any], Controls] | None = None,
) -> EnvPlugin:
    """Register a toy: `rules(config)` builds its rules.

    `env(rules, num_envs)` builds its environment and `dynamics(rules)` its model for planners.
    """

    def frames(replay: Replay) -> Iterator[np.ndarray]:
        """Draw the start and what each action led to; the dynamics do not reset at the end."""
        game = rules(config(**replay.config))
        model = ToyDynamics(game)
        state = torch.frombuffer(bytearray(replay.snapshot), dtype=torch.uint8)[None]
        yield game.draw(state.numpy().view(game.record)[0, 0])
        for action in replay.actions:
            state = model.step(state, torch.from_numpy(action)[None])[0]
            yield game.draw(state.numpy().view(game.record)[0, 0])

    return EnvPlugin(
        summary=summary,
        config=config,
        make=lambda options, num_envs: env(rules(options), num_envs),
        dynamics=lambda options: dynamics(rules(options)),
        policies=policies or {},
        frames=frames,
        controls=controls,
    )


def check_action_shape(spec: EnvSpec, num_envs: int, action: Tensor) -> None:
    """Raise ValueError unless `action` is `[N, A, heads]` int64 or `[N, A, size]` float32."""
    if isinstance(spec.actions, DiscreteActions):
        dtype, width = torch.int64, spec.actions.num_heads
    else:
        dtype, width = torch.float32, spec.actions.size
    shape = (num_envs, spec.num_agents, width)
    if tuple(action.shape) != shape or action.dtype != dtype:
        raise ValueError(
            f"{spec.id}: an action is {dtype} {shape}, got {action.dtype} {tuple(action.shape)}"
        )


def _clipped(action: Tensor, actions: ContinuousActions) -> np.ndarray:
    low, high = np.array(actions.low, np.float32), np.array(actions.high, np.float32)
    return np.clip(action.numpy(), low, high)


def _buffer(value: np.ndarray) -> np.ndarray:
    return np.zeros(value.shape, np.bool_ if value.dtype == np.bool_ else np.float32)
