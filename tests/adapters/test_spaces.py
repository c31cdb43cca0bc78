"""Replacing illegal actions."""

import numpy as np
import pytest
import torch

from simrl.adapters.spaces import (
    accept_action,
    check_on_illegal,
    observation_parts,
    parts_space,
    replace_illegal,
)
from simrl.core.actions import DiscreteActions, Head
from simrl.core.checks import random_action
from simrl.core.plugins import make_env
from simrl.core.spec import Block, Column, Layout, vector

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


LAYOUT = Layout(
    (
        vector("speed", Column("v", 0.0, 20.0)),
        Block("units", (2, 1), (Column("hp", 0.0, 9.0),), kind="table"),
        Block("picture", (1, 2, 3), (Column("grey", -1.0, 1.0),), kind="map"),
    )
)


def test_parts_are_the_blocks_and_maps_are_pictures_of_bytes():
    space = parts_space(LAYOUT)
    assert list(space.spaces) == ["picture", "speed", "units"]
    assert space["picture"].dtype == np.uint8 and space["picture"].shape == (1, 2, 3)
    assert space["speed"].high.tolist() == [20.0] and space["units"].shape == (2, 1)
    # -1 is 0, 1 is 255, 0 lies between 127 and 128, 0.2 is 0.6 * 255 = 153; beyond is clipped.
    row = [7.0, 1.0, 2.0, -1.0, 1.0, 0.2, 0.0, 3.0, -2.0]
    parts = observation_parts(LAYOUT, torch.tensor([row, row]))
    assert parts["picture"][1].tolist() == [[[0, 255, 153], [128, 255, 0]]]
    assert parts["speed"].tolist() == [[7.0], [7.0]] and parts["units"][0].tolist() == [[1], [2]]
    assert space.contains({name: value[0] for name, value in parts.items()})


def test_a_map_with_more_channels_than_rows_is_no_picture():
    columns = tuple(Column(f"c{k}") for k in range(5))
    with pytest.raises(ValueError, match="block 'board': a picture has fewer channels"):
        parts_space(Layout((Block("board", (5, 3, 3), columns, kind="map"),)))
