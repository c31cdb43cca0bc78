"""Watch a rollout: average its episodes, time its policies, stop it at a number not finite."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simrl.core import Obs, TimeStep
from simrl.rollout.episodes import EpisodeTable, join
from simrl.rollout.npz import write_npz
from simrl.rollout.observer import Observer, StepRecord


class EpisodeStats(Observer):
    """Average the newest episodes over the seats that train; over all seats if none does."""

    def __init__(self, window: int = 200) -> None:
        """Keep at least the newest `window` episodes, and average over exactly as many."""
        if window < 1:
            raise ValueError(f"window must be at least 1, got {window}")
        self.num_episodes = 0
        self._window = window
        self._tables: deque[EpisodeTable] = deque()
        self._kept = 0

    def on_episodes(self, table: EpisodeTable) -> None:
        """Keep the episodes that ended; the sums are done when somebody asks."""
        self.num_episodes += len(table)
        self._kept += len(table)
        self._tables.append(table)
        while self._kept - len(self._tables[0]) >= self._window:
            self._kept -= len(self._tables.popleft())

    def summary(self, prefix: str = "rollout/") -> dict[str, float]:
        """Return the mean of each column by its prefixed name; empty before the first end."""
        if not self._tables:
            return {}
        table = join(self._tables).select(slice(-self._window, None))
        seats = table.trains if table.trains.any() else np.ones_like(table.trains)
        means = {f"{prefix}length": float(table.length.mean())}
        for name in ("returns", *table.metrics):
            values = table.mean_over_seats(name, seats)
            key = "return" if name == "returns" else name
            means[prefix + key] = float(np.nanmean(values))
        return {**means, f"{prefix}episodes": float(self.num_episodes)}

    def state_dict(self) -> dict[str, Any]:
        """Return the count and the episodes that `summary` averages over."""
        if not self._tables:
            return {"num_episodes": self.num_episodes, "table": None}
        table = join(self._tables).select(slice(-self._window, None))
        return {"num_episodes": self.num_episodes, "table": table.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.clear()
        self.num_episodes = int(state["num_episodes"])
        if state["table"] is not None:
            table = EpisodeTable.from_state_dict(state["table"])
            self._tables.append(table)
            self._kept = len(table)

    def clear(self) -> None:
        """Forget all episodes."""
        self.num_episodes = self._kept = 0
        self._tables.clear()


@dataclass(frozen=True)
class ActTimes:
    """Summarise how long the calls of one policy took."""

    calls: int
    """Number of calls."""
    rows: float
    """Mean number of rows in a call."""
    mean_ms: float
    """Mean wall time of a call [ms]."""
    p50_ms: float
    """Median [ms]."""
    p99_ms: float
    """99th percentile [ms]."""


class ActTimer(Observer):
    """Time every call of every policy: a comparison without compute time is half a comparison."""

    def __init__(self, window: int = 100_000) -> None:
        """Keep the newest `window` calls of each policy."""
        self._window = window
        self._calls: dict[str, deque[tuple[float, int]]] = {}

    def on_act(self, record: StepRecord) -> None:
        """Keep the wall time of each call."""
        for act in record.acts:
            if act.name not in self._calls:
                self._calls[act.name] = deque(maxlen=self._window)
            self._calls[act.name].append((act.seconds, len(act.rows)))

    def summary(self) -> dict[str, ActTimes]:
        """Return each policy's times by its name."""
        return {name: _times(np.array(calls)) for name, calls in self._calls.items()}


class NonFiniteError(ValueError):
    """Say which tensor holds the first number that is not finite."""


class NanGuard(Observer):
    """Check what policies see and choose and what they are paid, at every step.

    With a `folder` the whole step is saved there as `nonfinite-step-<step>.npz` before
    `NonFiniteError` is raised; its message names tensor, environment row and agent.  The file holds
    the observations as "obs/..." or, where it was a reward, those after the step as "next_obs/...":
    the ones before are gone by then.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self._folder = None if folder is None else Path(folder)

    def on_act(self, record: StepRecord) -> None:
        """Check observations, then actions."""
        for act in record.acts:
            num_agents = record.action.shape[1]
            for group, value in act.obs.items():
                if not _finite(value):
                    row, agent = _where(value, act.rows, num_agents)
                    self._stop(f"obs[{group!r}]", row, agent, record, _named("obs/", record.obs))
            if not _finite(act.output.action):
                row, agent = _where(act.output.action, act.rows, num_agents)
                self._stop(
                    f"the action of {act.name!r}", row, agent, record, _named("obs/", record.obs)
                )

    def on_step(self, record: StepRecord, timestep: TimeStep) -> None:
        """Check rewards."""
        parts = {"reward": timestep.reward}
        if timestep.reward_terms is not None:
            parts["reward_terms"] = timestep.reward_terms
        for name, value in parts.items():
            if not _finite(value):
                bad = (~torch.isfinite(value)).nonzero()[0]
                extra = {**_named("next_obs/", timestep.obs), **parts}
                self._stop(name, int(bad[0]), int(bad[1]), record, extra)

    def _stop(
        self, name: str, row: int, agent: int, record: StepRecord, extra: Mapping[str, Tensor]
    ) -> None:
        message = f"{name} is not finite at step {record.step}, environment {row}, agent {agent}"
        if self._folder is not None:
            path = self._folder / f"nonfinite-step-{record.step}.npz"
            arrays = {"action": record.action, **extra}
            for act in record.acts:
                arrays |= {f"{act.name}/{key}": value for key, value in act.output.extras.items()}
            write_npz(path, {key: value.cpu().numpy() for key, value in arrays.items()})
            message += f"; the step is saved in {path}"
        raise NonFiniteError(message)


def _times(calls: np.ndarray) -> ActTimes:
    """Summarise pairs (seconds, rows) `[C, 2]`."""
    times = calls[:, 0] * 1e3
    p50, p99 = np.percentile(times, (50, 99))
    return ActTimes(
        len(calls), float(calls[:, 1].mean()), float(times.mean()), float(p50), float(p99)
    )


def _named(prefix: str, obs: Obs) -> dict[str, Tensor]:
    return {prefix + group: value for group, value in obs.items()}


def _finite(value: Tensor) -> bool:
    """Tell whether all numbers are finite; one sum is the cheap test, and overflow is no fault."""
    if not value.is_floating_point():
        return True
    return bool(torch.isfinite(value.sum())) or bool(torch.isfinite(value).all())


def _where(value: Tensor, rows: Tensor, num_agents: int) -> tuple[int, int]:
    """Return environment row and agent of the first number that is not finite."""
    seat = int(rows[int((~torch.isfinite(value)).nonzero()[0, 0])])
    return seat // num_agents, seat % num_agents
