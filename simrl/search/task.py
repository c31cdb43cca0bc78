"""One search while it runs: its trees, its roots, its noise and its budget."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from simrl.search.checking import check_evaluation, check_roots, check_tree, not_finite
from simrl.search.config import SearchConfig
from simrl.search.halving import halving_table
from simrl.search.kernels import batch
from simrl.search.kernels.layout import (
    GUMBEL,
    PUCT,
    STATUS,
    STUCK,
    UCT,
    VISITS,
    RootArrays,
    RuleNumbers,
)
from simrl.search.model import Evaluator, Model
from simrl.search.noise import gumbel_noise, noisy_logits, tie_seeds
from simrl.search.tree import Tree, make_tree


class Task:
    """Hold a search whose roots have been judged and planted."""

    def __init__(
        self,
        model: Model,
        evaluator: Evaluator,
        state: Tensor,
        config: SearchConfig,
        rng: torch.Generator,
        tree: Tree | None,
    ) -> None:
        """Judge the roots `state` `[B, S]`, draw their noise, and make room for the budget."""
        self.begin = time.perf_counter()
        self.model, self.evaluator, self.config, self.rng = model, evaluator, config, rng
        self.num_rows, self.state_size = state.shape
        self.num_slots = evaluator.num_slots
        evaluation = evaluator(state, rng)
        check_evaluation(evaluation, self.num_rows, self.num_slots)
        self.logits, self.root_actions = evaluation.logits.float(), evaluation.actions
        self.tree, fresh = self._prepare_tree(state, tree)
        self.arrays = self.tree.arrays()
        self.rule = rule_numbers(config)
        self._plant(fresh, evaluation.value.float())
        self.root = self._make_root()

    def out_of_time(self) -> bool:
        """Say whether the wall-clock budget is spent."""
        limit = self.config.seconds
        return limit > 0.0 and time.perf_counter() - self.begin >= limit

    def _prepare_tree(self, state: Tensor, tree: Tree | None) -> tuple[Tree, np.ndarray]:
        """Return trees with room for the budget, and which rows start anew."""
        if tree is None:
            capacity = self.config.simulations + 1
            sizes = (self.num_rows, capacity, self.num_slots, self.state_size)
            tree = make_tree(*sizes, self.root_actions)
            fresh = np.ones(self.num_rows, np.bool_)
        else:
            check_tree(tree, self.num_rows, self.num_slots, self.state_size)
            same = (tree.positions[:, 0] == state).all(-1) & (tree.count > 0)
            room = tree.count + self.config.simulations <= tree.capacity
            fresh = ~(same & room).numpy()
            if tree.actions is not None:  # new candidates, so nothing is known of them
                fresh[:] = True
        tree.state.numpy()[:, 0, : self.state_size] = state.numpy()
        return tree, fresh

    def _plant(self, fresh: np.ndarray, value: Tensor) -> None:
        """Write the roots that are `fresh` `[B]`, and this search's noise into all."""
        logits = noisy_logits(self.logits, self.config, self.rng).contiguous()
        bad = batch.plant(self.arrays, fresh, logits.numpy(), value.contiguous().numpy())
        if bad >= 0:
            raise not_finite(bad, 0, self.logits[bad], value[bad])
        if (self.arrays.ints[:, 0, STATUS] == STUCK).any():
            check_roots(self.logits)
        if self.tree.actions is not None and self.root_actions is not None:
            self.tree.actions[:, 0] = self.root_actions
        if not fresh.all():
            self._renew(torch.from_numpy(~fresh).nonzero().squeeze(1), logits)

    def _renew(self, rows: Tensor, logits: Tensor) -> None:
        """Give the roots that are kept, in `rows`, this search's noise."""
        check_roots(self.logits)
        unusable = (logits[rows].isnan() | (logits[rows] == torch.inf)).any(-1)
        if bool(unusable.any()):
            row = int(rows[unusable][0])
            raise not_finite(row, 0, self.logits[row], self.tree.raw_value[row, 0])
        self.tree.logits[rows, 0] = logits[rows]
        self.tree.prob[rows, 0] = logits[rows].softmax(-1)

    def _make_root(self) -> RootArrays:
        config = self.config
        scale = config.gumbel.scale if config.rule == "gumbel" else 0.0
        return RootArrays(
            noise=gumbel_noise((self.num_rows, self.num_slots), scale, self.rng).numpy(),
            start=self.arrays.edges[:, 0, VISITS].copy(),
            table=halving_table(config),
            ties=tie_seeds(self.num_rows, config, self.rng).numpy(),
            left=np.full(self.num_rows, config.simulations, np.int32),
        )


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
