"""Run a search over any model and evaluator: one call of each for a round of simulations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simrl.search.checking import check_evaluation, check_transition, not_finite
from simrl.search.kernels import batch
from simrl.search.kernels.layout import PARENT, Leaves
from simrl.search.model import Evaluation
from simrl.search.task import Task


def make_leaves(size: int) -> Leaves:
    """Allocate the list of `size` leaves."""
    return Leaves(np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.bool_))


def run_batched(task: Task) -> None:
    """Simulate until every tree's budget, or the time, is spent."""
    size = task.num_rows * task.config.parallel_leaves
    leaves, slots = make_leaves(size), np.empty(size, np.int64)
    words = np.zeros((size, task.arrays.words.shape[-1]), np.uint64)
    states = torch.from_numpy(words.view(np.uint8))
    scratch = np.empty((4, task.num_slots), np.float32)
    while task.root.left.any() and not task.out_of_time():
        found = batch.collect(task.arrays, task.root, task.rule, leaves, slots, words, scratch)
        if found:
            _judge(task, leaves, *_step(task, leaves, slots, states, found))


def _step(
    task: Task, leaves: Leaves, slots: np.ndarray, states: Tensor, found: int
) -> tuple[Tensor, np.ndarray]:
    """Step the first `found` leaves that are new; return all positions, and which have ended."""
    new = np.flatnonzero(~leaves.again[:found])
    judged, ended = states[:found, : task.state_size], np.zeros(found, np.bool_)
    if len(new) == 0:
        return judged, ended
    where = torch.from_numpy(new)
    before = judged.contiguous() if len(new) == found else judged[where]
    step = task.model.step(before, _actions(task, leaves, slots, new), task.rng)
    check_transition(step.state, len(new), task.state_size)
    reward, discount = step.reward.float().numpy(), step.discount.float().numpy()
    after = step.state.contiguous().numpy()
    batch.keep_positions(task.arrays, leaves, new, after, reward, discount)
    ended[new] = discount == 0.0
    if len(new) == found:
        return step.state, ended
    judged = judged.clone()
    judged[where] = step.state
    return judged, ended


def _actions(task: Task, leaves: Leaves, slots: np.ndarray, new: np.ndarray) -> Tensor:
    """Return what the chosen slots of the leaves' parents do."""
    slot = torch.from_numpy(slots[new])
    if task.tree.actions is None:
        return slot[:, None]
    rows, nodes = leaves.row[new], leaves.node[new]
    parents = torch.from_numpy(task.arrays.ints[rows, nodes, PARENT]).long()
    return task.tree.actions[torch.from_numpy(rows).long(), parents, slot]


def _judge(task: Task, leaves: Leaves, judged: Tensor, ended: np.ndarray) -> None:
    """Judge the leaves that have not ended, and back all up."""
    found = len(judged)
    if not ended.any():
        evaluation = task.evaluator(judged.contiguous(), task.rng)
        check_evaluation(evaluation, found, task.num_slots)
        back_up(task, leaves, found, evaluation)
        return
    going = torch.from_numpy(~ended).nonzero().squeeze(1)
    logits, value = torch.full((found, task.num_slots), -torch.inf), torch.zeros(found)
    actions = None
    if len(going):
        evaluation = task.evaluator(judged[going], task.rng)
        check_evaluation(evaluation, len(going), task.num_slots)
        logits[going], value[going] = evaluation.logits.float(), evaluation.value.float()
        if evaluation.actions is not None:
            actions = evaluation.actions.new_zeros(found, *evaluation.actions.shape[1:])
            actions[going] = evaluation.actions
    back_up(task, leaves, found, Evaluation(logits, value, actions))


def back_up(task: Task, leaves: Leaves, found: int, evaluation: Evaluation) -> None:
    """Attach the first `found` leaves; ValueError naming row and node of one that is unusable."""
    logits, value = evaluation.logits.float().contiguous(), evaluation.value.float().contiguous()
    bad = batch.finish(task.arrays, task.rule, leaves, found, logits.numpy(), value.numpy())
    if bad >= 0:
        raise not_finite(int(leaves.row[bad]), int(leaves.node[bad]), logits[bad], value[bad])
    if task.tree.actions is not None and evaluation.actions is not None:
        new = np.flatnonzero(~leaves.again[:found])
        rows = torch.from_numpy(leaves.row[new]).long()
        nodes = torch.from_numpy(leaves.node[new]).long()
        task.tree.actions[rows, nodes] = evaluation.actions[torch.from_numpy(new)]
