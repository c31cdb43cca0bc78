"""Describe action spaces and the layout of legal-action masks.

A discrete action is a row of H integers, one per head.  In games with buttons, one head is the
*selector*: which other heads count, and which values of a *conditional* head are legal, depends on
the selector's choice.  All of that travels in one flat boolean mask `[..., M]`:

    for each head, in order:  its legal values      [size], or [selector.size, size] if conditional
    if there is a selector:   which heads count     [selector.size, H]

A head that does not count for the chosen button has value 0 in every action that a policy emits,
and adds nothing to log-probability or entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Head:
    """Name one integer of a discrete action and the number of its values."""

    name: str
    size: int
    conditional: bool = False
    """Whether the legal values depend on the selector's choice."""
    choices: tuple[str, ...] = ()
    """Readable names of the values, for pages and errors; may be empty."""


@dataclass(frozen=True)
class DiscreteActions:
    """Describe int64 actions `[..., H]` and their boolean mask `[..., mask_size]`."""

    heads: tuple[Head, ...]
    selector: str | None = None
    """Name of the head that decides which others count; it must come first."""

    def __post_init__(self) -> None:
        if not self.heads:
            raise ValueError("a discrete action needs at least one head")
        if self.selector is not None and self.heads[0].name != self.selector:
            names = ", ".join(head.name for head in self.heads)
            raise ValueError(
                f"the selector {self.selector!r} must be the first of the heads {names}"
            )
        if any(head.conditional for head in self.heads) and self.selector is None:
            raise ValueError("a conditional head needs a selector")
        if self.heads[0].conditional:
            raise ValueError("the first head cannot be conditional")

    @property
    def num_heads(self) -> int:
        """Number of integers H in an action."""
        return len(self.heads)

    @cached_property
    def mask_slices(self) -> tuple[slice, ...]:
        """Slice of the mask that holds each head's legal values."""
        result, start = [], 0
        for head in self.heads:
            width = head.size * (self.heads[0].size if head.conditional else 1)
            result.append(slice(start, start + width))
            start += width
        return tuple(result)

    @cached_property
    def used_slice(self) -> slice | None:
        """Slice of the mask that says which heads count for each choice; None without selector."""
        if self.selector is None:
            return None
        start = self.mask_slices[-1].stop
        return slice(start, start + self.heads[0].size * self.num_heads)

    @cached_property
    def mask_size(self) -> int:
        """Length M of the flat mask."""
        return (self.used_slice or self.mask_slices[-1]).stop

    def head_mask(self, mask: Tensor, index: int, choice: Tensor | None = None) -> Tensor:
        """Return head `index`'s legal values `[..., size]` from `mask` `[..., M]`.

        `choice` `[...]` is the selector's value; only conditional heads need it.
        """
        head = self.heads[index]
        part = mask[..., self.mask_slices[index]]
        if not head.conditional:
            return part
        if choice is None:
            raise ValueError(
                f"the mask of head {head.name!r} depends on the choice of the selector"
            )
        table = part.unflatten(-1, (self.heads[0].size, head.size))
        where = choice[..., None, None].expand(*choice.shape, 1, head.size)
        return table.gather(-2, where).squeeze(-2)

    def used(self, mask: Tensor, choice: Tensor) -> Tensor:
        """Return which heads count `[..., H]` bool, given the selector's `choice` `[...]`."""
        if self.used_slice is None:
            return torch.ones(*choice.shape, self.num_heads, dtype=torch.bool, device=mask.device)
        table = mask[..., self.used_slice].unflatten(-1, (self.heads[0].size, self.num_heads))
        where = choice[..., None, None].expand(*choice.shape, 1, self.num_heads)
        return table.gather(-2, where).squeeze(-2)

    def legal(self, mask: Tensor, action: Tensor) -> Tensor:
        """Return which heads of `action` `[..., H]` are legal `[..., H]` under `mask` `[..., M]`.

        A head that does not count is legal whatever its value.
        """
        sizes = torch.tensor([head.size for head in self.heads], device=action.device)
        in_range = (action >= 0) & (action < sizes)
        safe = torch.where(in_range, action, torch.zeros_like(action))
        choice = safe[..., 0]
        listed = torch.stack(
            [
                self.head_mask(mask, index, choice).gather(-1, safe[..., index, None]).squeeze(-1)
                for index in range(self.num_heads)
            ],
            dim=-1,
        )
        return (in_range & listed) | ~self.used(mask, choice)

    def check(self, mask: Tensor, action: Tensor, env_id: str) -> None:
        """Raise ValueError that names env, agent, head and value of the first illegal action.

        mask: `[N, A, M]`, action: `[N, A, H]`.
        """
        legal = self.legal(mask, action)
        if bool(legal.all()):
            return
        row, agent, index = (int(i) for i in (~legal).nonzero()[0])
        head = self.heads[index]
        choice = action[row, agent, 0].clamp(0, self.heads[0].size - 1)
        values = self.head_mask(mask[row, agent], index, choice).nonzero().flatten().tolist()
        given = int(action[row, agent, index])
        raise ValueError(
            f"{env_id}: environment {row}, agent {agent}: value {given} of head {head.name!r} "
            f"is not legal; the legal values are {values}"
        )


@dataclass(frozen=True)
class ContinuousActions:
    """Describe float32 actions `[..., size]`, each within its bounds."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    names: tuple[str, ...] = ()
    """Readable name and unit of each number, such as "left hip torque [N m]"."""

    def __post_init__(self) -> None:
        if not self.low or len(self.low) != len(self.high):
            raise ValueError(f"low and high must have the same length, got {self.low}, {self.high}")
        if any(not low < high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"each low must be below its high, got {self.low} and {self.high}")

    @property
    def size(self) -> int:
        """Number of floats in an action."""
        return len(self.low)


ActionSpec = DiscreteActions | ContinuousActions
