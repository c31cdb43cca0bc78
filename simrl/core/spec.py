"""Describe what an environment shows, what it accepts and what it pays.

The classes here are plain frozen data.  An environment publishes one `EnvSpec`; networks choose
their encoders from its `Layout` blocks, pages show columns by name, and tests check every column
against its documented range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from simrl.core.actions import ContinuousActions, DiscreteActions
from simrl.core.dynamics import Dynamics

BlockKind = Literal["vector", "table", "map"]


@dataclass(frozen=True)
class Column:
    """Name one number of an observation, with its unit and the range that it stays in."""

    name: str
    low: float = -1.0
    high: float = 1.0
    unit: str = ""


@dataclass(frozen=True)
class Block:
    """Name a run of columns inside a flat observation group.

    A `vector` has shape `(D,)`; a `table` has shape `(rows, D)`, one row per unit; a `map` has
    shape `(channels, height, width)`.  `columns` documents the last axis of a vector or table and
    the channel axis of a map.
    """

    name: str
    shape: tuple[int, ...]
    columns: tuple[Column, ...]
    kind: BlockKind = "vector"
    present: str | None = None
    """For a table: the column that is 1 in rows that hold a unit and 0 in empty ones."""

    def __post_init__(self) -> None:
        rank = {"vector": 1, "table": 2, "map": 3}.get(self.kind)
        if rank is None:
            raise ValueError(
                f"block {self.name!r}: unknown kind {self.kind!r}; the kinds are vector, table, map"
            )
        if len(self.shape) != rank:
            raise ValueError(
                f"block {self.name!r}: a {self.kind} has {rank} axes, but its shape is {self.shape}"
            )
        width = self.shape[0] if self.kind == "map" else self.shape[-1]
        if len(self.columns) != width:
            raise ValueError(
                f"block {self.name!r}: shape {self.shape} needs {width} columns, "
                f"{len(self.columns)} were given"
            )
        if self.present is not None:
            self.column_index(self.present)

    @property
    def size(self) -> int:
        """Count the floats of this block."""
        return int(torch.Size(self.shape).numel())

    def column_index(self, name: str) -> int:
        """Return the index of the column called `name`; ValueError lists the valid names."""
        names = [column.name for column in self.columns]
        if name not in names:
            raise ValueError(
                f"block {self.name!r} has no column {name!r}; its columns are {', '.join(names)}"
            )
        return names.index(name)


@dataclass(frozen=True)
class Layout:
    """Name the blocks of one flat float32 observation group `[..., size]`, in their order."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        names = [block.name for block in self.blocks]
        if len(set(names)) != len(names):
            raise ValueError(f"block names must be unique, got {', '.join(names)}")

    @cached_property
    def size(self) -> int:
        """Count the floats of the whole group."""
        return sum(block.size for block in self.blocks)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Map each block's name to its slice of the last axis."""
        result, start = {}, 0
        for block in self.blocks:
            result[block.name] = slice(start, start + block.size)
            start += block.size
        return result

    def block(self, name: str) -> Block:
        """Return the block called `name`; ValueError lists the valid names."""
        for block in self.blocks:
            if block.name == name:
                return block
        names = ", ".join(block.name for block in self.blocks)
        raise ValueError(f"unknown block {name!r}; the blocks are {names}")

    def split(self, x: Tensor) -> dict[str, Tensor]:
        """Return a view `[..., *block.shape]` of each block of `x` `[..., size]`."""
        if x.shape[-1] != self.size:
            raise ValueError(f"expected a last axis of {self.size} floats, got {tuple(x.shape)}")
        lead = x.shape[:-1]
        return {
            block.name: x[..., self.slices[block.name]].unflatten(-1, block.shape)
            if len(block.shape) > 1
            else x[..., self.slices[block.name]].view(*lead, block.size)
            for block in self.blocks
        }

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Return the documented low and high of every float, each `[size]` float32."""
        low, high = torch.empty(self.size), torch.empty(self.size)
        for block in self.blocks:
            part = self.slices[block.name]
            for target, value in (
                (low, torch.tensor([column.low for column in block.columns])),
                (high, torch.tensor([column.high for column in block.columns])),
            ):
                shaped = value[:, None, None] if block.kind == "map" else value
                target[part] = shaped.expand(block.shape).reshape(-1)
        return low, high

    def names(self) -> list[str]:
        """Return a readable name for every float, such as `heroes[3].hp`."""
        result = []
        for block in self.blocks:
            if block.kind == "vector":
                result += [f"{block.name}.{column.name}" for column in block.columns]
            elif block.kind == "table":
                result += [
                    f"{block.name}[{row}].{column.name}"
                    for row in range(block.shape[0])
                    for column in block.columns
                ]
            else:
                _, height, width = block.shape
                result += [
                    f"{block.name}.{column.name}[{y},{x}]"
                    for column in block.columns
                    for y in range(height)
                    for x in range(width)
                ]
        return result


def vector(name: str, *columns: Column) -> Block:
    """Make a vector block from its columns."""
    return Block(name, (len(columns),), columns)


@dataclass(frozen=True)
class EnvSpec:
    """State what an environment shows, accepts and pays; everything else is built from it.

    N environments run side by side with A = `num_agents` agents in each.
    """

    id: str
    """Name under which the environment is registered."""
    num_agents: int
    """Number of agents A in each environment."""
    observations: Mapping[str, Layout]
    """Layout of each float32 group `[N, A, size]`; "policy" always, "critic" where there is one."""
    actions: DiscreteActions | ContinuousActions
    """What an agent may do."""
    reward_terms: tuple[str, ...] = ()
    """Names of the R columns of `TimeStep.reward_terms`; empty if rewards are not itemised."""
    reward_weights: tuple[float, ...] = ()
    """Weight of each term: reward = sum over terms of weight * term."""
    reward_groups: tuple[str, ...] = ()
    """Group of each term; a multi-head critic learns one value for each distinct group."""
    teams: tuple[int, ...] = ()
    """Team of each agent; agents of one team share the result.  Default: each its own team."""
    state_size: int = 0
    """Length S of one row of `snapshot()`."""
    state_dtype: torch.dtype = torch.uint8
    """Dtype of `snapshot()`."""
    step_seconds: float = 0.0
    """Simulated seconds per step; 0 if time has no unit [s]."""
    max_steps: int = 0
    """Steps after which an episode is truncated; 0 if never."""
    metrics: tuple[str, ...] = ()
    """Names of `TimeStep.metrics`.  Games report "outcome" `[N, A]`: 1 won, 0 drawn, -1 lost."""
    agent_names: tuple[str, ...] = field(default=())
    """A readable name for each agent."""
    physics: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Plain facts that controllers build their models from: masses, dimensions, limits, the MJCF of
    a robot ("mjcf"), and "state": the slice of each named part in a row of the state."""
    dynamics: Callable[[], Dynamics] | None = field(default=None, compare=False, repr=False)
    """Build the nominal model of this environment for planners; None if there is none."""
    reference: Callable[[Tensor, Tensor], Tensor] | None = field(
        default=None, compare=False, repr=False
    )
    """Tell the targets that lie ahead: `reference(state [B, S], ahead [H] in seconds)` returns
    `[B, H, n]`, its columns named in `physics["reference"]`; None if the task tracks nothing."""

    def __post_init__(self) -> None:
        if self.num_agents < 1:
            raise ValueError(f"{self.id}: num_agents must be at least 1, got {self.num_agents}")
        if "policy" not in self.observations:
            raise ValueError(
                f"{self.id}: observations need a group 'policy', got {sorted(self.observations)}"
            )
        for name in ("reward_weights", "reward_groups"):
            given = getattr(self, name)
            if len(given) != len(self.reward_terms):
                raise ValueError(
                    f"{self.id}: {name} has {len(given)} entries for "
                    f"{len(self.reward_terms)} reward_terms"
                )
        if not self.teams:
            object.__setattr__(self, "teams", tuple(range(self.num_agents)))
        if not self.agent_names:
            names = tuple(f"agent_{index}" for index in range(self.num_agents))
            object.__setattr__(self, "agent_names", names)
        if len(self.teams) != self.num_agents or len(self.agent_names) != self.num_agents:
            raise ValueError(f"{self.id}: teams and agent_names need {self.num_agents} entries")

    @property
    def value_groups(self) -> tuple[str, ...]:
        """Distinct reward groups in the order of first use; ("reward",) if not itemised."""
        return tuple(dict.fromkeys(self.reward_groups)) or ("reward",)
