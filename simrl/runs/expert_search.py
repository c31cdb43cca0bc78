"""The searches of expert iteration in one game, and frozen copies of its network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from simrl.core.dynamics import TurnDynamics
from simrl.core.plugins import make_dynamics
from simrl.core.policy import Policy
from simrl.core.spec import EnvSpec
from simrl.learn.expert_iteration import Reanalyse
from simrl.learn.exploration import ExplorationConfig, ExploringPolicy
from simrl.learn.loop import Progress
from simrl.learn.replay import Positions
from simrl.nn.actor_critic import ActorCritic
from simrl.search.config import SearchConfig
from simrl.search.evaluators import NetworkEvaluator
from simrl.search.policy import SearchPolicy, SearchPolicyConfig, quiet
from simrl.search.search import search
from simrl.search.turn_model import TurnModel

REANALYSE_ROWS = 512
"""Positions that are searched anew in one call."""

VARIED = ExplorationConfig(random_share=0.0, sampled_moves=4)
"""How players are varied who would always play each other the same game."""


@dataclass(frozen=True)
class Game:
    """Build searches of one turn-based game."""

    spec: EnvSpec
    """What the environment shows."""
    dynamics: TurnDynamics
    """Its rules."""
    gamma: float
    """Discount of a reward one move later."""

    @classmethod
    def of(
        cls, env: str, env_options: Mapping[str, Any], spec: EnvSpec, gamma: float = 1.0
    ) -> Game:
        """Find the rules of the environment; ValueError if it has none, or no turns."""
        dynamics = make_dynamics(env, **env_options)
        if not isinstance(dynamics, TurnDynamics):
            raise ValueError(
                f"{env} is not a game of turns, which expert iteration needs: its "
                f"{type(dynamics).__name__} tells no mover"
            )
        return cls(spec, dynamics, gamma)

    def policy(self, net: ActorCritic, config: SearchConfig) -> Policy:
        """Search with `net` wherever the policy sits."""
        model = TurnModel(self.dynamics, self.spec, gamma=self.gamma)
        evaluator = NetworkEvaluator(net, self.dynamics, self.spec)
        return SearchPolicy(model, evaluator, SearchPolicyConfig(config, reuse=False))

    def measured(self, net: ActorCritic, config: SearchConfig, *, varied: bool = False) -> Policy:
        """Search with `net` and without noise: what is measured, and what plays for real.

        With `varied` the first moves are drawn from what the search preferred, so that two such
        players meet in more than one game.
        """
        policy = self.policy(net, quiet(config))
        return ExploringPolicy(policy, VARIED) if varied else policy

    def reanalyse(self, net: ActorCritic, config: SearchConfig) -> Reanalyse:
        """Return the search that gives old positions new targets."""
        model = TurnModel(self.dynamics, self.spec, gamma=self.gamma)
        evaluator = NetworkEvaluator(net, self.dynamics, self.spec)

        def again(positions: Positions, rng: torch.Generator) -> tuple[Tensor, Tensor]:
            found = [
                search(model, evaluator, state, config, rng)
                for state in positions.state.split(REANALYSE_ROWS)
            ]
            policy = torch.cat([result.policy for result in found])
            return policy, torch.cat([result.policy_value for result in found])

        return again


class Snapshots:
    """Keep frozen copies of the network, to be rated later; a hook of the loop."""

    def __init__(self, net: ActorCritic, every: int) -> None:
        """Copy `net` after its first turn, and whenever `every` more positions were searched."""
        self.net, self.every = net, every
        self.snapshots: dict[str, dict[str, Tensor]] = {}
        self._next = 0

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Freeze a copy if it is time."""
        if progress.steps >= self._next:
            self._next = progress.steps + self.every
            weights = self.net.state_dict()
            self.snapshots[f"snapshot-{progress.steps:012d}"] = {
                name: value.detach().clone() for name, value in weights.items()
            }
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the copies and when the next is due."""
        return {"snapshots": self.snapshots, "next": self._next}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.snapshots = dict(state["snapshots"])
        self._next = int(state["next"])
