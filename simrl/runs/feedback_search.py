"""Feedback-based tree search in games of many players at once: sample positions and search them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from simrl.core.env import VecEnv
from simrl.learn.distillation import SearchedRows
from simrl.learn.policy import NetworkPolicy
from simrl.nn.actor_critic import ActorCritic
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.seating import Seating
from simrl.search.agent_model import AgentModel, Situation
from simrl.search.lookahead import LookaheadConfig, lookahead, rollout_returns


@dataclass(frozen=True)
class SamplerConfig:
    """Choose the positions of a batch, and how they are searched."""

    moments: int = 4
    """Times in a batch at which every game is searched, from the seat of a drawn agent."""
    gap: int = 60
    """Steps of play between two of these times."""
    lookahead: LookaheadConfig = field(default_factory=LookaheadConfig)
    """The search."""
    step: float = 0.3
    """How far a target leaves the prior for each standard error; see `LookaheadResult.target`."""
    value_depth: int = 0
    """Decisions of the policy's rollouts, with the critic at their ends, whose mean return is the
    target of the value; 0: the search's own value, which sees no further than the search."""
    value_rollouts: int = 4
    """Rollouts of each position for that."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("moments", "gap", "value_rollouts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.value_depth < 0:
            raise ValueError(f"value_depth must not be negative, got {self.value_depth}")
        if not 0.0 < self.step <= 1.0:
            raise ValueError(f"step must be above 0 and at most 1, got {self.step}")


class PositionSearcher:
    """Let a network play all seats of many games, and search from where they stand now and then.

    It is what `FeedbackSearch` calls: the games go on from one batch to the next.
    """

    def __init__(
        self, env: VecEnv, model: AgentModel, config: SamplerConfig | None = None, *, seed: int = 0
    ) -> None:
        """Play in `env`; `model` searches with the network that plays."""
        self.model, self.config = model, config or SamplerConfig()
        seating = Seating.self_play(env, NetworkPolicy(model.net), train=False)
        self.engine = RolloutEngine(env, seating, seed=seed)

    def __call__(self, net: ActorCritic, rng: torch.Generator) -> SearchedRows:
        """Search one batch; ValueError if `net` is not the model's."""
        if net is not self.model.net:
            raise ValueError("the searcher plays and searches with its model's network alone")
        parts = []
        for _ in range(self.config.moments):
            for _ in range(self.config.gap):
                self.engine.step()
            parts.append(self._search(rng))
        return SearchedRows.join(parts)

    def _search(self, rng: torch.Generator) -> SearchedRows:
        """Search every game as it stands, where the drawn agent has a choice."""
        state = self.engine.state_dict()
        memory: dict[str, Tensor] = state["states"]["policy"]
        agents = self.model.spec.num_agents
        seat = torch.randint(agents, (len(state["env"]),), generator=rng)
        by_seat = {name: value.unflatten(0, (-1, agents)) for name, value in memory.items()}
        situation = self.model.situation(state["env"], seat, by_seat)
        result = lookahead(self.model, situation, self.config.lookahead, rng)
        judged = result.logits > -math.inf
        chosen = (judged.sum(1) > 1).nonzero().squeeze(1)
        own = {name: value[torch.arange(len(seat)), seat] for name, value in by_seat.items()}
        value = result.value
        if self.config.value_depth:
            value = self._followed(situation, rng)
        rows = SearchedRows(
            self.model.seen(situation),
            own,
            result.plan[:, :, 0],
            judged,
            result.target(self.config.step),
            value,
        )
        return rows.rows(chosen)

    def _followed(self, situation: Situation, rng: torch.Generator) -> Tensor:
        """Return the mean return `[B]` of following the policy from the situations on."""
        count = self.config.value_rollouts
        many = torch.arange(len(situation.seat)).repeat_interleave(count)
        futures = self.model.imagine(situation.take(many), rng)
        returns, _ = rollout_returns(self.model, futures, self.config.value_depth, rng)
        return returns.unflatten(0, (-1, count)).mean(1)
