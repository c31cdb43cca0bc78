"""Domain randomisation: what differs from one episode to the next, drawn from each row's stream.

Everything here is a pure function of the row's stream, so a restored row gets its own parameters
back without storing them.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from simrl_envs.robot.config import RobotConfig
from simrl_envs.robot.row_ranges import RowRanges
from simrl_envs.robot.simulation import Simulation
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.task import Task


class Randomiser:
    """Draw and apply the parameters of episodes of one environment's simulation.

    Args:
        task: The task.
        configs: What all rows follow, or what each row follows.
        simulation: The rows.
        compute_delay: Longest delay that `delay` is asked for [s].
    """

    def __init__(
        self,
        task: Task,
        configs: Sequence[RobotConfig],
        simulation: Simulation,
        compute_delay: float = 0.0,
    ) -> None:
        self.task, self.simulation = task, simulation
        ranges = self.ranges = RowRanges(configs, simulation.num_rows)
        self._lag: np.ndarray | None = None
        """Physics steps by which each row's actuators lag `[N]`; None if none does."""
        if ranges.differs("latency", 0.0) or compute_delay > 0:
            self._lag = np.zeros(simulation.num_rows, np.int64)
        self._late: np.ndarray | None = None
        """How many physics steps later than `_lag` the next action acts `[N]`."""
        if compute_delay > 0:
            self._late = np.zeros(simulation.num_rows, np.int64)
            self._lags = np.zeros((simulation.num_rows, simulation.num_kept + 1), np.int64)
        pushed, loaded = ranges.differs("push", 0.0), ranges.differs("payload", 0.0)
        self._push_body = self._body("push_body") if pushed else -1
        self._payload_body = self._body("payload_body") if loaded else -1
        self._forces = simulation.batch.bind("xfrc_applied") if pushed else None
        self._turn = self._push_turn() if pushed else None
        if ranges.randomised:
            self._expand()

    def apply(self, rows: np.ndarray, streams: np.ndarray) -> bool:
        """Give `rows` the parameters of their streams; return whether their models changed."""
        draw = Draw(streams, np.zeros(len(rows)))
        if self._lag is not None:
            seconds = draw.between("latency", *self.ranges.bounds("latency", rows), 1)[:, 0]
            self._lag[rows] = np.rint(seconds / self.simulation.model.opt.timestep)
            if self._late is not None:
                self._late[rows] = 0
                self._lags[rows] = self._lag[rows, None]
        if not self.ranges.randomised:
            return False
        self._write(rows, draw)
        self.simulation.batch.set_const(rows)
        return True

    def delay(self, seconds: np.ndarray) -> None:
        """Let the next action act so much later `[N]` [s], rounded to whole physics steps."""
        if self._late is None:
            raise ValueError(f"{self.task.name}: actions are delayed only with compute_delay set")
        self._late[:] = np.rint(seconds / self.simulation.model.opt.timestep)

    def delays(self) -> np.ndarray | None:
        """Return the physics steps by which actions lag in the step that is about to be made.

        `[N]`, or `[N, K]` for each of the actions that a row keeps, the newest last; None if no
        action does.
        """
        if self._late is None or self._lag is None:
            return self._lag
        self._lags[:, :-1] = self._lags[:, 1:]
        self._lags[:, -1] = self._lag + self._late
        self._late[:] = 0
        return self._lags

    def push(self) -> None:
        """Set the outside force of the step that is about to be made."""
        if self._forces is None:
            return
        ranges, step_seconds = self.ranges, self.task.file.step_seconds
        every = np.maximum(1.0, np.rint(ranges.push_interval / step_seconds))
        length = np.maximum(1.0, np.rint(ranges.push_seconds / step_seconds))
        drawn = np.isnan(ranges.push_start)
        first = np.rint(np.where(drawn, 0.0, ranges.push_start) / step_seconds)
        steps = self.simulation.steps - first
        number = np.floor(steps / every)
        draw = Draw(self.simulation.streams(), np.maximum(number, 0.0))
        unit = draw.uniform("push", 3)
        begin = np.floor(unit[:, 2] * np.maximum(1.0, every - length + 1.0)) * drawn
        phase = steps - number * every
        active = (steps >= 0) & (phase >= begin) & (phase < begin + length)
        low, high = (bound[:, 0] for bound in ranges.bounds("push"))
        force = (low + (high - low) * unit[:, 0]) / (length * step_seconds) * active
        least, most = (bound[:, 0] for bound in ranges.bounds("push_angle"))
        angle = least + (most - least) * unit[:, 1] + self._heading()
        self._forces[:, self._push_body, 0] = force * np.cos(angle)
        self._forces[:, self._push_body, 1] = force * np.sin(angle)

    def _heading(self) -> np.ndarray | float:
        """Return where the x axis of the push body points in the plane [rad], 0 in the world."""
        if self._turn is None:
            return 0.0
        w, x, y, z = self._turn.T
        return np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))

    def blur(self, group: str, values: np.ndarray, rows: np.ndarray | slice) -> None:
        """Add the noise of the task file to the policy's observation `[M, D]`, in place."""
        factor = self.ranges.noise[rows, None]
        noise = self.task.groups[group].noise
        if group != "policy" or not factor.any() or not noise.any():
            return
        draw = Draw(self.simulation.streams(rows), self.simulation.steps[rows])
        values += factor * noise * draw.normal("noise", values.shape[1])

    def _expand(self) -> None:
        """Give each simulation its own copy of the fields that vary."""
        batch, ranges = self.simulation.batch, self.ranges
        model = self.simulation.model
        names = []
        if ranges.differs("mass", 1.0) or self._payload_body >= 0:
            names += ["body_mass", "body_inertia"]
        if ranges.differs("friction", np.nan):
            names += ["geom_friction"] + (["pair_friction"] if model.npair else [])
        if ranges.differs("motor_gain", 1.0):
            names += ["actuator_gainprm", "actuator_biasprm"]
        self._fields = {name: batch.expand(name) for name in names}
        self._nominal = {name: np.array(getattr(model, name)) for name in names}

    def _write(self, rows: np.ndarray, draw: Draw) -> None:
        ranges, fields, nominal = self.ranges, self._fields, self._nominal
        if "body_mass" in fields:
            factor = draw.between("mass", *ranges.bounds("mass", rows), 1)
            fields["body_mass"][rows] = nominal["body_mass"] * factor
            fields["body_inertia"][rows] = nominal["body_inertia"] * factor[:, :, None]
            if self._payload_body >= 0:
                load = draw.between("payload", *ranges.bounds("payload", rows), 1)[:, 0]
                fields["body_mass"][rows, self._payload_body] += load
        if "geom_friction" in fields:
            sliding = draw.between("friction", *ranges.bounds("friction", rows), 1)
            own = nominal["geom_friction"][:, 0]
            fields["geom_friction"][rows, :, 0] = np.where(np.isnan(sliding), own, sliding)
            if "pair_friction" in fields:
                sliding, own = sliding[:, :, None], nominal["pair_friction"][:, :2]
                fields["pair_friction"][rows, :, :2] = np.where(np.isnan(sliding), own, sliding)
        if "actuator_gainprm" in fields:
            count = self.simulation.model.nu
            factor = draw.between("motor gain", *ranges.bounds("motor_gain", rows), count)
            for name in ("actuator_gainprm", "actuator_biasprm"):
                fields[name][rows] = nominal[name]
                fields[name][rows, :, :3] = nominal[name][:, :3] * factor[:, :, None]

    def _push_turn(self) -> np.ndarray | None:
        """Return the live quaternions of the push body `[N, 4]` if pushes are counted from it."""
        if self.ranges.push_frame == "world":
            return None
        model, body = self.simulation.model, self._push_body
        joint = int(model.body_jntadr[body])
        if joint < 0 or model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_FREE:
            raise ValueError(
                f"{self.task.name}: push_frame=heading needs a push body that moves freely; "
                f"{model.body(body).name!r} has no free joint"
            )
        start = int(model.jnt_qposadr[joint]) + 3
        return self.simulation.view.qpos[:, start : start + 4]

    def _body(self, key: str) -> int:
        name = getattr(self.task.file, key)
        if not name:
            raise ValueError(
                f"{self.task.name}: its task file names no {key}, so it cannot be randomised"
            )
        return int(self.task.robot.find("body", name)[0])
