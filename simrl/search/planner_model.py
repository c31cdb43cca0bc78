"""Any environment of one agent as the model of a search: games, toys, robots in batches."""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.core.dynamics import Dynamics
from simrl.core.spec import EnvSpec
from simrl.search.model import Transition


class DynamicsModel:
    """Step the `Dynamics` of an environment with one agent; positions are its states as bytes.

    The model keeps each state's own dtype: a float64 row of a simulator becomes 8 bytes a number.
    """

    def __init__(self, dynamics: Dynamics, spec: EnvSpec, *, gamma: float = 1.0) -> None:
        """Step by `dynamics`, with discount `gamma` a step.

        Raises ValueError for more than one agent and for a `gamma` outside (0, 1].
        """
        if spec.num_agents != 1:
            raise ValueError(
                f"{spec.id}: a plan for one agent needs an environment of one, it has "
                f"{spec.num_agents}; use AgentModel, TurnModel or search_simultaneous"
            )
        if not 0.0 < gamma <= 1.0:
            raise ValueError(f"gamma must be in (0, 1], got {gamma}")
        self.dynamics, self.spec, self.gamma = dynamics, spec, gamma
        self.state_size = spec.state_size * spec.state_dtype.itemsize

    def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
        """Play `action` int64 `[B, H]` or float32 `[B, size]` in positions uint8 `[B, S]`."""
        after, reward, discount = self.dynamics.step(self.decode(state), action[:, None])
        return Transition(self.encode(after), reward[:, 0], self.gamma * discount)

    def encode(self, state: Tensor) -> Tensor:
        """Return states `[B, spec.state_size]` as positions, uint8 `[B, S]`."""
        expected = (len(state), self.spec.state_size)
        if tuple(state.shape) != expected or state.dtype != self.spec.state_dtype:
            raise ValueError(
                f"{self.spec.id}: expected states {self.spec.state_dtype} {expected}, "
                f"got {state.dtype} {tuple(state.shape)}"
            )
        return state.contiguous().view(torch.uint8)

    def decode(self, position: Tensor) -> Tensor:
        """Return positions uint8 `[B, S]` as states `[B, spec.state_size]`."""
        if position.shape[1:] != (self.state_size,) or position.dtype != torch.uint8:
            raise ValueError(
                f"{self.spec.id}: expected positions uint8 [B, {self.state_size}], "
                f"got {position.dtype} {tuple(position.shape)}"
            )
        aligned = position.clone(memory_format=torch.contiguous_format)
        return aligned.view(self.spec.state_dtype)
