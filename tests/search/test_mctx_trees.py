"""Replay the trees that ship with mctx through our kernels, and compare node for node."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from simrl.core.seeding import torch_generator
from simrl.search import Evaluation, GumbelConfig, PuctConfig, SearchConfig, Transition, search

SPEC = find_spec("mctx")
if SPEC is None or not SPEC.submodule_search_locations:
    pytest.skip("mctx is not installed: pip install mctx", allow_module_level=True)
FOLDER = Path(SPEC.submodule_search_locations[0]) / "_src" / "tests" / "test_data"


class Replay:
    """Be model and evaluator of a stored tree; a position is the number of a node."""

    def __init__(self, stored: dict[str, Any]) -> None:
        self.nodes: dict[int, dict[str, Any]] = {}
        self._add(stored["tree"])
        self.discount = stored["env_config"]["discount"]
        self.num_slots = len(stored["tree"]["child_stats"])

    def _add(self, node: dict[str, Any]) -> None:
        self.nodes[node["evaluation_index"]] = node
        for child in node["child_stats"]:
            if "visit" in child:
                self._add(child)

    def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
        pairs = zip(state.view(torch.int64)[:, 0].tolist(), action[:, 0].tolist(), strict=True)
        found = [self.nodes[index]["child_stats"][slot] for index, slot in pairs]
        assert all("visit" in child for child in found), "a slot that mctx did not try"
        after = torch.tensor([[child["evaluation_index"]] for child in found])
        reward = torch.tensor([child["reward"] for child in found])
        return Transition(after.view(torch.uint8), reward, torch.full_like(reward, self.discount))

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        nodes = [self.nodes[index] for index in state.view(torch.int64)[:, 0].tolist()]
        prior = torch.tensor([[child["prior"] for child in n["child_stats"]] for n in nodes])
        return Evaluation(prior.log(), torch.tensor([n["raw_value_view"] for n in nodes]))


def make_config(stored: dict[str, Any], backend: str) -> SearchConfig:
    options, transform = stored["algorithm_config"], stored["algorithm_config"]["qtransform_kwargs"]
    gumbel = stored["algorithm"] == "gumbel_muzero"
    return SearchConfig(
        simulations=stored["tree"]["visit"] - 1,
        rule="gumbel" if gumbel else "puct",
        puct=PuctConfig(
            dirichlet_fraction=0.0,
            temperature=0.0,
            value_low=transform.get("min_value", 0.0),
            value_high=transform.get("max_value", 0.0),
        ),
        gumbel=GumbelConfig(
            considered=options.get("max_num_considered_actions", 16),
            scale=0.0,
            value_scale=transform.get("value_scale", 0.1),
            visit_offset=transform.get("maxvisit_init", 50.0),
            rescale=transform.get("rescale_values", True),
        ),
        backend=backend,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("backend", ["kernels", "torch"])
@pytest.mark.parametrize(
    "name",
    ["gumbel_muzero_tree", "gumbel_muzero_reward_tree", "muzero_tree", "muzero_qtransform_tree"],
)
def test_same_tree(name: str, backend: str) -> None:
    stored = json.loads((FOLDER / f"{name}.json").read_text())
    replay, config = Replay(stored), make_config(stored, backend)
    root = torch.zeros(1, 8, dtype=torch.uint8)
    result = search(replay, replay, root, config, torch_generator(0, "search"))
    tree = result.tree
    assert int(tree.count[0]) == len(replay.nodes)
    assert float(result.value) == pytest.approx(stored["tree"]["value_view"], abs=1e-6)
    for index, node in replay.nodes.items():
        assert int(tree.positions[0, index].view(torch.int64)) == index
        assert int(tree.node_visits[0, index]) == node["visit"]
        assert float(tree.value[0, index]) == pytest.approx(node["value_view"], abs=2e-6)
        child = [c.get("evaluation_index", -1) for c in node["child_stats"]]
        assert tree.child[0, index].tolist() == child
        visits = [c.get("visit", 0) for c in node["child_stats"]]
        assert tree.visits[0, index].tolist() == visits
