"""Search trees over batches of positions: select, expand, evaluate, back up."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simrl.search.config import SearchConfig
from simrl.search.halving import visits_to_look_for
from simrl.search.kernels import batch, summary
from simrl.search.kernels.layout import (
    GUMBEL,
    PUCT,
    UCT,
    VISITS,
    Leaves,
    RootArrays,
    RuleNumbers,
)
from simrl.search.model import Evaluation, Evaluator, Model
from simrl.search.noise import gumbel_noise, noisy_logits, tie_seeds
from simrl.search.tree import Tree, make_tree


@dataclass(frozen=True)
class SearchResult:
    """Hold what a search found of B positions, in K slots each."""

    slot: Tensor
    """Chosen slot int64 `[B]`."""
    action: Tensor
    """What that slot does: int64 `[B, H]` or float32 `[B, size]`."""
    policy: Tensor
    """Training target float32 `[B, K]`: shares of the visits for PUCT and UCT,
    softmax(logits + sigma(completed q)) for Gumbel."""
    visits: Tensor
    """Visits of each slot, int64 `[B, K]`."""
    q: Tensor
    """Value of each slot, float32 `[B, K]`; 0 where it was not tried."""
    value: Tensor
    """Value of the position after the search, float32 `[B]`."""
    logits: Tensor
    """Priors as the evaluator gave them, float32 `[B, K]`."""
    actions: Tensor | None
    """What each slot does, as in `Evaluation`; None: slot k is the action `[k]`."""
    simulations: int
    """Simulations of each position that the budget allowed."""
    tree: Tree
    """The trees themselves."""


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

    `tree` holds trees to go on with: rows whose root is the same position keep what they know; it
    is changed in place, and must have room for the new simulations.

    Raises ValueError where a root has no legal slot, where an evaluator or model returns something
    that is not finite (naming row and node), and where state, model and evaluator do not fit.
    """
    if state.ndim != 2 or state.dtype != torch.uint8 or len(state) == 0:
        raise ValueError(
            f"expected positions uint8 [B >= 1, S], got {state.dtype} {tuple(state.shape)}"
        )
    with torch.inference_mode():
        task = _Task(model, evaluator, state, config, rng, tree)
        task.run()
        return task.result()


class _Task:
    """Hold one search while it runs."""

    def __init__(
        self,
        model: Model,
        evaluator: Evaluator,
        state: Tensor,
        config: SearchConfig,
        rng: torch.Generator,
        tree: Tree | None,
    ) -> None:
        self.model, self.evaluator, self.config, self.rng = model, evaluator, config, rng
        self.begin = time.perf_counter()
        self.num_rows, self.state_size = state.shape
        evaluation = evaluator(state, rng)
        self.logits, self.root_actions = evaluation.logits.float(), evaluation.actions
        self.num_slots = evaluator.num_slots
        check_evaluation(evaluation, self.num_rows, self.num_slots)
        check_roots(self.logits)
        self.tree, fresh = self._prepare_tree(state, tree)
        self.arrays = self.tree.arrays()
        self.rule = rule_numbers(config)
        logits = noisy_logits(self.logits, config, rng)
        bad = batch.plant(
            self.arrays, fresh, logits.contiguous().numpy(), evaluation.value.float().numpy()
        )
        if bad >= 0:
            raise ValueError(_not_finite(bad, 0, logits[bad], evaluation.value[bad]))
        if self.tree.actions is not None and evaluation.actions is not None:
            rows = torch.from_numpy(fresh)
            self.tree.actions[:, 0][rows] = evaluation.actions[rows]
        self._put_noise(logits, ~torch.from_numpy(fresh))
        shape = (self.num_rows, self.num_slots)
        scale = config.gumbel.scale if config.rule == "gumbel" else 0.0
        self.root = RootArrays(
            noise=gumbel_noise(shape, scale, rng).numpy(),
            start=self.arrays.edges[:, 0, VISITS].copy(),
            table=visits_to_look_for(config.gumbel.considered, config.simulations),
            ties=tie_seeds(self.num_rows, config, rng).numpy(),
            left=np.full(self.num_rows, config.simulations, np.int32),
        )
        self.rounds = 0

    def _prepare_tree(self, state: Tensor, tree: Tree | None) -> tuple[Tree, np.ndarray]:
        """Return trees with room for the budget, and which rows start anew."""
        fresh = np.ones(self.num_rows, np.bool_)
        if tree is None:
            capacity = self.config.simulations + 1
            tree = make_tree(
                self.num_rows, capacity, self.num_slots, self.state_size, self.root_actions
            )
        else:
            check_tree(tree, self.num_rows, self.num_slots, self.state_size)
            same = (tree.positions[:, 0] == state).all(-1) & (tree.count > 0)
            room = tree.count + self.config.simulations <= tree.capacity
            fresh = ~(same & room).numpy()
        tree.positions[:, 0] = state
        return tree, fresh

    def _put_noise(self, logits: Tensor, kept: Tensor) -> None:
        """Give the roots that were kept this search's noise."""
        if bool(kept.any()):
            self.tree.logits[:, 0][kept] = logits[kept]
            self.tree.prob[:, 0][kept] = logits[kept].softmax(-1)

    def run(self) -> None:
        """Simulate until every tree's budget is spent."""
        run_batched(self)

    def out_of_time(self) -> bool:
        """Say whether the wall-clock budget is spent."""
        limit = self.config.seconds
        return limit > 0.0 and time.perf_counter() - self.begin >= limit

    def result(self) -> SearchResult:
        """Read the roots."""
        config, tree = self.config, self.tree
        temperature = {"puct": config.puct.temperature, "uct": config.uct.temperature}
        slots = np.empty(self.num_rows, np.int64)
        policy = np.empty((self.num_rows, self.num_slots), np.float32)
        heat = temperature.get(config.rule, 0.0)
        if heat > 0.0:
            uniform = torch.rand(self.num_rows, generator=self.rng, dtype=torch.float64).numpy()
        else:
            uniform = np.zeros(self.num_rows)
        summary.summarise(self.arrays, self.root, self.rule, heat, uniform, slots, policy)
        slot = torch.from_numpy(slots)
        actions = None if tree.actions is None else tree.actions[:, 0].clone()
        action = slot[:, None]
        if actions is not None:
            action = actions[torch.arange(self.num_rows), slot]
        spent = config.simulations - int(self.root.left.max())
        return SearchResult(
            slot=slot,
            action=action,
            policy=torch.from_numpy(policy),
            visits=tree.visits[:, 0].long(),
            q=tree.q[:, 0].clone(),
            value=tree.value[:, 0].clone(),
            logits=self.logits,
            actions=actions,
            simulations=spent,
            tree=tree,
        )


