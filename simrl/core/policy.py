"""The contract of whatever can act: a network, a search, a controller, a script, a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from simrl.core.timestep import Obs, PolicyState


@dataclass(frozen=True)
class PolicyOutput:
    """Hold the actions of one call of `Policy.act`."""

    action: Tensor
    """int64 `[rows, heads]` or float32 `[rows, size]`."""
    state: PolicyState = field(default_factory=dict)
    """Memory to hand to the next call, each `[rows, ...]`."""
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    """Whatever else the policy says, each `[rows, ...]`: log_prob, value, solve_time, ..."""


@runtime_checkable
class Policy(Protocol):
    """Act for rows; a row is one seated (environment, agent).

    `obs` holds the groups named by `reads`, each `[rows, ...]`, and always "seat" (int64 `[rows]`,
    which agent of its environment the row is).  "state", if read, is `[rows, S]`: the state of the
    row's environment.
    """

    reads: frozenset[str]
    """Names of the observation groups that `act` uses; nobody computes the others for it."""

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory at the start of an episode, each `[num_rows, ...]`; {} if none."""
        ...

    def act(
        self,
        obs: Obs,
        state: PolicyState,
        rng: torch.Generator,
        *,
        deterministic: bool = False,
    ) -> PolicyOutput:
        """Choose an action for each row; with `deterministic`, the mode instead of a sample."""
        ...
