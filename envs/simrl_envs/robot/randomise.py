"""Domain randomisation: what differs from one episode to the next, drawn from each row's stream.

Everything here is a pure function of the row's stream, so a restored row gets its own parameters
back without storing them.
"""

from __future__ import annotations

import mujoco
import numpy as np

from simrl_envs.robot.config import RobotConfig
from simrl_envs.robot.simulation import Simulation
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.task import Task


class Randomiser:
    """Draw and apply the parameters of episodes of one environment's simulation."""

    def __init__(self, task: Task, config: RobotConfig, simulation: Simulation) -> None:
        self.task, self.config = task, config
        self.simulation = simulation
        self.delays: np.ndarray | None = None
        """Physics steps by which each row's actuators lag `[N]`; None if none does."""
        if config.latency[1] > 0:
            self.delays = np.zeros(simulation.num_rows, np.int64)
        self._push_body = self._body("push_body") if config.push[1] > 0 else -1
        self._payload_body = self._body("payload_body") if config.payload[1] > 0 else -1
        self._forces = simulation.batch.bind("xfrc_applied") if self._push_body >= 0 else None
        self._turn = self._push_turn() if self._push_body >= 0 else None
        if config.randomised:
            self._expand()

    def apply(self, rows: np.ndarray, streams: np.ndarray) -> bool:
        """Give `rows` the parameters of their streams; return whether their models changed."""
        draw = Draw(streams, np.zeros(len(rows)))
        if self.delays is not None:
            seconds = draw.between("latency", *self.config.latency, 1)[:, 0]
            self.delays[rows] = np.rint(seconds / self.simulation.model.opt.timestep)
        if not self.config.randomised:
            return False
        self._write(rows, draw)
        self.simulation.batch.set_const(rows)
        return True

    def push(self) -> None:
        """Set the outside force of the step that is about to be made."""
        if self._forces is None:
            return
        config, step_seconds = self.config, self.task.file.step_seconds
        every = max(1, round(config.push_interval / step_seconds))
        length = max(1, round(config.push_seconds / step_seconds))
        steps = self.simulation.steps - round((config.push_start or 0.0) / step_seconds)
        number = np.floor(steps / every)
        draw = Draw(self.simulation.streams(), np.maximum(number, 0.0))
        unit = draw.uniform("push", 3)
        begin = np.floor(unit[:, 2] * max(1, every - length + 1))
        if config.push_start is not None:
            begin[:] = 0.0
        phase = steps - number * every
        active = (steps >= 0) & (phase >= begin) & (phase < begin + length)
        low, high = config.push
        force = (low + (high - low) * unit[:, 0]) / (length * step_seconds) * active
        least, most = config.push_angle
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
        factor = self.config.observation_noise
        noise = self.task.groups[group].noise
        if group != "policy" or factor == 0 or not noise.any():
            return
        draw = Draw(self.simulation.streams(rows), self.simulation.steps[rows])
        values += factor * noise * draw.normal("noise", values.shape[1])

    def _expand(self) -> None:
        """Give each simulation its own copy of the fields that vary."""
        batch, config = self.simulation.batch, self.config
        model = self.simulation.model
        self._nominal = {}
        names = []
        if config.mass != (1.0, 1.0) or self._payload_body >= 0:
            names += ["body_mass", "body_inertia"]
        if config.friction is not None:
            names += ["geom_friction"] + (["pair_friction"] if model.npair else [])
        if config.motor_gain != (1.0, 1.0):
            names += ["actuator_gainprm", "actuator_biasprm"]
        self._fields = {name: batch.expand(name) for name in names}
        self._nominal = {name: np.array(getattr(model, name)) for name in names}

    def _write(self, rows: np.ndarray, draw: Draw) -> None:
        config, fields, nominal = self.config, self._fields, self._nominal
        if "body_mass" in fields:
            factor = draw.between("mass", *config.mass, 1)
            fields["body_mass"][rows] = nominal["body_mass"] * factor
            fields["body_inertia"][rows] = nominal["body_inertia"] * factor[:, :, None]
            if self._payload_body >= 0:
                load = draw.between("payload", *config.payload, 1)[:, 0]
                fields["body_mass"][rows, self._payload_body] += load
        if config.friction is not None:
            sliding = draw.between("friction", *config.friction, 1)
            fields["geom_friction"][rows, :, 0] = sliding
            if "pair_friction" in fields:
                fields["pair_friction"][rows, :, :2] = sliding[:, :, None]
        if "actuator_gainprm" in fields:
            count = self.simulation.model.nu
            factor = draw.between("motor gain", *config.motor_gain, count)[:, :, None]
            for name in ("actuator_gainprm", "actuator_biasprm"):
                fields[name][rows] = nominal[name]
                fields[name][rows, :, :3] = nominal[name][:, :3] * factor

    def _push_turn(self) -> np.ndarray | None:
        """Return the live quaternions of the push body `[N, 4]` if pushes are counted from it."""
        if self.config.push_frame == "world":
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
