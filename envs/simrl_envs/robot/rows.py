"""Where each number of a simulation's row stands, and live views of many rows.

A row of `VecEnv.snapshot` is `qpos | qvel | command | rest`, all float64.  In memory it is two
matrices: `sim`, MuJoCo's own state row, and `extra`, what the task adds to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import mujoco
import numpy as np

from simrl_envs.robot.robot import Robot

SIM_PARTS = {
    "time": mujoco.mjtState.mjSTATE_TIME,
    "qpos": mujoco.mjtState.mjSTATE_QPOS,
    "qvel": mujoco.mjtState.mjSTATE_QVEL,
    "act": mujoco.mjtState.mjSTATE_ACT,
    "history": mujoco.mjtState.mjSTATE_HISTORY,
    "warmstart": mujoco.mjtState.mjSTATE_WARMSTART,
    "ctrl": mujoco.mjtState.mjSTATE_CTRL,
    "mocap_pos": mujoco.mjtState.mjSTATE_MOCAP_POS,
    "mocap_quat": mujoco.mjtState.mjSTATE_MOCAP_QUAT,
}
"""Parts of MuJoCo's state that a row keeps; forces from outside are set anew in every step."""

KEPT_SPEC = sum(int(bit) for bit in SIM_PARTS.values())


def sim_slices(model: mujoco.MjModel, spec: int) -> dict[str, slice]:
    """Return where each part stands in a MuJoCo state vector of the components in `spec`."""
    result, offset = {}, 0
    names = {int(bit): name for name, bit in SIM_PARTS.items()}
    for index in range(int(mujoco.mjtState.mjNSTATE)):
        bit = 1 << index
        if not spec & bit:
            continue
        size = mujoco.mj_stateSize(model, bit)
        if bit in names:
            result[names[bit]] = slice(offset, offset + size)
        offset += size
    return result


class RowLayout:
    """Say where the parts of a row stand.

    Args:
        robot: The model.
        extras: Width of each part that the task adds to MuJoCo's state; "command" first.
        memory: Which of them are the task's own memory.
        step_seconds: Length of a control step [s].
    """

    def __init__(
        self,
        robot: Robot,
        extras: Mapping[str, int],
        memory: tuple[str, ...],
        step_seconds: float,
    ) -> None:
        self.robot = robot
        self.step_seconds = step_seconds
        self.memory = memory
        self.sim = sim_slices(robot.model, int(mujoco.mjtState.mjSTATE_INTEGRATION))
        self.extra: dict[str, slice] = {}
        offset = 0
        for name, width in extras.items():
            self.extra[name] = slice(offset, offset + width)
            offset += width
        self.extra_size = offset
        self.parts: dict[str, slice] = {}
        offset = 0
        others = [name for name in self.sim if name not in ("qpos", "qvel")]
        rest = [name for name in self.extra if name != "command"]
        for name in ("qpos", "qvel", "command", *others, *rest):
            where = self.sim.get(name) or self.extra[name]
            width = where.stop - where.start
            if width or name in ("qpos", "qvel", "command"):
                self.parts[name] = slice(offset, offset + width)
                offset += width
        self.size = offset

    def pack(
        self,
        sim: np.ndarray,
        extra: np.ndarray,
        out: np.ndarray,
        sim_parts: Mapping[str, slice] | None = None,
    ) -> np.ndarray:
        """Write rows `[M, S]` from both matrices into `out` and return it.

        sim_parts: where MuJoCo's parts stand in `sim`, if it is not a whole state row.
        """
        for name, part in self.parts.items():
            if name in self.sim:
                out[:, part] = sim[:, (sim_parts or self.sim)[name]]
            else:
                out[:, part] = extra[:, self.extra[name]]
        return out

    def unpack(self, rows: np.ndarray, sim: np.ndarray, extra: np.ndarray) -> None:
        """Write the parts of `rows` `[M, S]` into both matrices."""
        for name, part in self.parts.items():
            if name in self.sim:
                sim[:, self.sim[name]] = rows[:, part]
            else:
                extra[:, self.extra[name]] = rows[:, part]


