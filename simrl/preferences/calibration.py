"""Measure whether predicted probabilities mean what they say, and make them do so.

All functions take the logits of "the first is better" `[P]` and the labels `[P]`: 1, 0, or 0.5 for
a tie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import rankdata
from torch import Tensor

from simrl.preferences.losses import bradley_terry

NUM_BINS = 15
"""Bins of the calibration error (Guo et al. 2017)."""


@dataclass(frozen=True)
class Reliability:
    """Hold the predictions in bins of equal width over 0 to 1."""

    low: np.ndarray
    """Lower edge of each bin `[bins]`."""
    predicted: np.ndarray
    """Mean predicted probability `[bins]`; NaN in an empty bin."""
    observed: np.ndarray
    """Mean label `[bins]`; NaN in an empty bin."""
    count: np.ndarray
    """Predictions in each bin `[bins]`."""


def fit_temperature(logit: Tensor, label: Tensor) -> float:
    """Return the temperature T that makes σ(logit / T) most likely, within 0.01 and 100.

    Fit it on held-out pairs: on those that were learned from, a model looks sure for good reason.
    Guo et al. 2017, "On calibration of modern neural networks".  ValueError if there are no pairs.
    """
    _check(logit, label)
    logit, label = logit.double(), label.double()

    def cost(log_temperature: float) -> float:
        return float(bradley_terry(logit / np.exp(log_temperature), label).mean())

    # The likelihood is convex in 1 / T, so it has one valley in log T as well.
    bounds = (float(np.log(0.01)), float(np.log(100.0)))
    found = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def negative_log_likelihood(logit: Tensor, label: Tensor) -> float:
    """Return the mean cross-entropy of predictions and labels [nat]."""
    _check(logit, label)
    return float(bradley_terry(logit.double(), label.double()).mean())


def brier_score(logit: Tensor, label: Tensor) -> float:
    """Return the mean squared difference of predicted probability and label.

    Brier 1950, "Verification of forecasts expressed in terms of probability", for two classes
    counted once: 0 is perfect, 0.25 is a coin.
    """
    _check(logit, label)
    return float((torch.sigmoid(logit.double()) - label.double()).square().mean())


def reliability(logit: Tensor, label: Tensor, bins: int = NUM_BINS) -> Reliability:
    """Sort the predictions into `bins` of equal width."""
    _check(logit, label)
    chance = torch.sigmoid(logit.double()).cpu().numpy()
    outcome = label.double().cpu().numpy()
    index = np.minimum((chance * bins).astype(np.int64), bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(index, chance, bins) / count
        observed = np.bincount(index, outcome, bins) / count
    return Reliability(np.arange(bins) / bins, predicted, observed, count)


def calibration_error(logit: Tensor, label: Tensor, bins: int = NUM_BINS) -> float:
    """Return the expected calibration error: mean gap of prediction and outcome over the bins.

    Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning", in the
    form for two classes: the gap of each bin counts by its share of the predictions.
    """
    table = reliability(logit, label, bins)
    full = table.count > 0
    gap = np.abs(table.predicted[full] - table.observed[full])
    return float((gap * table.count[full]).sum() / table.count.sum())


def tie_aware_auc(score: Tensor, label: Tensor) -> float:
    """Return the area under the ROC curve, ties being a level of their own, within 0 and 1.

    Of every two answers whose labels differ, it is the share in which the higher label has the
    higher score (half a point for equal scores).  A pair that people call a tie should so score
    between the pairs that they do not; without ties it is the usual area.  NaN if all labels agree.
    """
    _check(score, label)
    scores, labels = score.double().cpu().numpy(), label.double().cpu().numpy()
    won, compared = 0.0, 0
    levels = np.unique(labels)
    for low in range(len(levels)):
        for high in range(low + 1, len(levels)):
            below, above = scores[labels == levels[low]], scores[labels == levels[high]]
            ranks = rankdata(np.concatenate([above, below]))[: len(above)]
            won += ranks.sum() - 0.5 * len(above) * (len(above) + 1)  # Mann-Whitney's U
            compared += len(above) * len(below)
    return float(won / compared) if compared else float("nan")


def _check(logit: Tensor, label: Tensor) -> None:
    if logit.shape != label.shape or logit.ndim != 1 or not len(logit):
        raise ValueError(
            f"expected logits and labels [P] of at least one pair, got {tuple(logit.shape)} and "
            f"{tuple(label.shape)}"
        )
