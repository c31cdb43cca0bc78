"""Keep what a comparison needs of every step of each row's first episode."""

from __future__ import annotations

import numpy as np
import torch

from simrl.compare.signals import Signals, place_of, targets
from simrl.core import TimeStep, VecEnv
from simrl.core.actions import ContinuousActions
from simrl.rollout.episodes import EpisodeTable, join
from simrl.rollout.observer import Observer, StepRecord

DELAY, SECONDS = "delay", "seconds"
"""Extras of `RealTimePolicy`."""


class Recorder(Observer):
    """Record the first episode of every row, and let actions act late where policies say so.

    Attributes:
        done: Rows whose first episode has ended `[N]` bool.
        length: Its steps so far `[N]`.
        call_seconds: Wall time of each call [s].
    """

    def __init__(self, env: VecEnv, signals: Signals, *, real_time: bool = False) -> None:
        self._env, self._signals, self._real_time = env, signals, real_time
        self._place = place_of(env.spec)
        self._wants_state = signals.reads_state or self._place is not None
        self.reads = frozenset({"state"} if self._wants_state else ())
        self.done = np.zeros(env.num_envs, np.bool_)
        self.length = np.zeros(env.num_envs, np.int64)
        self.call_seconds: list[float] = []
        self._series: dict[str, list[np.ndarray]] = {name: [] for name in signals.names}
        self._paths: list[np.ndarray] = []
        self._change: list[np.ndarray] = []
        self._decisions: list[np.ndarray] = []
        self._tables: list[EpisodeTable] = []
        self._last: np.ndarray | None = None
        self._action: torch.Tensor
        actions = env.spec.actions
        self._range = None
        if isinstance(actions, ContinuousActions):
            self._range = np.array(actions.high, np.float64) - np.array(actions.low, np.float64)

    def on_act(self, record: StepRecord) -> None:
        """Note actions and times; hand delays to the environment."""
        act = record.acts[0]
        self.call_seconds.append(act.seconds)
        self._action = record.action
        if self._real_time:
            extras = act.output.extras
            self._decisions.append(extras[SECONDS].numpy().copy())
            if hasattr(self._env, "delay_actions"):
                self._env.delay_actions(extras[DELAY].numpy())
        self._change.append(self._changed(record.action.numpy().astype(np.float64)))

    def on_step(self, record: StepRecord, timestep: TimeStep) -> None:
        """Read the signals of the step, before any reset."""
        ended = timestep.done
        state = None
        if self._wants_state:
            state = timestep.obs["state"]
            if bool(ended.any()):
                state = torch.where(ended[:, None], timestep.final_obs["state"], state)
        for name, value in self._signals.read(state, self._action).items():
            self._series[name].append(value)
        if self._place is not None and state is not None:
            self._paths.append(self._where(state.numpy(), self._place))
        self.length += ~self.done
        self.done |= ended.numpy()

    def on_episodes(self, table: EpisodeTable) -> None:
        """Keep the first episode of each row."""
        first = table.select(table.episode == 0)
        if len(first):
            self._tables.append(first)

    def table(self) -> EpisodeTable:
        """Return the first episode of every row, by row."""
        joined = join(self._tables)
        return joined.select(np.argsort(joined.env_row, kind="stable"))

    def series(self, row: int) -> dict[str, np.ndarray]:
        """Return each signal in each step of a row's first episode `[L]`."""
        length = self.length[row]
        return {k: np.array([v[row] for v in steps[:length]]) for k, steps in self._series.items()}

    def change(self, row: int) -> np.ndarray:
        """Return how fast the actions of a row changed in each step `[L]` [1/s]."""
        return np.array([step[row] for step in self._change[: self.length[row]]])

    def path(self, row: int) -> np.ndarray | None:
        """Return where a row was and should have been `[L, 4]`: x, y and the reference's x, y."""
        if not self._paths:
            return None
        return np.array([step[row] for step in self._paths[: self.length[row]]])

    def decisions(self, row: int) -> np.ndarray:
        """Return how long each decision of a row took [s], without the first one."""
        taken = np.array([step[row] for step in self._decisions[: self.length[row]]])
        return taken[np.isfinite(taken)][1:]

    def _changed(self, action: np.ndarray) -> np.ndarray:
        """Return the mean size of the actions' change `[N]`, as a share of their range [1/s]."""
        before, self._last = self._last, action.copy()
        if before is None:
            return np.zeros(len(action))
        step = self._env.spec.step_seconds or 1.0
        if self._range is None:
            return np.asarray((action != before).mean(axis=(1, 2)) / step)
        return np.asarray((np.abs(action - before) / self._range).mean(axis=(1, 2)) / step)

    def _where(self, state: np.ndarray, place: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        own, asked = place
        wanted = targets(self._env.spec, state)
        return np.concatenate([state[:, own[:2]], wanted[:, asked[:2]]], axis=1)
