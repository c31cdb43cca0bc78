"""Translate specs to gymnasium's spaces, and actions that know no masks to legal ones.

None of these libraries can say that a head's legal values depend on another head's choice, and most
of their algorithms know no masks at all.  So every adapter takes `on_illegal`: "replace" (default)
puts the next legal value in the place of one that is not and says so in the infos, "raise" lets the
environment raise ValueError.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from simrl.core.actions import ActionSpec, DiscreteActions
from simrl.core.spec import EnvSpec, Layout

OnIllegal = Literal["replace", "raise"]


def check_on_illegal(on_illegal: str) -> None:
    """Raise ValueError unless `on_illegal` is one of the two choices."""
    if on_illegal not in ("replace", "raise"):
        raise ValueError(f"on_illegal must be 'replace' or 'raise', got {on_illegal!r}")


def observation_space(layout: Layout) -> spaces.Box:
    """Return the box of a flat group, with the ranges that its columns document."""
    low, high = layout.bounds()
    return spaces.Box(low.numpy(), high.numpy(), dtype=np.float32)


def parts_space(layout: Layout) -> spaces.Dict:
    """Return one box for each block of a group; maps are pictures of bytes `(channels, h, w)`.

    ValueError names a map whose channels are not its smallest axis: stable-baselines3 would take
    another axis for them.
    """
    low, high = (layout.split(bound) for bound in layout.bounds())
    boxes: dict[str, spaces.Space[Any]] = {}
    for block in layout.blocks:
        if block.kind == "map":
            if min(block.shape) != block.shape[0]:
                raise ValueError(
                    f"block {block.name!r}: a picture has fewer channels than rows and columns, "
                    f"its shape is {block.shape}"
                )
            boxes[block.name] = spaces.Box(0, 255, block.shape, np.uint8)
        else:
            boxes[block.name] = spaces.Box(low[block.name].numpy(), high[block.name].numpy())
    return spaces.Dict(boxes)


def observation_parts(layout: Layout, obs: Tensor) -> dict[str, np.ndarray]:
    """Part observations `[..., size]` into the blocks of `parts_space`, copied.

    A map's range becomes 0 to 255, so what lies between two of 256 levels is lost.
    """
    parts: dict[str, np.ndarray] = {}
    for block in layout.blocks:
        values = obs[..., layout.slices[block.name]].unflatten(-1, block.shape)
        if block.kind == "map":
            low, high = (
                torch.tensor([getattr(column, end) for column in block.columns])[:, None, None]
                for end in ("low", "high")
            )
            levels = (values - low) / (high - low) * 255.0
            parts[block.name] = levels.round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        else:
            parts[block.name] = values.cpu().numpy().copy()
    return parts


def action_space(actions: ActionSpec) -> spaces.Space[Any]:
    """Return Discrete for one head, MultiDiscrete for several, Box for floats."""
    if not isinstance(actions, DiscreteActions):
        low, high = np.array(actions.low, np.float32), np.array(actions.high, np.float32)
        return spaces.Box(low, high, dtype=np.float32)
    if actions.num_heads == 1:
        return spaces.Discrete(actions.heads[0].size)
    return spaces.MultiDiscrete([head.size for head in actions.heads])


def joint_action(spec: EnvSpec, values: np.ndarray, lead: tuple[int, ...]) -> Tensor:
    """Return actions `[*lead, heads]` int64 or `[*lead, size]` float32 from a library's array."""
    discrete = isinstance(spec.actions, DiscreteActions)
    array = np.asarray(values, np.int64 if discrete else np.float32)
    return torch.from_numpy(array.reshape(*lead, -1).copy())


def replace_illegal(actions: DiscreteActions, mask: Tensor, action: Tensor) -> Tensor:
    """Replace each illegal value of `action` `[..., H]` by the next legal one, in a circle.

    mask: `[..., M]`.  Heads that do not count become 0.
    """
    values: list[Tensor] = []
    for index, head in enumerate(actions.heads):
        legal = actions.head_mask(mask, index, values[0] if values else None)
        wanted = action[..., index].remainder(head.size)
        # How many values further on from the wanted one, in a circle; the nearest legal one wins.
        order = (torch.arange(head.size) - wanted[..., None]).remainder(head.size)
        values.append(order.masked_fill(~legal, head.size).argmin(-1))
    chosen = torch.stack(values, dim=-1)
    return torch.where(actions.used(mask, values[0]), chosen, torch.zeros_like(chosen))


def accept_action(
    spec: EnvSpec, mask: Tensor | None, action: Tensor, on_illegal: OnIllegal
) -> tuple[Tensor, Tensor]:
    """Return the joint action `[N, A, ...]` to play, and where a value was replaced `[N, A]`."""
    unchanged = torch.zeros(action.shape[:2], dtype=torch.bool)
    if mask is None or not isinstance(spec.actions, DiscreteActions) or on_illegal == "raise":
        return action, unchanged
    illegal = (~spec.actions.legal(mask, action)).any(-1)
    return replace_illegal(spec.actions, mask, action), illegal
