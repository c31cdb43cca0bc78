"""Search games in which all agents move at once, many positions side by side."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simrl.core.dynamics import Dynamics
from simrl.core.spec import EnvSpec
from simrl.search.simultaneous import kernels
from simrl.search.simultaneous.config import RULES, SimultaneousConfig
from simrl.search.simultaneous.evaluators import JointEvaluation, JointEvaluator, single_head

_AT_ONCE = 4096
"""Simulations of a row between two looks at the clock."""


@dataclass(frozen=True)
class SimultaneousResult:
    """Hold what a search found at B root positions for A agents of K slots each."""

    strategy: Tensor
    """Average strategy of each agent, float32 `[B, A, K]`: what to play, and a training target."""
    value: Tensor
    """Value to each agent when all follow their strategies, float32 `[B, A]`."""
    q: Tensor
    """Value of each slot against the others' strategies, float32 `[B, A, K]`; 0 if never tried."""
    visits: Tensor
    """How often each slot was tried, int64 `[B, A, K]`."""
    logits: Tensor
    """Priors of the root, float32 `[B, A, K]`."""
    simulations: Tensor
    """Simulations of each position, int64 `[B]`; below the budget only if time ran out."""
    nodes: Tensor
    """Nodes of each tree, int64 `[B]`."""


