"""Calibration and scores against numbers worked by hand, scikit-learn and known answers."""

import math

import numpy as np
import pytest
import torch

from simrl.core.actions import ContinuousActions
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.preferences import calibration
from simrl.preferences.dataset import PreferenceData
from simrl.preferences.reward_model import RewardEnsemble, RewardModelConfig
from simrl.preferences.scores import agreement, pair_accuracy, score_pairs, score_reward_model
from simrl.preferences.segment import SegmentBatch


def logit(*chances):
    return torch.tensor([math.log(c / (1 - c)) for c in chances])


def test_brier_and_likelihood_by_hand():
    x, y = logit(0.8, 0.8, 0.6), torch.tensor([1.0, 0.0, 0.5])
    assert calibration.brier_score(x, y) == pytest.approx((0.04 + 0.64 + 0.01) / 3)
    tie = -0.5 * (math.log(0.6) + math.log(0.4))
    wanted = (-math.log(0.8) - math.log(0.2) + tie) / 3
    assert calibration.negative_log_likelihood(x, y) == pytest.approx(wanted)


def test_calibration_error_by_hand():
    # Two bins.  Below 0.5: 0.2 and 0.4, outcomes 0 and 1: gap |0.3 - 0.5|.  Above: 0.9 three times,
    # outcomes 1, 1, 0.5: gap |0.9 - 2.5 / 3|.  Weighted 2 to 3.
    x = logit(0.2, 0.4, 0.9, 0.9, 0.9)
    y = torch.tensor([0.0, 1.0, 1.0, 1.0, 0.5])
    wanted = (2 * 0.2 + 3 * (0.9 - 2.5 / 3)) / 5
    assert calibration.calibration_error(x, y, bins=2) == pytest.approx(wanted, abs=1e-6)
    table = calibration.reliability(x, y, bins=4)
    assert table.count.tolist() == [1, 1, 0, 3]
    assert table.low.tolist() == [0.0, 0.25, 0.5, 0.75]
    assert table.predicted.tolist() == pytest.approx([0.2, 0.4, math.nan, 0.9], nan_ok=True)
    assert table.observed.tolist() == pytest.approx([0.0, 1.0, math.nan, 2.5 / 3], nan_ok=True)


def test_the_extremes_fall_into_the_outer_bins():
    table = calibration.reliability(torch.tensor([-1e3, 1e3]), torch.tensor([0.0, 1.0]))
    assert table.count[0] == 1 and table.count[14] == 1
    assert calibration.calibration_error(torch.tensor([-1e3, 1e3]), torch.tensor([0.0, 1.0])) == 0.0


@pytest.mark.parametrize("known", [0.3, 1.0, 4.0])
def test_the_temperature_that_was_put_in_comes_out(known):
    rng = torch.Generator().manual_seed(0)
    true = 2.0 * torch.randn(20_000, generator=rng)
    label = (torch.rand(20_000, generator=rng) < torch.sigmoid(true)).float()
    found = calibration.fit_temperature(true * known, label)
    # the slope of this logistic regression has a standard error of about 0.015
    assert found == pytest.approx(known, rel=0.06)
    sure = true * known
    assert calibration.calibration_error(sure / found, label) < 0.02
    if known != 1.0:
        assert calibration.calibration_error(sure, label) > 0.05


def test_a_model_that_is_always_right_is_made_as_sure_as_allowed():
    assert calibration.fit_temperature(torch.ones(5), torch.ones(5)) == pytest.approx(
        0.01, rel=0.01
    )
    assert calibration.fit_temperature(torch.ones(5), torch.zeros(5)) == pytest.approx(
        100, rel=0.01
    )


def test_auc_by_hand():
    # wins score 3 and 1, a tie 1, a loss 2.  win-loss: 3>2, 1<2; win-tie: 3>1, 1=1; tie-loss: 1<2
    score, label = torch.tensor([3.0, 1.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, 0.5, 0.0])
    assert calibration.tie_aware_auc(score, label) == pytest.approx((1 + 0 + 1 + 0.5 + 0) / 5)
    assert math.isnan(calibration.tie_aware_auc(score, torch.ones(4)))


