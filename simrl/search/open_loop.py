"""Open-loop search: nodes are sequences of actions, replayed from the root in every simulation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from simrl.search import open_loop_kernels as kernels
from simrl.search.checking import (
    check_evaluation,
    check_roots,
    check_state,
    check_transition,
    not_finite,
)
from simrl.search.config import PuctConfig, SearchConfig
from simrl.search.model import Evaluation, Evaluator, Model
from simrl.search.noise import noisy_logits
from simrl.search.root_result import RootResult, read_roots

Legal = Callable[[Tensor], Tensor]
"""Tells which slots are legal, bool `[B, K]`, in positions uint8 `[B, S]`."""


@dataclass(frozen=True)
class OpenLoopConfig:
    """Set an open-loop search."""

    simulations: int = 64
    """Simulations of each position."""
    seconds: float = 0.0
    """Wall-clock budget of one call [s]; 0: none.  With both, whichever ends first."""
    max_depth: int = 64
    """Actions of a sequence at most; the position after them is judged anew each time."""
    puct: PuctConfig = field(default_factory=PuctConfig)
    """Constants of PUCT, of the noise at the root and of the choice."""

    def __post_init__(self) -> None:
        for name in ("simulations", "max_depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.seconds < 0:
            raise ValueError(f"seconds must not be negative, got {self.seconds}")


def search_open_loop(
    model: Model,
    evaluator: Evaluator,
    state: Tensor,
    config: OpenLoopConfig,
    rng: torch.Generator,
    *,
    legal: Legal | None = None,
) -> RootResult:
    """Search positions `state` uint8 `[B, S]` by sequences of actions.

    Each simulation steps the model from the root, so a tree keeps no positions: its memory does not
    grow with their size, at the price of more steps.  Where the model draws, a sequence is worth
    its mean over the outcomes (Lecarpentier et al. 2018, "Open Loop Execution of Tree-Search
    Algorithms"), which is at most what a plan that sees them is worth.

    Priors and candidate actions of a node come from the first position that was met there.  With
    `legal`, each choice is among what is legal in the position at hand; without, among what was
    legal there first, which fits models without chance, and those where the same is always legal.

    Raises ValueError where a root has no legal slot, where model or evaluator return something that
    is not finite (naming row and node), and where state, model and evaluator do not fit.
    """
    check_state(state)
    with torch.no_grad():
        run = _OpenLoop(model, evaluator, state, config, rng, legal)
        deadline = time.perf_counter() + config.seconds if config.seconds else math.inf
        while time.perf_counter() < deadline:
            rows = np.flatnonzero(run.tree.done < config.simulations)
            if len(rows) == 0:
                break
            run.step(rows)
        return run.result()


class _OpenLoop:
    """Hold one search: trees of statistics, and the one position of each row."""

    def __init__(
        self,
        model: Model,
        evaluator: Evaluator,
        state: Tensor,
        config: OpenLoopConfig,
        rng: torch.Generator,
        legal: Legal | None,
    ) -> None:
        self.model, self.evaluator, self.config = model, evaluator, config
        self.rng, self.legal = rng, legal
        self.root_state, self.state = state, state.clone()
        batch = len(state)
        self.root = self._judge(state, np.arange(batch), np.zeros(batch, np.int64))
        check_roots(self.root.logits)
        self.tree = _make_tree(batch, self.root.logits.shape[1], config)
        noise = SearchConfig(rule="puct", puct=config.puct)
        logits = noisy_logits(self.root.logits, noise, rng).double().numpy()
        kernels.plant_roots(self.tree, logits, self.root.value.double().numpy())
        self.actions: Tensor | None = None
        if self.root.actions is not None:
            shape = (batch, config.simulations + 1, *self.root.actions.shape[1:])
            self.actions = torch.zeros(shape, dtype=self.root.actions.dtype)
            self.actions[:, 0] = self.root.actions
        puct = config.puct
        self.numbers = np.array([puct.c_init, puct.c_base, puct.value_low, puct.value_high])

    def step(self, rows: np.ndarray) -> None:
        """Take one step of the simulations of `rows` `[P]`."""
        rows = self._choose(rows)
        if len(rows) == 0:
            return
        here, slot = torch.from_numpy(rows), torch.from_numpy(self.slot)
        if self.actions is None:
            action = slot[:, None]
        else:
            action = self.actions[here, torch.from_numpy(self.tree.node[rows]), slot]
        after = self.model.step(self.state[here], action, self.rng)
        check_transition(after.state, len(rows), self.state.shape[1])
        bad = ~(after.reward.isfinite() & after.discount.isfinite())
        if bool(bad.any()):
            self._refuse(rows, bad, torch.zeros(len(rows), 1), after.reward + after.discount)
        self.state[here] = after.state
        what = np.empty(len(rows), np.int64)
        kernels.advance(
            self.tree,
            rows,
            self.slot,
            after.reward.double().numpy(),
            after.discount.double().numpy(),
            self.config.max_depth,
            what,
        )
        new = rows[what == kernels.NEW]
        if len(new):
            self._expand(new)
        self._restart(rows[what != kernels.GOING])

    def result(self) -> RootResult:
        """Read the roots."""
        tree = self.tree
        visits, total = tree.visits[:, 0].astype(np.int64), tree.total[:, 0]
        value = (total.sum(1) + tree.raw[:, 0]) / (visits.sum(1) + 1)
        q = total / np.maximum(visits, 1)
        return read_roots(
            self.root, visits, q, value, tree.done, tree.used, self.config.puct, self.rng
        )

    def _choose(self, rows: np.ndarray) -> np.ndarray:
        """Choose a slot for each row; those where nothing is legal end here, and are left out."""
        use_legal = self.legal is not None
        mask = np.ones((1, self.tree.prior.shape[2]), np.bool_)
        if self.legal is not None:
            mask = self.legal(self.state[torch.from_numpy(rows)]).contiguous().numpy()
        slot = np.empty(len(rows), np.int64)
        kernels.choose(self.tree, self.numbers, rows, mask, use_legal, slot)
        stuck = slot < 0
        if stuck.any():
            kernels.give_up(self.tree, rows[stuck])
            self._restart(rows[stuck])
        self.slot = slot[~stuck]
        return rows[~stuck]

    def _expand(self, rows: np.ndarray) -> None:
        found = self._judge(self.state[torch.from_numpy(rows)], rows, self.tree.used[rows])
        before = self.tree.used[rows]
        nodes = kernels.expand(
            self.tree, rows, found.logits.double().numpy(), found.value.double().numpy()
        )
        if self.actions is not None and found.actions is not None:
            fresh = torch.from_numpy(nodes == before)
            where = torch.from_numpy(rows)[fresh], torch.from_numpy(nodes)[fresh]
            self.actions[where] = found.actions[fresh]

    def _restart(self, rows: np.ndarray) -> None:
        here = torch.from_numpy(rows)
        self.state[here] = self.root_state[here]

    def _judge(self, state: Tensor, rows: np.ndarray, nodes: np.ndarray) -> Evaluation:
        found = self.evaluator(state, self.rng)
        check_evaluation(found, len(state), self.evaluator.num_slots)
        logits, value = found.logits, found.value
        bad = (logits.isnan() | (logits == torch.inf)).any(-1) | ~value.isfinite()
        if bool(bad.any()):
            self._refuse(rows, bad, logits, value, nodes)
        return found

    def _refuse(
        self,
        rows: np.ndarray,
        bad: Tensor,
        logits: Tensor,
        value: Tensor,
        nodes: np.ndarray | None = None,
    ) -> None:
        first = int(bad.nonzero()[0])
        row = int(rows[first])
        node = int(self.tree.node[row]) if nodes is None else int(nodes[first])
        raise not_finite(row, node, logits[first], value[first])


def _make_tree(batch: int, slots: int, config: OpenLoopConfig) -> kernels.OpenTree:
    nodes, depth = config.simulations + 1, min(config.max_depth, config.simulations + 1)
    return kernels.OpenTree(
        used=np.ones(batch, np.int64),
        done=np.zeros(batch, np.int64),
        node=np.zeros(batch, np.int64),
        depth=np.zeros(batch, np.int64),
        child=np.full((batch, nodes, slots), -1, np.int32),
        visits=np.zeros((batch, nodes, slots), np.int32),
        total=np.zeros((batch, nodes, slots)),
        prior=np.zeros((batch, nodes, slots), np.float32),
        raw=np.zeros((batch, nodes)),
        path=np.zeros((batch, depth), np.int64),
        slots=np.zeros((batch, depth), np.int64),
        reward=np.zeros((batch, depth)),
        discount=np.zeros((batch, depth)),
    )