class View:
    """Show M rows to the terms as arrays with names; writing into an array changes the rows.

    Positions and velocities are MuJoCo's (quaternions are wxyz, a free joint's linear velocity is
    in the world frame and its angular one in the body's).
    """

    def __init__(
        self,
        layout: RowLayout,
        sim: np.ndarray,
        extra: np.ndarray,
        before: tuple[np.ndarray, np.ndarray] | None = None,
        fields: Mapping[str, np.ndarray] | None = None,
        sim_parts: Mapping[str, slice] | None = None,
    ) -> None:
        self.layout = layout
        self.robot = layout.robot
        self._sim, self._extra = sim, extra
        self._before = before
        self._fields = fields or {}
        self._sim_parts = parts = sim_parts or layout.sim
        self.num_rows = len(sim)
        self.step_seconds = layout.step_seconds
        self.time = sim[:, parts["time"].start]
        """Seconds since the episode began `[M]`."""
        self.qpos = sim[:, parts["qpos"]]
        """Joint positions `[M, nq]`."""
        self.qvel = sim[:, parts["qvel"]]
        """Joint velocities `[M, nv]`."""
        self.act = sim[:, parts["act"]]
        """Actuator activations `[M, na]`."""
        self.command = extra[:, layout.extra["command"]]
        """What the task asks for `[M, C]`."""
        self.action = extra[:, layout.extra["action"]]
        """The latest action `[M, nu]`."""
        self.steps = extra[:, layout.extra["steps"].start]
        """Steps since the episode began `[M]`."""
        self.memory = {name: extra[:, layout.extra[name]] for name in layout.memory}
        """The task's own numbers by name, each `[M, width]`."""
        if before is not None:
            self.last_qpos = before[0][:, parts["qpos"]]
            """Joint positions before this step `[M, nq]`."""
            self.last_qvel = before[0][:, parts["qvel"]]
            """Joint velocities before this step `[M, nv]`."""
            self.last_action = before[1][:, layout.extra["action"]]
            """The action before the latest `[M, nu]`; rewards and measures may read it."""

    def field(self, name: str) -> np.ndarray:
        """Return a derived field of MjData `[M, ...]`; the term must list it in `needs`."""
        if name in self._fields:
            return self._fields[name]
        kept = self.layout.extra.get(f"data.{name}")
        if kept is None:
            raise ValueError(
                f"the field {name!r} was not asked for: list it in needs=(...) of the term"
            )
        return self._shaped(name, self._extra[:, kept])

    def last_field(self, name: str) -> np.ndarray:
        """Return a derived field as it was before this step; only tasks with fresh = "none"."""
        kept = self.layout.extra.get(f"data.{name}")
        if kept is None or self._before is None:
            raise ValueError(f"the field {name!r} is not kept from step to step")
        return self._shaped(name, self._before[1][:, kept])

    def mocap(self) -> tuple[np.ndarray, np.ndarray]:
        """Return positions `[M, nmocap, 3]` and quaternions `[M, nmocap, 4]`, writable."""
        count = self.robot.model.nmocap
        place = self._sim[:, self._sim_parts["mocap_pos"]]
        turn = self._sim[:, self._sim_parts["mocap_quat"]]
        return place.reshape(-1, count, 3), turn.reshape(-1, count, 4)

    def take(self, rows: np.ndarray) -> View:
        """Copy some rows."""
        before = None
        if self._before is not None:
            before = (self._before[0][rows], self._before[1][rows])
        fields = {name: value[rows] for name, value in self._fields.items()}
        return View(
            self.layout, self._sim[rows], self._extra[rows], before, fields, self._sim_parts
        )

    def _shaped(self, name: str, flat: np.ndarray) -> np.ndarray:
        return flat.reshape(-1, *field_shape(self.robot, name))


def field_shape(robot: Robot, name: str) -> tuple[int, ...]:
    """Return the shape of a derived field of MjData in one simulation."""
    value = getattr(robot.template, name, None)
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{name!r} is not an array field of MjData")
    return tuple(value.shape)


def field_size(robot: Robot, name: str) -> int:
    """Count the numbers of a derived field of MjData in one simulation."""
    return math.prod(field_shape(robot, name))
