"""Turn one flat observation group into features, block by block, as its `Layout` says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from simrl.core.spec import Block, Layout
from simrl.nn.layers import activation, linear, mlp
from simrl.nn.pool_kernels import linear_max, linear_max_backward

Pooling = Literal["max", "max-mean", "attention"]
MapKind = Literal["conv", "flat"]

CHUNK = 256
"""Samples whose row features are held at a time while pooling, so that they stay in the cache."""


@dataclass(frozen=True)
class EncoderConfig:
    """Choose how observation blocks are encoded."""

    table_width: int = 32
    """Width of the per-row layers of a table; every row of one table shares them."""
    table_layers: int = 1
    """Number of per-row layers; one layer with "max" pooling is by far the fastest."""
    pooling: Pooling = "max"
    """How the rows of a table become one vector: "max", "max-mean" or "attention"."""
    map_channels: tuple[int, ...] = (16, 16)
    """Channels of the 3x3 convolutions over a map; () leaves maps out."""
    map_stride: int = 2
    """Stride of each of these convolutions; 1 keeps every cell of a small board."""
    maps: MapKind = "conv"
    """How maps are encoded: "conv" by these convolutions; "flat" hands the numbers to the trunk."""
    vector_widths: tuple[int, ...] = ()
    """Widths of an MLP over all vector blocks together; () hands them to the trunk as they are."""


class ObsEncoder(nn.Module):
    """Encode `[R, size]` into features `[R, width]`; tables may also give a feature for each row.

    All vector blocks go through together; each table through its own per-row layers and a masked
    pooling; each map through a small convolution, or straight to the trunk.
    """

    def __init__(
        self,
        layout: Layout,
        config: EncoderConfig,
        activation_name: str,
        row_features: tuple[str, ...] = (),
        pool_rows: bool = True,
    ) -> None:
        """Build the encoders of `layout`; `row_features` names tables whose rows are wanted too.

        Without `pool_rows` the tables in `row_features` are left out of the pooled features.

        Raises ValueError naming an entry of `row_features` that is not a table.
        """
        super().__init__()
        for name in row_features:
            if layout.block(name).kind != "table":
                raise ValueError(f"block {name!r} is not a table; its rows cannot be attended to")
        if config.maps not in get_args(MapKind):
            raise ValueError(
                f"unknown maps {config.maps!r}; the kinds are {', '.join(get_args(MapKind))}"
            )
        self.layout = layout
        self.vectors = [block.name for block in layout.blocks if block.kind == "vector"]
        self.row_features = row_features
        self.pool_rows = pool_rows
        vector_size = sum(layout.block(name).size for name in self.vectors)
        self.vector = mlp(vector_size, config.vector_widths, activation_name)
        self.width = config.vector_widths[-1] if config.vector_widths else vector_size
        self.tables = nn.ModuleDict()
        self.maps = nn.ModuleDict()
        self.flat: list[str] = []
        for block in layout.blocks:
            if block.kind == "table":
                table = TableEncoder(block, config, activation_name)
                self.tables[block.name] = table
                if pool_rows or block.name not in row_features:
                    self.width += table.width
            elif block.kind == "map" and config.maps == "flat":
                self.flat.append(block.name)
                self.width += block.size
            elif block.kind == "map" and config.map_channels:
                map_encoder = MapEncoder(
                    block, config.map_channels, activation_name, config.map_stride
                )
                self.maps[block.name] = map_encoder
                self.width += map_encoder.width
        as_they_are = len(self.vectors) + len(self.flat)
        self.identity = as_they_are == len(layout.blocks) and not config.vector_widths

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return features `[R, width]` and the row features `[R, rows, table_width]` asked for."""
        if self.identity:
            return x, {}
        blocks = self.layout.split(x)
        parts, rows = [], {}
        if self.vectors:
            parts.append(self.vector(torch.cat([blocks[name] for name in self.vectors], -1)))
        for name, module in self.tables.items():
            table = cast(TableEncoder, module)
            if name not in self.row_features:
                parts.append(table(blocks[name]))
                continue
            rows[name] = table.rows(blocks[name])
            if self.pool_rows:
                parts.append(table.pool(rows[name], blocks[name]))
        parts += [blocks[name].flatten(1) for name in self.flat]
        parts += [encoder(blocks[name]) for name, encoder in self.maps.items()]
        return torch.cat(parts, -1), rows


