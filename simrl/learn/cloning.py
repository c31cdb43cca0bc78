"""Behaviour cloning: make a network act as somebody did, by the likelihood of recorded actions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from simrl.core.actions import DiscreteActions
from simrl.core.seeding import torch_generator
from simrl.learn.demonstrations import Demonstrations
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.distributions import ClippedGaussian, Distribution, MaskedHeads
from simrl.rollout.threads import torch_threads


@dataclass(frozen=True)
class CloningConfig:
    """Choose how to learn from demonstrations."""

    learning_rate: float = 1e-3
    """Step size of Adam."""
    epochs: int = 20
    """Passes over the demonstrations in one `fit`."""
    minibatch_size: int = 512
    """Steps in a minibatch; with memory, whole sequences that hold about as many."""
    sequence: int = 64
    """Steps through which gradients go back, for networks with memory."""
    held_out: float = 0.1
    """Share of the lanes that is not trained on but measured; 0 trains on all."""
    entropy_coef: float = 0.0
    """Weight of an entropy bonus, which keeps the clone from becoming certain."""
    min_log_std: float = -3.0
    """Least logarithm of a continuous action's deviation, in half ranges: the likelihood of a
    demonstrator who never varies has no maximum."""
    max_grad_norm: float = 1.0
    """Norm to which gradients are scaled down."""
    weight_decay: float = 0.0
    """Decoupled weight decay of Adam."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("learning_rate", "epochs", "minibatch_size", "sequence", "max_grad_norm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0.0 <= self.held_out < 1.0:
            raise ValueError(f"held_out must be from 0 up to 1, got {self.held_out}")


