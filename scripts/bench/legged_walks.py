"""Let robots on legs walk through the ordinary engine, and keep how they moved.

`walk(...)` plays one episode in each row of an environment and returns `Walks`: velocities in the
frame of the robot's heading, and when each row fell.  Rows may differ in pushes, payload, friction
and latency.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simrl.core import Policy, TimeStep, VecEnv
from simrl.core.plugins import controller_plugin, env_plugin, make_config
from simrl.rollout import RolloutEngine, Seating
from simrl.rollout.observer import Observer, StepRecord

ENV = "quadruped-velocity"
STEP = 0.002
"""Step of the physics, and time between two decisions where a study does not say more [s]."""
RESET = 1.5
"""Time after which a walk counts: the start's noise is over and the command reached [s]."""


@dataclass(frozen=True)
class Walks:
    """Hold how n rows walked for T steps."""

    velocity: np.ndarray
    """Forward and leftward velocity [m/s] and yaw rate [rad/s] after each step `[T, n, 3]`."""
    height: np.ndarray
    """Height of the base [m] `[T, n]`."""
    fell: np.ndarray
    """When each row fell [s] `[n]`; infinite if it did not."""
    command: np.ndarray
    """What was commanded `[3]`."""
    step: float
    """Time between two decisions [s]."""

    @property
    def stood(self) -> np.ndarray:
        """Which rows did not fall `[n]` bool."""
        return np.isinf(self.fell)

    def rmse(self, after: float = RESET) -> np.ndarray:
        """Return each row's root mean square error of the velocity `[n, 3]`."""
        error = self.velocity[round(after / self.step) :] - self.command
        return np.sqrt((error**2).mean(axis=0))

    def mean(self, after: float) -> np.ndarray:
        """Return each row's mean velocity `[n, 3]`."""
        return self.velocity[round(after / self.step) :].mean(axis=0)


class Tracks(Observer):
    """Write down how every row moves."""

    reads = frozenset({"state"})

    def __init__(self, parts: Mapping[str, slice], steps: int, rows: int, step: float) -> None:
        self._step = step
        self._qpos, self._qvel = parts["qpos"], parts["qvel"]
        self.velocity, self.height = np.zeros((steps, rows, 3)), np.zeros((steps, rows))
        self.fell, self.count = np.full(rows, np.inf), 0

    def on_step(self, record: StepRecord, timestep: TimeStep) -> None:
        """Keep velocities in the heading's frame, and who fell."""
        done = timestep.done
        state = timestep.final_obs["state"] if bool(done.all()) else timestep.obs["state"]
        rows = state.numpy()
        qpos, qvel = rows[:, self._qpos], rows[:, self._qvel]
        w, x, y, z = qpos[:, 3:7].T
        yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        c, s = np.cos(yaw), np.sin(yaw)
        now = self.velocity[self.count]
        now[:, 0] = c * qvel[:, 0] + s * qvel[:, 1]
        now[:, 1] = c * qvel[:, 1] - s * qvel[:, 0]
        now[:, 2] = qvel[:, 5]
        self.height[self.count] = qpos[:, 2]
        self.count += 1
        fallen = timestep.terminated.numpy() & np.isinf(self.fell)
        self.fell[fallen] = self.count * self._step


def walk(
    command: Sequence[float] = (0.5, 0.0, 0.0),
    seconds: float = 10.0,
    *,
    robot: str = "go2",
    rows: Sequence[Mapping[str, Any]] = ({},),
    controller: Mapping[str, Any] | None = None,
    seed: int = 0,
    step: float = STEP,
    **options: Any,
) -> Walks:
    """Walk at a command [m/s, m/s, rad/s], one row for each of `rows` (its own options).

    Args:
        command: vx, vy, yaw rate.
        seconds: How long.
        robot: Which robot.
        rows: Options of each row: push..., payload, friction, latency.
        controller: Options of mpc-wbc.
        seed: Seed of the starts.
        step: Time between two decisions [s].
        options: Options of the environment for all rows.
    """
    env, policy = _seat(command, seconds, robot, rows, controller or {}, step, options)
    steps = round(seconds / step)
    tracks = Tracks(env.spec.physics["state"], steps, len(rows), step)
    seating = Seating.self_play(env, policy, name="mpc-wbc", train=False)
    engine = RolloutEngine(env, seating, seed=seed, observers=[tracks], threads=1)
    for _ in range(steps):
        engine.step(deterministic=True)
        if np.isfinite(tracks.fell).all():
            break
    done = slice(0, tracks.count)
    wanted = np.array(command, np.float64)
    return Walks(tracks.velocity[done], tracks.height[done], tracks.fell, wanted, step)


def time_walk(step: float, seconds: float = 10.0, seed: int = 0) -> float:
    """Return simulated over wall time of one trotting Go2, nobody looking on."""
    env, policy = _seat((0.5, 0.0, 0.0), seconds + 1.0, "go2", ({},), {}, step, {})
    seating = Seating.self_play(env, policy, name="mpc-wbc", train=False)
    engine = RolloutEngine(env, seating, seed=seed, threads=1)
    for _ in range(20):  # kernels are loaded, pages touched
        engine.step(deterministic=True)
    begin = time.perf_counter()
    for _ in range(round(seconds / step)):
        engine.step(deterministic=True)
    return seconds / (time.perf_counter() - begin)


def _seat(
    command: Sequence[float],
    seconds: float,
    robot: str,
    rows: Sequence[Mapping[str, Any]],
    controller: Mapping[str, Any],
    step: float,
    options: Mapping[str, Any],
) -> tuple[VecEnv, Policy]:
    """Build the environment and its controller."""
    fixed = {
        "robot": robot,
        "control": "torque",
        "control_step": step,
        "physics_step": STEP,
        "seconds": seconds,
        "threads": 1,
        "command_x": (command[0],) * 2,
        "command_y": (command[1],) * 2,
        "command_yaw": (command[2],) * 2,
        "still": 0.0,
        "resample": 0.0,
    }
    plugin = env_plugin(ENV)
    assert plugin.make_rows is not None
    env = plugin.make_rows(
        [make_config(plugin.config, {**fixed, **options, **row}, ENV) for row in rows]
    )
    maker = controller_plugin("mpc-wbc")
    return env, maker.make(env.spec, make_config(maker.config, controller, "mpc-wbc"))
