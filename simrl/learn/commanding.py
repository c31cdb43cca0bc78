"""Learn what to tell a controller: a network on the task level, a controller on the action level.

The task asks for something (a velocity); the network changes what the controller is told by up to
some range, every few steps; the controller acts at every step.  So the network learns how the
controller errs, where it slips or lags, and the controller keeps what it is good at: contacts,
limits, balance.  Told nothing else, the controller does what the task asks, as it would alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import ContinuousActions
from simrl.core.env import VecEnv
from simrl.core.policy import Policy, PolicyOutput
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, PolicyState, TimeStep

BASE = "base/"
"""What the names of the base's memory and extras begin with."""


def command_part(spec: EnvSpec) -> slice:
    """Return where a state row holds the command; ValueError if the task has none."""
    part: slice = spec.physics.get("state", {}).get("command", slice(0, 0))
    if part.stop <= part.start or spec.num_agents != 1 or spec.state_dtype != torch.float64:
        raise ValueError(f"{spec.id} has no command in its state that could be changed")
    return part


def command_spec(spec: EnvSpec, ranges: Sequence[float], every: int) -> EnvSpec:
    """Return `spec` as the network sees it: actions are changes of the command of up to `ranges`.

    Each holds for `every` steps of the environment.  ValueError if the number of ranges is not that
    of the command's numbers, or an episode is no whole number of decisions.
    """
    part = command_part(spec)
    names = tuple(spec.physics.get("command", ())) or tuple(
        f"command {index}" for index in range(part.stop - part.start)
    )
    if len(ranges) != part.stop - part.start or not all(size >= 0 for size in ranges):
        raise ValueError(
            f"{spec.id}: its command is {', '.join(names)}; give as many ranges from 0 on, "
            f"got {tuple(ranges)}"
        )
    if every < 1 or spec.max_steps % every:
        raise ValueError(
            f"{spec.id}: {spec.max_steps} steps are no whole number of decisions of {every} steps"
        )
    # A range of 0 leaves its number as it is; actions need a width all the same.
    size = tuple(max(float(value), 1e-6) for value in ranges)
    return replace(
        spec,
        actions=ContinuousActions(tuple(-value for value in size), size, names),
        step_seconds=spec.step_seconds * every,
        max_steps=spec.max_steps // every,
        dynamics=None,
        reference=None,
    )


class CommandedPolicy:
    """Act by a base policy that a learned one commands every few steps of an episode.

    Memory: "steps" and "change" `[rows, ...]`, the base's under "base/", and the learned policy's.
    The extra "change" `[rows, n]` is what the command was changed by.
    """

    def __init__(self, spec: EnvSpec, base: Policy, learned: Policy, every: int) -> None:
        """Command `base`; the actions of `learned` are those of `command_spec`."""
        self.base, self.learned, self.every = base, learned, every
        self._part = command_part(spec)
        self.reads = frozenset(base.reads) | frozenset(learned.reads) | {"state"}

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return a memory in which the learned policy is about to decide."""
        kept = {BASE + key: value for key, value in self.base.initial_state(num_rows).items()}
        return {
            "steps": torch.zeros(num_rows, dtype=torch.int64),
            "change": torch.zeros(num_rows, self._part.stop - self._part.start),
            **kept,
            **self.learned.initial_state(num_rows),
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Decide where it is time, and return the base's action `[rows, size]`."""
        own = {k: v for k, v in state.items() if k not in ("steps", "change") and k[:5] != BASE}
        due = state["steps"] % self.every == 0
        change = state["change"]
        if bool(due.any()):
            said = self.learned.act(_read(obs, self.learned), own, rng, deterministic=deterministic)
            change = torch.where(due[:, None], said.action, change)
            own = {key: _where(due, said.state[key], value) for key, value in own.items()}
        memory = {k.removeprefix(BASE): v for k, v in state.items() if k.startswith(BASE)}
        seen = commanded(_read(obs, self.base), self._part, change)
        done = self.base.act(seen, memory, rng, deterministic=deterministic)
        kept = {BASE + key: value for key, value in done.state.items()}
        extras = {BASE + key: value for key, value in done.extras.items()}
        return PolicyOutput(
            done.action,
            {"steps": state["steps"] + 1, "change": change, **kept, **own},
            {**extras, "change": change},
        )


