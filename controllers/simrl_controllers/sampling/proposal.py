"""Let any policy propose plans: roll it out in the model and try what it does."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from simrl.core import Dynamics, Obs, ObservedDynamics, Policy

Observe = Callable[[Tensor], Obs]
"""Tell what a policy sees in states `[B, S]`: the groups that it reads, each `[B, ...]`."""


def observe_state(state: Tensor) -> Obs:
    """Show the state itself, which is enough for a policy that reads nothing else."""
    return {"state": state}


def observe_alone(dynamics: ObservedDynamics) -> Observe:
    """Show what the model says that its one agent sees."""

    def observe(state: Tensor) -> Obs:
        seen = dynamics.observe(state)
        return {name: x if name == "state" else x[:, 0] for name, x in seen.items()}

    return observe


class PolicyProposal:
    """Roll a policy out in a model: once in its mode, the other times with sampled actions.

    The rollouts start with the policy's fresh memory, since it has not acted in this episode.
    """

    def __init__(
        self,
        policy: Policy,
        dynamics: Dynamics,
        *,
        plans: int = 4,
        observe: Observe = observe_state,
    ) -> None:
        """Propose `plans` plans; `observe` makes what the policy reads from model states."""
        if plans < 1:
            raise ValueError(f"plans must be at least 1, got {plans}")
        self._policy, self._dynamics = policy, dynamics
        self._plans, self._observe = plans, observe

    def __call__(self, state: Tensor, horizon: int, rng: torch.Generator) -> Tensor:
        """Return controls `[rows, plans, H, size]` from model states `[rows, S]`."""
        rows, plans = len(state), self._plans
        ahead = state.repeat_interleave(plans, dim=0)
        mode = torch.arange(rows * plans) % plans == 0
        memory = self._policy.initial_state(rows * plans)
        controls = []
        for _ in range(horizon):
            obs = {**self._observe(ahead), "seat": torch.zeros(rows * plans, dtype=torch.int64)}
            self._require(obs)
            output = self._policy.act(obs, memory, rng, deterministic=plans == 1)
            action = output.action.clone()
            if plans > 1:
                part = {name: value[mode] for name, value in obs.items()}
                kept = {name: value[mode] for name, value in memory.items()}
                action[mode] = self._policy.act(part, kept, rng, deterministic=True).action
            memory = output.state
            controls.append(action)
            ahead = self._dynamics.step(ahead, action.unsqueeze(1))[0].clone()
        return torch.stack(controls, dim=1).view(rows, plans, horizon, -1)

    def _require(self, obs: Obs) -> None:
        missing = sorted(self._policy.reads - set(obs))
        if missing:
            raise ValueError(
                f"the proposing policy reads {missing}, but observe gives {sorted(obs)}"
            )
