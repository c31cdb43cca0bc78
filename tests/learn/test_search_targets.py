"""Losses of learning from searches, against numbers worked by hand and torch's own functions."""

import math

import pytest
import torch
from torch.nn import functional as F

from simrl.learn.search_targets import (
    mixed_value_target,
    outcome_returns,
    search_policy_loss,
    search_value_loss,
    target_entropy,
)


def test_cross_entropy_by_hand():
    # p = (1/2, 1/4, 1/4), target = (1/2, 1/2, 0): 1/2 ln 2 + 1/2 ln 4 = 3/2 ln 2.
    log_probs = torch.tensor([[0.5, 0.25, 0.25]]).log()
    target = torch.tensor([[0.5, 0.5, 0.0]])
    assert search_policy_loss(log_probs, target).item() == pytest.approx(1.5 * math.log(2))
    # The entropy of the target is ln 2: what is left is the divergence, 1/2 ln 2.
    assert target_entropy(target).item() == pytest.approx(math.log(2))


def test_cross_entropy_is_torchs():
    torch.manual_seed(0)
    logits, target = torch.randn(5, 7), torch.rand(5, 7).softmax(-1)
    expected = F.cross_entropy(logits, target, reduction="none")
    assert torch.allclose(search_policy_loss(logits.log_softmax(-1), target), expected)


def test_slots_that_are_not_legal_neither_cost_nor_move():
    logits = torch.tensor([[0.0, 1.0, 5.0]], requires_grad=True)
    legal = torch.tensor([[True, True, False]])
    log_probs = logits.masked_fill(~legal, -torch.inf).log_softmax(-1)
    loss = search_policy_loss(log_probs, torch.tensor([[0.25, 0.75, 0.0]]))
    loss.sum().backward()
    # The gradient of a cross-entropy is p - target; p = (1, e) / (1 + e).
    p = math.e / (1 + math.e)
    assert torch.isfinite(loss).all()
    assert torch.allclose(logits.grad, torch.tensor([[1 - p - 0.25, p - 0.75, 0.0]]))


def test_value_target_lies_between_outcome_and_search():
    outcome, searched = torch.tensor([1.0, -1.0]), torch.tensor([0.0, -0.5])
    # 3/4 of the outcome and 1/4 of the search: 3/4, and -3/4 - 1/8.
    assert mixed_value_target(outcome, searched, 0.25).tolist() == [0.75, -0.875]
    assert mixed_value_target(outcome, searched, 0.0).tolist() == [1.0, -1.0]
    with pytest.raises(ValueError, match=r"must be from 0 to 1, got 1\.5"):
        mixed_value_target(outcome, searched, 1.5)


def test_squared_error_by_hand():
    loss = search_value_loss(torch.tensor([0.5, -1.0]), torch.tensor([1.0, 1.0]))
    assert loss.tolist() == [0.25, 4.0]


def test_returns_by_hand():
    rewards = torch.tensor([[0.0, 0.0], [1.0, -1.0], [2.0, 0.0]])
    # gamma 1/2: 2, then 1 + 1 = 2, then 0 + 1 = 1; the other agent: 0, -1, -1/2.
    assert outcome_returns(rewards, 0.5).tolist() == [[1.0, -0.5], [2.0, -1.0], [2.0, 0.0]]
