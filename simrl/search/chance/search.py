"""Search positions in which chance has its say between decisions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from simrl.search.chance import kernels
from simrl.search.chance.config import ChanceConfig
from simrl.search.chance.model import Afterstate, StochasticModel
from simrl.search.checking import (
    check_evaluation,
    check_roots,
    check_state,
    check_transition,
    not_finite,
)
from simrl.search.config import SearchConfig
from simrl.search.model import Evaluation, Evaluator, Model
from simrl.search.noise import noisy_logits
from simrl.search.root_result import RootResult, read_roots


def search_chance(
    model: StochasticModel,
    evaluator: Evaluator,
    state: Tensor,
    config: ChanceConfig,
    rng: torch.Generator,
) -> RootResult:
    """Search positions `state` uint8 `[B, S]` with a model that tells its chances.

    As in Stochastic MuZero (Antonoglou et al. 2022, "Planning in Stochastic Environments with a
    Learned Model"): PUCT at decisions, and at chance nodes the outcome with the greatest
    chance / (visits + 1), so that visits follow the chances.  `rng` draws the noise at the root and
    is handed to the evaluator.

    Raises ValueError where a root has no legal slot, where model or evaluator return something that
    is not finite, and where state, model and evaluator do not fit.
    """
    search = _Search(evaluator, state, config, rng, width=0, sampled=False)
    probe = model.afterstate(state, search.action_of(np.arange(len(state)), search.first_legal()))
    search.allocate(probe.logits.shape[1], probe.state.shape[1])

    def serve(rows: np.ndarray, need: np.ndarray, leaf: np.ndarray, slot: np.ndarray) -> None:
        wanted = need == kernels.AFTERSTATE
        if wanted.any():
            some, nodes, slots = rows[wanted], leaf[wanted], slot[wanted]
            after = model.afterstate(
                search.states.get(some, nodes), search.action_of(some, slots, nodes)
            )
            search.attach_chance(some, nodes, slots, after)
        wanted = need == kernels.OUTCOME
        if wanted.any():
            some, nodes, slots = rows[wanted], leaf[wanted], slot[wanted]
            step = model.outcome(search.afterstates.get(some, nodes), torch.from_numpy(slots))
            search.attach_decision(some, nodes, slots, step.state, step.reward, step.discount)

    return search.run(serve)


def search_sampled_chance(
    model: Model, evaluator: Evaluator, state: Tensor, config: ChanceConfig, rng: torch.Generator
) -> RootResult:
    """Search positions `state` uint8 `[B, S]` with a stochastic model that only draws.

    Double progressive widening (Couëtoux et al. 2011, "Continuous Upper Confidence Trees"): a
    decision of n visits has `config.actions` many open slots, and behind each an action may hold
    `config.outcomes` many drawn positions; once it is full, those it holds are visited in
    proportion to how often each was drawn.  A position that is drawn again is the same node, so
    with few outcomes the caps do not bind and play is that of `search_chance`.

    Raises ValueError as `search_chance` does.
    """
    most = int(config.outcomes.constant * config.simulations**config.outcomes.exponent) + 1
    search = _Search(evaluator, state, config, rng, width=most, sampled=True)
    search.allocate(most, 0)

    def serve(rows: np.ndarray, need: np.ndarray, leaf: np.ndarray, slot: np.ndarray) -> None:
        above = search.tree.parent[rows, leaf]
        step = model.step(search.states.get(rows, above), search.action_of(rows, slot, above), rng)
        check_transition(step.state, len(rows), state.shape[1])
        after, reward = step.state.contiguous(), step.reward.double()
        place = np.empty(len(rows), np.int64)
        kernels.match(
            search.tree, search.states.numpy, rows, leaf, after.numpy(), reward.numpy(), place
        )
        new = place >= 0
        if new.any():
            keep = torch.from_numpy(new)
            search.attach_decision(
                rows[new], leaf[new], place[new], after[keep], reward[keep], step.discount[keep]
            )

    return search.run(serve)


class _Rows:
    """Keep a row of bytes, or of anything, for every node."""

    def __init__(self, batch: int, nodes: int, like: Tensor) -> None:
        self._all = torch.zeros(batch, nodes, *like.shape[1:], dtype=like.dtype)
        self.numpy = self._all.numpy()

    def get(self, rows: np.ndarray, nodes: np.ndarray) -> Tensor:
        return self._all[torch.from_numpy(rows), torch.from_numpy(nodes)]

    def put(self, rows: np.ndarray, nodes: np.ndarray, value: Tensor) -> None:
        self._all[torch.from_numpy(rows), torch.from_numpy(nodes)] = value


class _Search:
    """Hold one search: its trees, positions and candidates, and the judge of new positions."""

    def __init__(
        self,
        evaluator: Evaluator,
        state: Tensor,
        config: ChanceConfig,
        rng: torch.Generator,
        *,
        width: int,
        sampled: bool,
    ) -> None:
        check_state(state)
        self.evaluator, self.config, self.rng, self.sampled = evaluator, config, rng, sampled
        self.root_state = state
        self.root = self._judge(state, np.arange(len(state)), np.zeros(len(state), np.int64))
        check_roots(self.root.logits)

    def allocate(self, outcomes: int, afterstate_size: int) -> None:
        """Make trees for `outcomes` outcomes of a chance node and plant the roots."""
        batch, slots = self.root.logits.shape
        nodes = 2 * self.config.simulations + 1
        self.tree = _make_tree(batch, nodes, max(slots, outcomes))
        self.states = _Rows(batch, nodes, self.root_state)
        everyone, root = np.arange(batch), np.zeros(batch, np.int64)
        self.states.put(everyone, root, self.root_state)
        blank = torch.empty(0, afterstate_size, dtype=torch.uint8)
        self.afterstates = _Rows(batch, nodes, blank)
        if self.root.actions is not None:
            self.actions = _Rows(batch, nodes, self.root.actions)
            self.actions.put(everyone, root, self.root.actions)
        noise = SearchConfig(rule="puct", puct=self.config.puct)
        noisy = noisy_logits(self.root.logits, noise, self.rng)
        kernels.plant(self.tree, noisy.double().numpy(), self.root.value.double().numpy())

    def first_legal(self) -> np.ndarray:
        """Return a legal slot of each root, int64 `[B]`."""
        return (self.root.logits > -torch.inf).int().argmax(-1).numpy()

    def action_of(
        self, rows: np.ndarray, slots: np.ndarray, nodes: np.ndarray | None = None
    ) -> Tensor:
        """Return what `slots` `[P]` of `nodes` (None: the roots) do."""
        slot = torch.from_numpy(slots)
        if self.root.actions is None:
            return slot[:, None]
        if nodes is None:
            return self.root.actions[torch.from_numpy(rows), slot]
        return self.actions.get(rows, nodes)[torch.arange(len(rows)), slot]

    def run(
        self, serve: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], None]
    ) -> RootResult:
        """Simulate until the budget or the time is spent; `serve(rows, need, leaf, slot)`."""
        config, batch = self.config, len(self.root_state)
        rule = _numbers(config, self.sampled)
        leaf, slot, need = np.zeros((3, batch), np.int64)
        deadline = time.perf_counter() + config.seconds if config.seconds else math.inf
        at_once = 1024 if config.seconds else config.simulations
        while time.perf_counter() < deadline:
            waiting = kernels.descend(
                self.tree, rule, config.simulations, at_once, leaf, slot, need
            )
            if waiting:
                rows = np.flatnonzero(need)
                with torch.no_grad():
                    serve(rows, need[rows], leaf[rows], slot[rows])
            elif int(self.tree.done.min()) >= config.simulations:
                break
        return self._result()

    def attach_chance(
        self, rows: np.ndarray, leaf: np.ndarray, slot: np.ndarray, after: Afterstate
    ) -> None:
        """Add afterstates behind actions."""
        nodes = self.tree.used[rows]
        value = torch.zeros(len(rows)) if after.value is None else after.value
        self._require_finite(rows, nodes, after.logits, value + after.reward)
        self.afterstates.put(rows, nodes, after.state)
        kernels.attach(
            self.tree,
            rows,
            leaf,
            slot,
            kernels.CHANCE,
            after.reward.double().numpy(),
            np.ones(len(rows)),
            after.logits.double().numpy(),
            value.double().numpy(),
            after.value is not None,
        )

    def attach_decision(
        self,
        rows: np.ndarray,
        leaf: np.ndarray,
        slot: np.ndarray,
        state: Tensor,
        reward: Tensor,
        discount: Tensor,
    ) -> None:
        """Judge new positions behind outcomes, and add them."""
        check_transition(state, len(rows), self.root_state.shape[1])
        nodes = self.tree.used[rows]
        found = self._judge(state, rows, nodes)
        self._require_finite(rows, nodes, found.logits, reward.float() + discount)
        stuck = (found.logits == -torch.inf).all(-1) & (discount != 0)
        self.states.put(rows, nodes, state)
        if found.actions is not None:
            self.actions.put(rows, nodes, found.actions)
        kernels.attach(
            self.tree,
            rows,
            leaf,
            slot,
            kernels.DECISION,
            reward.double().numpy(),
            torch.where(stuck, 0.0, discount.double()).numpy(),
            found.logits.double().numpy(),
            found.value.double().numpy(),
            True,
        )

    def _judge(self, state: Tensor, rows: np.ndarray, nodes: np.ndarray) -> Evaluation:
        found = self.evaluator(state, self.rng)
        check_evaluation(found, len(state), self.evaluator.num_slots)
        self._require_finite(rows, nodes, found.logits, found.value)
        return found

    def _require_finite(
        self, rows: np.ndarray, nodes: np.ndarray, logits: Tensor, value: Tensor
    ) -> None:
        wild = (logits.isnan() | (logits == torch.inf)).any(-1) | ~value.isfinite()
        if bool(wild.any()):
            first = int(wild.nonzero()[0])
            raise not_finite(int(rows[first]), int(nodes[first]), logits[first], value[first])

    def _result(self) -> RootResult:
        batch, slots = self.root.logits.shape
        visits, q = np.zeros((batch, slots), np.int64), np.zeros((batch, slots))
        value = np.zeros(batch)
        kernels.summarise(self.tree, visits, q, value)
        return read_roots(
            self.root, visits, q, value, self.tree.done, self.tree.used, self.config.puct, self.rng
        )


def _numbers(config: ChanceConfig, sampled: bool) -> kernels.ChanceRule:
    actions = config.actions
    return kernels.ChanceRule(
        sampled,
        config.puct.c_init,
        config.puct.c_base,
        config.puct.value_low,
        config.puct.value_high,
        0.0 if actions is None else actions.constant,
        1.0 if actions is None else actions.exponent,
        config.outcomes.constant,
        config.outcomes.exponent,
    )


def _make_tree(batch: int, nodes: int, width: int) -> kernels.ChanceTree:
    def integers(fill: int, *shape: int) -> np.ndarray:
        return np.full(shape, fill, np.int64)

    return kernels.ChanceTree(
        used=integers(0, batch),
        done=integers(0, batch),
        at=integers(0, batch),
        kind=integers(kernels.DECISION, batch, nodes),
        parent=integers(-1, batch, nodes),
        slot=integers(0, batch, nodes),
        reward=np.zeros((batch, nodes)),
        discount=np.ones((batch, nodes)),
        visits=integers(0, batch, nodes),
        total=np.zeros((batch, nodes)),
        weight=np.full((batch, nodes, width), -1.0),
        child=integers(-1, batch, nodes, width),
        outcomes=integers(0, batch, nodes),
    )
