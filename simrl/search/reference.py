"""The same search in plain torch: easy to read, an oracle for the kernels, and at home on a GPU.

It keeps the trees in the same layout, on the device of the positions.  A simulation waits for the
device a few times, once for each level that it walks down or up.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from simrl.search.checking import check_evaluation, check_roots, check_transition, not_finite
from simrl.search.config import GumbelConfig, PuctConfig, SearchConfig, UctConfig
from simrl.search.halving import halving_table
from simrl.search.kernels.layout import (
    DISCOUNT,
    ENDED,
    NODE_VISITS,
    OPEN,
    PARENT,
    RAW,
    REWARD,
    SLOT,
    STATUS,
    STUCK,
    VALUE,
)
from simrl.search.model import Evaluation, Evaluator, Model
from simrl.search.noise import gumbel_noise, noisy_logits, tie_seeds
from simrl.search.result import SearchResult
from simrl.search.tree import make_tree


def search_in_torch(
    model: Model, evaluator: Evaluator, state: Tensor, config: SearchConfig, rng: torch.Generator
) -> SearchResult:
    """Search positions `state` uint8 `[B, S]` as `search` does; on one seed with equal results.

    Raises ValueError for what only the kernels do: solving, widening and several leaves at once.
    """
    asked = (config.solve, config.widening is not None, config.parallel_leaves > 1)
    for name, wanted in zip(("solve", "widening", "parallel_leaves"), asked, strict=True):
        if wanted:
            raise ValueError(f"the torch backend does not know {name}; use the kernels")
    task = _Reference(model, evaluator, state, config, rng)
    spent = 0
    while spent < config.simulations and not task.out_of_time():
        task.simulate()
        spent += 1
    return task.read(spent)


class _Reference:
    """Hold a search while it runs; `rows` `[B]` counts the positions."""

    def __init__(
        self,
        model: Model,
        evaluator: Evaluator,
        state: Tensor,
        config: SearchConfig,
        rng: torch.Generator,
    ) -> None:
        self.begin = time.perf_counter()
        self.model, self.evaluator, self.config, self.rng = model, evaluator, config, rng
        num_rows, num_slots = len(state), evaluator.num_slots
        evaluation = evaluator(state, rng)
        check_evaluation(evaluation, num_rows, num_slots)
        self.logits = evaluation.logits.float()
        check_roots(self.logits)
        self.rows = torch.arange(num_rows, device=state.device)
        self.tree = make_tree(
            num_rows,
            config.simulations + 1,
            num_slots,
            state.shape[1],
            evaluation.actions,
            device=state.device,
        )
        noisy = Evaluation(
            noisy_logits(self.logits, config, rng), evaluation.value, evaluation.actions
        )
        self.tree.ints[:, 0, PARENT] = -1
        self.tree.count[:] = 1
        self._write(self.rows, torch.zeros_like(self.rows), state, noisy)
        scale = config.gumbel.scale if config.rule == "gumbel" else 0.0
        self.noise = gumbel_noise((num_rows, num_slots), scale, rng).to(state.device)
        table = halving_table(config)
        self.table = torch.from_numpy(table).to(state.device)
        self.ties = tie_seeds(num_rows, config, rng).to(state.device)

    def out_of_time(self) -> bool:
        """Say whether the wall-clock budget is spent."""
        limit = self.config.seconds
        return limit > 0.0 and time.perf_counter() - self.begin >= limit

    def simulate(self) -> None:
        """Run one simulation of every tree."""
        tree, rows = self.tree, self.rows
        parent, slot = self._descend()
        child = tree.child[rows, parent, slot].long()
        new = (child < 0).nonzero().squeeze(1)
        node = torch.where(child < 0, tree.count.long(), child)
        value = tree.value[rows, node].clone()
        judge = (child < 0) | (tree.status[rows, node] == OPEN)
        if len(new):
            self._step(new, parent[new], slot[new], node[new])
            judge[new] = tree.edges[new, parent[new], DISCOUNT, slot[new]] != 0.0
            self._end(new[~judge[new]], node[new[~judge[new]]])
            value[new] = 0.0
        judged = judge.nonzero().squeeze(1)
        if len(judged):
            positions = tree.positions[judged, node[judged]]
            evaluation = self.evaluator(positions, self.rng)
            check_evaluation(evaluation, len(judged), tree.num_slots)
            value[judged] = evaluation.value.float()
            self._check_finite(judged, node[judged], evaluation)
            fresh = child[judged] < 0
            self._write(
                judged[fresh], node[judged][fresh], positions[fresh], _take(evaluation, fresh)
            )
        self._visit_again((child >= 0).nonzero().squeeze(1), node, value)
        tree.child[new, parent[new], slot[new]] = node[new].int()
        tree.count[new] += 1
        self._back_up(node, value)

    def _descend(self) -> tuple[Tensor, Tensor]:
        """Walk down every tree; return the last node `[B]` and the slot `[B]` taken there."""
        tree, rows = self.tree, self.rows
        node = torch.zeros_like(rows)
        slot = torch.zeros_like(rows)
        going, depth = torch.ones_like(rows, dtype=torch.bool), 0
        while True:
            chosen = self._choose(node, root=depth == 0)
            slot = torch.where(going, chosen, slot)
            child = tree.child[rows, node, slot].long()
            depth += 1
            is_open = (child >= 0) & (tree.status[rows, child.clamp_min(0)] == OPEN)
            going = going & is_open & (depth != self.config.max_depth)
            if not bool(going.any()):
                return node, slot
            node = torch.where(going, child, node)

    def _choose(self, node: Tensor, *, root: bool) -> Tensor:
        tree, rows, config = self.tree, self.rows, self.config
        visits, q = tree.visits[rows, node], tree.q[rows, node]
        prob, logits = tree.prob[rows, node], tree.logits[rows, node]
        count = tree.node_visits[rows, node].float()
        if config.rule == "puct":
            score = puct_scores(config.puct, count, tree.value[rows, node], visits, q, prob)
        elif config.rule == "uct":
            score = uct_scores(config.uct, count, visits, q, logits, self.ties + node)
        else:
            raw = tree.raw_value[rows, node]
            sigma = completed_values(config.gumbel, raw, visits, q, prob)
            if root:
                legal = (logits > -torch.inf).sum(-1).clamp_max(len(self.table) - 1)
                wanted = self.table[legal, visits.sum(-1).long()]
                score = halving_scores(wanted, self.noise, logits, sigma, visits)
            else:
                share = visits / (1.0 + visits.sum(-1, keepdim=True))
                score = (logits + sigma).softmax(-1) - share
        return score.masked_fill(logits == -torch.inf, -torch.inf).argmax(-1)

    def _step(self, rows: Tensor, parent: Tensor, slot: Tensor, node: Tensor) -> None:
        """Play the chosen slots of some rows, and write where they lead."""
        tree = self.tree
        action = slot[:, None] if tree.actions is None else tree.actions[rows, parent, slot]
        step = self.model.step(tree.positions[rows, parent], action, self.rng)
        check_transition(step.state, len(rows), tree.state_size)
        tree.positions[rows, node] = step.state
        tree.edges[rows, parent, REWARD, slot] = step.reward.float()
        tree.edges[rows, parent, DISCOUNT, slot] = step.discount.float()
        tree.ints[rows, node, PARENT] = parent.int()
        tree.ints[rows, node, SLOT] = slot.int()

    def _write(self, rows: Tensor, node: Tensor, state: Tensor, evaluation: Evaluation) -> None:
        """Write what an evaluator says of new nodes."""
        tree, logits = self.tree, evaluation.logits.float()
        stuck = (logits == -torch.inf).all(-1)
        tree.positions[rows, node] = state
        tree.edges[rows, node] = 0.0
        tree.logits[rows, node] = logits
        tree.prob[rows, node] = logits.softmax(-1).nan_to_num(0.0)
        tree.child[rows, node] = -1
        tree.values[rows, node, VALUE] = evaluation.value.float()
        tree.values[rows, node, RAW] = evaluation.value.float()
        tree.ints[rows, node, NODE_VISITS] = 1
        tree.ints[rows, node, STATUS] = torch.where(stuck, STUCK, OPEN).int()
        if tree.actions is not None and evaluation.actions is not None:
            tree.actions[rows, node] = evaluation.actions
        self._check_finite(rows, node, evaluation)

    def _end(self, rows: Tensor, node: Tensor) -> None:
        """Write nodes at which the episode has ended."""
        tree = self.tree
        tree.edges[rows, node] = 0.0
        tree.logits[rows, node] = -torch.inf
        tree.child[rows, node] = -1
        tree.values[rows, node] = 0.0
        tree.ints[rows, node, NODE_VISITS] = 1
        tree.ints[rows, node, STATUS] = ENDED

    def _visit_again(self, rows: Tensor, node: Tensor, value: Tensor) -> None:
        """Count one more visit of nodes that exist already."""
        tree, node, value = self.tree, node[rows], value[rows]
        visits, old = tree.node_visits[rows, node], tree.value[rows, node]
        mean = (old * visits + value) / (visits + 1)
        is_open = tree.status[rows, node] == OPEN
        tree.values[rows, node, VALUE] = torch.where(is_open, mean, old)
        tree.ints[rows, node, NODE_VISITS] += 1

    def _back_up(self, node: Tensor, value: Tensor) -> None:
        """Add the returns of a simulation to all nodes and slots above `node` `[B]`."""
        tree, rows = self.tree, self.rows
        while len(rows):
            going = node != 0
            rows, node, value = rows[going], node[going], value[going]
            parent = tree.ints[rows, node, PARENT].long()
            slot = tree.ints[rows, node, SLOT].long()
            reward = tree.edges[rows, parent, REWARD, slot]
            discount = tree.edges[rows, parent, DISCOUNT, slot]
            value = reward + discount * value
            visits, old = tree.node_visits[rows, parent], tree.value[rows, parent]
            tree.visits[rows, parent, slot] += 1.0
            tree.q[rows, parent, slot] = reward + discount * tree.value[rows, node]
            tree.values[rows, parent, VALUE] = (old * visits + value) / (visits + 1)
            tree.ints[rows, parent, NODE_VISITS] += 1
            node = parent

    def _check_finite(self, rows: Tensor, node: Tensor, evaluation: Evaluation) -> None:
        logits, value = evaluation.logits, evaluation.value
        bad = ~value.isfinite() | logits.isnan().any(-1) | (logits == torch.inf).any(-1)
        if bool(bad.any()):
            first = int(bad.nonzero()[0])
            raise not_finite(int(rows[first]), int(node[first]), logits[first], value[first])

    def read(self, spent: int) -> SearchResult:
        """Read the roots."""
        config, tree, rows = self.config, self.tree, self.rows
        visits, logits = tree.visits[:, 0], tree.logits[:, 0]
        if config.rule == "gumbel":
            sigma = completed_values(
                config.gumbel, tree.raw_value[:, 0], visits, tree.q[:, 0], tree.prob[:, 0]
            )
            most = visits.max(-1).values
            score = halving_scores(most, self.noise, logits, sigma, visits)
            slot = score.masked_fill(logits == -torch.inf, -torch.inf).argmax(-1)
            policy = (logits + sigma).softmax(-1)
        else:
            heat = (config.puct if config.rule == "puct" else config.uct).temperature
            policy = visits / visits.sum(-1, keepdim=True)
            slot = visits.argmax(-1) if heat == 0.0 else self._draw(visits, heat)
        actions = None if tree.actions is None else tree.actions[:, 0].clone()
        return SearchResult(
            slot=slot,
            action=slot[:, None] if actions is None else actions[rows, slot],
            policy=policy,
            visits=visits.long(),
            q=tree.q[:, 0].clone(),
            value=tree.value[:, 0].clone(),
            logits=self.logits,
            actions=actions,
            simulations=spent,
            tree=tree,
        )

    def _draw(self, visits: Tensor, heat: float) -> Tensor:
        """Draw slots `[B]` in proportion to visits ** (1 / heat)."""
        rng = self.rng
        uniform = torch.rand(len(visits), generator=rng, dtype=torch.float64, device=rng.device)
        uniform = uniform.to(visits.device)
        weight = (visits.double() / visits.max(-1, keepdim=True).values) ** (1.0 / heat)
        below = weight.cumsum(-1)
        return (below > uniform[:, None] * below[:, -1:]).int().argmax(-1)


def puct_scores(
    config: PuctConfig, count: Tensor, value: Tensor, visits: Tensor, q: Tensor, prob: Tensor
) -> Tensor:
    """Return q rescaled to 0..1 + prior * sqrt(n) * c(n) / (1 + n_a), `[B, K]`.

    count, value: visits and mean value of the nodes, `[B]`; the others are `[B, K]`.
    """
    tried = visits > 0
    if config.value_low == config.value_high:
        known = torch.where(tried, q, value[:, None])
        low = torch.minimum(known.min(-1).values, value)[:, None]
        high = torch.maximum(known.max(-1).values, value)[:, None]
    else:
        low = torch.full_like(value, config.value_low)[:, None]
        high = torch.full_like(value, config.value_high)[:, None]
    rescaled = torch.where(tried, (q - low) / (high - low).clamp_min(1e-8), 0.0)
    growth = ((count + config.c_base + 1.0) / config.c_base).log()
    explore = count.sqrt() * (config.c_init + growth)
    return rescaled + explore[:, None] * prob / (1.0 + visits)


def uct_scores(
    config: UctConfig, count: Tensor, visits: Tensor, q: Tensor, logits: Tensor, ties: Tensor
) -> Tensor:
    """Return q + c sqrt(ln n / n_a), `[B, K]`; above all others, untried slots by their logits.

    `ties` `[B]` decides which of several untried slots of one logit comes first; 0: the first.
    """
    num_slots = visits.shape[1]
    mixed = ties * 6364136223846793005 + 1442695040888963407
    first = ((mixed >> 33) % num_slots) * (ties != 0)
    order = (torch.arange(num_slots, device=q.device) - first[:, None]) % num_slots
    best = logits.masked_fill(visits > 0, -torch.inf).max(-1, keepdim=True).values
    untried = (visits == 0) & (logits == best) & (best > -torch.inf)
    bonus = config.exploration * (count.log()[:, None] / visits.clamp_min(1.0)).sqrt()
    scores = torch.where(visits > 0, q + bonus, -torch.finfo(q.dtype).max)
    return torch.where(untried, 1e30 * (num_slots - order), scores)


def completed_values(
    config: GumbelConfig, raw: Tensor, visits: Tensor, q: Tensor, prob: Tensor
) -> Tensor:
    """Return sigma(completed q) `[B, K]`; untried slots count as the mixed value.

    raw `[B]` is what the evaluator said; the others are `[B, K]`.
    """
    tried, total = visits > 0, visits.sum(-1)
    weight = torch.where(tried, prob.clamp_min(torch.finfo(prob.dtype).tiny), 0.0)
    seen = weight.sum(-1, keepdim=True).clamp_min(torch.finfo(prob.dtype).tiny)
    mixed = (raw + total * (weight / seen * q).sum(-1)) / (1.0 + total)
    value = torch.where(tried, q, mixed[:, None])
    if config.rescale:
        low, high = value.min(-1, keepdim=True).values, value.max(-1, keepdim=True).values
        value = (value - low) / (high - low).clamp_min(1e-8)
    most = visits.max(-1, keepdim=True).values
    return (config.visit_offset + most) * config.value_scale * value


def halving_scores(
    wanted: Tensor, noise: Tensor, logits: Tensor, sigma: Tensor, visits: Tensor
) -> Tensor:
    """Return g + logits + sigma `[B, K]`, -inf where a slot has not the `wanted` `[B]` visits."""
    top = logits.max(-1, keepdim=True).values
    score = (noise + (logits - top) + sigma).clamp_min(-1e9)
    return score.masked_fill(visits != wanted[:, None], -torch.inf)


def _take(evaluation: Evaluation, rows: Tensor) -> Evaluation:
    actions = None if evaluation.actions is None else evaluation.actions[rows]
    return Evaluation(evaluation.logits[rows], evaluation.value[rows], actions)
