"""Compare tensors and say in one sentence what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class CheckFailed(ValueError):  # noqa: N818, it reads as the sentence that it prints
    """Say which promise of a contract was broken."""


def expect(condition: bool, problem: str) -> None:
    """Raise CheckFailed with `problem` unless `condition` holds."""
    if not condition:
        raise CheckFailed(problem)


def expect_tensor(value: object, shape: tuple[int, ...], dtype: torch.dtype, name: str) -> Tensor:
    """Raise CheckFailed unless `value` is a tensor of this shape and dtype; return it."""
    if not isinstance(value, Tensor):
        raise CheckFailed(f"{name} must be a torch tensor, got {type(value).__name__}")
    if tuple(value.shape) != shape or value.dtype != dtype:
        raise CheckFailed(f"{name} must be {dtype} {shape}, got {value.dtype} {tuple(value.shape)}")
    return value


def expect_finite(value: Tensor, name: str) -> None:
    """Raise CheckFailed that names the first index of `value` that is not finite."""
    bad = (~torch.isfinite(value)).nonzero()
    if len(bad):
        raise CheckFailed(f"{name} is not finite at index {bad[0].tolist()}")


def expect_same(left: Tensor, right: Tensor, name: str, tolerance: float = 0.0) -> None:
    """Raise CheckFailed that names the first index at which two tensors differ.

    NaN equals NaN; without a `tolerance`, everything else must be equal bit for bit.
    """
    if left.shape != right.shape or left.dtype != right.dtype:
        raise CheckFailed(
            f"{name}: {left.dtype} {tuple(left.shape)} against {right.dtype} {tuple(right.shape)}"
        )
    if left.is_floating_point():
        near = torch.isclose(left, right, rtol=tolerance, atol=tolerance, equal_nan=True)
    else:
        near = left == right
    bad = (~near).nonzero()
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise CheckFailed(
            f"{name}: {left[where].item()} against {right[where].item()} at index {list(where)}"
        )


def expect_same_groups(
    left: Mapping[str, Tensor], right: Mapping[str, Tensor], name: str, tolerance: float = 0.0
) -> None:
    """Raise CheckFailed unless two mappings hold the same names and tensors."""
    expect(set(left) == set(right), f"{name}: groups {sorted(left)} against groups {sorted(right)}")
    for key, value in left.items():
        expect_same(value, right[key], f"{name}, group {key!r}", tolerance)
