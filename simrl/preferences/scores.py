"""Score a reward model on pairs that it has not learned from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from simrl.preferences.calibration import (
    Reliability,
    brier_score,
    calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    tie_aware_auc,
)
from simrl.preferences.dataset import PreferenceData
from simrl.preferences.reward_model import RewardEnsemble


@dataclass(frozen=True)
class PairScores:
    """Hold what was measured on one set of pairs."""

    pairs: int
    """Pairs that were scored."""
    ties: int
    """Pairs among them that are called a tie; they do not count in `accuracy`."""
    accuracy: float
    """Share of the other pairs that are ranked as labelled; equal scores are wrong."""
    nll: float
    """Negative log-likelihood [nat]; a coin has 0.693."""
    brier: float
    """Brier score; a coin has 0.25."""
    ece: float
    """Expected calibration error over 15 bins."""
    auc: float
    """Area under the ROC curve, ties being a level of their own."""
    reliability: Reliability
    """Predictions and outcomes by bin."""


@dataclass(frozen=True)
class RewardScores:
    """Hold the scores of a reward model, before and after calibration."""

    temperature: float
    """Temperature that was fitted on the calibration pairs; 1 if there were none."""
    before: Mapping[str, PairScores]
    """Scores of the logits as they are, by the name of the set."""
    after: Mapping[str, PairScores]
    """The same with logits divided by the temperature."""


def score_pairs(logit: Tensor, label: Tensor) -> PairScores:
    """Score predictions by their logits `[P]` of "the first is better" and the labels `[P]`.

    ValueError if there are no pairs.
    """
    return PairScores(
        pairs=len(label),
        ties=int((label == 0.5).sum()),
        accuracy=pair_accuracy(logit, label),
        nll=negative_log_likelihood(logit, label),
        brier=brier_score(logit, label),
        ece=calibration_error(logit, label),
        auc=tie_aware_auc(logit, label),
        reliability=reliability(logit, label),
    )


def pair_accuracy(logit: Tensor, label: Tensor) -> float:
    """Return the share of pairs that are ranked as labelled; NaN if all are ties."""
    decided, right = ranked(logit, label)
    return right / decided if decided else math.nan


def ranked(logit: Tensor, label: Tensor) -> tuple[int, int]:
    """Count the pairs that are no tie, and those of them that are ranked as labelled."""
    decided = label != 0.5
    right = ((logit > 0) == (label > 0.5)) & (logit != 0) & decided
    return int(decided.sum()), int(right.sum())


def score_reward_model(
    ensemble: RewardEnsemble,
    sets: Mapping[str, PreferenceData],
    calibration: PreferenceData | None = None,
) -> RewardScores:
    """Score `ensemble` on named sets of pairs, such as "on policy" and "off policy".

    Every set must be held out by trajectory (`PreferenceData.split`).  With `calibration` pairs
    (held out too, and of other trajectories than the sets) the temperature is fitted on them and
    stored in the ensemble.  Empty sets are left out.
    """
    temperature = 1.0
    if calibration is not None and len(calibration):
        logit = mean_logit(ensemble, calibration)
        temperature = fit_temperature(logit, calibration.label)
        ensemble.temperature.fill_(temperature)
    logits = {name: mean_logit(ensemble, data) for name, data in sets.items() if len(data)}
    labels = {name: sets[name].label for name in logits}
    return RewardScores(
        temperature=temperature,
        before={name: score_pairs(logits[name], labels[name]) for name in logits},
        after={name: score_pairs(logits[name] / temperature, labels[name]) for name in logits},
    )


def mean_logit(ensemble: RewardEnsemble, data: PreferenceData) -> Tensor:
    """Return the members' mean logit of "the first is better" `[P]`, on the CPU."""
    device = ensemble.zero.device
    return ensemble.logits(data.first.to(device), data.second.to(device)).mean(0).cpu()


def agreement(logit: Tensor, answer: Tensor, tie_margin: float = 0.0) -> Mapping[str, float]:
    """Compare the model's answers with people's, as two annotators are compared.

    logit: `[P]`; answer: labels of people `[P]`.  Where |σ(logit) - 0.5| is at most `tie_margin`,
    the model calls a tie.  Returns "share" (the same answer) and "kappa" (Cohen 1960, the share
    beyond chance; NaN if both always give the same one answer).
    """
    chance = torch.sigmoid(logit.double()) - 0.5
    model = torch.where(chance.abs() <= tie_margin, torch.zeros_like(chance), chance.sign()).long()
    people = (answer.double() - 0.5).sign().long()
    share = float((model == people).double().mean())
    by_chance = sum(
        float((model == value).double().mean() * (people == value).double().mean())
        for value in (-1, 0, 1)
    )
    kappa = (share - by_chance) / (1.0 - by_chance) if by_chance < 1.0 else math.nan
    return {"share": share, "kappa": kappa}
