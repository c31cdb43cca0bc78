"""Tabulate finished episodes: one row each, columns by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class EpisodeTable:
    """Hold E finished episodes with A agents."""

    returns: np.ndarray
    """Undiscounted sum of rewards `[E, A]` float64."""
    length: np.ndarray
    """Number of steps `[E]` int64."""
    terminated: np.ndarray
    """Whether the task ended by its own rules, not by a time limit `[E]` bool."""
    env_row: np.ndarray
    """Environment that played the episode `[E]` int64."""
    episode: np.ndarray
    """Number of the episode within its environment, from 0 `[E]` int64."""
    policy_index: np.ndarray
    """Number of the policy at each seat `[E, A]` int64."""
    trains: np.ndarray
    """Seats that train `[E, A]` bool."""
    policy_names: tuple[str, ...]
    """Name of each policy, by number."""
    agent_names: tuple[str, ...]
    """Name of each agent."""
    metrics: Mapping[str, np.ndarray]
    """Figures of the environment, `[E]` or `[E, A]`; games report "outcome": 1, 0 or -1."""

    def __len__(self) -> int:
        return len(self.length)

    def seats_of(self, policy: str) -> np.ndarray:
        """Return where the policy sat `[E, A]` bool; ValueError lists the valid names."""
        if policy not in self.policy_names:
            raise ValueError(
                f"unknown policy {policy!r}; the policies are {', '.join(self.policy_names)}"
            )
        return self.policy_index == self.policy_names.index(policy)

    def mean_over_seats(self, column: str, seats: np.ndarray) -> np.ndarray:
        """Average `column` over the chosen `seats` `[E, A]` in each episode `[E]`.

        `column` is "returns" or a metric.  A metric `[E]` is returned as it is.  NaN where an
        episode has no such seat.
        """
        values = self.returns if column == "returns" else self.metric(column)
        if values.ndim == 1:
            return np.where(seats.any(axis=1), values, np.nan)
        count = seats.sum(axis=1)
        total = np.where(seats, values, 0.0).sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def metric(self, name: str) -> np.ndarray:
        """Return the metric called `name`; ValueError lists the valid names."""
        if name not in self.metrics:
            valid = ", ".join(self.metrics) or "none"
            raise ValueError(f"unknown metric {name!r}; the metrics are {valid}")
        return self.metrics[name]

    def select(self, index: np.ndarray | slice) -> EpisodeTable:
        """Return the episodes at `index` (numbers, a slice or a bool mask `[E]`)."""
        columns: dict[str, Any] = {
            f.name: value[index]
            if isinstance(value := getattr(self, f.name), np.ndarray)
            else value
            for f in fields(self)
        }
        columns["metrics"] = {name: values[index] for name, values in self.metrics.items()}
        return EpisodeTable(**columns)

    def state_dict(self) -> dict[str, Any]:
        """Return the columns as tensors and the names as lists, for a checkpoint."""
        return {
            f.name: {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in value.items()}
            if isinstance(value := getattr(self, f.name), Mapping)
            else torch.from_numpy(np.ascontiguousarray(value))
            if isinstance(value, np.ndarray)
            else list(value)
            for f in fields(self)
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> EpisodeTable:
        """Build a table from what `state_dict` returned."""
        columns: dict[str, Any] = {
            name: value.numpy()
            if isinstance(value, torch.Tensor)
            else {key: item.numpy() for key, item in value.items()}
            if isinstance(value, Mapping)
            else tuple(value)
            for name, value in state.items()
        }
        return cls(**columns)

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one flat dictionary of plain numbers and names per episode."""
        return [self._row(index) for index in range(len(self))]

    def _row(self, index: int) -> dict[str, Any]:
        row: dict[str, Any] = {
            "env_row": int(self.env_row[index]),
            "episode": int(self.episode[index]),
            "length": int(self.length[index]),
            "terminated": bool(self.terminated[index]),
        }
        for agent, name in enumerate(self.agent_names):
            row[f"policy/{name}"] = self.policy_names[self.policy_index[index, agent]]
            row[f"return/{name}"] = float(self.returns[index, agent])
        for metric, values in self.metrics.items():
            if values.ndim == 1:
                row[metric] = values[index].item()
            else:
                for agent, name in enumerate(self.agent_names):
                    row[f"{metric}/{name}"] = values[index, agent].item()
        return row


def join(tables: Iterable[EpisodeTable]) -> EpisodeTable:
    """Put tables of the same environment below each other."""
    tables = list(tables)
    if not tables:
        raise ValueError("there is no table to join")
    columns: dict[str, Any] = {
        f.name: np.concatenate([getattr(table, f.name) for table in tables])
        if isinstance(getattr(tables[0], f.name), np.ndarray)
        else getattr(tables[-1], f.name)
        for f in fields(EpisodeTable)
    }
    columns["metrics"] = {
        name: np.concatenate([table.metrics[name] for table in tables])
        for name in tables[0].metrics
    }
    return EpisodeTable(**columns)


def join_sorted(tables: Iterable[EpisodeTable]) -> EpisodeTable:
    """Join tables and sort the episodes by (episode, env_row)."""
    joined = join(tables)
    return joined.select(np.lexsort((joined.env_row, joined.episode)))
