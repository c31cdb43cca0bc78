"""Encoders: masked pooling, row independence, and the fused pooling against plain autograd."""

import pytest
import torch

from simrl.core.spec import Block, Column, Layout, vector
from simrl.nn.encoders import EncoderConfig, ObsEncoder, TableEncoder


def columns(count):
    return tuple(Column(f"c{index}") for index in range(count))


UNITS = Block("units", (4, 3), (*columns(2), Column("present", 0, 1)), "table", "present")
LAYOUT = Layout(
    (
        vector("own", *columns(5)),
        UNITS,
        Block("map", (2, 6, 6), columns(2), "map"),
        vector("globals", *columns(2)),
    )
)


def units(rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, 3, generator=generator)
    x[..., 2] = (torch.rand(rows, 4, generator=generator) < 0.5).float()
    x[0, :, 2] = 0.0  # one row of the batch has no unit at all
    return x


@pytest.mark.parametrize("pooling", ["max", "max-mean", "attention"])
@pytest.mark.parametrize("layers", [1, 2])
def test_absent_units_do_not_matter_and_none_gives_zeros(pooling, layers):
    config = EncoderConfig(table_width=8, table_layers=layers, pooling=pooling)
    torch.manual_seed(0)
    table = TableEncoder(UNITS, config, "relu")
    torch.nn.init.normal_(table.first.bias)  # so that an absent unit would show
    x = units(16)
    changed = torch.where(x[..., 2:] > 0.5, x, torch.tensor([7.0, -7.0, 0.0]))
    assert torch.allclose(table(x), table(changed), atol=1e-6)
    assert (table(x)[0] == 0).all()
    # The order of units does not matter either.
    assert torch.allclose(table(x), table(x[:, [2, 0, 3, 1]]), atol=1e-6)


def test_fused_pooling_equals_plain_autograd():
    torch.manual_seed(0)
    fused = TableEncoder(UNITS, EncoderConfig(table_width=8), "leaky_relu")
    torch.nn.init.normal_(fused.first.bias)
    x, weights = units(600), torch.randn(600, 8)
    results = []
    for run in (fused, lambda y: fused.pool(fused.rows(y), y)):
        fused.zero_grad()
        output = run(x)
        (output * weights).sum().backward()
        results.append((output, fused.first.weight.grad.clone(), fused.first.bias.grad.clone()))
    for left, right in zip(*results, strict=True):
        assert torch.allclose(left, right, atol=1e-4)


def test_layout_blocks_reach_the_features():
    torch.manual_seed(0)
    encoder = ObsEncoder(LAYOUT, EncoderConfig(table_width=8, map_channels=(4,)), "tanh")
    x = torch.randn(3, LAYOUT.size)
    x[:, LAYOUT.slices["units"]].unflatten(-1, (4, 3))[..., 2] = 1.0
    features, rows = encoder(x)
    # 7 vector columns as they are, 8 pooled, 4 channels of a 3 x 3 map.
    assert features.shape == (3, 7 + 8 + 4 * 9) == (3, encoder.width)
    assert rows == {}
    assert torch.equal(features[:, :5], x[:, :5])
    for block in LAYOUT.blocks:
        other = x.clone()
        other[1, LAYOUT.slices[block.name]] += 0.5
        moved = (encoder(other)[0] != features).any(-1)
        assert moved.tolist() == [False, True, False]


def test_flat_maps_go_to_the_trunk_as_they_are():
    board = Layout(
        tuple(block for block in LAYOUT.blocks if block.kind in ("map", "vector")),
    )
    x = torch.randn(3, board.size)
    flat = ObsEncoder(board, EncoderConfig(maps="flat"), "relu")
    assert flat.identity
    assert torch.equal(flat(x)[0], x)
    # With a table beside it, the map's numbers follow the vectors and the pooled rows.
    mixed = ObsEncoder(LAYOUT, EncoderConfig(table_width=8, maps="flat"), "relu")
    x = torch.randn(3, LAYOUT.size)
    size = next(block.size for block in LAYOUT.blocks if block.kind == "map")
    features, _ = mixed(x)
    assert not mixed.identity
    assert features.shape[1] == mixed.width == 7 + 8 + size
    name = next(block.name for block in LAYOUT.blocks if block.kind == "map")
    assert torch.equal(features[:, 15:], x[:, LAYOUT.slices[name]])


def test_a_stride_of_one_keeps_every_cell():
    block = next(block for block in LAYOUT.blocks if block.kind == "map")
    _, height, width = block.shape
    encoder = ObsEncoder(Layout((block,)), EncoderConfig(map_channels=(4, 4), map_stride=1), "relu")
    assert encoder.width == 4 * height * width
    assert encoder(torch.randn(2, block.size))[0].shape == (2, 4 * height * width)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EncoderConfig(maps="round"), "unknown maps 'round'; the kinds are conv, flat"),
        (EncoderConfig(map_stride=0), "map_stride must be at least 1, got 0"),
    ],
)
def test_map_settings_that_are_wrong(config, message):
    with pytest.raises(ValueError, match=message):
        ObsEncoder(LAYOUT, config, "relu")


def test_row_features_of_what_is_no_table():
    with pytest.raises(ValueError, match="'own' is not a table"):
        ObsEncoder(LAYOUT, EncoderConfig(), "relu", ("own",))
