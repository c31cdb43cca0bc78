"""Control a one-agent environment by a search from its present state."""

from __future__ import annotations

import torch

from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl.search.config import SearchConfig
from simrl.search.model import Evaluator
from simrl.search.planner_model import DynamicsModel
from simrl.search.policy import quiet
from simrl.search.search import search


class PlannerPolicy:
    """Search anew at every step and do what the search chose.

    It reads the physical state ("state") and never touches the environment.  A deterministic act
    leaves out noise at the root.  Extras: "search_policy" and "search_q" float32 `[rows, K]`, and
    "search_value" `[rows]`.
    """

    reads: frozenset[str] = frozenset({"state"})

    def __init__(
        self, model: DynamicsModel, evaluator: Evaluator, config: SearchConfig | None = None
    ) -> None:
        """Search `model` with `evaluator`."""
        self.model, self.evaluator, self.config = model, evaluator, config or SearchConfig()

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Search every row's state and return the chosen actions."""
        config = quiet(self.config) if deterministic else self.config
        position = self.model.encode(obs["state"])
        result = search(self.model, self.evaluator, position, config, rng)
        extras = {
            "search_policy": result.policy,
            "search_q": result.q,
            "search_value": result.value,
        }
        return PolicyOutput(result.action, state, extras)
