"""Turn actions into what a reward network reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from simrl.core.actions import ActionSpec, DiscreteActions


class ActionEncoder(nn.Module):
    """Turn actions into floats: one-hot of every head, or continuous ones scaled to -1 to 1.

    A head that does not count for the chosen button has value 0 in every action (see
    `simrl.core.actions`), and so the same one-hot always.
    """

    def __init__(self, actions: ActionSpec) -> None:
        super().__init__()
        self.discrete = isinstance(actions, DiscreteActions)
        if isinstance(actions, DiscreteActions):
            sizes = [head.size for head in actions.heads]
            self.width = sum(sizes)
            starts = torch.tensor([0, *sizes[:-1]]).cumsum(0)
            self.register_buffer("shift", starts, persistent=False)
            self.register_buffer("scale", torch.ones(len(sizes)), persistent=False)
        else:
            self.width = actions.size
            low, high = torch.tensor(actions.low), torch.tensor(actions.high)
            if not bool(torch.isfinite(high - low).all()):
                raise ValueError("actions without bounds cannot be scaled; set use_action to False")
            self.register_buffer("shift", 0.5 * (low + high), persistent=False)
            self.register_buffer("scale", 2.0 / (high - low), persistent=False)

    shift: Tensor
    scale: Tensor

    def forward(self, action: Tensor) -> Tensor:
        """Encode `[..., H]` into `[..., width]` float32."""
        if not self.discrete:
            return ((action - self.shift) * self.scale).clamp_(-1.0, 1.0)
        result = self.scale.new_zeros(*action.shape[:-1], self.width)
        return result.scatter_(-1, action + self.shift, 1.0)
