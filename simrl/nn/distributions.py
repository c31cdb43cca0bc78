"""Action distributions: a Gaussian clipped to its bounds, and masked multi-head categoricals.

Both offer `sample`, `mode`, `log_prob`, `entropy` and `kl`, one row for each acting agent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import ContinuousActions, DiscreteActions
from simrl.nn.head_kernels import evaluate_heads, grad_heads, head_plan, sample_heads

Pullback = Callable[[Tensor, Tensor], Tensor]
"""Turns the gradients of log_prob and entropy, each `[R]`, into that of logits or means."""


class Distribution(Protocol):
    """Describe how R rows choose their actions."""

    def sample(
        self, generator: torch.Generator, *, deterministic: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Draw actions `[R, ...]` (or take the mode) and return them with log_prob `[R]`."""
        ...

    def mode(self) -> Tensor:
        """Return the most probable actions `[R, ...]`."""
        ...

    def evaluate(self, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return log_prob `[R]` and entropy `[R]` at `action`, in one pass."""
        ...

    def log_prob(self, action: Tensor) -> Tensor:
        """Return the log-probability (or log-density) `[R]` of `action`."""
        ...

    def entropy(self, action: Tensor | None = None) -> Tensor:
        """Return the entropy `[R]` [nat]; see the class for what `action` means."""
        ...

    def kl(self, other: Any) -> Tensor:
        """Return KL(self || other) `[R]` [nat], for a distribution over the same rows."""
        ...


class MaskedHeads:
    """Draw one value for each head that counts; heads are independent given the selector.

    The selector is drawn first; it decides which heads count and what a conditional head may take.
    Only heads that count enter log-probability, entropy and KL; the others are 0.
    """

    def __init__(
        self, actions: DiscreteActions, logits: Tensor, mask: Tensor | None = None
    ) -> None:
        """Wrap `logits` `[R, total]` (heads side by side) and `mask` `[R, M]`; None: all legal."""
        self.actions = actions
        self.logits = logits
        if mask is None:
            mask = torch.ones(
                logits.shape[0], actions.mask_size, dtype=torch.bool, device=logits.device
            )
        self.mask = mask

    def sample(
        self, generator: torch.Generator, *, deterministic: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Return actions `[R, H]` int64 and their log-probabilities `[R]`.

        Raises ValueError naming row and head where a head that counts has no legal value.
        """
        shape = (self.logits.shape[0], self.actions.num_heads)
        if deterministic:
            uniform = torch.zeros(shape, device=self.logits.device)
        else:
            uniform = torch.rand(shape, generator=generator, device=self.logits.device)
        return self.draw(uniform, deterministic=deterministic)

    def draw(self, uniform: Tensor, *, deterministic: bool = False) -> tuple[Tensor, Tensor]:
        """Return what `sample` does where its random numbers are `uniform` `[R, H]` from [0, 1).

        Rows that are handed the same numbers draw alike: common random numbers for comparisons.
        """
        logits = self.logits.detach()
        if logits.is_cpu and logits.dtype == torch.float32:
            return self._sample_kernel(logits, uniform, deterministic)
        return self._sample_torch(logits, uniform, deterministic)

    def mode(self) -> Tensor:
        """Return the most probable selector, and for it the most probable of each head `[R, H]`."""
        return self.sample(torch.Generator(self.logits.device), deterministic=True)[0]

    def evaluate(self, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return log_prob `[R]` and `entropy(action)` `[R]`; differentiable in the logits.

        Raises ValueError naming row and head where `action` is not legal.
        """
        if self.logits.is_cpu and self.logits.dtype == torch.float32:
            pair: tuple[Tensor, Tensor] = _EvaluateHeads.apply(
                self.logits, self.mask, action, self.actions
            )
            return pair
        log_prob = torch.zeros_like(self.logits[:, 0])
        entropy = torch.zeros_like(log_prob)
        for index, log_probs, used in self._heads(action[:, 0]):
            taken = log_probs.gather(-1, action[:, index, None]).squeeze(-1)
            log_prob = log_prob + torch.where(used, taken, 0.0)
            entropy = entropy + torch.where(used, _entropy(log_probs), 0.0)
        return log_prob, entropy

    def pullback(self, action: Tensor) -> tuple[Tensor, Tensor, Pullback]:
        """Return log_prob `[R]`, entropy `[R]` and the function that gives the logits' gradient.

        That function takes the gradients of both, each `[R]`, and returns `[R, total]`.  For
        float32 on the CPU only; autograd is not involved.
        """
        return _pullback(self.logits.detach(), self.mask, action, self.actions)

    def log_prob(self, action: Tensor) -> Tensor:
        """Return the log-probability `[R]` of `action` `[R, H]`."""
        return self.evaluate(action)[0]

    def entropy(self, action: Tensor | None = None) -> Tensor:
        """Return the entropy `[R]` [nat].

        With `action`: the entropy of the selector plus that of the heads which count for the
        selector's value in `action`, an unbiased one-sample estimate of the whole when `action` is
        drawn from this distribution, and what PPO uses.  Without: the exact expectation over the
        selector, at the cost of one pass for each of its values.
        """
        if action is not None:
            return self.evaluate(action)[1]
        if self.actions.selector is None:
            return self._sum_over_heads(lambda _, log_probs: _entropy(log_probs), None)
        return self._expect(lambda _, log_probs: _entropy(log_probs))

    def kl(self, other: MaskedHeads) -> Tensor:
        """Return KL(self || other) `[R]` [nat], exact, under this distribution's mask."""
        same_mask = MaskedHeads(self.actions, other.logits, self.mask)

        def head_kl(key: tuple[int, int | None], log_probs: Tensor) -> Tensor:
            index, choice = key
            against = same_mask._log_probs(index, self._choices(choice))
            gap = torch.where(log_probs > -math.inf, log_probs - against, 0.0)
            return (log_probs.exp() * gap).sum(-1)

        if self.actions.selector is None:
            return self._sum_over_heads(head_kl, None)
        return self._expect(head_kl)

    def selector_probs(self) -> Tensor:
        """Return the probabilities `[R, size]` of the first head's values (of the buttons)."""
        return self._log_probs(0, None).exp()

    def check(self) -> None:
        """Raise ValueError naming row and head if a head that may count has no legal value."""
        empty: list[tuple[int, int]] = []
        for choice in range(self.actions.heads[0].size):
            possible = self.mask[:, choice]
            choices = self._choices(choice)
            used = self.actions.used(self.mask, choices)
            for index in range(self.actions.num_heads):
                legal = self.actions.head_mask(self.mask, index, choices).any(-1)
                counts = possible & used[:, index] if index else torch.ones_like(possible)
                rows = (~legal & counts).nonzero().flatten().tolist()
                empty += [(row, index) for row in rows]
        if empty:
            raise ValueError(_no_legal_value(self.actions, *min(empty)))

    def _choices(self, choice: int | None) -> Tensor:
        return torch.full((self.logits.shape[0],), choice or 0, device=self.logits.device)

    def _log_probs(self, index: int, choice: Tensor | None) -> Tensor:
        """Return log-probabilities `[R, size]` of one head; -inf where illegal, 0s if none is."""
        first = int(_plan(self.actions)[0][index, 0])
        head = self.actions.heads[index]
        legal = self.actions.head_mask(self.mask, index, choice)
        legal = legal | ~legal.any(-1, keepdim=True)  # an empty row is never in use: keep it finite
        part = self.logits[:, first : first + head.size]
        return part.masked_fill(~legal, -math.inf).log_softmax(-1)

    def _heads(self, choice: Tensor) -> list[tuple[int, Tensor, Tensor]]:
        """List (head, log-probabilities `[R, size]`, counts `[R]`) for the selector's values."""
        used = self.actions.used(self.mask, choice)
        everywhere = torch.ones_like(choice, dtype=torch.bool)
        return [
            (index, self._log_probs(index, choice), used[:, index] if index else everywhere)
            for index in range(self.actions.num_heads)
        ]

    def _sum_over_heads(self, figure: Any, choice: int | None) -> Tensor:
        total = torch.zeros_like(self.logits[:, 0])
        for index, log_probs, used in self._heads(self._choices(choice)):
            if choice is not None and index == 0:
                continue  # the selector's own share does not depend on its value
            total = total + torch.where(used, figure((index, choice), log_probs), 0.0)
        return total

    def _expect(self, figure: Any) -> Tensor:
        """Return the selector's figure plus the mean of the other heads' over its values."""
        log_probs = self._log_probs(0, None)
        total: Tensor = figure((0, None), log_probs)
        for choice in range(self.actions.heads[0].size):
            rest = self._sum_over_heads(figure, choice)
            total = total + log_probs[:, choice].exp() * rest
        return total

    def _sample_kernel(
        self, logits: Tensor, uniform: Tensor, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        plan, used_start = _plan(self.actions)
        action = np.empty(uniform.shape, np.int64)
        log_prob = np.empty(uniform.shape[0], np.float32)
        bad = sample_heads(
            logits.contiguous().numpy(),
            self.mask.contiguous().numpy(),
            plan,
            used_start,
            uniform.numpy(),
            deterministic,
            action,
            log_prob,
        )
        if bad >= 0:
            row, index = divmod(bad, self.actions.num_heads)
            raise ValueError(_no_legal_value(self.actions, row, index))
        return torch.from_numpy(action), torch.from_numpy(log_prob)

    def _sample_torch(
        self, logits: Tensor, uniform: Tensor, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        dist = MaskedHeads(self.actions, logits, self.mask)
        action = torch.zeros(uniform.shape, dtype=torch.int64, device=logits.device)
        for index in range(self.actions.num_heads):
            log_probs = dist._log_probs(index, action[:, 0])
            if deterministic:
                value = log_probs.argmax(-1)
            else:
                cdf = log_probs.exp().cumsum(-1)
                cdf = cdf / cdf[:, -1:]
                value = (cdf <= uniform[:, index, None]).sum(-1)
            used = self.actions.used(self.mask, action[:, 0])[:, index] if index else True
            action[:, index] = torch.where(torch.as_tensor(used, device=value.device), value, 0)
        return action, dist.log_prob(action)


class ClippedGaussian:
    """Draw from a Gaussian and clip to the bounds; what lies beyond counts as the bound itself.

    The log-probability of an action at a bound is the logarithm of the whole tail beyond it, so the
    distribution is that of the action which the environment is given (Fujita and Maeda 2018,
    "Clipped Action Policy Gradient").  Where both bounds of a number are finite, mean and standard
    deviation are in units of half its range around the centre.  Entropy and KL are those of the
    Gaussian before clipping.
    """

    def __init__(self, actions: ContinuousActions, mean: Tensor, log_std: Tensor) -> None:
        """Wrap `mean` `[R, D]` and the state-independent `log_std` `[D]`."""
        self.actions = actions
        self.mean = mean
        self.log_std = log_std

    def sample(
        self, generator: torch.Generator, *, deterministic: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Return actions `[R, D]` float32 within their bounds and their log-densities `[R]`."""
        mean = self.mean.detach()
        if not deterministic:
            noise = torch.randn(
                mean.shape, generator=generator, dtype=mean.dtype, device=mean.device
            )
            mean = mean + noise * self.log_std.detach().exp()
        centre, scale, low, high = self._bounds()
        action = torch.clamp(centre + scale * mean, low, high)
        with torch.no_grad():
            return action.float(), self.log_prob(action)

    def mode(self) -> Tensor:
        """Return the mean `[R, D]`, clipped to the bounds."""
        centre, scale, low, high = self._bounds()
        return torch.clamp(centre + scale * self.mean.detach(), low, high).float()

    def evaluate(self, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return log_prob `[R]` and entropy `[R]`; differentiable in mean and log_std."""
        return self.log_prob(action), self.entropy()

    def log_prob(self, action: Tensor) -> Tensor:
        """Return the log-density `[R]` of `action` `[R, D]`; log of the tail's mass at a bound."""
        centre, scale, low, high = self._bounds()
        score = ((action - centre) / scale - self.mean) * torch.exp(-self.log_std)
        inside = -0.5 * score.square() - self.log_std - 0.5 * math.log(2 * math.pi)
        at_low, at_high = action <= low, action >= high
        # The tail is evaluated at the bound; elsewhere a harmless 0 keeps its gradient finite.
        tail = torch.where(at_low, score, torch.where(at_high, -score, 0.0))
        return torch.where(at_low | at_high, torch.special.log_ndtr(tail), inside).sum(-1)

    def entropy(self, action: Tensor | None = None) -> Tensor:
        """Return the entropy `[R]` [nat] of the Gaussian before clipping; `action` is not used."""
        each = self.log_std + 0.5 * (1 + math.log(2 * math.pi))
        return each.sum().expand(self.mean.shape[0])

    def kl(self, other: ClippedGaussian) -> Tensor:
        """Return KL(self || other) `[R]` [nat] of the Gaussians before clipping."""
        ratio = torch.exp(2 * (self.log_std - other.log_std))
        gap = (self.mean - other.mean) * torch.exp(-other.log_std)
        return 0.5 * (ratio + gap.square() - 1 - ratio.log()).sum(-1)

    def _bounds(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return _bounds(self.actions, self.mean.device, self.mean.dtype)


class _EvaluateHeads(torch.autograd.Function):
    """Hand the kernels' log-probability, entropy and gradient to autograd."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, mask: Tensor, action: Tensor, actions: DiscreteActions
    ) -> tuple[Tensor, Tensor]:
        log_prob, entropy, ctx.pull = _pullback(logits.detach(), mask, action, actions)
        return log_prob, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.pull(grads[0].contiguous(), grads[1].contiguous()), None, None, None


def _pullback(
    logits: Tensor, mask: Tensor, action: Tensor, actions: DiscreteActions
) -> tuple[Tensor, Tensor, Pullback]:
    plan, used_start = _plan(actions)
    rows, heads = logits.shape[0], actions.num_heads
    log_prob, entropy = np.empty(rows, np.float32), np.empty(rows, np.float32)
    scores, taken = logits.contiguous().numpy(), action.contiguous().numpy()
    probs = np.empty(scores.shape, np.float32)
    log_norm, head_entropy = np.empty((2, rows, heads), np.float32)
    legal = mask.contiguous().numpy()
    bad = evaluate_heads(
        scores, legal, plan, used_start, taken, log_prob, entropy, probs, log_norm, head_entropy
    )
    if bad >= 0:
        row, index = divmod(bad, heads)
        raise ValueError(
            f"row {row}: value {int(action[row, index])} of head "
            f"{actions.heads[index].name!r} is not legal under the mask"
        )

    def pull(grad_log_prob: Tensor, grad_entropy: Tensor) -> Tensor:
        grad = np.empty(scores.shape, np.float32)
        grad_heads(
            scores,
            plan,
            taken,
            probs,
            log_norm,
            head_entropy,
            grad_log_prob.numpy(),
            grad_entropy.numpy(),
            grad,
        )
        return torch.from_numpy(grad)

    return torch.from_numpy(log_prob), torch.from_numpy(entropy), pull


def _entropy(log_probs: Tensor) -> Tensor:
    """Return the entropy of log-probabilities `[..., size]` in which -inf means impossible."""
    finite = torch.where(log_probs > -math.inf, log_probs, 0.0)
    return -(log_probs.exp() * finite).sum(-1)


def _no_legal_value(actions: DiscreteActions, row: int, index: int) -> str:
    return (
        f"row {row}: head {actions.heads[index].name!r} counts, but its mask has no legal value "
        "or its logits are not numbers"
    )


@lru_cache(maxsize=64)
def _plan(actions: DiscreteActions) -> tuple[np.ndarray, int]:
    return head_plan(actions)


@lru_cache(maxsize=64)
def _bounds(
    actions: ContinuousActions, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return centre, scale, low and high `[D]`; centre 0 and scale 1 where a bound is infinite."""
    with torch.inference_mode(False):  # kept beyond this call, so gradients must be able to use it
        low = torch.tensor(actions.low, device=device, dtype=dtype)
        high = torch.tensor(actions.high, device=device, dtype=dtype)
        finite = torch.isfinite(low) & torch.isfinite(high)
        centre = torch.where(finite, (low + high) / 2, 0.0)
        scale = torch.where(finite, (high - low) / 2, 1.0)
        return centre, scale, low, high
