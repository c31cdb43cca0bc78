"""Label losses against numbers worked by hand and finite differences in float64."""

import math

import pytest
import torch

from simrl.preferences import losses


def t64(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_bradley_terry_by_hand():
    # odds of 3 to 1: P = 0.75, so -log 0.75 if the first won and -log 0.25 if the second did
    logit = t64(math.log(3.0)).expand(3)
    value = losses.bradley_terry(logit, t64(1.0, 0.0, 0.5))
    tie = -0.5 * (math.log(0.75) + math.log(0.25))
    assert value.tolist() == pytest.approx([-math.log(0.75), -math.log(0.25), tie])


def test_noise_by_hand():
    # P = 0.8 * 0.75 + 0.1 = 0.7
    value = losses.bradley_terry(t64(math.log(3.0)).expand(2), t64(1.0, 0.0), noise=0.2)
    assert value.tolist() == pytest.approx([-math.log(0.7), -math.log(0.3)])


def test_noise_bounds_what_one_wrong_answer_costs():
    # a model that is sure of the opposite pays at most -log(noise / 2) = -log 0.05
    value = losses.bradley_terry(torch.tensor([1e4]), torch.tensor([0.0]), noise=0.1)
    assert value.item() == pytest.approx(-math.log(0.05))
    assert losses.bradley_terry(torch.tensor([1e4]), torch.tensor([0.0])).item() == 1e4


def test_a_tie_pulls_the_returns_together():
    logit = t64(-3.0, 0.0, 2.0).requires_grad_()
    losses.bradley_terry(logit, t64(0.5, 0.5, 0.5)).sum().backward()
    assert logit.grad[0] < 0 < logit.grad[2] and logit.grad[1] == 0


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.6])
def test_bradley_terry_by_finite_differences(noise):
    logit = t64(-6.0, -1.3, 0.0, 0.4, 5.0).requires_grad_()
    label = t64(1.0, 0.0, 0.5, 0.2, 1.0)
    assert torch.autograd.gradcheck(lambda x: losses.bradley_terry(x, label, noise), logit)
    step = 1e-6
    ahead = losses.bradley_terry(logit.detach() + step, label, noise)
    behind = losses.bradley_terry(logit.detach() - step, label, noise)
    slope = losses.bradley_terry_slope(logit.detach(), label, noise)
    torch.testing.assert_close(slope, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)


def test_slopes_stay_finite_far_out():
    logit = torch.tensor([-200.0, 200.0])
    for noise in (0.0, 0.1):
        for label in (0.0, 0.5, 1.0):
            slope = losses.bradley_terry_slope(logit, torch.tensor(label), noise)
            assert torch.isfinite(slope).all()


def test_members_share_the_labels():
    logit = torch.zeros(3, 2)
    assert losses.bradley_terry(logit, torch.tensor([1.0, 0.0])).shape == (3, 2)


@pytest.mark.parametrize("noise", [-0.1, 1.0])
def test_noise_must_be_a_share(noise):
    with pytest.raises(ValueError, match="label noise must be at least 0 and below 1"):
        losses.bradley_terry(torch.zeros(1), torch.zeros(1), noise)


def test_thumbs_by_hand_and_by_finite_differences():
    value = losses.thumbs(t64(math.log(4.0)).expand(2), t64(1.0, 0.0))
    assert value.tolist() == pytest.approx([-math.log(0.8), -math.log(0.2)])
    logit = t64(-2.0, 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: losses.thumbs(x, t64(1.0, 0.0)), logit)


def test_ratings_by_hand():
    # thresholds at ±log 3 and score 0: P(low) = σ(-log 3) = 1/4, P(middle) = 1/2, P(high) = 1/4
    edges = t64(-math.log(3.0), math.log(3.0))
    value = losses.rating(t64(0.0, 0.0, 0.0), torch.tensor([0, 1, 2]), edges)
    assert value.exp().tolist() == pytest.approx([4.0, 2.0, 4.0])


def test_ratings_are_probabilities_and_keep_their_digits():
    edges = t64(-1.0, 0.2, 2.0)
    for score in (-3.0, 0.0, 7.0):
        levels = torch.arange(4)
        chances = (-losses.rating(t64(score).expand(4), levels, edges)).exp()
        assert chances.sum().item() == pytest.approx(1.0)
    far = losses.rating(t64(60.0), torch.tensor([1]), edges)
    # σ(0.2 - 60) - σ(-1 - 60) = e^-60 (e^0.2 - e^-1) to within e^-60
    assert far.item() == pytest.approx(60.0 - math.log(math.exp(0.2) - math.exp(-1.0)))


def test_ratings_by_finite_differences():
    score = t64(-1.0, 0.3, 2.0, 0.5).requires_grad_()
    edges = t64(-1.0, 0.2, 2.0).requires_grad_()
    level = torch.tensor([0, 1, 2, 3])
    assert torch.autograd.gradcheck(lambda s, e: losses.rating(s, level, e), (score, edges))
    with pytest.raises(ValueError, match="ratings must be 0 to 3, got 1 to 4"):
        losses.rating(score[:2], torch.tensor([1, 4]), edges)
