"""Carry tensors from the environment's device to another without stalling either."""

from __future__ import annotations

import torch
from torch import Tensor


class Bridge:
    """Copy tensors to `target`; from the CPU to a GPU through pinned buffers, without waiting.

    Each name has one staging buffer.  It is written again only after the copy out of it is done,
    so a caller may reuse the tensor that it handed over as soon as `move` returns.
    """

    def __init__(self, target: torch.device) -> None:
        self.target = target
        self._to_cpu = target.type == "cpu"
        self._staging: dict[str, Tensor] = {}
        self._copied: dict[str, torch.cuda.Event] = {}

    def move(self, name: str, value: Tensor) -> Tensor:
        """Return `value` on the target device; `value` itself if it is there already."""
        if value.is_cpu == self._to_cpu and (self._to_cpu or value.device == self.target):
            return value
        if not value.is_cpu or self.target.type != "cuda":
            return value.to(self.target)
        staging = self._staging.get(name)
        if staging is None or staging.shape != value.shape or staging.dtype != value.dtype:
            staging = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
            self._staging[name] = staging
            self._copied[name] = torch.cuda.Event()
        self._copied[name].synchronize()
        staging.copy_(value)
        result = staging.to(self.target, non_blocking=True)
        self._copied[name].record(torch.cuda.current_stream(self.target))
        return result


def canonical_device(device: torch.device | str) -> torch.device:
    """Give a CUDA device its index, so that devices can be compared."""
    if str(device) == "cuda":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(device)


def device_of(policy: object, default: torch.device) -> torch.device:
    """Return where a policy wants its rows: its attribute `device`, else `default`."""
    device = getattr(policy, "device", None)
    return default if device is None else canonical_device(device)
