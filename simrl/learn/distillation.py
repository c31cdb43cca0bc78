"""Teach a network what searches found: a policy by classification, a value by regression.

Searches of games with many players judge a few whole actions that were drawn from the policy.  So
the policy is trained on the choice among these, -sum_k target_k log p(a_k) / sum_j p(a_j), which
does not ask it to give up all that the search did not look at.

The value learns what the searches think of their positions or, where the games between them are
given, the returns of the policy that played these: of every step, not only of those searched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from simrl.core.seeding import torch_generator
from simrl.core.timestep import PolicyState
from simrl.learn.batch import Batch, Minibatch
from simrl.learn.losses import value_loss
from simrl.learn.returns import advantages, grouped_rewards
from simrl.learn.search_targets import search_policy_loss, search_value_loss, target_entropy
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.distributions import Distribution, MaskedHeads
from simrl.rollout.buffer import RolloutBuffer
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


def played_batch(
    net: ActorCritic, buffer: RolloutBuffer, *, gamma: float, gae_lambda: float
) -> Batch:
    """Return steps of games that `net` played, with their returns as targets of its values.

    The targets are lambda-returns, which end with the network's own values.  The buffer is kept:
    hand over a copy (`RolloutBuffer.clone`) of one that is filled anew.
    """
    reward = grouped_rewards(net.spec, buffer)
    advantage = advantages(net, buffer, reward, gamma, gae_lambda)
    return Batch(
        buffer,
        advantage.sum(-1),
        advantage + buffer.value,
        recurrent=net.memory is not None,
        obs=net.remember_sequence(buffer.obs, buffer.start_state, buffer.episode_start),
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
    value_minibatch_size: int = 2048
    """Steps of games in a minibatch, where the value learns from these."""
    anchor: float = 1.0
    """Weight of the KL divergence from the policy as it was before a `fit` [1 / nat]: what the
    searches did not look at, and what the value asks of shared layers, shall not change it."""
    max_grad_norm: float = 1.0
    """Norm to which gradients are scaled down."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        names = ("learning_rate", "epochs", "minibatch_size", "value_minibatch_size")
        for name in (*names, "max_grad_norm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("value_coef", "anchor"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


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

    def fit(self, rows: SearchedRows, played: Sequence[Batch] = ()) -> dict[str, float]:
        """Go over `rows` and return the last pass's means.

        With `played` (see `played_batch`) every step learns from a minibatch of these as well: the
        value from them alone, and the policy is held to what it was there, too.

        `loss/policy` and `loss/target_entropy` [nat]: the first can fall to the second;
        `loss/value`: mean squared error over the targets' variance; `loss/moved`: KL divergence
        from the policy before [nat].
        """
        targets = [batch.returns.flatten(0, 1) for batch in played] or [rows.value[:, None]]
        scale = torch.cat(targets).std(0, unbiased=False).nan_to_num(1.0).clamp_min(1e-3)
        figures: list[list[float]] = []
        with torch_threads(1):
            self.net.update_normaliser(rows.obs)
            before = self._logits(rows)
            games = self._endless([self._with_logits(batch) for batch in played])
            for _ in range(self.config.epochs):
                figures = [
                    self._step(rows.rows(index), before[index], scale, next(games, None))
                    for index in self._order(len(rows))
                ]
        self.fits += 1
        names = ("loss/policy", "loss/value", "loss/moved", "loss/target_entropy")
        return dict(zip(names, torch.tensor(figures).mean(0).tolist(), strict=True))

    def loss(
        self, rows: SearchedRows, before: Tensor | None = None, scale: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean policy loss, value loss, and KL from the policy with logits `before`.

        Values count in units of `scale`; `before` `[R, outputs]` may be left out, then KL is 0.
        """
        drawn, value, _ = self.net.act_step(rows.obs, rows.memory)
        dist = self._discrete(drawn)
        count, slots = rows.policy.shape
        many = torch.arange(count).repeat_interleave(slots)
        spread = MaskedHeads(dist.actions, dist.logits[many], dist.mask[many])
        log_prob = spread.log_prob(rows.actions.flatten(0, 1)).unflatten(0, (count, slots))
        choice = log_prob.masked_fill(~rows.judged, -math.inf).log_softmax(1)
        policy = search_policy_loss(choice, rows.policy).mean()
        error = search_value_loss(value.sum(-1) / scale, rows.value / scale).mean()
        moved = torch.zeros_like(error)
        if before is not None:
            moved = MaskedHeads(dist.actions, before, dist.mask).kl(dist).mean()
        return policy, error, moved

    def game_loss(self, part: Minibatch, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return the value loss of steps of games, and the mean KL from the policy before.

        Each value group counts in units of its `scale` `[V]`; `part.reference` are the logits of
        before.
        """
        drawn, value = self.net.sequence(part.obs, part.start_state, part.episode_start)
        dist = self._discrete(drawn)
        value = value.flatten(0, 1) / scale
        # Without a clip the old values do not matter.
        error = 2.0 * value_loss(value, value, part.returns / scale).sum(-1).mean()
        assert part.reference is not None  # `fit` adds them
        moved = MaskedHeads(dist.actions, part.reference, dist.mask).kl(dist).mean()
        return error, moved

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

    def _step(
        self, rows: SearchedRows, before: Tensor, scale: Tensor, game: Minibatch | None
    ) -> list[float]:
        anchored = before if self.config.anchor > 0 else None
        policy, value, moved = self.loss(rows, anchored, scale.sum())
        if game is not None:
            value, elsewhere = self.game_loss(game, scale)
            moved = moved + elsewhere
        self.optimiser.zero_grad()
        (policy + self.config.value_coef * value + self.config.anchor * moved).backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.config.max_grad_norm)
        if not math.isfinite(float(norm)):
            raise ArithmeticError(f"fit {self.fits}: the loss of distillation is not finite")
        self.optimiser.step()
        entropy = float(target_entropy(rows.policy).mean())
        return [policy.item(), value.item(), moved.item(), entropy]

    @torch.no_grad()
    def _logits(self, rows: SearchedRows) -> Tensor:
        """Return the policy's logits `[R, outputs]` as they are now."""
        parts = []
        for index in torch.arange(len(rows)).split(4096):
            part = rows.rows(index)
            dist, _, _ = self.net.act_step(part.obs, part.memory, need_value=False)
            parts.append(self._discrete(dist).logits)
        return torch.cat(parts)

    @torch.no_grad()
    def _with_logits(self, batch: Batch) -> Batch:
        """Return `batch` with the policy's logits as they are now."""
        obs, buffer = batch.obs or batch.buffer.obs, batch.buffer
        dist, _ = self.net.sequence(dict(obs), buffer.start_state, buffer.episode_start)
        shape = (buffer.unroll, buffer.num_lanes)
        return replace(batch, reference=self._discrete(dist).logits.unflatten(0, shape))

    def _endless(self, batches: Sequence[Batch]) -> Iterator[Minibatch]:
        """Yield minibatches of all the batches in random order, again and again; none of none."""
        while batches:
            for index in torch.randperm(len(batches), generator=self.generator).tolist():
                yield from batches[index].minibatches(
                    self.config.value_minibatch_size, self.generator
                )

    def _discrete(self, dist: Distribution) -> MaskedHeads:
        """Return `dist`; ValueError if its actions are continuous."""
        if not isinstance(dist, MaskedHeads):
            raise ValueError(f"{self.net.spec.id}: distillation needs discrete actions")
        return dist

    def _order(self, count: int) -> tuple[Tensor, ...]:
        """Return the rows of each minibatch, in random order."""
        order = torch.randperm(count, generator=self.generator)
        return order.split(self.config.minibatch_size)
