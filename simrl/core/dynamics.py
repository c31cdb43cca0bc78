"""The contract of a model that planners step: a simulator or a learned model as a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from simrl.core.timestep import Obs

if TYPE_CHECKING:  # it imports numba, which not everybody needs
    from simrl.core.turn_rules import TurnRules


@runtime_checkable
class Dynamics(Protocol):
    """Step B independent states; keeps nothing between calls."""

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the next state `[B, S]`, rewards `[B, A]` and discount `[B]`.

        state: `[B, S]`, rows as `VecEnv.snapshot` gives them.  action: the joint action,
        `[B, A, heads]` int64 or `[B, A, size]` float32.  The discount is 0 where the task ended by
        its own rules and 1 elsewhere; an ended state stays as it is.
        """
        ...


@runtime_checkable
class RolloutDynamics(Dynamics, Protocol):
    """A `Dynamics` that steps whole action sequences in compiled code, without a call a step."""

    def rollout(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return states `[B, H, S]`, rewards `[B, H, A]` and discounts `[B, H]` after each step.

        state: `[B, S]`.  actions: joint actions `[B, H, A, heads or size]`.
        """
        ...


@runtime_checkable
class ObservedDynamics(Dynamics, Protocol):
    """A `Dynamics` that tells what agents see in a state, so that policies can act inside it."""

    def observe(self, state: Tensor) -> Obs:
        """Return each observation group `[B, A, ...]` of states `[B, S]`, with the action masks."""
        ...


@runtime_checkable
class TurnDynamics(ObservedDynamics, Protocol):
    """A game in which one agent moves at a time while the others may only wait."""

    turn_rules: TurnRules | None
    """The same rules as compiled functions, if there are any."""

    def mover(self, state: Tensor) -> Tensor:
        """Return the agent whose turn it is, int64 `[B]`; any agent where the game is over."""
        ...


def unroll(dynamics: Dynamics, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Step `actions` `[B, H, A, ...]` from `state` `[B, S]`, natively where the model can.

    Returns states `[B, H, S]`, rewards `[B, H, A]` and discounts `[B, H]`, each after its step.
    """
    if actions.ndim < 4 or actions.shape[1] < 1 or actions.shape[0] != state.shape[0]:
        raise ValueError(
            f"expected actions [{state.shape[0]}, H >= 1, A, ...], got {tuple(actions.shape)}"
        )
    if isinstance(dynamics, RolloutDynamics):
        return dynamics.rollout(state, actions)
    steps = []
    for t in range(actions.shape[1]):
        state, reward, discount = dynamics.step(state, actions[:, t])
        steps.append((state.clone(), reward.clone(), discount.clone()))
    states, rewards, discounts = (torch.stack(part, dim=1) for part in zip(*steps, strict=True))
    return states, rewards, discounts
