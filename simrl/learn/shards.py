"""Compute one gradient on several cores: each Python thread takes a share of the minibatch.

Torch's own threads meet at a barrier in every operation, which on busy cores costs more than it
gives; here the threads meet once for each minibatch.  The shares are fixed, and their gradients are
added in a fixed order, so the same seed gives the same bits on the same number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from simrl.learn.batch import Minibatch

Loss = Callable[[Minibatch], tuple[Tensor, dict[str, Tensor]]]


class ShardedGradient:
    """Add up the gradients of shares of a minibatch, each computed by a thread of its own."""

    def __init__(self, net: nn.Module, threads: int) -> None:
        """Compute gradients of `net`'s parameters on `threads` threads."""
        self.parameters = list(net.parameters())
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def fill(self, batch: Minibatch, loss: Loss) -> dict[str, Tensor]:
        """Set every parameter's `grad` for the mean loss of the batch; return the mean parts."""
        count = min(self.threads, batch.episode_start.shape[1])
        if count == 1:
            results = [self._share(batch, loss, 0, 1)]
        else:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(
                    self.threads, "learner", initializer=torch.set_num_threads, initargs=(1,)
                )
            jobs = [
                self._pool.submit(self._share, batch, loss, index, count) for index in range(count)
            ]
            results = [job.result() for job in jobs]
        rows = [share.rows for share in results]
        weights = [number / sum(rows) for number in rows]
        for index, parameter in enumerate(self.parameters):
            parameter.grad = _mean([share.grads[index] for share in results], weights)
        return {
            name: weighted_sum([share.parts[name] for share in results], weights)
            for name in results[0].parts
        }

    def _share(self, batch: Minibatch, loss: Loss, index: int, count: int) -> _Share:
        own = batch if count == 1 else batch.share(index, count)
        value, parts = loss(own)
        grads = torch.autograd.grad(value, self.parameters, allow_unused=True)
        return _Share(len(own.log_prob), grads, parts)


@dataclass(frozen=True)
class _Share:
    """Hold what one thread found out."""

    rows: int
    grads: tuple[Tensor | None, ...]
    parts: dict[str, Tensor]


def weighted_sum(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the weighted sum of tensors, in their order."""
    if len(values) == 1:
        return values[0]
    total = values[0] * weights[0]
    for value, weight in zip(values[1:], weights[1:], strict=True):
        total.add_(value, alpha=weight)
    return total


def _mean(grads: Sequence[Tensor | None], weights: Sequence[float]) -> Tensor | None:
    """Return the weighted sum of gradients; None for a parameter that the loss does not use."""
    used = [grad for grad in grads if grad is not None]
    return weighted_sum(used, weights) if len(used) == len(grads) else None
