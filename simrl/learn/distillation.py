"""Teach a network what searches found: a policy by classification, a value by regression.

Searches of games with many players judge a few whole actions that were drawn from the policy.  So
the policy is trained on the choice among these, -sum_k target_k log p(a_k) / sum_j p(a_j), which
does not ask it to give up all that the search did not look at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from simrl.core.seeding import torch_generator
from simrl.core.timestep import PolicyState
from simrl.learn.search_targets import search_policy_loss, search_value_loss, target_entropy
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.distributions import MaskedHeads
from simrl.rollout.threads import torch_threads


@dataclass(frozen=True)
class SearchedRows:
    """Hold R situations of agents and what a search said of K actions in each."""

    obs: Mapping[str, Tensor]
    """What the agent saw: the groups that its network reads, each `[R, ...]`."""
    memory: PolicyState
    """The network's memory before it looked, each `[R, ...]`; {} if it has none."""
    actions: Tensor
    """The actions that were judged, int64 `[R, K, H]`."""
    judged: Tensor
    """Which of them are real, bool `[R, K]`; the others repeat one."""
    policy: Tensor
    """What the search prefers, a distribution over them `[R, K]`."""
    value: Tensor
    """What the search thinks the situation is worth `[R]`."""

    def __len__(self) -> int:
        return len(self.value)

    def rows(self, index: Tensor) -> SearchedRows:
        """Return the rows `index` int64 `[I]`."""
        return SearchedRows(
            {name: value[index] for name, value in self.obs.items()},
            {name: value[index] for name, value in self.memory.items()},
            *(x[index] for x in (self.actions, self.judged, self.policy, self.value)),
        )

    @classmethod
    def join(cls, parts: Sequence[SearchedRows]) -> SearchedRows:
        """Put rows of one kind together; ValueError if there are none."""
        if not parts:
            raise ValueError("there are no searched rows to join")

        first = parts[0]
        return cls(
            {name: torch.cat([part.obs[name] for part in parts]) for name in first.obs},
            {name: torch.cat([part.memory[name] for part in parts]) for name in first.memory},
            torch.cat([part.actions for part in parts]),
            torch.cat([part.judged for part in parts]),
            torch.cat([part.policy for part in parts]),
            torch.cat([part.value for part in parts]),
        )


@dataclass(frozen=True)
class DistillationConfig:
    """Choose how to learn from searches."""

    learning_rate: float = 3e-4
    """Step size of Adam."""
    epochs: int = 2
    """Passes over the rows in one `fit`."""
    minibatch_size: int = 512
    """Rows in a minibatch."""
    value_coef: float = 0.5
    """Weight of the value's error, in units of the variance of the targets."""
    max_grad_norm: float = 1.0
    """Norm to which gradients are scaled down."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("learning_rate", "epochs", "minibatch_size", "max_grad_norm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.value_coef < 0:
            raise ValueError(f"value_coef must not be negative, got {self.value_coef}")


class DistillationLearner:
    """Own the optimiser of a network that learns from searches.

    Rows are single steps: the memory that came with them is taken as it is, so the cell of a
    network with memory learns what to make of it, not what to keep.
    """

    def __init__(
        self, net: ActorCritic, config: DistillationConfig | None = None, *, seed: int = 0
    ) -> None:
        """Change the weights of `net`; `seed` orders the minibatches."""
        self.net = net
        self.config = config or DistillationConfig()
        self.fits = 0
        self.generator = torch_generator(seed, "distillation")
        self.optimiser = torch.optim.Adam(net.parameters(), lr=self.config.learning_rate)

    def fit(self, rows: SearchedRows) -> dict[str, float]:
        """Go over `rows` and return the last pass's means.

        `loss/policy` and `loss/target_entropy` [nat]: the first can fall to the second;
        `loss/value`: mean squared error over the targets' variance.
        """
        scale = float(rows.value.std(unbiased=False).clamp_min(1e-3)) if len(rows) > 1 else 1.0
        figures: list[tuple[float, float, float]] = []
        with torch_threads(1):
            self.net.update_normaliser({name: value for name, value in rows.obs.items()})
            for _ in range(self.config.epochs):
                figures = [self._step(part, scale) for part in self._minibatches(rows)]
        self.fits += 1
        means = torch.tensor(figures).mean(0).tolist()
        return dict(zip(("loss/policy", "loss/target_entropy", "loss/value"), means, strict=True))

    def loss(self, rows: SearchedRows, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return the mean policy and value loss of rows; values count in units of `scale`."""
        dist, value, _ = self.net.act_step(rows.obs, rows.memory)
        if not isinstance(dist, MaskedHeads):
            raise ValueError(f"{self.net.spec.id}: distillation needs discrete actions")
        count, slots = rows.policy.shape
        many = torch.arange(count).repeat_interleave(slots)
        spread = MaskedHeads(dist.actions, dist.logits[many], dist.mask[many])
        log_prob = spread.log_prob(rows.actions.flatten(0, 1)).unflatten(0, (count, slots))
        choice = log_prob.masked_fill(~rows.judged, -math.inf).log_softmax(1)
        policy = search_policy_loss(choice, rows.policy).mean()
        return policy, search_value_loss(value.sum(-1) / scale, rows.value / scale).mean()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that learning depends on."""
        return {
            "net": dict(self.net.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "fits": self.fits,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; the next fit is the same bit for bit."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"].cpu())
        self.fits = int(state["fits"])

    def _step(self, rows: SearchedRows, scale: float) -> tuple[float, float, float]:
        policy, value = self.loss(rows, scale)
        self.optimiser.zero_grad()
        (policy + self.config.value_coef * value).backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.config.max_grad_norm)
        if not math.isfinite(float(norm)):
            raise ArithmeticError(f"fit {self.fits}: the loss of distillation is not finite")
        self.optimiser.step()
        return policy.item(), float(target_entropy(rows.policy).mean()), value.item()

    def _minibatches(self, rows: SearchedRows) -> Iterator[SearchedRows]:
        order = torch.randperm(len(rows), generator=self.generator)
        for index in order.split(self.config.minibatch_size):
            yield rows.rows(index)
