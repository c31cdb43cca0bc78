"""Feedback-based tree search in games of many players at once: sample positions and search them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from simrl.core.env import VecEnv
from simrl.learn.distillation import SearchedRows, played_batch
from simrl.learn.feedback_search import Findings
from simrl.learn.policy import NetworkPolicy
from simrl.nn.actor_critic import ActorCritic
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.seating import Seating
from simrl.search.agent_model import AgentModel
from simrl.search.lookahead import LookaheadConfig, lookahead


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
    gae_lambda: float | None = 0.95
    """Weight of longer returns in the value's targets, which every step of the games between gives;
    None: the search's own value of the positions, which sees no further than the search."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("moments", "gap"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.gae_lambda is not None and not 0.0 <= self.gae_lambda <= 1.0:
            raise ValueError(f"gae_lambda must be from 0 to 1, got {self.gae_lambda}")
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
        seating = Seating.self_play(env, NetworkPolicy(model.net))
        self.engine = RolloutEngine(env, seating, seed=seed)

    def __call__(self, net: ActorCritic, rng: torch.Generator) -> Findings:
        """Search one batch; ValueError if `net` is not the model's."""
        if net is not self.model.net:
            raise ValueError("the searcher plays and searches with its model's network alone")
        parts, played = [], []
        for _ in range(self.config.moments):
            games = self.engine.collect(self.config.gap)
            if self.config.gae_lambda is not None:
                played.append(
                    played_batch(
                        net,
                        games.clone(),
                        gamma=self.model.gamma,
                        gae_lambda=self.config.gae_lambda,
                    )
                )
            parts.append(self._search(rng))
        return Findings(SearchedRows.join(parts), tuple(played))

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
        rows = SearchedRows(
            self.model.seen(situation),
            own,
            result.plan[:, :, 0],
            judged,
            result.target(self.config.step),
            result.value,
        )
        return rows.rows(chosen)
