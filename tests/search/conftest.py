"""Games for the tests of searches, and how they are searched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from simrl.core.plugins import env_plugin, make_env
from simrl.core.seeding import torch_generator
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.search import (
    Evaluation,
    NetworkEvaluator,
    SearchConfig,
    SearchResult,
    Transition,
    TurnModel,
    flat_spec,
    search,
)

SLOTS, DEPTH = 3, 4


class Numbered:
    """A game whose positions are the nodes of a full tree, numbered level by level.

    The players alternate; after `DEPTH` actions who acted last gets a reward of -1, 0 or 1.
    """

    num_slots = SLOTS

    def __init__(self, seed: int = 0) -> None:
        rng = torch_generator(seed, "tree")
        count = sum(SLOTS**level for level in range(DEPTH + 1))
        self.first_leaf = count - SLOTS**DEPTH
        self.reward = torch.randint(-1, 2, (count,), generator=rng).float()
        self.logits = torch.randn(count, SLOTS, generator=rng)
        self.value = 0.5 * torch.randn(count, generator=rng)
        self.calls: list[int] = []

    def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
        after = SLOTS * state.view(torch.int64) + 1 + action
        node = after[:, 0]
        over = node >= self.first_leaf
        reward = torch.where(over, self.reward[node], 0.0)
        return Transition(after.view(torch.uint8), reward, torch.where(over, 0.0, -1.0))

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        node = state.view(torch.int64)[:, 0]
        self.calls.append(len(node))
        return Evaluation(self.logits[node], self.value[node])

    def minimax(self, node: int = 0) -> float:
        """Return the exact value of a position to whoever moves there."""
        children = range(SLOTS * node + 1, SLOTS * node + 1 + SLOTS)
        if children[0] >= self.first_leaf:
            return max(float(self.reward[child]) for child in children)
        return max(-self.minimax(child) for child in children)


def roots(count: int) -> Tensor:
    """Return starts of the numbered game: the root, then the positions after it."""
    return torch.arange(count, dtype=torch.int64)[:, None].view(torch.uint8)


def run(game: Any, config: SearchConfig, rows: int = 2, seed: int = 0) -> SearchResult:
    return search(game, game, roots(rows), config, torch_generator(seed, "search"))


def connect_four(hidden: int = 32) -> tuple[TurnModel, NetworkEvaluator, Tensor]:
    """Return model, evaluator and eight positions after 0 to 7 random plies."""
    env, plugin = make_env("connect-four", 8), env_plugin("connect-four")
    assert plugin.dynamics is not None
    dynamics = plugin.dynamics(plugin.config())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = ActorCriticConfig(hidden=(hidden,), policy_gain=2.0)
        net = ActorCritic(flat_spec(env.spec), config)
    model, evaluator = TurnModel(dynamics, env.spec), NetworkEvaluator(net, dynamics, env.spec)
    state, rng = env.reset(0)["state"].clone(), torch_generator(2, "plies")
    for row in range(8):
        for _ in range(row):
            column = torch.randint(7, (1, 1), generator=rng)
            state[row : row + 1] = model.step(state[row : row + 1], column, rng).state
    return model, evaluator, state


class Hidden:
    """Hide everything of a model but its step."""

    def __init__(self, model: TurnModel) -> None:
        self.step = model.step


def expect_same(one: SearchResult, two: SearchResult, tolerance: float = 0.0) -> None:
    assert torch.equal(one.visits, two.visits)
    assert torch.equal(one.slot, two.slot)
    for name in ("policy", "q", "value", "logits"):
        torch.testing.assert_close(
            getattr(one, name), getattr(two, name), atol=tolerance, rtol=tolerance
        )


@pytest.fixture
def kit() -> SimpleNamespace:
    """The helpers above, since test files cannot import each other."""
    return SimpleNamespace(
        Numbered=Numbered,
        Hidden=Hidden,
        roots=roots,
        run=run,
        connect_four=connect_four,
        expect_same=expect_same,
    )
