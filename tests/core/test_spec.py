"""Layouts, blocks and environment specs."""

import pytest
import torch

from simrl.core.actions import DiscreteActions, Head
from simrl.core.spec import Block, Column, EnvSpec, Layout, vector

UNITS = Block(
    "units", (2, 2), (Column("here", 0, 1), Column("hp", 0, 9)), kind="table", present="here"
)
MAP = Block("map", (1, 2, 2), (Column("wall", 0, 1),), kind="map")
LAYOUT = Layout((vector("own", Column("x", -3, 3, "m")), UNITS, MAP))


def test_slices_sizes_and_names():
    assert LAYOUT.size == 1 + 4 + 4
    assert LAYOUT.slices == {"own": slice(0, 1), "units": slice(1, 5), "map": slice(5, 9)}
    assert LAYOUT.names() == [
        "own.x",
        *("units[0].here", "units[0].hp", "units[1].here", "units[1].hp"),
        *("map.wall[0,0]", "map.wall[0,1]", "map.wall[1,0]", "map.wall[1,1]"),
    ]


def test_split_gives_views_in_shape():
    x = torch.arange(18.0).view(2, 9)
    parts = LAYOUT.split(x)
    assert parts["units"][1].tolist() == [[10, 11], [12, 13]]
    assert parts["map"].shape == (2, 1, 2, 2)
    parts["own"][0, 0] = 99
    assert x[0, 0] == 99
    with pytest.raises(ValueError, match="last axis of 9 floats"):
        LAYOUT.split(x[:, :8])


def test_bounds_follow_columns():
    low, high = LAYOUT.bounds()
    assert low.tolist() == [-3, 0, 0, 0, 0, 0, 0, 0, 0]
    assert high.tolist() == [3, 1, 9, 1, 9, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Block("b", (2,), (Column("x"),)), "needs 2 columns, 1 were given"),
        (lambda: Block("b", (1,), (Column("x"),), kind="table"), "a table has 2 axes"),
        (lambda: Block("b", (1,), (Column("x"),), kind="cube"), "the kinds are vector, table, map"),
        (lambda: UNITS.column_index("mana"), "its columns are here, hp"),
        (lambda: Block("b", (1, 1), (Column("x"),), "table", present="y"), "no column 'y'"),
        (lambda: LAYOUT.block("items"), "the blocks are own, units, map"),
        (lambda: Layout((MAP, MAP)), "must be unique"),
    ],
)
def test_errors_name_the_valid_choices(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def _spec(**options):
    values = {
        "id": "game",
        "num_agents": 2,
        "observations": {"policy": LAYOUT},
        "actions": DiscreteActions((Head("a", 2),)),
    }
    return EnvSpec(**{**values, **options})


def test_defaults_of_a_spec():
    spec = _spec()
    assert spec.teams == (0, 1)
    assert spec.agent_names == ("agent_0", "agent_1")
    assert spec.value_groups == ("reward",)


def test_value_groups_keep_the_order_of_first_use():
    spec = _spec(
        reward_terms=("win", "gold", "kill"),
        reward_weights=(1.0, 0.1, 0.5),
        reward_groups=("win", "farm", "win"),
    )
    assert spec.value_groups == ("win", "farm")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_agents": 0}, "at least 1, got 0"),
        ({"observations": {"state": LAYOUT}}, "need a group 'policy'"),
        ({"reward_terms": ("win",)}, "reward_weights has 0 entries for 1"),
        ({"teams": (0,)}, "need 2 entries"),
    ],
)
def test_errors_of_a_spec(options, message):
    with pytest.raises(ValueError, match=message):
        _spec(**options)