class TableEncoder(nn.Module):
    """Encode the rows of a table by shared layers and pool those that are present.

    A table with no row present gives zeros.
    """

    def __init__(self, block: Block, config: EncoderConfig, activation_name: str) -> None:
        """Build the layers for `block` `(rows, columns)`."""
        super().__init__()
        if config.table_layers < 1:
            raise ValueError(f"table_layers must be at least 1, got {config.table_layers}")
        self.present = None if block.present is None else block.column_index(block.present)
        self.pooling = config.pooling
        self.first = linear(block.shape[1], config.table_width)
        self.act = activation(activation_name)
        self.rest = mlp(
            config.table_width, (config.table_width,) * (config.table_layers - 1), activation_name
        )
        self.score = linear(config.table_width, 1) if config.pooling == "attention" else None
        self.width = config.table_width * (2 if config.pooling == "max-mean" else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pool `[R, rows, columns]` into `[R, width]`."""
        if self.pooling == "max" and len(self.rest) == 0:
            # The activations are monotone, so the maximum may be taken before them.
            return self.act(self._linear_max(x))
        return self.pool(self.rows(x), x)

    def rows(self, x: Tensor) -> Tensor:
        """Return the features of each row `[R, rows, table_width]`."""
        features: Tensor = self.rest(self.act(self.first(x)))
        return features

    def pool(self, hidden: Tensor, x: Tensor) -> Tensor:
        """Pool row features `[R, rows, table_width]` into `[R, width]`."""
        absent = self._absent(x)
        if self.score is not None:
            score = self.score(hidden).masked_fill(absent, -1e9)
            pooled = (score.softmax(-2) * hidden).sum(-2)
        else:
            pooled = hidden.masked_fill(absent, -math.inf).max(-2).values
        pooled = self._zero_if_empty(pooled, x)
        if self.pooling == "max-mean":
            count = (~absent).sum(-2).clamp_min(1)
            mean = hidden.masked_fill(absent, 0.0).sum(-2) / count
            pooled = torch.cat([pooled, mean], -1)
        return pooled

    def _linear_max(self, x: Tensor) -> Tensor:
        if x.is_cpu and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu"):
            result: Tensor = _LinearMax.apply(x, self.first.weight, self.first.bias, self.present)
            return result
        hidden = F.linear(x, self.first.weight, self.first.bias)
        pooled = hidden.masked_fill(self._absent(x), -math.inf).max(-2).values
        return self._zero_if_empty(pooled, x)

    def _absent(self, x: Tensor) -> Tensor:
        """Return which rows are empty `[R, rows, 1]` bool."""
        if self.present is None:
            return torch.zeros_like(x[..., :1], dtype=torch.bool)
        return x[..., self.present : self.present + 1] < 0.5

    def _zero_if_empty(self, pooled: Tensor, x: Tensor) -> Tensor:
        if self.present is None:
            return pooled
        return pooled.masked_fill((x[..., self.present] < 0.5).all(-1, keepdim=True), 0.0)


class MapEncoder(nn.Module):
    """Encode a map `(channels, height, width)` by 3x3 convolutions, flattened."""

    def __init__(
        self, block: Block, channels: tuple[int, ...], activation_name: str, stride: int = 2
    ) -> None:
        """Build one convolution for each entry of `channels`; ValueError unless `stride` >= 1."""
        super().__init__()
        if stride < 1:
            raise ValueError(f"map_stride must be at least 1, got {stride}")
        layers: list[nn.Module] = []
        inputs, height, width = block.shape
        for outputs in channels:
            layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
            nn.init.orthogonal_(layer.weight, math.sqrt(2))
            nn.init.zeros_(layer.bias if layer.bias is not None else torch.zeros(0))
            layers += [layer, activation(activation_name)]
            inputs, height, width = outputs, -(-height // stride), -(-width // stride)
        self.layers = nn.Sequential(*layers)
        self.width = inputs * height * width

    def forward(self, x: Tensor) -> Tensor:
        """Encode `[R, channels, height, width]` into `[R, width]`."""
        return self.layers(x).flatten(1)


class _LinearMax(torch.autograd.Function):
    """Take the maximum over present rows of a linear layer, without keeping every row's output.

    Only the row that won a feature receives its gradient, so the backward pass touches one row for
    each feature instead of all.  The input gets no gradient: it is an observation.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, present: int | None) -> Tensor:
        x, weight, bias = x.detach().contiguous(), weight.detach(), bias.detach()
        pooled = torch.empty(x.shape[0], weight.shape[0])
        winner = torch.empty(x.shape[0], weight.shape[0], dtype=torch.int32)
        column = -1 if present is None else present
        for start in range(0, x.shape[0], CHUNK):
            part = slice(start, start + CHUNK)
            hidden = F.linear(x[part], weight, bias)
            linear_max(
                hidden.numpy(), x[part].numpy(), column, pooled[part].numpy(), winner[part].numpy()
            )
        ctx.x, ctx.winner, ctx.shape = x, winner, weight.shape
        return pooled

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor, None]:
        grad_weight = torch.zeros(ctx.shape)
        grad_bias = torch.zeros(ctx.shape[0])
        linear_max_backward(
            grads[0].contiguous().numpy(),
            ctx.x.numpy(),
            ctx.winner.numpy(),
            grad_weight.numpy(),
            grad_bias.numpy(),
        )
        return None, grad_weight, grad_bias, None