class CloningLearner:
    """Own the optimiser of a network that imitates."""

    def __init__(
        self, net: ActorCritic, config: CloningConfig | None = None, *, seed: int = 0
    ) -> None:
        """Change the weights of `net`; `seed` orders minibatches and chooses the held-out lanes."""
        self.net = net
        self.config = config or CloningConfig()
        self.seed = seed
        self.epochs = 0
        self.device = next(net.parameters()).device
        self.generator = torch_generator(seed, "cloning")
        self.optimiser = torch.optim.AdamW(
            net.parameters(),
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )

    def fit(self, data: Demonstrations) -> dict[str, float]:
        """Go over `data` for the configured number of epochs and return the last one's metrics."""
        metrics: dict[str, float] = {}
        for _ in range(self.config.epochs):
            metrics = self.epoch(data)
        return metrics

    def epoch(self, data: Demonstrations) -> dict[str, float]:
        """Go over the training lanes once, then measure the held-out ones.

        Returns `loss/cloning` (mean negative log-likelihood while training) and, of the held-out
        lanes what `measure` says, as `eval/...`.
        """
        train, held_out = self.split(data)
        with torch_threads(1):
            if self.epochs == 0:
                # Padding repeats the last step of a lane, up to as often as the longest is long.
                counts = train.weight > 0
                seen = {key: obs[counts].to(self.device) for key, obs in train.obs.items()}
                self.net.update_normaliser(seen)
            losses = [self._step(part, state) for part, state in self._minibatches(train)]
            self.epochs += 1
            metrics = {"loss/cloning": sum(losses) / len(losses), "time/epochs": float(self.epochs)}
            if held_out is not None:
                metrics |= {f"eval/{name}": x for name, x in self.measure(held_out).items()}
        return metrics

    def split(self, data: Demonstrations) -> tuple[Demonstrations, Demonstrations | None]:
        """Divide the lanes into those to train on and those held out; the seed alone decides."""
        lanes = data.weight.shape[1]
        held = round(self.config.held_out * lanes)
        if self.config.held_out > 0 and not 0 < held < lanes:
            raise ValueError(
                f"{lanes} lanes cannot be split with held_out={self.config.held_out}: record more "
                "environments, or set it to 0"
            )
        if held == 0:
            return data, None
        order = torch.randperm(lanes, generator=torch_generator(self.seed, "held-out"))
        return data.select(order[held:].sort().values), data.select(order[:held].sort().values)

    @torch.no_grad()
    def measure(self, data: Demonstrations) -> dict[str, float]:
        """Return how well the network explains `data`, over the steps that leave a choice.

        `log_likelihood`: mean log-probability (or log-density) of what was done.  Then for discrete
        actions `agreement`, the share of steps at which the network's most probable action, all
        heads that count, is what was done; for continuous ones `rmse`, the root mean square error
        of the network's mean, in half ranges.
        """
        discrete = isinstance(self.net.actions, DiscreteActions)
        totals = torch.zeros(3, dtype=torch.float64)
        for part, state in self._parts(data):
            dist = self._distribution(part, state)
            action, weight = part.action.flatten(0, 1), part.weight.flatten()
            if isinstance(dist, MaskedHeads):
                weight = weight * _has_choice(dist, action)
                figure = _matches(dist, action)
            else:
                figure = _squared_error(cast(ClippedGaussian, dist), action)
            log_prob = dist.log_prob(action)
            rows = torch.stack([log_prob, figure, torch.ones_like(figure)])
            totals += (weight * rows).sum(-1).double().cpu()
        if float(totals[2]) == 0.0:
            raise ValueError("no step of these demonstrations left a choice")
        log_likelihood, figure = (totals[:2] / totals[2]).tolist()
        if discrete:
            return {"log_likelihood": log_likelihood, "agreement": figure}
        return {"log_likelihood": log_likelihood, "rmse": math.sqrt(figure)}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that learning depends on."""
        return {
            "net": dict(self.net.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "epochs": self.epochs,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; the next epoch is the same bit for bit."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"].cpu())
        self.epochs = int(state["epochs"])

    def _step(self, part: Demonstrations, state: Mapping[str, Tensor]) -> float:
        weight = part.weight.flatten()
        log_prob, entropy = self._distribution(part, state).evaluate(part.action.flatten(0, 1))
        total = weight.sum().clamp_min(1e-8)
        nll = -(weight * log_prob).sum() / total
        loss = nll - self.config.entropy_coef * (weight * entropy).sum() / total
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.config.max_grad_norm)
        if not math.isfinite(float(norm)):
            raise ArithmeticError(f"epoch {self.epochs}: the loss of cloning is not finite")
        self.optimiser.step()
        if not isinstance(self.net.actions, DiscreteActions):
            with torch.no_grad():
                self.net.log_std.clamp_(min=self.config.min_log_std)
        return float(nll.detach())

    def _distribution(self, part: Demonstrations, state: Mapping[str, Tensor]) -> Distribution:
        return self.net.sequence(part.obs, state, part.episode_start)[0]

    def _parts(self, data: Demonstrations) -> list[tuple[Demonstrations, dict[str, Tensor]]]:
        """Return everything in parts that fit into memory, with the memory each starts from."""
        pieces, state = self._laid_out(data)
        columns = pieces.weight.shape[1]
        per = max(1, 16384 // pieces.weight.shape[0])
        return [
            (self._moved(pieces, lanes), {key: value[lanes] for key, value in state.items()})
            for lanes in torch.arange(columns).split(per)
        ]

    def _minibatches(
        self, data: Demonstrations
    ) -> Iterator[tuple[Demonstrations, dict[str, Tensor]]]:
        pieces, state = self._laid_out(data)
        pieces, state = _without_empty(pieces, state)
        steps, columns = pieces.weight.shape
        count = min(columns, max(1, round(steps * columns / self.config.minibatch_size)))
        order = torch.randperm(columns, generator=self.generator)
        for lanes in order.tensor_split(count):
            yield self._moved(pieces, lanes), {key: value[lanes] for key, value in state.items()}

    def _moved(self, pieces: Demonstrations, lanes: Tensor) -> Demonstrations:
        """Return some lanes where the network is; the demonstrations stay where they are."""
        return pieces.select(lanes).to(self.device)

    def _laid_out(self, data: Demonstrations) -> tuple[Demonstrations, dict[str, Tensor]]:
        """Return single steps, or with memory stretches and the memory at their starts."""
        if not self.net.stateful:
            return data.pieces(1), {}
        return data.pieces(self.config.sequence), self._start_states(data)

    @torch.no_grad()
    def _start_states(self, data: Demonstrations) -> dict[str, Tensor]:
        """Walk through the lanes with the weights of now; return the memory before each piece."""
        steps, lanes = data.weight.shape
        state = self.net.initial_state(lanes)
        starts: list[dict[str, Tensor]] = []
        for t in range(steps):
            fresh = data.episode_start[t].to(self.device)
            state = {key: value.masked_fill(fresh[:, None], 0.0) for key, value in state.items()}
            if t % self.config.sequence == 0:
                starts.append(state)
            seen = {name: value[t].to(self.device) for name, value in data.obs.items()}
            state = self.net.act_step(seen, state, need_value=False)[2]
        return {key: torch.cat([start[key] for start in starts]) for key in starts[0]}


def _without_empty(
    data: Demonstrations, state: dict[str, Tensor]
) -> tuple[Demonstrations, dict[str, Tensor]]:
    """Leave out pieces in which no step counts."""
    full = (data.weight > 0).any(0)
    if bool(full.all()):
        return data, state
    lanes = full.nonzero().squeeze(1)
    return data.select(lanes), {key: value[lanes] for key, value in state.items()}


def _has_choice(dist: MaskedHeads, action: Tensor) -> Tensor:
    """Return 0 where the mask left one action only, else 1 `[R]`."""
    even = MaskedHeads(dist.actions, torch.zeros_like(dist.logits), dist.mask)
    # What is certain under equal logits was the only legal thing.
    return (even.log_prob(action) < -1e-6).float()


def _matches(dist: MaskedHeads, action: Tensor) -> Tensor:
    """Return 1 where the most probable action is `action`, in the heads that count `[R]`."""
    used = dist.actions.used(dist.mask, action[:, 0])
    return ((dist.mode() == action) | ~used).all(-1).float()


def _squared_error(dist: ClippedGaussian, action: Tensor) -> Tensor:
    """Return the mode's squared error, the mean over numbers in half ranges `[R]`."""
    bounds = torch.tensor([dist.actions.low, dist.actions.high], device=action.device)
    low, high = bounds.unbind()
    unit = torch.where(torch.isfinite(high - low), (high - low) / 2, 1.0)
    return ((dist.mode() - action) / unit).square().mean(-1)
