"""Losses that turn people's answers into gradients of a reward; pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def bradley_terry(logit: Tensor, label: Tensor, noise: float = 0.0) -> Tensor:
    """Return the negative log-likelihood of each answer [nat], the shape of `logit`.

    P(first is better) = (1 - noise) σ(logit) + noise / 2, where `logit` is the return of the first
    segment minus that of the second, and `noise` the share of answers that are thought to be given
    at random (Christiano et al. 2017, "Deep reinforcement learning from human preferences", take
    10 %).  The loss is the cross-entropy with `label`, the probability that the first is better:
    0.5 is a tie, which pulls the returns together.

    ValueError if `noise` is not within 0 and 1.
    """
    check_noise(noise)
    label = label.expand_as(logit)
    if noise == 0.0:
        return F.binary_cross_entropy_with_logits(logit, label, reduction="none")
    first = torch.log((1.0 - noise) * torch.sigmoid(logit) + 0.5 * noise)
    second = torch.log((1.0 - noise) * torch.sigmoid(-logit) + 0.5 * noise)
    return -(label * first + (1.0 - label) * second)


def bradley_terry_slope(logit: Tensor, label: Tensor, noise: float = 0.0) -> Tensor:
    """Return the derivative of `bradley_terry` by `logit`, the shape of `logit`.

    For gradients that are worked out by hand; without noise it is σ(logit) - label.
    """
    chance = torch.sigmoid(logit)
    if noise == 0.0:
        return chance - label
    first = (1.0 - noise) * chance + 0.5 * noise  # P(first is better)
    # d loss / d P = (P - label) / (P (1 - P)), and d P / d logit = (1 - noise) σ (1 - σ).
    inner = (1.0 - noise) * chance * (1.0 - chance)
    return (first - label) * inner / (first * (1.0 - first))


def check_noise(noise: float) -> None:
    """Raise ValueError unless `noise` is at least 0 and below 1."""
    if not 0.0 <= noise < 1.0:
        raise ValueError(f"label noise must be at least 0 and below 1, got {noise}")


def thumbs(logit: Tensor, up: Tensor) -> Tensor:
    """Return the negative log-likelihood of thumbs up or down [nat], the shape of `logit`.

    `logit` is the segment's return above the value at which a person is undecided; `up` is 1, 0, or
    a probability between.
    """
    return F.binary_cross_entropy_with_logits(logit, up.expand_as(logit), reduction="none")


def rating(score: Tensor, level: Tensor, thresholds: Tensor) -> Tensor:
    """Return the negative log-likelihood of ratings on an ordered scale [nat], `[M]`.

    The cumulative logit model (McCullagh 1980, "Regression models for ordinal data"):
    P(level <= k) = σ(thresholds[k] - score).

    score: return of each segment `[M]`; level: its rating `[M]` int64 from 0 to K - 1; thresholds:
    ascending `[K - 1]`.  ValueError names a level that is not on the scale.
    """
    levels = len(thresholds) + 1
    if len(level) and not bool(((level >= 0) & (level < levels)).all()):
        raise ValueError(
            f"ratings must be 0 to {levels - 1}, got {int(level.min())} to {int(level.max())}"
        )
    far = thresholds.new_tensor([torch.inf])
    edges = torch.cat([-far, thresholds, far])
    upper, lower = edges[level + 1] - score, edges[level] - score
    # log(σ(u) - σ(l)) = log σ(u) + log σ(-l) + log(1 - e^(l - u)), which keeps its digits far out.
    return -(F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper)))
