"""Keep account of running episodes: returns, lengths, which end.

The account is kept in NumPy, since these arrays are tiny and are touched at every step, where a
torch operation costs several times as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec, TimeStep
from simrl.rollout.episodes import EpisodeTable
from simrl.rollout.seating import Seating


class Ledger:
    """Account for the running episodes of N environments with A agents.

    Attributes:
        start: Rows whose next step is the first of an episode `[N]` bool; after `count`, the rows
            that ended.
        episode: Number of the running episode in each row, from 0 `[N]` int64.
    """

    def __init__(self, spec: EnvSpec, num_envs: int) -> None:
        self._agent_names = spec.agent_names
        self.start = np.ones(num_envs, dtype=np.bool_)
        self.start_tensor = torch.from_numpy(self.start)
        self.episode = np.zeros(num_envs, dtype=np.int64)
        self._steps = 0
        self._began = np.zeros(num_envs, dtype=np.int64)
        self._returns = np.zeros((num_envs, spec.num_agents), dtype=np.float64)

    def clear(self) -> None:
        """Begin first episodes everywhere."""
        self.start[:] = True
        self.episode[:] = 0
        self._began[:] = self._steps
        self._returns[:] = 0.0

    def count(self, timestep: TimeStep) -> np.ndarray | None:
        """Add one step; return the rows that ended `[K]`, or None if none did."""
        self._steps += 1
        self._returns += host(timestep.reward)
        np.logical_or(host(timestep.terminated), host(timestep.truncated), out=self.start)
        return self.start.nonzero()[0] if np.count_nonzero(self.start) else None

    def tabulate(self, timestep: TimeStep, rows: np.ndarray, seating: Seating) -> EpisodeTable:
        """Return the episodes of `rows`, which ended in this step."""
        return EpisodeTable(
            returns=self._returns[rows],
            length=self._steps - self._began[rows],
            terminated=host(timestep.terminated)[rows],
            env_row=rows,
            episode=self.episode[rows],
            policy_index=host(seating.policy_index)[rows],
            trains=host(seating.trains)[rows],
            policy_names=seating.names,
            agent_names=self._agent_names,
            metrics={name: host(value)[rows] for name, value in timestep.metrics.items()},
        )

    def close(self, rows: np.ndarray) -> None:
        """Begin the next episodes of `rows`."""
        self._returns[rows] = 0.0
        self._began[rows] = self._steps
        self.episode[rows] += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the whole account."""
        return {
            "start": torch.from_numpy(self.start.copy()),
            "episode": torch.from_numpy(self.episode.copy()),
            "began": torch.from_numpy(self._began.copy()),
            "returns": torch.from_numpy(self._returns.copy()),
            "steps": self._steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.start[:] = host(state["start"])
        self.episode[:] = host(state["episode"])
        self._began[:] = host(state["began"])
        self._returns[:] = host(state["returns"])
        self._steps = int(state["steps"])


def host(value: Tensor) -> np.ndarray:
    """Return a tensor as an array: a view if it is on the CPU, else a copy."""
    return value.numpy() if value.is_cpu else value.cpu().numpy()
