"""The contract of an environment: N copies stepped together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, TimeStep


@runtime_checkable
class VecEnv(Protocol):
    """Step N environments with A agents each.

    Arrays at this seam are torch tensors; a simulator that computes in NumPy, Numba or MuJoCo
    writes into buffers that torch sees through `torch.from_numpy`.  A returned tensor is valid
    until the next call of `step` or `reset`.
    """

    spec: EnvSpec
    num_envs: int
    device: torch.device

    def request(self, groups: Iterable[str]) -> None:
        """Compute only these observation groups from the next reset or step on.

        "policy", "action_mask" and "alive" may be returned always; the dear ones ("critic",
        "state") only when requested.  ValueError names an unknown group and lists the valid ones.
        Before the first call every group is computed.
        """
        ...

    def reset(self, seed: int) -> Obs:
        """Start every environment anew; the same seed gives the same episodes, bit for bit.

        Each environment draws from its own stream, so a row does not depend on the others.
        """
        ...

    def step(self, action: Tensor) -> TimeStep:
        """Apply int64 `[N, A, heads]` or float32 `[N, A, size]`; done rows reset in the same step.

        Raises ValueError naming environment, agent, head and value if an action is not legal, or
        environment, agent and index if a float is not finite.
        """
        ...

    def snapshot(self) -> Tensor:
        """Copy the whole simulator state `[N, S]`, random streams included."""
        ...

    def restore(self, snapshot: Tensor, rows: Tensor | None = None) -> Obs:
        """Put `snapshot` `[len(rows), S]` into `rows` (default: all) and return the observations.

        Rows that are not named are left as they are.
        """
        ...

    def render(self, row: int) -> np.ndarray:
        """Draw one environment as `(height, width, 3)` uint8."""
        ...