class CommandedEnv:
    """Show an environment with a controller in it: actions are changes of the command.

    A step is `every` steps of the environment, in each of which the base acts; it pays the sum of
    their rewards.  Where an episode ends within it, the row goes on with the next one under the
    same change, and what that pays until the step is over is not counted.
    """

    def __init__(self, env: VecEnv, base: Policy, ranges: Sequence[float], every: int) -> None:
        """Put `base` into `env`; see `command_spec` for `ranges` and `every`."""
        self.inner, self._base, self._every = env, base, every
        self._part = command_part(env.spec)
        self.num_envs, self.device = env.num_envs, env.device
        self._fresh = base.initial_state(env.num_envs)
        self._memory: PolicyState = self._fresh
        size = sum(value[0].numel() for value in self._fresh.values())
        self.spec = replace(
            command_spec(env.spec, ranges, every), state_size=env.spec.state_size + size
        )
        self._rng = torch.Generator().manual_seed(0)
        self._groups = [name for name in env.spec.observations]
        self._obs: Obs = {}
        self.request(self._groups)

    def request(self, groups: Iterable[str]) -> None:
        """Compute only these groups; "state" belongs to the environment within and is not shown."""
        wanted = set(groups)
        valid = list(self.inner.spec.observations)
        for name in sorted(wanted):
            if name not in valid:
                raise ValueError(
                    f"{self.spec.id}: unknown observation group {name!r} under a commanded base; "
                    f"the groups are {', '.join(valid)}"
                )
        self._groups = [name for name in valid if name in wanted or name == "policy"]
        self.inner.request({*self._groups, *self._base.reads, "state"} - {"seat"})

    def reset(self, seed: int) -> Obs:
        """Start every row anew."""
        self._memory = self._fresh
        self._obs = self.inner.reset(seed)
        return self._shown(self._obs)

    def step(self, action: Tensor) -> TimeStep:
        """Let the base act `every` times under changes `[N, 1, n]` float32 of the command."""
        shape = (self.num_envs, 1, self._part.stop - self._part.start)
        if tuple(action.shape) != shape or not bool(torch.isfinite(action).all()):
            raise ValueError(f"{self.spec.id}: an action is {shape} finite numbers of float32")
        actions = self.spec.actions
        assert isinstance(actions, ContinuousActions)
        change = action[:, 0].clamp(torch.tensor(actions.low), torch.tensor(actions.high))
        open_ = torch.ones(self.num_envs, dtype=torch.bool)
        result: _Sum | None = None
        for _ in range(self._every):
            step = self.inner.step(self._acted(change))
            result = _Sum(step, self._groups) if result is None else result
            result.add(step, open_)
            open_ &= ~step.done
            self._forget(step.done)
            self._obs = step.obs
        assert result is not None
        return result.timestep(self._shown(self._obs))

    def snapshot(self) -> Tensor:
        """Copy each row's state and the base's memory `[N, S]` float64."""
        kept = [value.reshape(len(value), -1).double() for _, value in sorted(self._memory.items())]
        return torch.cat([self.inner.snapshot(), *kept], 1)

    def restore(self, snapshot: Tensor, rows: Tensor | None = None) -> Obs:
        """Put what `snapshot` returned into `rows` and return the observations of all rows."""
        inner = self.inner.spec.state_size
        self._obs = self.inner.restore(snapshot[:, :inner].contiguous(), rows)
        where = torch.arange(self.num_envs) if rows is None else rows
        memory, start = {}, inner
        for key, value in sorted(self._memory.items()):
            width = value[0].numel()
            part = snapshot[:, start : start + width].reshape(-1, *value.shape[1:])
            memory[key] = value.index_copy(0, where, part.to(value.dtype))
            start += width
        self._memory = memory
        return self._shown(self._obs)

    def render(self, row: int) -> np.ndarray:
        """Draw one row as `(height, width, 3)` uint8."""
        return self.inner.render(row)

    def _acted(self, change: Tensor) -> Tensor:
        """Return the base's actions `[N, 1, size]`."""
        flat = {
            name: value if name == "state" else value[:, 0]
            for name, value in self._obs.items()
            if name in self._base.reads
        }
        flat["seat"] = torch.zeros(self.num_envs, dtype=torch.int64)
        seen = commanded(flat, self._part, change)
        out = self._base.act(seen, self._memory, self._rng, deterministic=True)
        self._memory = out.state
        return out.action[:, None]

    def _forget(self, done: Tensor) -> None:
        if bool(done.any()):
            self._memory = {
                key: _where(done, self._fresh[key], value) for key, value in self._memory.items()
            }

    def _shown(self, obs: Obs) -> Obs:
        return {name: obs[name] for name in self._groups}


class _Sum:
    """Add up the steps of one decision, each row until its episode ends."""

    def __init__(self, step: TimeStep, groups: Iterable[str]) -> None:
        self.reward = torch.zeros_like(step.reward)
        terms = step.reward_terms
        self.terms = None if terms is None else torch.zeros_like(terms)
        self.terminated = torch.zeros_like(step.terminated)
        self.truncated = torch.zeros_like(step.truncated)
        self.final_obs = {name: step.final_obs[name].clone() for name in groups}
        self.metrics = {name: value.clone() for name, value in step.metrics.items()}

    def add(self, step: TimeStep, open_: Tensor) -> None:
        """Add a step in the rows `[N]` whose episode goes on."""
        self.reward += step.reward * open_[:, None]
        if self.terms is not None and step.reward_terms is not None:
            self.terms += step.reward_terms * open_[:, None, None]
        self.terminated |= step.terminated & open_
        self.truncated |= step.truncated & open_
        ended = (step.done & open_).nonzero().squeeze(1)
        if len(ended):
            for name, value in self.final_obs.items():
                value[ended] = step.final_obs[name][ended]
            for name, value in self.metrics.items():
                value[ended] = step.metrics[name][ended]

    def timestep(self, obs: Obs) -> TimeStep:
        """Return the sum as one step."""
        return TimeStep(
            obs=obs,
            reward=self.reward,
            terminated=self.terminated,
            truncated=self.truncated,
            final_obs=self.final_obs,
            reward_terms=self.terms,
            metrics=self.metrics,
        )


def commanded(obs: Mapping[str, Tensor], part: slice, change: Tensor) -> dict[str, Tensor]:
    """Return flat groups with `change` `[rows, n]` added to the command in "state"."""
    seen = dict(obs)
    if "state" in seen:
        state = seen["state"].clone()
        state[:, part] += change.to(state.dtype)
        seen["state"] = state
    return seen


def _where(rows: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Return `new` in the given rows `[N]` bool, else `old`."""
    return torch.where(rows.view(-1, *([1] * (old.ndim - 1))), new, old)


def _read(obs: Obs, policy: Policy) -> Obs:
    return {name: obs[name] for name in {*policy.reads, "seat"} if name in obs}