def run_batched(task: _Task) -> None:
    """Call model and evaluator once for each round of simulations, for all trees together."""
    size = task.num_rows * task.config.parallel_leaves
    leaves = Leaves(np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.bool_))
    slots = np.empty(size, np.int64)
    before = np.zeros((size, task.arrays.words.shape[-1]), np.uint64)
    states = torch.from_numpy(before.view(np.uint8))
    scratch = np.empty((4, task.num_slots), np.float32)
    while bool((task.root.left > 0).any()) and not task.out_of_time():
        found = batch.collect(task.arrays, task.root, task.rule, leaves, slots, before, scratch)
        if found:
            _expand(task, leaves, slots, states, found)


def _expand(task: _Task, leaves: Leaves, slots: np.ndarray, states: Tensor, found: int) -> None:
    """Step and judge the first `found` leaves, and back them up."""
    new = np.flatnonzero(~leaves.again[:found])
    judged = states[:found, : task.state_size]
    if len(new):
        where = torch.from_numpy(new)
        whole = len(new) == found
        before = judged.contiguous() if whole else judged[where]
        step = task.model.step(before, _actions(task, leaves, slots, new), task.rng)
        check_transition(step.state, len(new), task.state_size)
        reward, discount = step.reward.float().numpy(), step.discount.float().numpy()
        batch.keep_positions(
            task.arrays, leaves, new, step.state.contiguous().numpy(), reward, discount
        )
        if whole:
            judged = step.state
        else:
            judged = judged.clone()
            judged[where] = step.state
        ended = np.zeros(found, np.bool_)
        ended[new] = discount == 0.0
        if ended.any():
            _finish_open(task, leaves, judged, found, ended)
            return
    evaluation = task.evaluator(judged.contiguous(), task.rng)
    check_evaluation(evaluation, found, task.num_slots)
    _finish(task, leaves, found, evaluation)


def _finish_open(
    task: _Task, leaves: Leaves, judged: Tensor, found: int, ended: np.ndarray
) -> None:
    """Judge the leaves that have not ended, and back all up."""
    going = torch.from_numpy(~ended).nonzero().squeeze(1)
    logits = torch.full((found, task.num_slots), -torch.inf)
    value = torch.zeros(found)
    actions = None
    if len(going):
        evaluation = task.evaluator(judged[going], task.rng)
        check_evaluation(evaluation, len(going), task.num_slots)
        logits[going], value[going] = evaluation.logits.float(), evaluation.value.float()
        if evaluation.actions is not None:
            actions = evaluation.actions.new_zeros(found, *evaluation.actions.shape[1:])
            actions[going] = evaluation.actions
    _finish(task, leaves, found, Evaluation(logits, value, actions))


