"""Replacing illegal actions."""

import pytest
import torch

from simrl.adapters.spaces import accept_action, check_on_illegal, replace_illegal
from simrl.core.actions import DiscreteActions, Head
from simrl.core.checks import random_action
from simrl.core.plugins import make_env

ONE = DiscreteActions((Head("move", 5),))


@pytest.mark.parametrize(
    ("wanted", "played"), [(0, 1), (1, 1), (2, 3), (3, 3), (4, 1), (7, 3), (-1, 1)]
)
def test_next_legal_value_in_a_circle(wanted, played):
    # Legal are 1 and 3; 7 is 2 in the circle of 5 and so becomes 3; -1 is 4 and becomes 1.
    mask = torch.tensor([[False, True, False, True, False]])
    assert replace_illegal(ONE, mask, torch.tensor([[wanted]])).tolist() == [[played]]


def test_every_replaced_action_is_legal_and_legal_ones_stay():
    env = make_env("identity-heads", 500)
    obs, rng = env.reset(0), torch.Generator().manual_seed(0)
    sizes = torch.tensor([head.size for head in env.spec.actions.heads])
    wild = (torch.rand(500, 1, 3, generator=rng) * sizes).long()
    played, illegal = accept_action(env.spec, obs["action_mask"], wild, "replace")
    assert env.spec.actions.legal(obs["action_mask"], played).all()
    assert 100 < int(illegal.sum()) < 500
    good = random_action(env.spec, obs, rng)
    played, illegal = accept_action(env.spec, obs["action_mask"], good, "replace")
    assert torch.equal(played, good) and not illegal.any()


def test_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="'replace' or 'raise', got 'ignore'"):
        check_on_illegal("ignore")
