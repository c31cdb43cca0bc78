"""Check that a search names what is wrong: evaluations, roots, configs, what does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from simrl.core.seeding import torch_generator
from simrl.search import (
    GumbelConfig,
    PuctConfig,
    SearchConfig,
    Transition,
    UctConfig,
    WideningConfig,
    search,
)

SLOTS = 3  # of the numbered game


@pytest.mark.parametrize("backend", ["kernels", "torch"])
@pytest.mark.parametrize("part", ["value", "logits"])
def test_non_finite_evaluation_names_row_and_node(kit: Any, backend: str, part: str) -> None:
    game = kit.Numbered()
    getattr(game, part)[2] = torch.nan  # the second slot of the root of row 0
    config = SearchConfig(simulations=30, rule="uct", uct=UctConfig(shuffle=False), backend=backend)  # type: ignore[arg-type]
    game.logits[0] = 0.0
    with pytest.raises(ValueError, match=r"row 0, node 2: .*finite.*nan"):
        kit.run(game, config, 1)


def test_non_finite_network_names_row_and_node(kit: Any) -> None:
    model, evaluator, state = kit.connect_four()
    with torch.no_grad():
        evaluator.net.head.bias[-1] = torch.inf
    with pytest.raises(ValueError, match=r"row 0, node 0: .*finite.*inf"):
        search(model, evaluator, state, SearchConfig(), torch_generator(0, "search"))


@pytest.mark.parametrize("backend", ["kernels", "torch"])
def test_root_without_legal_action_names_its_row(kit: Any, backend: str) -> None:
    game = kit.Numbered()
    game.logits[1] = -torch.inf
    with pytest.raises(ValueError, match=r"row 1: .*no legal action"):
        kit.run(game, SearchConfig(backend=backend))  # type: ignore[arg-type]


def test_position_without_slots_is_a_leaf(kit: Any) -> None:
    game = kit.Numbered()
    game.logits[1:] = -torch.inf
    for backend in ("kernels", "torch"):
        config = SearchConfig(simulations=40, rule="uct", backend=backend)  # type: ignore[arg-type]
        result = kit.run(game, config, 1)
        assert int(result.tree.count) == 1 + SLOTS
        torch.testing.assert_close(result.q[0], -game.value[1 : 1 + SLOTS])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"simulations": 0}, "simulations must be at least 1, got 0"),
        ({"seconds": -1.0}, "seconds must be at least 0"),
        ({"rule": "best"}, "unknown rule 'best'; the choices are puct, gumbel, uct"),
        ({"backend": "cuda"}, "unknown backend 'cuda'"),
        ({"gumbel": GumbelConfig(considered=0)}, "considered must be at least 1"),
        ({"puct": PuctConfig(dirichlet_fraction=2.0)}, "dirichlet_fraction must be in 0..1"),
    ],
)
def test_wrong_config(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchConfig(**options)


def test_what_does_not_fit(kit: Any) -> None:
    model, evaluator, state = kit.connect_four()
    rng = torch_generator(0, "search")
    with pytest.raises(ValueError, match="state and dynamics do not fit"):
        search(model, evaluator, state[:, :50], SearchConfig(), rng)
    with pytest.raises(ValueError, match="expected positions uint8"):
        search(model, evaluator, state.float(), SearchConfig(), rng)
    with pytest.raises(ValueError, match="the evaluator must return logits"):
        judge = kit.Numbered()
        judge.num_slots = 4
        kit.run(judge, SearchConfig())

    class Shrinking(kit.Numbered):
        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            step = super().step(state, action, rng)
            return replace(step, state=step.state[:, :4])

    for backend in ("kernels", "torch"):
        with pytest.raises(ValueError, match="state and dynamics do not fit"):
            kit.run(Shrinking(), SearchConfig(backend=backend))  # type: ignore[arg-type]
    tree = kit.run(kit.Numbered(), SearchConfig()).tree
    with pytest.raises(ValueError, match="the tree to go on with has"):
        search(kit.Numbered(), kit.Numbered(), kit.roots(3), SearchConfig(), rng, tree=tree)
    for option in ({"solve": True}, {"parallel_leaves": 2}, {"widening": WideningConfig()}):
        with pytest.raises(ValueError, match=f"does not know {next(iter(option))}"):
            kit.run(kit.Numbered(), SearchConfig(backend="torch", **option))  # type: ignore[arg-type]
