"""Fit a reward ensemble to labelled pairs, in minibatches over all members at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from simrl.core.actions import DiscreteActions
from simrl.core.seeding import torch_generator
from simrl.preferences.dataset import PreferenceData
from simrl.preferences.losses import bradley_terry, check_noise
from simrl.preferences.minibatch import Minibatch, Pairs
from simrl.preferences.reward_gradient import PlainGradient
from simrl.preferences.reward_model import RewardEnsemble
from simrl.preferences.scores import ranked
from simrl.preferences.segment import SegmentBatch
from simrl.rollout.observers import NonFiniteError
from simrl.rollout.threads import torch_threads


@dataclass(frozen=True)
class RewardTrainerConfig:
    """Choose how a reward ensemble is fitted."""

    learning_rate: float = 3e-4
    """Step size of Adam."""
    batch_size: int = 128
    """Pairs in a minibatch."""
    epochs: int = 50
    """Most passes over the pairs in one fit."""
    stop_accuracy: float = 0.97
    """Stop a fit once this share of pairs is ranked as labelled: of the held-out ones if there are
    any, else of those learned from; above 1 never."""
    patience: int = 0
    """Stop after so many passes without a better held-out likelihood, and go back to the best
    weights; 0 never does."""
    l2: float = 0.0
    """Adam's weight decay: half this times the squared parameters joins the loss."""
    label_noise: float = 0.1
    """Share of answers thought to be given at random; keeps single wrong answers from mattering."""
    bootstrap: bool = True
    """Whether each member sees its own resampling of the pairs (bagging)."""
    threads: int = 1
    """Torch threads; a second one costs more than it gives on small nets and busy machines."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("learning_rate", "batch_size", "epochs", "threads"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("l2", "patience", "stop_accuracy"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        check_noise(self.label_noise)


class RewardTrainer:
    """Own the optimiser of a reward ensemble; `fit` goes on from where the last one ended."""

    def __init__(
        self,
        ensemble: RewardEnsemble,
        config: RewardTrainerConfig | None = None,
        *,
        seed: int = 0,
        on_bad_batch: Callable[[dict[str, Tensor]], None] | None = None,
    ) -> None:
        """Fit `ensemble`; `seed` orders the minibatches and resamples pairs for the members.

        `on_bad_batch` is handed the minibatch whose loss is not finite, just before NonFiniteError
        is raised, so that it can be saved.
        """
        self.ensemble = ensemble
        self.config = config or RewardTrainerConfig()
        self.seed = seed
        self.on_bad_batch = on_bad_batch
        self.fits = 0
        self.generator = torch_generator(seed, "reward model")
        self.flat, self.grad = _flatten(ensemble)
        self.plain = PlainGradient(ensemble) if PlainGradient.fits(ensemble) else None
        self.optimiser = torch.optim.Adam(
            [self.flat], lr=self.config.learning_rate, weight_decay=self.config.l2, fused=True
        )

    def fit(
        self,
        data: PreferenceData,
        held_out: PreferenceData | None = None,
        *,
        epochs: int | None = None,
    ) -> dict[str, float]:
        """Learn from `data` and return figures under `reward/...`.

        Observations are scaled by the data first; the zero and unit of `RewardEnsemble.reward` are
        fixed on the data at the end (call `fit_normaliser` yourself for other segments).

        Args:
            data: Pairs to learn from.
            held_out: Pairs of other trajectories (`PreferenceData.split`) to stop by.
            epochs: Most passes over the pairs; default the configured ones.

        Raises:
            ValueError: There are no pairs, or they are of another environment's shapes.
            NonFiniteError: A loss is not finite; it names the tensor.
        """
        if not len(data):
            raise ValueError("there are no preferences to learn from")
        self._check(data)
        held = held_out if held_out is not None and len(held_out) else None
        with torch_threads(self.config.threads):
            both = SegmentBatch.cat([data.first, data.second]).to(self.flat.device)
            self.ensemble.fit_obs_normaliser(both)
            self.ensemble.terminates |= (self.ensemble.absorbed(both) > 0).any()
            seed = self.seed if self.config.bootstrap else None
            pairs = Pairs(self.ensemble, data, both, seed)
            figures = self._passes(pairs, held, epochs or self.config.epochs)
            self.ensemble.fit_normaliser(both)
        self.fits += 1
        return {f"reward/{name}": value for name, value in figures.items()} | {
            "reward/pairs": float(len(data))
        }

    def loss(self, batch: Minibatch) -> tuple[Tensor, Tensor]:
        """Return the loss of a minibatch, a scalar, and the logits of its pairs `[E, B]`.

        The members' losses are summed: none has a part in another's gradient.
        """
        ensemble, size = self.ensemble, len(batch.label)
        rewards = ensemble(batch.x).unflatten(1, (2 * size, -1))
        if batch.mask is not None:
            rewards = rewards * batch.mask
        returns = rewards.sum(-1)
        if batch.absorbed is not None:
            returns = returns + ensemble.absorbing()[:, None] * batch.absorbed
        logit = returns[:, :size] - returns[:, size:]
        each = bradley_terry(logit, batch.label, self.config.label_noise)
        return (each * batch.weight).sum(), logit.detach()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that fitting depends on: weights, optimiser, generator, counter."""
        return {
            "ensemble": dict(self.ensemble.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "fits": self.fits,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; fitting goes on bit for bit."""
        self.ensemble.load_state_dict(state["ensemble"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"].cpu())
        self.fits = int(state["fits"])

    def _check(self, data: PreferenceData) -> None:
        """Raise ValueError unless the pairs hold what the ensemble reads."""
        spec = self.ensemble.spec
        actions = spec.actions
        width = actions.num_heads if isinstance(actions, DiscreteActions) else actions.size
        batch = data.first
        for name, found, wanted in (
            ("observations", batch.obs.shape[-1], self.ensemble.layout.size),
            ("actions", batch.action.shape[-1], width),
        ):
            if found != wanted:
                raise ValueError(
                    f"the preferences hold {name} of {found} numbers, those of {spec.id} have "
                    f"{wanted}"
                )

    def _passes(self, pairs: Pairs, held: PreferenceData | None, epochs: int) -> dict[str, float]:
        """Go over the pairs until it is enough; return the figures of the last pass."""
        best = (math.inf, self.flat.detach().clone())
        stale = 0
        for epoch in range(1, epochs + 1):
            figures = self._epoch(pairs) | {"epochs": float(epoch)}
            accuracy = figures["accuracy"]
            if held is not None:
                figures |= self._held_out(held)
                accuracy = figures["held_out_accuracy"]
                stale += 1
                if figures["held_out_nll"] < best[0]:
                    best, stale = (figures["held_out_nll"], self.flat.detach().clone()), 0
            if accuracy >= self.config.stop_accuracy:
                break
            if held is not None and self.config.patience and stale >= self.config.patience:
                with torch.no_grad():
                    self.flat.copy_(best[1])
                figures |= self._held_out(held)
                break
        return figures

    def _epoch(self, pairs: Pairs) -> dict[str, float]:
        """Take one step for each minibatch; return mean loss, and accuracy while it learned."""
        total, logits, labels = 0.0, [], []
        order = torch.randperm(pairs.size, generator=self.generator)
        for index in order.split(self.config.batch_size):
            batch = pairs.minibatch(index)
            loss, logit = self._gradient(batch)
            value = float(loss)
            if not math.isfinite(value):
                self._raise(batch)
            self.optimiser.step()
            total += value * len(index)
            logits.append(logit)
            labels.append(batch.label)
        clear, right = ranked(torch.cat(logits, 1).mean(0), torch.cat(labels))
        members = self.ensemble.config.members
        return {
            "loss": total / pairs.size / members,
            "accuracy": right / clear if clear else math.nan,
        }

    def _gradient(self, batch: Minibatch) -> tuple[Tensor, Tensor]:
        """Set the gradient of a minibatch's loss; return that and the logits `[E, B]`."""
        self.grad.zero_()
        if self.plain is not None:
            return self.plain.fill(batch, self.config.label_noise)
        loss, logit = self.loss(batch)
        loss.backward()
        return loss.detach(), logit

    def _held_out(self, held: PreferenceData) -> dict[str, float]:
        device = self.flat.device
        first, second, label = held.first.to(device), held.second.to(device), held.label.to(device)
        logit = self.ensemble.logits(first, second).mean(0)
        decided, right = ranked(logit, label)
        return {
            "held_out_accuracy": right / decided if decided else math.nan,
            "held_out_nll": float(bradley_terry(logit, label).mean()),
        }

    def _raise(self, batch: Minibatch) -> NoReturn:
        tensors = {name: value for name, value in vars(batch).items() if value is not None}
        if self.on_bad_batch is not None:
            self.on_bad_batch(tensors)
        tensors |= dict(self.ensemble.named_parameters())
        bad = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
        raise NonFiniteError(
            f"reward model, fit {self.fits}: the loss is not finite; not finite are "
            f"{', '.join(bad) or 'only the returns'}"
        )


def _flatten(ensemble: RewardEnsemble) -> tuple[nn.Parameter, Tensor]:
    """Make all parameters views of one flat tensor, so that the optimiser has one to step."""
    parameters = list(ensemble.parameters())
    with torch.no_grad():
        flat = nn.Parameter(torch.cat([parameter.flatten() for parameter in parameters]))
    grad = torch.zeros_like(flat)
    flat.grad = grad
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, values, grads in zip(
        parameters, flat.detach().split(sizes), grad.split(sizes), strict=True
    ):
        parameter.data = values.view_as(parameter)
        parameter.grad = grads.view_as(parameter)
    return flat, grad
