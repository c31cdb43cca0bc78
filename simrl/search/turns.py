"""Run a search of a game whose rules are compiled: steps, and small networks, inside kernels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from simrl.rollout.threads import usable_cores
from simrl.search.batched import back_up, make_leaves
from simrl.search.checking import check_evaluation, not_finite
from simrl.search.evaluators import NetworkEvaluator
from simrl.search.model import Evaluation
from simrl.search.random_rollouts import RolloutEvaluator
from simrl.search.task import Task
from simrl.search.turn_model import TurnModel

if TYPE_CHECKING:
    from simrl.core.turn_rules import TurnRules

CHUNK = 16
"""Simulations between two looks at the clock."""
WORK_PER_THREAD = 1024
"""Simulations of one call below which another thread costs more than it gives."""


@runtime_checkable
class ObservingEvaluator(Protocol):
    """An evaluator that needs no more than what the mover sees and may do."""

    def judge(self, obs: Tensor, legal: Tensor) -> Evaluation:
        """Judge by observations `[B, D]` and legal slots `[B, K]` bool."""
        ...


def compiled_rules(task: Task) -> TurnRules | None:
    """Return the compiled rules of a task's game if its steps can run in kernels."""
    model, evaluator = task.model, task.evaluator
    if not isinstance(model, TurnModel) or model.rules is None or task.tree.actions is not None:
        return None
    fits = task.state_size == model.rules.state_size
    return model.rules if fits and evaluator.num_slots == model.rules.num_actions else None


def run_turns(task: Task, rules: TurnRules) -> None:
    """Simulate until every tree's budget, or the time, is spent."""
    evaluator = task.evaluator
    if task.config.parallel_leaves > 1:
        _run_rounds(task, rules)
    elif isinstance(evaluator, NetworkEvaluator) and evaluator.in_kernels(task.num_rows):
        _run_whole(task, rules, evaluator)
    elif isinstance(evaluator, RolloutEvaluator) and _rolls_out(task, evaluator):
        evaluator.simulate(task, 0, task.num_rows)
    else:
        _run_rounds(task, rules)


def _rolls_out(task: Task, evaluator: RolloutEvaluator) -> bool:
    """Say whether random rollouts alone judge the leaves, with the discount of the model."""
    model = task.model
    same = isinstance(model, TurnModel) and evaluator.config.gamma == model.gamma
    return same and evaluator.leaf is None


def _run_rounds(task: Task, rules: TurnRules) -> None:
    """Call the evaluator once for a round of simulations."""
    from simrl.search.kernels.pointers import game_pointers
    from simrl.search.kernels.turn_rounds import collect_turns

    evaluator = task.evaluator
    observing = isinstance(evaluator, ObservingEvaluator)
    size = task.num_rows * task.config.parallel_leaves
    leaves = make_leaves(size)
    obs = torch.empty(size, rules.obs_size if observing else 0)
    mask = torch.empty(size, rules.num_actions, dtype=torch.bool)
    game = (task.state_size, rules.num_agents, _gamma(task), obs.numpy(), mask.numpy())
    functions, state = game_pointers(rules), task.tree.positions
    while task.root.left.any() and not task.out_of_time():
        found = collect_turns(functions, task.arrays, task.root, task.rule, leaves, *game)
        if not found:
            continue
        if isinstance(evaluator, ObservingEvaluator):
            evaluation = evaluator.judge(obs[:found], mask[:found])
        else:
            rows = torch.from_numpy(leaves.row[:found]).long()
            nodes = torch.from_numpy(leaves.node[:found]).long()
            evaluation = evaluator(state[rows, nodes], task.rng)
        check_evaluation(evaluation, found, task.num_slots)
        back_up(task, leaves, found, evaluation)


def _run_whole(task: Task, rules: TurnRules, evaluator: NetworkEvaluator) -> None:
    """Run everything in kernels, slices of the rows side by side; the result is the same."""
    from simrl.search.kernels.pointers import game_pointers
    from simrl.search.kernels.turn_whole import search_turns

    assert evaluator.kernel_net is not None
    net = evaluator.kernel_net.numbers  # read when it judged the roots
    game = (task.state_size, rules.num_agents, _gamma(task), rules.obs_size)
    most = CHUNK if task.config.seconds > 0.0 else task.config.simulations
    work = task.num_rows * most
    threads = max(1, min(usable_cores(), task.num_rows, work // WORK_PER_THREAD))
    bounds = [task.num_rows * index // threads for index in range(threads + 1)]
    given = (game_pointers(rules), task.arrays, task.root, task.rule, net, *game)

    def run(index: int) -> tuple[int, int]:
        bad: tuple[int, int] = search_turns(*given, bounds[index], bounds[index + 1], most)
        return bad

    while task.root.left.any() and not task.out_of_time():
        found = [run(0)] if threads == 1 else list(_pool(threads).map(run, range(threads)))
        for row, node in found:
            if row >= 0:
                raise _unusable(task, row, node)


def _unusable(task: Task, row: int, node: int) -> ValueError:
    return not_finite(row, node, task.tree.logits[row, node], task.tree.raw_value[row, node])


def _gamma(task: Task) -> np.float32:
    assert isinstance(task.model, TurnModel)  # as `compiled_rules` found
    return np.float32(task.model.gamma)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="search")
