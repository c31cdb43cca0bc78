"""Check the rules that choose slots: halving, noise, temperature, exploration, widening."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from simrl.core.seeding import torch_generator
from simrl.search import (
    Evaluation,
    GumbelConfig,
    PuctConfig,
    SearchConfig,
    Transition,
    UctConfig,
    WideningConfig,
    search,
)
from simrl.search.halving import visits_to_look_for

RULES = ["gumbel", "puct", "uct"]
SLOTS = 3  # of the numbered game
QUIET = PuctConfig(dirichlet_fraction=0.0, temperature=0.0)


def test_widening_opens_slots_with_visits(kit: Any) -> None:
    class Many(kit.Numbered):
        num_slots = 50

        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            return Transition(state.clone(), torch.zeros(len(state)), torch.ones(len(state)))

        def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
            return Evaluation(torch.zeros(len(state), 50), torch.zeros(len(state)))

    for rule in RULES:
        config = SearchConfig(simulations=99, rule=rule, widening=WideningConfig(2.0, 0.5))  # type: ignore[arg-type]
        tried = kit.run(Many(), config).visits > 0
        assert tried[:, :15].any(-1).all()
        assert not tried[:, 20:].any()  # 2 * sqrt(100) = 20


def test_halving_schedule_by_hand() -> None:
    # 16 simulations, 4 slots, log2 4 = 2 phases: 16 / (2 * 4) = 2 visits to each of 4 slots, then
    # 16 / (2 * 2) = 4 visits to each of 2.
    table = visits_to_look_for(4, 16)
    assert table[4].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert table[1].tolist() == list(range(16))


def test_gumbel_tries_the_slots_considered_alone(kit: Any) -> None:
    game = kit.Numbered()
    result = kit.run(game, SearchConfig(simulations=32, gumbel=GumbelConfig(considered=2)))
    assert (result.visits > 0).sum(-1).tolist() == [2, 2]
    assert result.visits.tolist() == [sorted_to_two(row) for row in result.visits.tolist()]


def sorted_to_two(visits: list[int]) -> list[int]:
    """Return 16 visits for each slot that was tried."""
    return [16 if count else 0 for count in visits]


def test_dirichlet_noise_is_shared_among_legal_slots(kit: Any) -> None:
    model, evaluator, state = kit.connect_four()
    rng = torch_generator(0, "search")
    position = state[:1]
    for _ in range(6):
        position = model.step(position, torch.tensor([[2]]), rng).state
    config = SearchConfig(simulations=1, rule="puct", puct=PuctConfig(dirichlet_fraction=1.0))
    draws = torch.cat(
        [search(model, evaluator, position, config, rng).tree.prob[:, 0] for _ in range(400)]
    )
    assert (draws[:, 2] == 0).all()  # the column is full
    torch.testing.assert_close(draws.sum(-1), torch.ones(400))
    legal = [0, 1, 3, 4, 5, 6]
    torch.testing.assert_close(draws[:, legal].mean(0), torch.full((6,), 1 / 6), atol=0.04, rtol=0)
    # The variance of one entry of Dir(a, ..., a) with k entries is (k - 1) / (k^2 (k a + 1)).
    assert float(draws[:, 0].var()) == pytest.approx(5 / (36 * 2.8), rel=0.3)


def test_temperature(kit: Any) -> None:
    game = kit.Numbered()
    config = SearchConfig(simulations=30, rule="puct", puct=replace(QUIET, temperature=1.0))
    result = search(game, game, kit.roots(1).expand(4000, 8), config, torch_generator(0, "search"))
    share = result.slot.bincount(minlength=SLOTS) / 4000
    torch.testing.assert_close(share, result.visits[0] / 30.0, atol=0.03, rtol=0)
    cold = kit.run(game, replace(config, puct=QUIET), 1)
    assert int(cold.slot) == int(result.visits[0].argmax())


@pytest.mark.parametrize(("exploration", "spread"), [(0.0, 97), (1e6, 1)])
def test_uct_exploration(kit: Any, exploration: float, spread: int) -> None:
    class Arms(kit.Numbered):
        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            reward = action[:, 0] / 2.0  # 0, 0.5, 1, and the episode ends
            return Transition(state.clone(), reward, torch.zeros(len(state)))

    config = SearchConfig(simulations=99, rule="uct", uct=UctConfig(exploration))
    visits = kit.run(Arms(), config).visits
    assert (visits.max(-1).values - visits.min(-1).values <= spread).all()
    if exploration == 0.0:
        assert visits.tolist() == [[1, 1, 97]] * 2  # greedy once all are known
