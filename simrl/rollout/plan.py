"""Turn a seating into one batched call per policy: gather rows, act, scatter actions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simrl.core import (
    ActionSpec,
    DiscreteActions,
    EnvSpec,
    Obs,
    Policy,
    PolicyOutput,
    PolicyState,
)
from simrl.rollout.seating import Seating
from simrl.rollout.transfer import Bridge, device_of


@dataclass(slots=True)
class Act:
    """Hold one call of one policy."""

    name: str
    """Name of the policy."""
    rows: Tensor
    """Seats that it acted for, as `env_row * num_agents + agent`, ascending `[R]` int64."""
    obs: Obs
    """What it was handed, each `[R, ...]`; valid until the environment steps."""
    output: PolicyOutput
    """What it answered."""
    action: Tensor
    """Its actions `[R, ...]` on the environment's device."""
    seconds: float
    """Wall time of the call [s], until the actions are where the environment wants them."""


class SeatedPolicy:
    """Hold one policy, the rows where it sits, and its memory of these rows."""

    def __init__(
        self, name: str, policy: Policy, rows: Tensor, num_envs: int, spec: EnvSpec
    ) -> None:
        self.name, self.policy, self.rows = name, policy, rows
        self._num_envs, self._num_agents = num_envs, spec.num_agents
        self._env_rows = rows // spec.num_agents
        self._whole = len(rows) == num_envs * spec.num_agents
        self._column = _whole_column(rows, num_envs, spec.num_agents)
        self._scratch: dict[str, Tensor] = {}
        self.device = device_of(policy, rows.device)
        self._bridge = Bridge(self.device) if self.device != rows.device else None
        self._seat = (rows % spec.num_agents).to(self.device)
        self._groups = tuple(sorted(policy.reads - {"seat"}))
        self._action_shape = torch.Size((len(rows), action_width(spec.actions)))
        self._action_dtype = action_dtype(spec.actions)
        self.state: PolicyState = policy.initial_state(len(rows))

    @property
    def whole(self) -> bool:
        """Whether the policy holds every seat."""
        return self._whole

    @property
    def column(self) -> int | None:
        """The one agent whose seat it holds in every environment, else None."""
        return self._column

    def gather(self, obs: Obs, out: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return its rows of the groups that it reads, each `[R, ...]`, and "seat".

        Views where the policy holds every seat or a whole column; otherwise copies, into `out`
        where that is given.
        """
        result = {"seat": self._seat}
        for group in self._groups:
            if group not in obs:
                raise ValueError(
                    f"the policy {self.name!r} reads {group!r}, but the environment shows only "
                    f"{', '.join(obs)}"
                )
            rows = self._rows_of(group, obs[group], out)
            result[group] = rows if self._bridge is None else self._bridge.move(group, rows)
        return result

    def act(
        self,
        obs: Obs,
        rng: torch.Generator,
        deterministic: bool,
        out: Mapping[str, Tensor] | None = None,
    ) -> Act:
        """Act for all its rows and keep the new memory."""
        rows = self.gather(obs, out)
        begin = time.perf_counter()
        output = self.policy.act(rows, self.state, rng, deterministic=deterministic)
        action = output.action
        if self._bridge is not None:
            # From a GPU this copy waits for the policy: the one synchronisation of a step.
            action = action.to(self.rows.device)
        seconds = time.perf_counter() - begin
        if action.shape != self._action_shape or action.dtype != self._action_dtype:
            raise ValueError(
                f"the policy {self.name!r} must return actions {self._action_dtype} "
                f"{list(self._action_shape)}, got {action.dtype} {list(action.shape)}"
            )
        self.state = output.state
        return Act(self.name, self.rows, rows, output, action, seconds)

    def reset(self, env_rows: np.ndarray) -> None:
        """Give its rows in these environments `[K]` (ascending) their initial memory."""
        if not self.state:
            return
        index = torch.from_numpy(env_rows)
        if not (self._column is not None or (self._whole and self._num_agents == 1)):
            done = torch.zeros(self._num_envs, dtype=torch.bool)
            done[index] = True
            index = done.to(self._env_rows.device)[self._env_rows].nonzero().squeeze(1)
        if len(index):
            self._write(index, self.policy.initial_state(len(index)))

    def inherit(self, old: SeatedPolicy) -> None:
        """Take over the memory of the rows that `old`, the same policy, holds too."""
        if not self.state:
            return
        position = torch.searchsorted(old.rows, self.rows).clamp(max=len(old.rows) - 1)
        kept = (old.rows[position] == self.rows).nonzero().squeeze(1)
        if len(kept):
            taken = position[kept].to(self.device)
            self._write(kept, {name: value[taken] for name, value in old.state.items()})

    def _write(self, index: Tensor, rows: PolicyState) -> None:
        """Put `rows` at `index` of the memory, in new tensors: the policy may keep the old ones."""
        if rows.keys() != self.state.keys():
            raise ValueError(
                f"the memory of the policy {self.name!r} must always have the same keys, got "
                f"{sorted(rows)} and {sorted(self.state)}"
            )
        index = index.to(self.device)
        self.state = {
            name: value.index_copy(0, index, rows[name]) for name, value in self.state.items()
        }

    def _rows_of(self, group: str, value: Tensor, out: Mapping[str, Tensor] | None) -> Tensor:
        if group == "state":
            if self._column is not None:
                return value
            return self._select(group, value, self._env_rows, out)
        if self._whole:
            return value.flatten(0, 1)
        if self._column is not None:
            return value[:, self._column]
        return self._select(group, value.flatten(0, 1), self.rows, out)

    def _select(
        self, group: str, value: Tensor, index: Tensor, out: Mapping[str, Tensor] | None
    ) -> Tensor:
        target = self._scratch.get(group) if out is None else out[group]
        if target is None:
            target = value.new_empty(len(index), *value.shape[1:])
            self._scratch[group] = target
        return torch.index_select(value, 0, index, out=target)


class SeatPlan:
    """Keep one `SeatedPolicy` for each policy that sits somewhere, as the seating changes."""

    def __init__(self, seating: Seating, spec: EnvSpec, device: torch.device) -> None:
        self.seating = seating
        self._spec = spec
        self._device = device
        self.seated: dict[str, SeatedPolicy] = {}
        self._index = torch.full_like(seating.policy_index, -1)
        self.update()

    def update(self) -> bool:
        """Follow the seating; policies whose rows stay the same are left alone."""
        index = self.seating.policy_index
        if torch.equal(index, self._index):
            return False
        moved = index != self._index
        names = self.seating.names
        touched = set(index[moved].tolist()) | set(self._index[moved].tolist())
        flat = index.flatten()
        for number in sorted(touched - {-1}):
            old = self.seated.pop(names[number], None)
            rows = (flat == number).nonzero().squeeze(1).to(self._device)
            if len(rows):
                self.seated[names[number]] = self._seat(names[number], rows, old)
        # In the order of their numbers: the order of the calls must not depend on history.
        self.seated = {name: self.seated[name] for name in names if name in self.seated}
        self._index = index.clone()
        return True

    def _seat(self, name: str, rows: Tensor, old: SeatedPolicy | None) -> SeatedPolicy:
        policy = self.seating.policies[name]
        new = SeatedPolicy(name, policy, rows, len(self._index), self._spec)
        if old is not None:
            new.inherit(old)
        return new


def action_width(actions: ActionSpec) -> int:
    """Return the length of one agent's action: heads or floats."""
    return actions.num_heads if isinstance(actions, DiscreteActions) else actions.size


def action_dtype(actions: ActionSpec) -> torch.dtype:
    """Return the dtype of actions: int64 if discrete, else float32."""
    return torch.int64 if isinstance(actions, DiscreteActions) else torch.float32


def _whole_column(rows: Tensor, num_envs: int, num_agents: int) -> int | None:
    """Return the agent whose seats of all environments are exactly `rows`, else None."""
    if len(rows) != num_envs:
        return None
    agent = int(rows[0]) % num_agents
    same = torch.equal(rows, torch.arange(num_envs, device=rows.device) * num_agents + agent)
    return agent if same else None
