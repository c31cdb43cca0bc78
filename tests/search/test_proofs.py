"""Check that what a search calls proven is proven."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from simrl.core.seeding import torch_generator
from simrl.search import (
    SearchConfig,
    UniformEvaluator,
    search,
)

RULES = ["gumbel", "puct", "uct"]
SLOTS = 3  # of the numbered game


@pytest.mark.parametrize("leaves", [1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_solver_finds_the_exact_value(kit: Any, leaves: int, seed: int) -> None:
    game = kit.Numbered(seed)
    config = SearchConfig(simulations=2000, rule="uct", solve=True, parallel_leaves=leaves)
    result = kit.run(game, config, rows=4)
    for row in range(4):
        assert int(result.tree.status[row, 0]) == 3
        assert float(result.value[row]) == game.minimax(row)
        child = SLOTS * row + 1 + int(result.slot[row])
        assert -game.minimax(child) == game.minimax(row)
        chosen = torch.nn.functional.one_hot(result.slot[row], SLOTS)
        assert torch.equal(result.policy[row], chosen.float())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(6))
def test_what_is_called_proven_is_exact(kit: Any, rule: str, seed: int) -> None:
    game = kit.Numbered(seed)
    tree = kit.run(game, SearchConfig(simulations=150, rule=rule, solve=True)).tree  # type: ignore[arg-type]
    proven = 0
    for node in range(int(tree.count[0])):
        if int(tree.status[0, node]) == 3:
            position = int(tree.positions[0, node].view(torch.int64))
            assert float(tree.value[0, node]) == game.minimax(position)
            proven += 1
    assert proven > 0 or rule == "gumbel"  # which may leave a tree half open


@pytest.mark.parametrize("rule", RULES)
def test_solver_takes_a_win_and_leaves_a_loss(kit: Any, rule: str) -> None:
    model, judge, state = kit.connect_four()
    evaluator = UniformEvaluator(judge.view.dynamics, model.spec)
    rng = torch_generator(0, "search")
    position = state[:1]
    for column in (3, 0, 3, 0, 3):  # the first player threatens column 3; the second must block
        position = model.step(position, torch.tensor([[column]]), rng).state
    config = SearchConfig(simulations=600, rule=rule, solve=True)  # type: ignore[arg-type]
    block = search(model, evaluator, position, config, rng)
    assert int(block.slot) == 3
    if rule != "gumbel":  # which leaves slots early
        assert block.policy[0].tolist() == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]  # others lose
    missed = model.step(position, torch.tensor([[6]]), rng).state
    win = search(model, evaluator, missed, config, rng)
    assert int(win.slot) == 3
    assert float(win.value) == 1.0
    assert int(win.visits.sum()) < 100
