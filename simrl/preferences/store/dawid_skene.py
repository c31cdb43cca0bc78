"""Dawid-Skene: the true labels of items and the errors of annotators, estimated together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MISSING = -1
"""In a table of labels: this annotator was not asked that item."""


@dataclass(frozen=True, eq=False)
class DawidSkene:
    """Hold what the estimation found, for A annotators, I items and C classes."""

    posterior: np.ndarray
    """Probability of each class of each item `[I, C]`."""

    confusion: np.ndarray
    """Probability that an annotator says label l where c is true `[A, C, C]`, by `[a, c, l]`."""

    prior: np.ndarray
    """Share of each class `[C]`."""

    log_likelihood: float
    """Of the labels under the last estimate [nats]."""

    iterations: int

    @property
    def labels(self) -> np.ndarray:
        """The likeliest class of each item `[I]`."""
        return self.posterior.argmax(1)

    @property
    def accuracy(self) -> np.ndarray:
        """How often each annotator is right `[A]`, at the estimated shares of the classes."""
        return np.asarray(np.einsum("c,acc->a", self.prior, self.confusion))


def dawid_skene(
    labels: np.ndarray,
    num_classes: int,
    *,
    smoothing: float = 0.01,
    iterations: int = 200,
    tolerance: float = 1e-6,
) -> DawidSkene:
    """Estimate true labels and confusion matrices by expectation maximisation.

    It begins from the shares of votes.  Source: Dawid and Skene 1979, Maximum likelihood estimation
    of observer error-rates using the EM algorithm, equations 2.3 to 2.5.

    Args:
        labels: Class that each annotator gave each item `[A, I]` int, `MISSING` where none.
        num_classes: C.
        smoothing: Votes added to each cell of the confusion matrices, so that an annotator with
            few answers is not taken for infallible; 0 is the maximum likelihood.
        iterations: Most rounds.
        tolerance: It ends once no posterior changes by more.

    Raises:
        ValueError: The table is not `[A, I]`, is empty, or has a label outside 0..C-1.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.size == 0:
        raise ValueError(f"labels must be [annotators, items] and not empty, got {labels.shape}")
    if labels.min() < MISSING or labels.max() >= num_classes:
        raise ValueError(f"labels must be -1 or 0..{num_classes - 1}, got up to {labels.max()}")
    votes = (labels[:, :, None] == np.arange(num_classes)).astype(np.float64)  # [A, I, C]
    counts = votes.sum(0) + (labels == MISSING).all(0)[:, None] / num_classes
    posterior = counts / counts.sum(1, keepdims=True)
    rounds = 0
    while True:
        prior, confusion = _errors(votes, posterior, smoothing)
        new, log_likelihood = _truth(votes, prior, confusion)
        change = float(np.abs(new - posterior).max())
        posterior, rounds = new, rounds + 1
        if change <= tolerance or rounds >= iterations:
            return DawidSkene(posterior, confusion, prior, log_likelihood, rounds)


def _errors(
    votes: np.ndarray, posterior: np.ndarray, smoothing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the classes' shares `[C]` and the confusion matrices `[A, C, C]`."""
    counts = np.einsum("ic,ail->acl", posterior, votes) + smoothing
    total = counts.sum(2, keepdims=True)
    even = np.full_like(counts, 1.0 / counts.shape[2])
    return posterior.mean(0), np.divide(counts, total, out=even, where=total > 0)


def _truth(votes: np.ndarray, prior: np.ndarray, confusion: np.ndarray) -> tuple[np.ndarray, float]:
    """Estimate the probabilities of the items' classes `[I, C]`, and the labels' likelihood."""
    tiny = np.finfo(np.float64).tiny
    joint = np.log(np.maximum(prior, tiny)) + np.einsum(
        "ail,acl->ic", votes, np.log(np.maximum(confusion, tiny))
    )
    highest = joint.max(1, keepdims=True)
    weight = np.exp(joint - highest)
    total = weight.sum(1, keepdims=True)
    return weight / total, float((np.log(total) + highest).sum())