def _finish(task: _Task, leaves: Leaves, found: int, evaluation: Evaluation) -> None:
    logits, value = evaluation.logits.float().contiguous(), evaluation.value.float().contiguous()
    bad = batch.finish(task.arrays, task.rule, leaves, found, logits.numpy(), value.numpy())
    if bad >= 0:
        row, node = int(leaves.row[bad]), int(leaves.node[bad])
        raise ValueError(_not_finite(row, node, logits[bad], value[bad]))
    if task.tree.actions is not None and evaluation.actions is not None:
        new = np.flatnonzero(~leaves.again[:found])
        rows = torch.from_numpy(leaves.row[new]).long()
        nodes = torch.from_numpy(leaves.node[new]).long()
        task.tree.actions[rows, nodes] = evaluation.actions[torch.from_numpy(new)]


def _actions(task: _Task, leaves: Leaves, slots: np.ndarray, new: np.ndarray) -> Tensor:
    """Return what the chosen slots of the leaves' parents do."""
    slot = torch.from_numpy(slots[new])
    if task.tree.actions is None:
        return slot[:, None]
    rows, nodes = leaves.row[new], leaves.node[new]
    parents = torch.from_numpy(task.arrays.ints[rows, nodes, 1]).long()
    return task.tree.actions[torch.from_numpy(rows).long(), parents, slot]


def rule_numbers(config: SearchConfig) -> RuleNumbers:
    """Return a config as the numbers that the kernels read."""
    puct, gumbel, f32 = config.puct, config.gumbel, np.float32
    widening = config.widening
    return RuleNumbers(
        kind={"puct": PUCT, "gumbel": GUMBEL, "uct": UCT}[config.rule],
        c_init=f32(puct.c_init),
        c_base=f32(puct.c_base),
        low=f32(puct.value_low),
        high=f32(puct.value_high),
        value_scale=f32(gumbel.value_scale),
        visit_offset=f32(gumbel.visit_offset),
        rescale=gumbel.rescale,
        exploration=f32(config.uct.exploration),
        max_depth=config.max_depth,
        solve=config.solve,
        best_value=f32(config.best_value),
        parallel=config.parallel_leaves,
        virtual_loss=f32(config.virtual_loss),
        widen_constant=f32(0.0 if widening is None else widening.constant),
        widen_exponent=f32(0.0 if widening is None else widening.exponent),
    )


def check_evaluation(evaluation: Evaluation, num_rows: int, num_slots: int) -> None:
    """Raise ValueError unless logits are `[num_rows, num_slots]` and values `[num_rows]`."""
    shapes = tuple(evaluation.logits.shape), tuple(evaluation.value.shape)
    if shapes != ((num_rows, num_slots), (num_rows,)):
        raise ValueError(
            f"the evaluator must return logits {(num_rows, num_slots)} and values {(num_rows,)}, "
            f"got {shapes[0]} and {shapes[1]}"
        )


def check_roots(logits: Tensor) -> None:
    """Raise ValueError naming the first row of `logits` `[B, K]` without a legal slot."""
    stuck = (logits == -torch.inf).all(-1)
    if bool(stuck.any()):
        row = int(stuck.nonzero()[0])
        raise ValueError(f"row {row}: the position to search has no legal action")


def check_transition(state: Tensor, num_rows: int, state_size: int) -> None:
    """Raise ValueError unless a model's next positions are uint8 `[num_rows, state_size]`."""
    if tuple(state.shape) != (num_rows, state_size) or state.dtype != torch.uint8:
        raise ValueError(
            f"state and dynamics do not fit: expected next positions uint8 "
            f"{(num_rows, state_size)}, got {state.dtype} {tuple(state.shape)}"
        )


def check_tree(tree: Tree, num_rows: int, num_slots: int, state_size: int) -> None:
    """Raise ValueError unless a tree to go on with has these sizes."""
    has = (len(tree.count), tree.num_slots, tree.state_size)
    if has != (num_rows, num_slots, state_size):
        raise ValueError(
            f"the tree to go on with has (rows, slots, bytes of a position) = {has}, "
            f"the search {(num_rows, num_slots, state_size)}"
        )


def _not_finite(row: int, node: int, logits: Tensor, value: Tensor) -> str:
    return (
        f"row {row}, node {node}: evaluator and model must return finite numbers (a logit may be "
        f"-inf), got value {float(value)} and logits {[round(x, 4) for x in logits.tolist()]}"
    )
