"""The loss terms against numbers worked by hand and finite differences in float64."""

import math

import pytest
import torch

from simrl.learn import losses


def logs(*ratios):
    return torch.tensor(ratios, dtype=torch.float64).log()


def policy_loss(ratio, advantage, **options):
    old = torch.zeros(1, dtype=torch.float64)
    advantages = torch.tensor([advantage], dtype=torch.float64)
    return losses.policy_loss(logs(ratio), old, advantages, 0.2, **options).item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "plain", "dual"),
    [
        (1.1, 2.0, -2.2, -2.2),  # within the clip: -r A
        (1.5, 2.0, -2.4, -2.4),  # gone far enough: -1.2 * 2
        (0.5, 2.0, -1.0, -1.0),  # moved the wrong way: -0.5 * 2, not clipped
        (0.5, -2.0, 1.6, 1.6),  # gone far enough: 0.8 * 2
        (1.5, -2.0, 3.0, 3.0),  # the wrong way: 1.5 * 2
        (9.0, -2.0, 18.0, 6.0),  # and far: the dual clip bounds it by 3 * 2
        (9.0, 2.0, -2.4, -2.4),  # the dual clip is for negative advantages alone
    ],
)
def test_policy_loss_by_hand(ratio, advantage, plain, dual):
    assert policy_loss(ratio, advantage) == pytest.approx(plain)
    assert policy_loss(ratio, advantage, dual_clip=3.0) == pytest.approx(dual)


def test_value_loss_by_hand():
    value, old, returns = torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([4.0])
    assert losses.value_loss(value, old, returns).item() == pytest.approx(0.5)
    # kept within 1 ± 0.5 the value is 1.5, 2.5 away from 4: 0.5 * 6.25
    assert losses.value_loss(value, old, returns, clip=0.5).item() == pytest.approx(3.125)
    # where the value itself is further away, it counts: 0.5 * 49
    far = losses.value_loss(torch.tensor([-3.0]), old, returns, clip=0.5)
    assert far.item() == pytest.approx(24.5)


def test_approx_kl_by_hand_and_against_the_exact():
    # (2 - 1 - log 2 + 0.5 - 1 - log 0.5) / 2 = 0.25
    value = losses.approx_kl(logs(2.0, 0.5), torch.zeros(2, dtype=torch.float64))
    assert value.item() == pytest.approx(0.25)
    # Weighted by the old policy, it is the exact KL: p = (1/4, 3/4), q = (1/2, 1/2).
    each = [losses.approx_kl(logs(r), logs(1.0)).item() for r in (2.0, 2 / 3)]
    exact = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert 0.25 * each[0] + 0.75 * each[1] == pytest.approx(exact)


def test_clip_fraction_and_explained_variance_by_hand():
    share = losses.clip_fraction(logs(1.0, 1.1, 1.3, 0.7), torch.zeros(4), 0.2)
    assert share.item() == pytest.approx(0.5)
    returns = torch.tensor([1.0, 2.0, 3.0])
    assert losses.explained_variance(returns, returns).item() == pytest.approx(1.0)
    assert losses.explained_variance(torch.zeros(3), returns).item() == pytest.approx(0.0)
    # errors 0.5, 0, -0.5 vary a quarter as much as 1, 2, 3
    near = torch.tensor([1.5, 2.0, 2.5])
    assert losses.explained_variance(near, returns).item() == pytest.approx(0.75)


def test_normalised_by_hand():
    result = losses.normalised(torch.tensor([1.0, 3.0, 5.0, 7.0]))
    root = math.sqrt(5.0)
    assert result.tolist() == pytest.approx([-3 / root, -1 / root, 1 / root, 3 / root])


def test_losses_against_finite_differences():
    generator = torch.Generator().manual_seed(0)
    log_prob = torch.randn(30, generator=generator, dtype=torch.float64, requires_grad=True)
    old = log_prob.detach() + 0.4 * torch.randn(30, generator=generator, dtype=torch.float64)
    advantage = torch.randn(30, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: losses.policy_loss(x, old, advantage, 0.2, 1.3), log_prob
    )
    value = torch.randn(30, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: losses.value_loss(x, old, advantage, 0.3), value)
    assert torch.autograd.gradcheck(lambda x: losses.approx_kl(x, old), log_prob)
