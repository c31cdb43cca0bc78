"""A search as a policy: it sits in any seat of a turn-based game."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl.search.config import SearchConfig
from simrl.search.model import Evaluator
from simrl.search.result import SearchResult
from simrl.search.search import search
from simrl.search.tree_memory import empty_trees, put_trees, take_trees, tree_state
from simrl.search.turn_model import TurnModel


@dataclass(frozen=True)
class SearchPolicyConfig:
    """Choose how a seat searches."""

    search: SearchConfig = field(default_factory=SearchConfig)
    """Budget and rule of each move's search."""
    reuse: bool = True
    """Whether a move's search goes on from what the last one knows of the position."""


class SearchPolicy:
    """Search whenever it is one's turn, and wait otherwise.

    It reads the game itself ("state").  A deterministic act leaves out noise at the root and plays
    the most visited slot (for Gumbel: the best of the most visited).

    Extras: "searched" `[rows]` bool; "search_policy" and "search_q" float32 `[rows, K]`,
    "search_value" and "search_policy_value" `[rows]`, NaN in rows that had to wait.
    """

    reads: frozenset[str] = frozenset({"state", "action_mask"})

    def __init__(
        self, model: TurnModel, evaluator: Evaluator, config: SearchPolicyConfig | None = None
    ) -> None:
        """Search `model` with `evaluator`."""
        self.model, self.evaluator = model, evaluator
        self.config = config or SearchPolicyConfig()

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return trees without a node, each `[num_rows, ...]`; {} where trees are not kept."""
        if not self.config.reuse:
            return {}
        sizes = (self.evaluator.num_slots, self.model.spec.state_size)
        return tree_state(empty_trees(num_rows, self.config.search.simulations, *sizes))

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Search the rows whose turn it is; the others do the one thing that they may."""
        positions, mask = obs["state"], obs["action_mask"]
        action = self.model.only_action(mask)
        mine = self.model.view.mover(positions) == obs["seat"]
        rows = mine.nonzero().squeeze(1)
        extras = self._blank_extras(mine)
        if len(rows) == 0:
            return PolicyOutput(action, dict(state), extras)
        config = quiet(self.config.search) if deterministic else self.config.search
        part = positions if len(rows) == len(positions) else positions[rows]
        tree = None
        if self.config.reuse:
            tree = take_trees(state, rows, part, config.simulations)
        result = search(self.model, self.evaluator, part, config, rng, tree=tree)
        if self.config.reuse:
            state = put_trees(state, rows, result.tree)
        self._fill(extras, rows, result)
        return PolicyOutput(action.index_copy(0, rows, result.action), dict(state), extras)

    def _blank_extras(self, mine: Tensor) -> dict[str, Tensor]:
        shape = (len(mine), self.evaluator.num_slots)
        return {
            "searched": mine,
            "search_policy": torch.full(shape, torch.nan),
            "search_q": torch.full(shape, torch.nan),
            "search_value": torch.full(shape[:1], torch.nan),
            "search_policy_value": torch.full(shape[:1], torch.nan),
        }

    def _fill(self, extras: dict[str, Tensor], rows: Tensor, result: SearchResult) -> None:
        extras["search_policy"][rows] = result.policy
        extras["search_q"][rows] = result.q
        extras["search_value"][rows] = result.value
        extras["search_policy_value"][rows] = result.policy_value


def quiet(config: SearchConfig) -> SearchConfig:
    """Return `config` without noise and without drawing: the same position, the same move."""
    return replace(
        config,
        puct=replace(config.puct, dirichlet_fraction=0.0, temperature=0.0),
        gumbel=replace(config.gumbel, scale=0.0),
        uct=replace(config.uct, temperature=0.0, shuffle=False),
    )
