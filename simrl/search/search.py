"""Search trees over batches of positions: select, expand, evaluate, back up."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simrl.search.batched import run_batched
from simrl.search.checking import check_state
from simrl.search.config import SearchConfig
from simrl.search.kernels import summary
from simrl.search.kernels.layout import VALUE, VISITS, Q
from simrl.search.model import Evaluator, Model
from simrl.search.reference import search_in_torch
from simrl.search.result import SearchResult
from simrl.search.task import Task
from simrl.search.tree import Tree
from simrl.search.turns import compiled_rules, run_turns


def search(
    model: Model,
    evaluator: Evaluator,
    state: Tensor,
    config: SearchConfig,
    rng: torch.Generator,
    *,
    tree: Tree | None = None,
) -> SearchResult:
    """Search positions `state` uint8 `[B, S]` and return what to play in each.

    Positions on another device than the CPU are searched in torch, see `SearchConfig.backend`.
    `tree` holds trees to go on with: rows whose root is the same position keep what they know; it
    is changed in place, and rows without room for the new simulations start anew.

    Raises ValueError where a root has no legal slot, where an evaluator or model returns something
    that is not finite (naming row and node), and where state, model and evaluator do not fit.
    """
    check_state(state)
    with torch.no_grad():
        if config.backend == "torch" or (config.backend == "auto" and not state.is_cpu):
            if tree is not None:
                raise ValueError(
                    "the torch backend starts every search anew; do not hand it a tree"
                )
            return search_in_torch(model, evaluator, state, config, rng)
        if not state.is_cpu:
            raise ValueError(f"the kernels search on the CPU, the positions are on {state.device}")
        task = Task(model, evaluator, state, config, rng, tree)
        rules = compiled_rules(task)
        if rules is None:
            run_batched(task)
        else:
            run_turns(task, rules)
        return _read(task)


def _read(task: Task) -> SearchResult:
    """Read the roots of a finished task."""
    config, tree, num_rows = task.config, task.tree, task.num_rows
    slots = np.empty(num_rows, np.int64)
    policy = np.empty((num_rows, task.num_slots), np.float32)
    heat = {"puct": config.puct.temperature, "uct": config.uct.temperature}.get(config.rule, 0.0)
    uniform = np.zeros(num_rows)
    if heat > 0.0:
        uniform = torch.rand(num_rows, generator=task.rng, dtype=torch.float64).numpy()
    summary.summarise(task.arrays, task.root, task.rule, float(heat), uniform, slots, policy)
    slot, edges = torch.from_numpy(slots), task.arrays.edges[:, 0]
    actions = None if tree.actions is None else tree.actions[:, 0].clone()
    return SearchResult(
        slot=slot,
        action=slot[:, None] if actions is None else actions[torch.arange(num_rows), slot],
        policy=torch.from_numpy(policy),
        visits=torch.from_numpy(edges[:, VISITS].astype(np.int64)),
        q=torch.from_numpy(edges[:, Q].copy()),
        value=torch.from_numpy(task.arrays.values[:, 0, VALUE].copy()),
        logits=task.logits,
        actions=actions,
        simulations=config.simulations - int(task.root.left.max()),
        tree=tree,
    )