def search_simultaneous(
    dynamics: Dynamics,
    spec: EnvSpec,
    evaluator: JointEvaluator,
    state: Tensor,
    config: SimultaneousConfig,
    rng: torch.Generator,
) -> SimultaneousResult:
    """Search positions `state` `[B, S]` for the strategies of all agents.

    Each node is a small matrix game: every agent chooses by its own statistics (`config.rule`), and
    the joint action leads to the child.  Rewards are general-sum.  `rng` seeds the draws in the
    tree and is handed to the evaluator; the same generator state gives the same bits.

    Raises ValueError for actions other than one discrete head, where an agent has no legal action,
    where the evaluator's output is not finite, and where state and dynamics do not fit.
    """
    slots, agents = single_head(spec), spec.num_agents
    if state.ndim != 2 or state.shape[1] != spec.state_size or len(state) == 0:
        raise ValueError(
            f"{spec.id}: expected states [B >= 1, {spec.state_size}], got {tuple(state.shape)}"
        )
    if agents * math.log2(slots) >= 62:
        raise ValueError(f"{spec.id}: {agents} agents with {slots} actions are too many to number")
    root = _judge(evaluator, state, rng, spec, None)
    tree = _make_tree(len(state), config.simulations, agents, slots, rng)
    kernels.plant(tree, root.logits.numpy(), root.value.numpy())
    states = _States(state, tree.parent.shape[1])
    c = _constants(config)
    leaf, joint = np.full(len(state), -1), np.zeros(len(state), np.int64)
    deadline = time.perf_counter() + config.seconds if config.seconds else math.inf
    base = slots ** np.arange(agents)
    while True:
        at_once = _AT_ONCE if config.seconds else config.simulations
        waiting = kernels.descend(
            tree, c, config.simulations, at_once, config.max_depth, leaf, joint
        )
        if time.perf_counter() >= deadline:
            break
        if waiting == 0:
            if int(tree.done.min()) >= config.simulations:
                break
            continue
        rows = np.flatnonzero(leaf >= 0)
        action = torch.from_numpy(joint[rows, None] // base % slots)[..., None]
        after, reward, discount = dynamics.step(states.get(rows, leaf[rows]), action)
        over = discount == 0
        found = _judge(evaluator, after, rng, spec, over, rows, tree.used[rows])
        states.put(rows, tree.used[rows], after)
        kernels.expand(
            tree,
            rows,
            leaf,
            joint,
            reward.contiguous().numpy(),
            (discount * config.gamma).numpy(),
            found.logits.contiguous().numpy(),
            found.value.contiguous().numpy(),
            c,
        )
    return _result(tree, c, root.logits)


class _States:
    """Keep the state of every node, `[B, N, S]`, and gather or fill some."""

    def __init__(self, root: Tensor, nodes: int) -> None:
        self._all = torch.empty(len(root), nodes, root.shape[1], dtype=root.dtype)
        self._all[:, 0] = root

    def get(self, rows: np.ndarray, nodes: np.ndarray) -> Tensor:
        return self._all[torch.from_numpy(rows), torch.from_numpy(nodes)]

    def put(self, rows: np.ndarray, nodes: np.ndarray, state: Tensor) -> None:
        self._all[torch.from_numpy(rows), torch.from_numpy(nodes).long()] = state


def _judge(
    evaluator: JointEvaluator,
    state: Tensor,
    rng: torch.Generator,
    spec: EnvSpec,
    over: Tensor | None,
    rows: np.ndarray | None = None,
    nodes: np.ndarray | None = None,
) -> JointEvaluation:
    """Ask the evaluator and refuse what cannot be searched, naming row and node."""
    found = evaluator(state, rng)
    shape = (len(state), spec.num_agents, single_head(spec))
    if tuple(found.logits.shape) != shape or tuple(found.value.shape) != shape[:2]:
        raise ValueError(
            f"{spec.id}: expected logits {shape} and values {shape[:2]} of the evaluator, "
            f"got {tuple(found.logits.shape)} and {tuple(found.value.shape)}"
        )
    wild = found.logits.isnan() | (found.logits == torch.inf)
    bad = wild.any(-1).any(-1) | ~found.value.isfinite().all(-1)
    empty = (found.logits == -torch.inf).all(-1)
    if over is not None:
        empty = empty & ~over[:, None]
    for index in (bad | empty.any(-1)).nonzero().flatten().tolist():
        row = index if rows is None else int(rows[index])
        node = 0 if nodes is None else int(nodes[index])
        where = f"{spec.id}: row {row}, node {node}"
        if bool(bad[index]):
            raise ValueError(f"{where}: the evaluator's output is not finite")
        agent = int(empty[index].nonzero()[0])
        raise ValueError(f"{where}: agent {agent} has no legal action")
    return found


def _make_tree(
    batch: int, simulations: int, agents: int, slots: int, rng: torch.Generator
) -> kernels.JointTree:
    nodes = simulations + 1
    table = 1 << (2 * nodes - 1).bit_length()
    seeds = torch.randint(-(2**62), 2**62, (batch,), generator=rng).numpy().astype(np.uint64)
    each = (batch, nodes, agents, slots)
    return kernels.JointTree(
        used=np.zeros(batch, np.int64),
        done=np.zeros(batch, np.int64),
        rng=seeds,
        table=np.full((batch, table), -1, np.int64),
        parent=np.full((batch, nodes), -1, np.int64),
        joint=np.zeros((batch, nodes), np.int64),
        reward=np.zeros((batch, nodes, agents), np.float32),
        discount=np.ones((batch, nodes), np.float32),
        visits=np.zeros((batch, nodes), np.int64),
        total=np.zeros((batch, nodes, agents)),
        prior=np.zeros(each, np.float32),
        slot_visits=np.zeros(each, np.int64),
        slot_total=np.zeros(each),
        regret=np.zeros(each),
        average=np.zeros(each),
        low=np.full((batch, agents), np.inf),
        high=np.full((batch, agents), -np.inf),
    )


def _constants(config: SimultaneousConfig) -> kernels.Constants:
    return kernels.Constants(
        RULES.index(config.rule),
        config.regret.explore,
        config.regret.decay,
        config.regret.plus,
        config.uct.constant,
        config.smooth.floor,
        config.smooth.start,
        config.smooth.decay,
    )


def _result(tree: kernels.JointTree, c: kernels.Constants, logits: Tensor) -> SimultaneousResult:
    batch, agents, slots = logits.shape
    strategy, q = np.zeros((2, batch, agents, slots))
    value = np.zeros((batch, agents))
    kernels.summarise(tree, c.rule, strategy, q, value)
    return SimultaneousResult(
        strategy=torch.from_numpy(strategy).float(),
        value=torch.from_numpy(value).float(),
        q=torch.from_numpy(q).float(),
        visits=torch.from_numpy(tree.slot_visits[:, 0].astype(np.int64)),
        logits=logits,
        simulations=torch.from_numpy(tree.done.astype(np.int64)),
        nodes=torch.from_numpy(tree.used.astype(np.int64)),
    )
