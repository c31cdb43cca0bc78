"""Judge the states of one-agent environments without a network: fixed or random candidates."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from simrl.core.actions import ContinuousActions, DiscreteActions
from simrl.core.dynamics import ObservedDynamics, unroll
from simrl.core.policy import Policy
from simrl.search.model import Evaluation
from simrl.search.planner_model import DynamicsModel

Value = Callable[[Tensor, torch.Generator], Tensor]
"""Value of states `[B, spec.state_size]`, float32 `[B]`."""


class ListEvaluator:
    """Offer the same actions everywhere, all alike, and value states by a function."""

    def __init__(
        self, model: DynamicsModel, actions: Tensor | None = None, value: Value | None = None
    ) -> None:
        """Offer `actions`, int64 `[K, H]` or float32 `[K, size]`; None: all values of one head.

        They must be legal in every state.  `value` None: 0.  Raises ValueError where they do not
        fit the environment's actions.
        """
        spec = model.spec
        if actions is None:
            if not isinstance(spec.actions, DiscreteActions) or spec.actions.num_heads != 1:
                raise ValueError(f"{spec.id}: say which actions to try, it has {spec.actions}")
            actions = torch.arange(spec.actions.heads[0].size)[:, None]
        discrete = isinstance(spec.actions, DiscreteActions)
        width = spec.actions.num_heads if discrete else spec.actions.size  # type: ignore[union-attr]
        dtype = torch.int64 if discrete else torch.float32
        if actions.ndim != 2 or actions.shape[1] != width or actions.dtype != dtype:
            raise ValueError(
                f"{spec.id}: expected actions {dtype} [K, {width}], "
                f"got {actions.dtype} {tuple(actions.shape)}"
            )
        self._model, self._actions, self._value = model, actions, value
        self.num_slots = len(actions)

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Judge positions uint8 `[B, S]`."""
        actions = self._actions.expand(len(state), -1, -1)
        return Evaluation(
            torch.zeros(len(state), self.num_slots),
            _value(self._model, self._value, state, rng),
            actions,
        )


class BoxEvaluator:
    """Offer actions drawn uniformly within their bounds, and value states by a function.

    Slot 0 is the middle of the bounds.
    """

    def __init__(self, model: DynamicsModel, num_slots: int, value: Value | None = None) -> None:
        """Offer `num_slots` actions in each node; `value` None: 0.

        Raises ValueError for discrete actions and for bounds that are not finite.
        """
        actions = model.spec.actions
        if not isinstance(actions, ContinuousActions):
            raise ValueError(f"{model.spec.id}: its actions are not continuous")
        self._low = torch.tensor(actions.low)
        self._width = torch.tensor(actions.high) - self._low
        if not bool(self._width.isfinite().all()):
            raise ValueError(f"{model.spec.id}: its actions have no bounds to draw within")
        if num_slots < 1:
            raise ValueError(f"num_slots must be at least 1, got {num_slots}")
        self._model, self._value = model, value
        self.num_slots = num_slots

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Judge positions uint8 `[B, S]`."""
        share = torch.rand(len(state), self.num_slots, len(self._low), generator=rng)
        share[:, 0] = 0.5
        return Evaluation(
            torch.zeros(len(state), self.num_slots),
            _value(self._model, self._value, state, rng),
            self._low + share * self._width,
        )


class RolloutValue:
    """Value states by what a policy, or one constant action, collects from there on.

    With a base policy, a search on it is the rollout algorithm of dynamic programming (Bertsekas
    2020, "Rollout, Policy Iteration, and Distributed Reinforcement Learning").
    """

    def __init__(
        self,
        model: DynamicsModel,
        steps: int,
        *,
        action: Tensor | None = None,
        policy: Policy | None = None,
    ) -> None:
        """Go on for `steps` by the constant `action` `[H or size]`, or by `policy`.

        A policy needs dynamics that tell observations, and no memory.  Constant actions are rolled
        out in one native call where the dynamics can.  Raises ValueError unless one is given.
        """
        if (action is None) == (policy is None):
            raise ValueError("give either a constant action or a policy")
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if policy is not None:
            if policy.initial_state(1):
                raise ValueError("a policy with memory cannot go on from a state alone")
            if not isinstance(model.dynamics, ObservedDynamics):
                raise ValueError(f"{model.spec.id}: its dynamics tell no observations")
        self._model, self._steps, self._action, self._policy = model, steps, action, policy

    def __call__(self, state: Tensor, rng: torch.Generator) -> Tensor:
        """Return the discounted rewards float32 `[B]` from `state` `[B, spec.state_size]` on."""
        if self._action is not None:
            one = self._action.expand(len(state), self._steps, 1, -1)
            _, reward, going = unroll(self._model.dynamics, state, one)
            alive = torch.cat([torch.ones_like(going[:, :1]), going[:, :-1]], 1).cumprod(1)
            factor = self._model.gamma ** torch.arange(self._steps)
            return (reward[:, :, 0] * alive * factor).sum(1)
        total, factor = torch.zeros(len(state)), torch.ones(len(state))
        for _ in range(self._steps):
            state, reward, going = self._model.dynamics.step(state, self._act(state, rng))
            total += factor * reward[:, 0]
            factor = factor * (self._model.gamma * going)
        return total

    def _act(self, state: Tensor, rng: torch.Generator) -> Tensor:
        dynamics, policy = self._model.dynamics, self._policy
        assert policy is not None and isinstance(dynamics, ObservedDynamics)
        groups = dynamics.observe(state)
        obs = {name: groups[name][:, 0] for name in policy.reads - {"seat", "state"}}
        obs |= {"seat": torch.zeros(len(state), dtype=torch.int64), "state": state}
        return policy.act(obs, {}, rng).action[:, None]


def _value(
    model: DynamicsModel, value: Value | None, position: Tensor, rng: torch.Generator
) -> Tensor:
    if value is None:
        return torch.zeros(len(position))
    return value(model.decode(position), rng)
