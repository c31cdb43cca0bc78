"""A robot task as a pure batched function, for planners."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mujoco.batch import Batch, SimulationError
from torch import Tensor

from simrl.core.timestep import Obs
from simrl_envs.robot.config import RobotConfig, thread_count
from simrl_envs.robot.metrics import gather_over, measure
from simrl_envs.robot.rows import KEPT_SPEC, View, sim_slices
from simrl_envs.robot.simulation import MAX_VELOCITY, Simulation
from simrl_envs.robot.streams import Draw, join
from simrl_envs.robot.task import Task, layout_for, planning_model
from simrl_envs.robot.taskfile import PlanningOptions

MAX_BATCHES = 8
"""Numbers of rows for which native batches are kept."""

Pair = tuple[np.ndarray, np.ndarray]


class RobotDynamics:
    """Step states of the nominal model: no randomised parameters, delays, pushes or noise.

    Args:
        task: The compiled task.
        config: For the number of threads and the layout of a row.
        options: How the planning model differs from the simulator's; default: not at all, which
            predicts the environment bit for bit.

    Native batches are made once for each number of rows and kept.
    """

    def __init__(
        self,
        task: Task,
        config: RobotConfig | None = None,
        options: PlanningOptions | None = None,
    ) -> None:
        self.task = task
        self.config = config or RobotConfig()
        self.options = options or PlanningOptions()
        self.layout = layout_for(task, self.config)
        self.model = planning_model(task, self.options)
        self.substeps = task.substeps(self.model.opt.timestep)
        self._simulations: dict[int, Simulation] = {}
        self._judges: dict[int, Batch] = {}
        self._recorded = sim_slices(self.model, KEPT_SPEC)
        self._keeps = task.file.fresh == "none"

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return next states `[B, S]`, rewards `[B, 1]` and discounts `[B]`.

        state: float64 `[B, S]`.  action: float32 `[B, 1, nu]`, clipped to its bounds.  A state that
        has ended, or whose physics diverges, stays as it is and has discount 0.
        """
        rows, joint = self._inputs(state, action[:, None])
        after, reward, discount = self._step(rows, joint[:, 0])
        return (
            torch.from_numpy(after),
            torch.from_numpy(reward.astype(np.float32)[:, None]),
            torch.from_numpy(discount),
        )

    def rollout(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Step whole sequences in native threads; equal to H calls of `step`.

        state: float64 `[B, S]`.  actions: float32 `[B, H, 1, nu]`.  Returns states `[B, H, S]`,
        rewards `[B, H, 1]` and discounts `[B, H]`.
        """
        rows, joint = self._inputs(state, actions)
        simulation = self._simulation(len(rows))
        simulation.load(rows, refresh=False)
        first: Pair = simulation.sim[:, self._kept_columns(simulation)], simulation.extra.copy()
        found = self._physics(simulation, joint)
        if found is None:
            states, rewards, discounts = self._step_by_step(rows, joint)
        else:
            sim, data, bad = found
            sim[bad] = first[0][bad, None]
            extra, asked = self._books(first, sim, joint, data)
            rewards, ended = self._judge(first, sim, asked, data)
            if asked is not extra:
                self._copy_metrics(asked, extra)
            states, rewards, discounts = self._freeze(rows, first, (sim, extra), rewards, ended)
            if len(bad):
                states[bad], rewards[bad], discounts[bad] = self._step_by_step(
                    rows[bad], joint[bad]
                )
        return (
            torch.from_numpy(states),
            torch.from_numpy(rewards.astype(np.float32)[:, :, None]),
            torch.from_numpy(discounts),
        )

    def observe(self, state: Tensor) -> Obs:
        """Return each observation group `[B, 1, D]` of states `[B, S]` without noise, and "state".

        state: float64 `[B, S]`.
        """
        rows = self._rows(state)
        simulation = self._simulation(len(rows))
        simulation.load(rows)
        seen: dict[str, Tensor] = {"state": state}
        for name, group in self.task.groups.items():
            wide = np.empty((len(rows), group.layout.size))
            self.task.observe(simulation.view, name, wide)
            np.clip(wide, group.low, group.high, out=wide)
            seen[name] = torch.from_numpy(wide.astype(np.float32)[:, None])
        return seen

    def _step(
        self, rows: np.ndarray, joint: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        simulation = self._simulation(len(rows))
        simulation.load(rows, refresh=False)
        ended = simulation.ended > 0
        bad = simulation.step(joint)
        over = simulation.settle(bad) | ended
        simulation.ended[:] = over
        simulation.renew()
        after = simulation.pack(np.empty_like(rows))
        after[ended] = rows[ended]
        reward = np.where(ended, 0.0, simulation.reward)
        return after, reward, (~over).astype(np.float32)

    def _step_by_step(
        self, rows: np.ndarray, joint: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Roll out with a call a step, which isolates states whose physics diverges.

        Rows are filled up to a power of two, so that few sizes of native batches are made.
        """
        count, horizon = joint.shape[:2]
        padded = np.minimum(np.arange(1 << (count - 1).bit_length()), count - 1)
        rows, joint = rows[padded], joint[padded]
        states = np.empty((len(rows), horizon, rows.shape[1]))
        rewards = np.empty((len(rows), horizon))
        discounts = np.empty((len(rows), horizon), np.float32)
        for t in range(horizon):
            rows, rewards[:, t], discounts[:, t] = self._step(rows, joint[:, t])
            states[:, t] = rows
        return states[:count], rewards[:count], discounts[:count]

    def _physics(
        self, simulation: Simulation, joint: np.ndarray
    ) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray] | None:
        """Return sim rows `[B, H, n]`, derived fields, and the rows whose physics diverged.

        None if steps must be made singly.
        """
        if self.task.file.contact_forces:
            return None
        k = self.substeps
        stale = self.task.needs if self._keeps else ()
        if not self._keeps and not self.options.refresh:
            stale = self.task.judged
        control = np.repeat(joint, k, axis=1) if k > 1 else joint
        simulation.batch.warning[:] = 0
        try:
            found = simulation.batch.rollout(control.shape[1], control, record=(KEPT_SPEC, *stale))
        except SimulationError:
            return None
        sim = found[KEPT_SPEC][:, k - 1 :: k]
        speed = np.abs(sim[:, :, self._recorded["qvel"]])
        bad = np.flatnonzero(simulation.warned() | ~(speed <= MAX_VELOCITY).all(axis=(1, 2)))
        return sim, {name: found[name][:, k - 1 :: k] for name in stale}, bad

    def _books(
        self, first: Pair, sim: np.ndarray, joint: np.ndarray, data: dict[str, np.ndarray]
    ) -> Pair:
        """Return the extra rows `[B, H, E]` after each step, and as rewards shall see them.

        They differ where commands change: a reward belongs to the command that was acted on.
        """
        count, horizon = joint.shape[:2]
        layout = self.layout
        extra = np.repeat(first[1][:, None], horizon, axis=1)
        extra[:, :, layout.extra["action"]] = joint
        extra[:, :, layout.extra["steps"].start] += np.arange(1.0, horizon + 1.0)
        sent = layout.extra["sent"]
        if sent.stop > sent.start:
            past = first[1][:, sent].reshape(count, -1, joint.shape[2])
            last = first[1][:, None, layout.extra["action"]]
            line = np.concatenate([past, last, joint], axis=1)
            for t in range(horizon):
                extra[:, t, sent] = line[:, t + 1 : t + 1 + past.shape[1]].reshape(count, -1)
        if self._keeps:
            for name, value in data.items():
                extra[:, :, layout.extra[f"data.{name}"]] = value.reshape(count, horizon, -1)
        if self.task.update is None:
            return extra, extra
        asked = extra.copy()
        names = ("command", *layout.memory)
        streams = join(first[1][:, layout.extra["stream"]])
        before = first
        for t in range(horizon):
            for name in names:
                where = layout.extra[name]
                extra[:, t, where] = asked[:, t, where] = before[1][:, where]
            view = View(layout, sim[:, t], extra[:, t], before, sim_parts=self._recorded)
            self.task.renew(view, Draw(streams, view.steps))
            before = sim[:, t], extra[:, t]
        return extra, asked

    def _judge(
        self, first: Pair, sim: np.ndarray, extra: np.ndarray, data: dict[str, np.ndarray]
    ) -> Pair:
        """Return rewards and ends `[B, H]`; the metrics in `extra` follow."""
        task, (count, horizon) = self.task, sim.shape[:2]
        before = tuple(
            np.concatenate([start[:, None], later[:, :-1]], axis=1).reshape(count * horizon, -1)
            for start, later in zip(first, (sim, extra), strict=True)
        )
        flat = sim.reshape(count * horizon, -1)
        fields = {
            name: value.reshape(count * horizon, *value.shape[2:]) for name, value in data.items()
        }
        if not self._keeps and self.options.refresh and task.judged:
            fields = self._refreshed(flat)
        view = View(
            self.layout,
            flat,
            extra.reshape(count * horizon, -1),
            (before[0], before[1]),
            {} if self._keeps else fields,
            self._recorded,
        )
        rewards = np.empty(count * horizon)
        task.pay(view, np.empty((count * horizon, len(task.rewards))), rewards)
        ended = task.ended(view)
        if task.metrics and self.options.metrics:
            measured = np.empty((count * horizon, len(task.metrics)))
            measure(task, view, measured)
            gather_over(
                task,
                view.time.reshape(count, horizon),
                measured.reshape(count, horizon, -1),
                extra[:, :, self.layout.extra["metric_totals"]],
                extra[:, :, self.layout.extra["metric_counts"]],
            )
        return rewards.reshape(count, horizon), ended.reshape(count, horizon)

    def _refreshed(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Recompute the derived fields that rewards read at states `[M, n]`."""
        count = len(flat)
        if count not in self._judges:
            _make_room(self._judges)
            self._judges[count] = Batch(self.model, count, thread_count(self.config, count))
        batch = self._judges[count]
        for name, where in self._recorded.items():
            batch.state[:, self.layout.sim[name]] = flat[:, where]
        fields = {name: batch.bind(name) for name in self.task.judged}
        batch.forward(stage=self.task.stage)
        return fields

    def _freeze(
        self, rows: np.ndarray, first: Pair, after: Pair, rewards: np.ndarray, ended: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pack the states; those after an end stay as they were and pay nothing."""
        count, horizon = rewards.shape
        where = self.layout.extra["ended"].start
        already = first[1][:, where] > 0
        over = np.logical_or.accumulate(ended | already[:, None], axis=1)
        after[1][:, :, where] = over
        states = np.empty((count, horizon, self.layout.size))
        self.layout.pack(
            after[0].reshape(count * horizon, -1),
            after[1].reshape(count * horizon, -1),
            states.reshape(count * horizon, -1),
            self._recorded,
        )
        if over.any():
            done_before = np.concatenate([already[:, None], over[:, :-1]], axis=1)
            rewards[done_before] = 0.0
            for t in range(horizon):
                stay = done_before[:, t]
                states[stay, t] = rows[stay] if t == 0 else states[stay, t - 1]
        return states, rewards, (~over).astype(np.float32)

    def _copy_metrics(self, source: np.ndarray, target: np.ndarray) -> None:
        for name in ("metric_totals", "metric_counts"):
            where = self.layout.extra[name]
            target[:, :, where] = source[:, :, where]

    def _simulation(self, count: int) -> Simulation:
        found = self._simulations.pop(count, None)
        if found is None:
            _make_room(self._simulations)
            threads = thread_count(self.config, count)
            found = Simulation(self.task, self.layout, count, threads, self.model)
        self._simulations[count] = found  # the latest used stands last
        return found

    def _kept_columns(self, simulation: Simulation) -> np.ndarray:
        """Say where the recorded parts stand in a whole sim row, in their order."""
        return np.concatenate(
            [np.arange(*simulation.layout.sim[name].indices(10**9)) for name in self._recorded]
        )

    def _inputs(self, state: Tensor, actions: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return states `[B, S]` and clipped joint actions `[B, H, nu]`, or say what is wrong."""
        rows, nu = self._rows(state), len(self.task.low)
        if actions.ndim != 4 or tuple(actions.shape[2:]) != (1, nu) or len(actions) != len(state):
            raise ValueError(
                f"{self.task.name}: actions are [{len(state)}, H, 1, {nu}], "
                f"got {tuple(actions.shape)}"
            )
        joint = actions.detach().numpy()[:, :, 0].astype(np.float64)
        if not np.isfinite(joint).all():
            row = int(np.argwhere(~np.isfinite(joint))[0][0])
            raise ValueError(f"{self.task.name}: the actions of row {row} are not finite")
        return rows, np.clip(joint, self.task.low, self.task.high)

    def _rows(self, state: Tensor) -> np.ndarray:
        """Return states as an array `[B, S]`, or say what is wrong."""
        size = self.layout.size
        if state.ndim != 2 or state.shape[1] != size or state.dtype != torch.float64:
            raise ValueError(
                f"{self.task.name}: states are float64 [B, {size}], "
                f"got {state.dtype} {tuple(state.shape)}"
            )
        rows = state.detach().contiguous().numpy()
        if not np.isfinite(rows).all():
            row = int(np.argwhere(~np.isfinite(rows))[0][0])
            raise ValueError(f"{self.task.name}: row {row} of the states is not finite")
        return rows


def _make_room(cache: dict[int, Any]) -> None:
    """Forget the batches that were used least lately when there are too many."""
    while len(cache) >= MAX_BATCHES:
        del cache[next(iter(cache))]
