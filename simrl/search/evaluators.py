"""Judge positions of turn-based games: by a network, by nothing, or by two judges together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simrl.core.dynamics import TurnDynamics
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.distributions import MaskedHeads
from simrl.search.model import Evaluation, Evaluator
from simrl.search.plain_net import KernelNet
from simrl.search.turn_view import TurnView

KERNEL_WEIGHTS = 2**17
"""Weights up to which a network runs best inside the kernels, since they stay in a core's cache."""
KERNEL_ROWS = 8
"""Positions up to which any plain network runs best there."""


class NetworkEvaluator:
    """Judge by an actor-critic: masked logits of its one head, and its value to the mover."""

    def __init__(self, net: ActorCritic, dynamics: TurnDynamics, spec: EnvSpec) -> None:
        """Judge by `net` as it stands; later changes of its weights are seen.

        Raises ValueError for several heads, for a network with memory, and as `TurnView` does.
        """
        self.view = TurnView(dynamics, spec)
        if self.view.actions.num_heads != 1:
            raise ValueError(
                f"{spec.id}: a slot for each value needs one head, the action has "
                f"{self.view.actions.num_heads}; sample joint actions instead"
            )
        if net.stateful:
            raise ValueError(f"{spec.id}: a search judges positions by a network without memory")
        self.net = net
        self.num_slots = self.view.num_slots
        self.kernel_net = KernelNet(net) if KernelNet.fits(net) else None
        self.sees_policy_alone = "critic" not in net.reads

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Judge `state` uint8 `[B, S]`."""
        if self.sees_policy_alone:
            return self.judge(*self.view.look(state))
        seen = self.view.observe(state)
        legal = seen["action_mask"][:, : self.num_slots]
        return self._judge_torch(seen, legal)

    def in_kernels(self, num_rows: int) -> bool:
        """Say whether the network runs inside the kernels in searches of `num_rows` positions."""
        if self.kernel_net is None:
            return False
        return num_rows <= KERNEL_ROWS or len(self.kernel_net.numbers.weights) <= KERNEL_WEIGHTS

    def judge(self, obs: Tensor, legal: Tensor) -> Evaluation:
        """Judge positions by what the mover sees `[B, D]` and may do `[B, K]`."""
        if self.kernel_net is None or not self.in_kernels(len(obs)):
            return self._judge_torch({"policy": obs}, legal)
        from simrl.search.kernels.net import judge_rows

        logits = np.empty((len(obs), self.num_slots), np.float32)
        value = np.empty(len(obs), np.float32)
        numbers = self.kernel_net.read()
        judge_rows(numbers, obs.numpy(), legal.contiguous().numpy(), logits, value)
        return Evaluation(torch.from_numpy(logits), torch.from_numpy(value))

    def _judge_torch(self, obs: Obs, legal: Tensor) -> Evaluation:
        with torch.no_grad():
            device = self.net.head.weight.device
            groups = {name: x.to(device) for name, x in obs.items() if name != "action_mask"}
            dist, value, _ = self.net.act_step(groups, {})
            assert isinstance(dist, MaskedHeads)  # discrete actions, as TurnView checks
            logits = dist.logits[:, : self.num_slots].to(legal.device)
            logits = logits.masked_fill(~legal, -torch.inf)
            return Evaluation(logits, value.sum(-1).to(legal.device))


class UniformEvaluator:
    """Judge by nothing: all legal slots are alike, and every position is worth 0."""

    def __init__(self, dynamics: TurnDynamics, spec: EnvSpec) -> None:
        """Look at positions of a turn-based game; ValueError as `TurnView` raises."""
        self.view = TurnView(dynamics, spec)
        self.num_slots = self.view.num_slots

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Judge `state` uint8 `[B, S]`."""
        return self.judge(*self.view.look(state))

    def judge(self, obs: Tensor, legal: Tensor) -> Evaluation:
        """Judge positions by what the mover may do `[B, K]`."""
        logits = torch.zeros(legal.shape, device=legal.device).masked_fill(~legal, -torch.inf)
        return Evaluation(logits, torch.zeros(len(legal), device=legal.device))


class MixedEvaluator:
    """Take the prior of one judge, and mix its value with another's.

    AlphaGo mixed a value network with random rollouts half and half (Silver et al. 2016).
    """

    def __init__(self, first: Evaluator, second: Evaluator, share: float) -> None:
        """Give the values (1 - `share`) * first + `share` * second."""
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share must be in 0..1, got {share}")
        if first.num_slots != second.num_slots:
            raise ValueError(
                f"two judges of one search need the same number of slots, got {first.num_slots} "
                f"and {second.num_slots}"
            )
        self.first, self.second, self.share = first, second, share
        self.num_slots = first.num_slots

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Judge `state` uint8 `[B, S]`."""
        one, two = self.first(state, rng), self.second(state, rng)
        value = (1.0 - self.share) * one.value + self.share * two.value
        return Evaluation(one.logits, value, one.actions)
