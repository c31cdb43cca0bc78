"""Judge positions for all agents at once: uniform, random play to the end, or a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions
from simrl.core.dynamics import ObservedDynamics
from simrl.core.spec import EnvSpec
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.distributions import MaskedHeads


@dataclass(frozen=True)
class JointEvaluation:
    """Hold what an evaluator says of B positions for each of A agents."""

    logits: Tensor
    """Prior of each agent's slots, unnormalised log-probabilities float32 `[B, A, K]`; -inf: not
    legal."""
    value: Tensor
    """Value to each agent, float32 `[B, A]`."""


class JointEvaluator(Protocol):
    """Judge positions for every agent; slot k of an agent is value k of its only head."""

    def __call__(self, state: Tensor, rng: torch.Generator) -> JointEvaluation:
        """Judge `state` `[B, S]`; positions that have ended may get anything finite."""
        ...


class UniformJointEvaluator:
    """Call all legal actions equally good and every position worth 0."""

    def __init__(self, dynamics: ObservedDynamics, spec: EnvSpec) -> None:
        """Read legal actions from `dynamics`; ValueError unless `spec` has one discrete head."""
        self._dynamics = dynamics
        single_head(spec)

    def __call__(self, state: Tensor, rng: torch.Generator) -> JointEvaluation:
        """Return logits 0 or -inf, and values 0."""
        logits = _uniform_logits(self._dynamics.observe(state)["action_mask"])
        return JointEvaluation(logits, torch.zeros(logits.shape[:2]))


class RandomJointEvaluator:
    """Value positions by play in which every agent draws uniformly among its legal actions."""

    def __init__(
        self,
        dynamics: ObservedDynamics,
        spec: EnvSpec,
        *,
        gamma: float = 1.0,
        max_steps: int = 1000,
    ) -> None:
        """Play by `dynamics` until the end or for `max_steps`; what is left then counts as 0."""
        if max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, got {max_steps}")
        self._dynamics = dynamics
        self._gamma = gamma
        self._max_steps = max_steps
        single_head(spec)

    def __call__(self, state: Tensor, rng: torch.Generator) -> JointEvaluation:
        """Return uniform logits and the discounted return of one random game."""
        first = mask = self._dynamics.observe(state)["action_mask"].clone()
        total = torch.zeros(mask.shape[:2])
        factor = torch.ones(len(state), 1)
        for _ in range(self._max_steps):
            noise = torch.rand(mask.shape, generator=rng)
            action = noise.masked_fill(~mask, -1.0).argmax(-1, keepdim=True)
            state, reward, discount = self._dynamics.step(state, action)
            total += factor * reward
            factor = factor * (self._gamma * discount[:, None])
            if not bool(factor.any()):
                break
            mask = self._dynamics.observe(state)["action_mask"]
        return JointEvaluation(_uniform_logits(first), total)


class NetworkJointEvaluator:
    """Judge by one network that sees each agent's observation: its policy and its value."""

    def __init__(self, net: ActorCritic, dynamics: ObservedDynamics, spec: EnvSpec) -> None:
        """Use `net` for every agent; ValueError unless `spec` has one discrete head.

        The values of the reward groups are summed.  A network with memory is refused: a position
        in a tree has no history.
        """
        if net.initial_state(1):
            raise ValueError("a network with memory cannot judge positions without their history")
        self._net = net
        self._dynamics = dynamics
        single_head(spec)

    def __call__(self, state: Tensor, rng: torch.Generator) -> JointEvaluation:
        """Return the masked logits and the values of all agents in one forward pass."""
        obs = self._dynamics.observe(state)
        batch, agents = obs["policy"].shape[:2]
        rows = {name: obs[name].flatten(0, 1) for name in self._net.reads}
        with torch.inference_mode():
            dist, value, _ = self._net.act_step(rows, {})
            assert isinstance(dist, MaskedHeads)
            logits = dist.logits.masked_fill(~rows["action_mask"], -torch.inf)
        return JointEvaluation(
            logits.unflatten(0, (batch, agents)), value.sum(-1).unflatten(0, (batch, agents))
        )


def single_head(spec: EnvSpec) -> int:
    """Return the number of slots K of a spec whose actions are one discrete head."""
    if not isinstance(spec.actions, DiscreteActions) or spec.actions.num_heads != 1:
        raise ValueError(
            f"{spec.id}: a search of simultaneous moves needs actions of one discrete head, "
            f"got {spec.actions}"
        )
    return spec.actions.mask_size


def _uniform_logits(mask: Tensor) -> Tensor:
    return torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)