def test_scores_agree_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(500, generator=rng).round(decimals=1)  # some are equal
    y = (torch.rand(500, generator=rng) < torch.sigmoid(x)).float()
    chance = torch.sigmoid(x.double()).numpy()
    assert calibration.tie_aware_auc(x, y) == pytest.approx(metrics.roc_auc_score(y, x))
    assert calibration.brier_score(x, y) == pytest.approx(metrics.brier_score_loss(y, chance))
    assert calibration.negative_log_likelihood(x, y) == pytest.approx(metrics.log_loss(y, chance))
    assert pair_accuracy(x + 1e-3, y) == pytest.approx(metrics.accuracy_score(y, x >= 0))
    model, people = np.sign(x.numpy()), torch.randint(0, 3, (500,), generator=rng) / 2.0
    found = agreement(x, people)
    assert found["share"] == pytest.approx(np.mean(model == np.sign(people.numpy() - 0.5)))
    kappa = metrics.cohen_kappa_score(model, np.sign(people.numpy() - 0.5))
    assert found["kappa"] == pytest.approx(kappa)


def test_ties_do_not_count_in_the_accuracy_and_equal_scores_are_wrong():
    x, y = torch.tensor([1.0, -1.0, 0.0, 5.0]), torch.tensor([1.0, 1.0, 0.0, 0.5])
    assert pair_accuracy(x, y) == pytest.approx(1 / 3)
    assert math.isnan(pair_accuracy(x[3:], y[3:]))
    scores = score_pairs(x, y)
    assert (scores.pairs, scores.ties) == (4, 1)


def test_agreement_can_call_a_tie():
    x, people = logit(0.52, 0.9, 0.1, 0.9), torch.tensor([0.5, 1.0, 1.0, 1.0])
    assert agreement(x, people)["share"] == 0.5
    assert agreement(x, people, tie_margin=0.05)["share"] == 0.75
    assert math.isnan(agreement(x[1:2], people[1:2])["kappa"])  # one answer always: nothing beyond


@pytest.mark.parametrize(
    "given", [(torch.zeros(0), torch.zeros(0)), (torch.zeros(2), torch.ones(3))]
)
def test_shapes_are_checked(given):
    with pytest.raises(ValueError, match="expected logits and labels"):
        calibration.brier_score(*given)


def test_a_model_is_scored_before_and_after_calibration():
    spec = EnvSpec(
        "made-up",
        1,
        {"policy": Layout((vector("x", Column("x")),))},
        ContinuousActions((-1,), (1,)),
    )
    config = RewardModelConfig(members=2, hidden=(), output="linear", use_action=False)
    ensemble = RewardEnsemble(spec, config)
    with torch.no_grad():
        ensemble.weights[0].fill_(5.0)  # five times too sure
    rng = torch.Generator().manual_seed(0)

    def pairs(size):
        obs = torch.randn(2, size, 3, 1, generator=rng)
        sides = [
            SegmentBatch(
                obs=side,
                action=torch.zeros(size, 3, 1),
                reward=side[..., 0],
                reward_terms=torch.zeros(size, 3, 0),
                length=torch.full((size,), 3),
                terminated=torch.zeros(size, dtype=torch.bool),
                episode=torch.arange(size),
            )
            for side in obs
        ]
        chance = torch.sigmoid(sides[0].reward.sum(1) - sides[1].reward.sum(1))
        data = PreferenceData()
        data.add(*sides, (torch.rand(size, generator=rng) < chance).float())
        return data

    sets = {"on policy": pairs(2000), "off policy": pairs(50), "none": PreferenceData()}
    scores = score_reward_model(ensemble, sets, pairs(4000))
    assert scores.temperature == pytest.approx(5.0, rel=0.1)
    assert float(ensemble.temperature) == pytest.approx(scores.temperature)
    assert set(scores.before) == set(scores.after) == {"on policy", "off policy"}
    before, after = scores.before["on policy"], scores.after["on policy"]
    assert after.ece < 0.05 < before.ece and after.nll < before.nll
    assert after.accuracy == before.accuracy and after.auc == before.auc
    assert score_reward_model(ensemble, sets).temperature == 1.0
