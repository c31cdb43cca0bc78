"""Add a learned correction to a controller."""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.core import ContinuousActions, EnvSpec, Obs, Policy, PolicyOutput, PolicyState
from simrl_controllers.cascade import groups_read, memory_under


class Residual:
    """Add a policy's clipped and scaled actions to those of a controller.

    action = clip(base + clip(scale x residual, -limit, limit)), the outer clip to the bounds of the
    actions.  Memory and extras of both carry the prefixes "base/" and "residual/"; a log_prob is
    that of the residual's own action, not of the sum.
    """

    def __init__(
        self,
        spec: EnvSpec,
        base: Policy,
        residual: Policy,
        *,
        scale: float | tuple[float, ...] = 1.0,
        limit: float | tuple[float, ...] = float("inf"),
    ) -> None:
        """Add `residual` to `base`.

        Args:
            spec: The environment; its actions are continuous.
            base: The controller.
            residual: What is added; its actions have as many numbers as the base's.
            scale: Factor on the residual's actions: one number or one for each.
            limit: Largest correction, in units of the action: one number or one for each.
        """
        if not isinstance(spec.actions, ContinuousActions):
            raise ValueError(f"{spec.id}: a residual adds to continuous actions, these are not")
        self._base, self._residual = base, residual
        self._low, self._high = torch.tensor(spec.actions.low), torch.tensor(spec.actions.high)
        self._scale = _per_action("scale", scale, spec.actions.size)
        self._limit = _per_action("limit", limit, spec.actions.size)
        self.reads = frozenset(base.reads) | frozenset(residual.reads)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory of both."""
        parts = {"base": self._base, "residual": self._residual}
        return {
            f"{name}/{key}": value
            for name, policy in parts.items()
            for key, value in policy.initial_state(num_rows).items()
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the sum of both actions."""
        outputs = {
            name: policy.act(
                groups_read(obs, policy),
                memory_under(state, name),
                rng,
                deterministic=deterministic,
            )
            for name, policy in (("base", self._base), ("residual", self._residual))
        }
        change = (self._scale * outputs["residual"].action).clamp(-self._limit, self._limit)
        action = (outputs["base"].action + change).clamp(self._low, self._high)
        memory: dict[str, Tensor] = {}
        extras: dict[str, Tensor] = {"residual/change": change}
        for name, output in outputs.items():
            memory |= {f"{name}/{key}": value for key, value in output.state.items()}
            extras |= {f"{name}/{key}": value for key, value in output.extras.items()}
        return PolicyOutput(action, memory, extras)


def _per_action(name: str, given: float | tuple[float, ...], size: int) -> Tensor:
    values = torch.tensor(given, dtype=torch.float32).flatten()
    if len(values) not in (1, size) or not bool((values >= 0).all()):
        raise ValueError(f"{name} needs 1 or {size} numbers from 0 on, got {given}")
    return values.expand(size)
