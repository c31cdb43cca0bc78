"""Train a network towards what a search preferred and how games ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from simrl.core.seeding import torch_generator
from simrl.learn.ppo import NonFiniteLossError
from simrl.learn.replay import Positions, SearchReplay
from simrl.learn.schedules import ScheduleKind, scheduled
from simrl.learn.search_targets import (
    mixed_value_target,
    search_policy_loss,
    search_value_loss,
    target_entropy,
)
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.distributions import MaskedHeads
from simrl.rollout.threads import torch_threads


@dataclass(frozen=True)
class SearchLearnerConfig:
    """Choose how to learn from searched positions."""

    learning_rate: float = 1e-3
    """Step size of Adam."""
    learning_rate_schedule: ScheduleKind = "linear"
    """How the step size changes over the run: "constant" or "linear"."""
    learning_rate_end: float = 1e-4
    """Step size at the end of a linear schedule."""
    minibatch_size: int = 1024
    """Positions in a minibatch."""
    value_coef: float = 1.0
    """Weight of the value's squared error beside the policy's cross-entropy."""
    value_share: float = 0.5
    """Share of the search's value in the value's target; the rest is how the game ended."""
    weight_decay: float = 1e-4
    """Decoupled weight decay of Adam."""
    max_grad_norm: float | None = 5.0
    """Norm to which gradients are scaled down; None switches it off."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("learning_rate", "minibatch_size"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("value_coef", "weight_decay", "learning_rate_end"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0.0 <= self.value_share <= 1.0:
            raise ValueError(f"value_share must be from 0 to 1, got {self.value_share}")


@dataclass(frozen=True)
class Symmetry:
    """Say how a position turns into another that is worth the same, such as its mirror image.

    Column i of what is turned is column `order[i]` of what was there.
    """

    obs: Mapping[str, Tensor]
    """Order of the columns of observation groups, int64 `[D]` each; other groups stay."""
    slots: Tensor
    """Order of the policy's slots, int64 `[K]`; it may go on with values that stay in place."""


class SearchLearner:
    """Own the network's optimiser and change its weights, minibatch by minibatch."""

    def __init__(
        self,
        net: ActorCritic,
        config: SearchLearnerConfig | None = None,
        *,
        seed: int = 0,
        symmetries: Sequence[Symmetry] = (),
        on_bad_batch: Callable[[Mapping[str, Tensor]], None] | None = None,
    ) -> None:
        """Learn the weights of `net`, which has no memory and one categorical action.

        `seed` draws the minibatches.  With `symmetries` each position is shown as it is or as one
        of them makes it, all as likely.  `on_bad_batch` is handed the minibatch whose loss is not
        finite, just before NonFiniteLossError is raised.
        """
        if net.stateful:
            raise ValueError("searched positions come in no order: the network must have no memory")
        self.net = net
        self.config = config or SearchLearnerConfig()
        self.on_bad_batch = on_bad_batch
        self.symmetries = tuple(symmetries)
        self.updates = 0
        self.generator = torch_generator(seed, "search-learner")
        self.optimiser = torch.optim.AdamW(
            net.parameters(),
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )

    def update(self, replay: SearchReplay, minibatches: int, progress: float) -> dict[str, float]:
        """Learn from `minibatches` of `replay` and return the mean of their figures.

        `progress` (0 to 1) is how much of the run is behind us: schedules follow it.
        """
        config = self.config
        rate = scheduled(
            config.learning_rate_schedule, config.learning_rate, config.learning_rate_end, progress
        )
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        totals: dict[str, Tensor] = {}
        with torch_threads(1):
            for _ in range(minibatches):
                batch = replay.sample(config.minibatch_size, self.generator)
                for name, value in self.step(self.turned(batch)).items():
                    totals[name] = totals.get(name, torch.zeros(())) + value
        figures = {f"loss/{name}": float(value) / minibatches for name, value in totals.items()}
        return {**figures, "loss/learning_rate": rate}

    def step(self, batch: Positions) -> dict[str, Tensor]:
        """Take one step of the optimiser; return the parts of the loss, each a scalar."""
        loss, figures = self.loss(batch)
        if not bool(torch.isfinite(loss)):
            self._stop(batch, figures)
        self.optimiser.zero_grad()
        loss.backward()
        if self.config.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.config.max_grad_norm)
        self.optimiser.step()
        self.updates += 1
        return figures

    def loss(self, batch: Positions) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a minibatch, and its parts without gradient.

        Parts: "policy" and "value"; "policy_kl", by which the policy misses its target [nat]; and
        "search_gap", the root mean square of what the search's value says beyond the network's.
        """
        dist, values, _ = self.net.act_step(batch.obs, {})
        if not isinstance(dist, MaskedHeads) or dist.actions.num_heads != 1:
            raise ValueError("policies are learned from searches over one categorical action")
        value = values.sum(-1)
        log_probs = dist.logits.masked_fill(~dist.mask, -torch.inf).log_softmax(-1)
        slots = batch.policy.shape[1]
        policy = search_policy_loss(log_probs[:, :slots], batch.policy).mean()
        target = mixed_value_target(batch.outcome, batch.value, self.config.value_share)
        error = search_value_loss(value, target).mean()
        with torch.no_grad():
            figures = {
                "policy": policy.detach(),
                "value": error.detach(),
                "policy_kl": policy.detach() - target_entropy(batch.policy).mean(),
                "search_gap": (batch.value - value).square().mean().sqrt(),
            }
        return policy + self.config.value_coef * error, figures

    def turned(self, batch: Positions) -> Positions:
        """Show each position as it is or as one of the symmetries makes it."""
        if not self.symmetries:
            return batch
        pick = torch.randint(len(self.symmetries) + 1, (len(batch),), generator=self.generator)
        flat = batch.flat()
        obs = {name: flat.pop(f"obs/{name}") for name in batch.obs}
        for name in obs:
            orders = [symmetry.obs.get(name) for symmetry in self.symmetries]
            obs[name] = _reordered(obs[name], orders, pick)
        flat["policy"] = _reordered(batch.policy, [s.slots for s in self.symmetries], pick)
        return Positions.from_flat({**flat, **{f"obs/{name}": x for name, x in obs.items()}})

    def state_dict(self) -> dict[str, Any]:
        """Return weights, optimiser, random stream and count."""
        return {
            "net": dict(self.net.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(dict(state["optimiser"]))
        self.generator.set_state(state["generator"])
        self.updates = int(state["updates"])

    def _stop(self, batch: Positions, figures: Mapping[str, Tensor]) -> None:
        if self.on_bad_batch is not None:
            self.on_bad_batch(batch.flat())
        named = {name: float(value) for name, value in figures.items()}
        bad = [name for name in ("policy", "value") if not torch.isfinite(figures[name])]
        raise NonFiniteLossError(
            f"the {' and '.join(bad) or 'total'} loss is not finite at update {self.updates}: "
            f"{named}"
        )


def _reordered(x: Tensor, orders: Sequence[Tensor | None], pick: Tensor) -> Tensor:
    """Put the columns of each row of `x` `[R, D]` in the order that `pick` `[R]` names; 0 stays."""
    stay = torch.arange(x.shape[1])
    given = (stay if order is None else order[: x.shape[1]] for order in orders)
    table = torch.stack([stay, *given])
    return x.gather(1, table[pick])
