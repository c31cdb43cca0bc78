"""Judge packed situations for a tree search: by the critic, or by rollouts that end in it."""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.search.agent_model import AgentModel
from simrl.search.candidates import draw_candidates
from simrl.search.lookahead import rollout_returns
from simrl.search.model import Evaluation


class AgentEvaluator:
    """Give a few whole actions drawn from the policy as slots, and the critic's value."""

    def __init__(self, model: AgentModel, num_slots: int = 8) -> None:
        """Judge what `model` packs; ValueError for fewer than two slots."""
        if num_slots < 2:
            raise ValueError(f"a search needs at least 2 slots, got {num_slots}")
        self.model, self.num_slots = model, num_slots

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Judge packed situations uint8 `[B, state_size]`."""
        outlook = self.model.look(self.model.unpack(state), rng)
        actions, logits = draw_candidates(outlook.prior, self.num_slots, rng)
        return Evaluation(logits, outlook.value, actions)


class TruncatedRollouts(AgentEvaluator):
    """Give the same slots, and as value the mean return of rollouts that end in the critic.

    `MixedEvaluator(AgentEvaluator(...), TruncatedRollouts(...), share)` mixes both.
    """

    def __init__(
        self, model: AgentModel, num_slots: int = 8, *, depth: int = 8, rollouts: int = 1
    ) -> None:
        """Play `rollouts` of `depth` decisions each; ValueError where a number is below 1."""
        super().__init__(model, num_slots)
        if depth < 1 or rollouts < 1:
            raise ValueError(f"depth and rollouts must be at least 1, got {depth} and {rollouts}")
        self.depth, self.rollouts = depth, rollouts

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Judge packed situations uint8 `[B, state_size]`."""
        judged = super().__call__(state, rng)
        many = torch.arange(len(state)).repeat_interleave(self.rollouts)
        worlds = self.model.imagine(self.model.unpack(state).take(many), rng)
        returns, _ = rollout_returns(self.model, worlds, self.depth, rng)
        value = returns.unflatten(0, (len(state), self.rollouts)).mean(1)
        return Evaluation(judged.logits, value, judged.actions)
