"""Step rows of a task on `mujoco.batch.Batch`; the environment and its `Dynamics` both stand on it.

A `Simulation` holds M rows in two matrices (see `rows`), steps them in native threads, isolates the
rows whose physics diverged, and keeps the books: rewards, ends, metrics and commands.
"""

from __future__ import annotations

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from simrl_envs.robot.actuator import ActuatorNet, ActuatorStage
from simrl_envs.robot.contact_stage import ContactStage
from simrl_envs.robot.metrics import conclude, gather, measure, reductions
from simrl_envs.robot.process import prepare_mujoco
from simrl_envs.robot.rows import RowLayout, View
from simrl_envs.robot.streams import Draw, join, split
from simrl_envs.robot.task import Task

MAX_VELOCITY = 1e6
"""Largest generalised velocity [m/s or rad/s] that is still physics."""
FATAL_WARNINGS = slice(
    int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADCTRL) + 1
)
"""Warnings of broken physics; MuJoCo resets a simulation that raises one."""


class Simulation:
    """Step `num_rows` simulations of a task's model.

    Args:
        task: The compiled task.
        layout: Layout of a row.
        num_rows: Number of simulations M.
        threads: Native threads.
        model: The model to step; default: the task's.
        actuator: Network that gives the motors' torques; its history is the part "motors" of a row.
    """

    def __init__(
        self,
        task: Task,
        layout: RowLayout,
        num_rows: int,
        threads: int,
        model: mujoco.MjModel | None = None,
        actuator: ActuatorNet | None = None,
    ) -> None:
        self.task, self.layout = task, layout
        self.model = task.robot.model if model is None else model
        self.substeps = task.substeps(self.model.opt.timestep)
        self.num_rows = num_rows
        prepare_mujoco()
        self.batch = Batch(self.model, num_rows, threads)
        self.batch.reset(stage=0)
        self.sim: np.ndarray = self.batch.state
        self.extra = np.zeros((num_rows, layout.extra_size))
        self._before = (self.sim.copy(), self.extra.copy())
        self._blank_sim = self.sim[0].copy()
        self._keeps = task.file.fresh == "none" and bool(task.needs)
        fields = {name: self.batch.bind(name) for name in task.needs}
        self._shaped = _expanded(task, self.batch)
        self._warned = self.batch.warning[:, FATAL_WARNINGS, 1]
        self._speed = np.zeros((num_rows, self.model.nv))
        self._kept = [
            (
                self.extra[:, layout.extra[f"data.{name}"]],
                fields[name].reshape(num_rows, -1),
            )
            for name in task.needs
            if self._keeps
        ]
        self.view = View(layout, self.sim, self.extra, self._before, {} if self._keeps else fields)
        self._ctrl = self.batch.bind("ctrl")
        self._contacts = ContactStage(self.model, self.batch) if task.file.contact_forces else None
        self._motors: ActuatorStage | None = None
        if actuator is not None:
            self._motors = ActuatorStage(actuator, self.model, self.batch)
            self._history = self.extra[:, layout.extra["motors"]]
        self._action = self.extra[:, layout.extra["action"]]
        self._sent = self.extra[:, layout.extra["sent"]]
        self.steps = self.extra[:, layout.extra["steps"].start]
        self.ended = self.extra[:, layout.extra["ended"].start]
        self._stream = self.extra[:, layout.extra["stream"]]
        self._totals = self.extra[:, layout.extra["metric_totals"]]
        self._counts = self.extra[:, layout.extra["metric_counts"]]
        self.terms = np.zeros((num_rows, len(task.rewards)))
        """Unweighted reward terms of the last step `[M, R]`."""
        self.reward = np.zeros(num_rows)
        """Reward of the last step `[M]`."""
        self._gathering = reductions(task)
        self.measured = np.zeros((num_rows, len(task.metrics)))
        """What each metric measured in the last step `[M, K]`."""

    def step(self, action: np.ndarray, delays: np.ndarray | None = None) -> np.ndarray:
        """Apply actions `[M, nu]`; return the rows that diverged, put back to before the step.

        delays: physics steps by which each row's actuators lag, if any does: `[M]`, or `[M, K]`
            for each of the K actions that a row keeps, the newest last.
        """
        np.copyto(self._before[0], self.sim)
        np.copyto(self._before[1], self.extra)
        if self._sent.shape[1]:
            width = self._action.shape[1]
            self._sent[:, :-width] = self._before[1][:, self.layout.extra["sent"]][:, width:]
            self._sent[:, -width:] = self._before[1][:, self.layout.extra["action"]]
        self._action[:] = action
        failed = self._advance(delays)
        self.steps += 1.0
        bad = self._diverged(failed)
        if len(bad):
            self.sim[bad] = self._before[0][bad]
            self.batch.warning[bad] = 0
            if self.task.stage:
                self.batch.forward(bad, self.task.stage)
        for kept, value in self._kept:
            kept[:] = value
        if len(bad) and self._keeps:
            for part in self._kept_slices():
                self.extra[bad, part] = self._before[1][bad, part]
        return bad

    def settle(self, diverged: np.ndarray) -> np.ndarray:
        """Pay, measure, and return which rows ended `[M]` bool; those that diverged pay nothing."""
        task, view = self.task, self.view
        with np.errstate(over="ignore" if len(diverged) else "warn"):
            task.pay(view, self.terms, self.reward)
            ended = task.ended(view)
        if len(diverged):
            self.terms[diverged], self.reward[diverged], ended[diverged] = 0.0, 0.0, True
        if task.metrics:
            measure(task, view, self.measured)
            gather(*self._gathering, view.time, self.measured, self._totals, self._counts)
        return ended

    def renew(self) -> None:
        """Let commands and memory follow the step."""
        if self.task.update is not None:
            self.task.renew(self.view, self.draw())

    def begin(self, rows: np.ndarray, streams: np.ndarray, *, again: bool = False) -> None:
        """Start new episodes in `rows`, each with its own stream `[len(rows)]` uint64.

        With `again` they follow those that have just ended there, of which a task may keep things.
        """
        layout = self.layout
        old = self.view.take(rows) if again and self.task.carry is not None else None
        sim = np.broadcast_to(self._blank_sim, (len(rows), len(self._blank_sim))).copy()
        extra = np.zeros((len(rows), layout.extra_size))
        extra[:, layout.extra["stream"]] = split(streams)
        self.task.begin(View(layout, sim, extra), Draw(streams, np.zeros(len(rows))), old)
        self.sim[rows], self.extra[rows] = sim, extra
        self.refresh(rows)
        if self._keeps:
            self.batch.forward(rows, int(mujoco.mjtStage.mjSTAGE_ACC))
            for kept, value in self._kept:
                kept[rows] = value[rows]
            if self._contacts is not None:
                # As after mj_forward in gymnasium's reset, which does not ask for them.
                self.extra[rows, layout.extra["data.cfrc_ext"]] = 0.0

    def refresh(self, rows: np.ndarray | None = None) -> None:
        """Recompute the derived fields of `rows` at their states, where the task wants them new."""
        self.batch.warning[slice(None) if rows is None else rows] = 0
        self._shape(rows)
        if self.task.stage:
            self.batch.forward(rows, self.task.stage)

    def load(
        self, rows: np.ndarray, where: np.ndarray | None = None, *, refresh: bool = True
    ) -> None:
        """Put packed `rows` `[R, S]` into the rows `where` (default: all).

        Without `refresh`, derived fields are those of an older state until the next step.
        """
        if where is None:
            self.sim[:] = self._blank_sim
            self.layout.unpack(rows, self.sim, self.extra)
        else:
            sim, extra = self.sim[where], self.extra[where]
            sim[:] = self._blank_sim
            self.layout.unpack(rows, sim, extra)
            self.sim[where], self.extra[where] = sim, extra
        if refresh:
            self.refresh(where)
        else:
            self._shape(where)

    def pack(self, out: np.ndarray) -> np.ndarray:
        """Write all rows `[M, S]` into `out` and return it."""
        return self.layout.pack(self.sim, self.extra, out)

    def streams(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return the stream of each row's episode, uint64."""
        return join(self._stream[rows])

    def draw(self) -> Draw:
        """Draw numbers for this step, for every row."""
        return Draw(self.streams(), self.steps)

    def figures(self, rows: np.ndarray) -> np.ndarray:
        """Return the metrics `[len(rows), K]` of episodes that end now."""
        totals, counts = self._totals[rows], self._counts[rows]
        return conclude(self.task, totals, counts, self.measured[rows])

    def _shape(self, rows: np.ndarray | None) -> None:
        """Make the models of `rows` as their states say, where the task has such a term."""
        if self.task.shape is None:
            return
        if rows is None:
            self.task.shape.call(self.view, self._shaped, np.arange(self.num_rows))
        else:
            self.task.shape.call(self.view.take(rows), self._shaped, rows)

    def _advance(self, delays: np.ndarray | None) -> np.ndarray:
        """Step the physics; return the rows in which MuJoCo raised."""
        if self._motors is not None:
            shape = (self.num_rows, self.substeps, self._action.shape[1])
            held = np.broadcast_to(self._action[:, None], shape)
            controls = held if delays is None else self._delayed(delays)
            return self._motors.step(controls, self._history, self.task.stage)
        try:
            if delays is None:
                self._ctrl[:] = self._action
                if self._contacts is not None:
                    self._contacts.step(self.substeps)
                else:
                    self.batch.step(nstep=self.substeps, stage=self.task.stage)
            else:
                self.batch.rollout(self.substeps, self._delayed(delays), record=())
                if self.task.stage or self._keeps:
                    self.batch.forward(stage=self.task.stage or 3)
        except SimulationError as error:
            return error.ids
        return np.zeros(0, np.int64)

    @property
    def num_kept(self) -> int:
        """Count the actions sent before the latest one that a row keeps."""
        return self._sent.shape[1] // self._action.shape[1]

    def _delayed(self, delays: np.ndarray) -> np.ndarray:
        """Return the control of each physics step `[M, substeps, nu]` under each row's delay.

        It is the newest action that has arrived, or the oldest one kept if none has.
        """
        nu = self._action.shape[1]
        past = np.concatenate([self._sent, self._action], axis=1).reshape(self.num_rows, -1, nu)
        if delays.ndim == 1:
            delays = delays[:, None]
        sent_before = self.substeps * np.arange(past.shape[1])[::-1]
        ticks = np.arange(self.substeps)[None, :, None] + sent_before
        newest_first = (ticks >= delays[:, None, :])[:, :, ::-1]
        newest_first[:, :, -1] = True
        index = past.shape[1] - 1 - newest_first.argmax(axis=2)
        return past[np.arange(self.num_rows)[:, None], index]

    def _diverged(self, failed: np.ndarray) -> np.ndarray:
        """Return the rows that failed, were warned about, or move impossibly fast."""
        np.abs(self.view.qvel, out=self._speed)
        if not len(failed) and self._speed.max() <= MAX_VELOCITY and not self._warned.any():
            return failed
        fine = (self._speed <= MAX_VELOCITY).all(axis=1)
        bad = ~fine | self._warned.any(axis=1) | ~np.isfinite(self.view.qpos).all(axis=1)
        bad[failed] = True
        return np.flatnonzero(bad)

    def warned(self) -> np.ndarray:
        """Tell in which rows MuJoCo warned of broken physics, `[M]` bool."""
        return np.asarray(self._warned.any(axis=1))

    def _kept_slices(self) -> list[slice]:
        return [self.layout.extra[f"data.{name}"] for name in self.task.needs]


def _expanded(task: Task, batch: Batch) -> dict[str, np.ndarray]:
    """Give each simulation its own copy of the model's fields that follow from its state."""
    if task.shape is None:
        return {}
    return {name: batch.expand(name) for name in task.shape.term.needs}
