"""Draw how legged control walks: tracking, forces within cones, footholds, times, a filmstrip.

    python scripts/plot_legged.py [--out docs/images] [--robot go2] [--gait trot]

A script commands a tour (forward, sideways, turning, standing) through the cascade, and
the controller `mpc-wbc` walks it.  docs/results.md shows the pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from simrl.core import ContinuousActions, EnvSpec, Obs, PolicyOutput, PolicyState, VecEnv
from simrl.core.plugins import make_env
from simrl.rollout import RolloutEngine, Seating
from simrl.rollout.observer import Observer, StepRecord
from simrl.runs.policies import named_policy
from simrl_controllers.cascade import Cascade, Level

STEP, SECONDS, FRAMES = 0.002, 12.0, 8
TOUR = (
    (0.0, (0.0, 0.0, 0.0)),
    (1.0, (0.5, 0.0, 0.0)),
    (4.0, (1.0, 0.0, 0.0)),
    (6.5, (0.3, 0.4, 0.0)),
    (8.5, (0.3, 0.0, 1.2)),
    (10.5, (0.0, 0.0, 0.0)),
)
"""From when on [s] which velocities [m/s] and yaw rate [rad/s] are commanded."""
FEET = ("front left", "front right", "rear left", "rear right")


class Tour:
    """Command the tour by the time in the state."""

    reads = frozenset({"state"})

    def __init__(self, spec: EnvSpec) -> None:
        self._time = spec.physics["state"]["time"]

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return an empty memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the command of now `[rows, 3]`."""
        now = obs["state"][:, self._time][:, 0].tolist()
        action = [[c for begin, c in TOUR if begin <= t + 1e-9][-1] for t in now]
        return PolicyOutput(torch.tensor(action, dtype=torch.float32), {})


class Log(Observer):
    """Keep states and solve times of row 0, and draw it now and then."""

    reads = frozenset({"state"})

    def __init__(self, env: VecEnv) -> None:
        self.env = env
        self.states: list[np.ndarray] = []
        self.times: dict[str, list[float]] = {"solve_time": [], "mpc_time": [], "wbc_time": []}
        self.frames: list[np.ndarray] = []

    def on_act(self, record: StepRecord) -> None:
        """Keep what was seen and how long it took."""
        count = len(self.states)
        self.states.append(record.obs["state"][0].numpy().copy())
        extras = record.acts[0].output.extras
        for name, values in self.times.items():
            values.append(float(extras[f"legs/{name}"][0]))
        every = round(SECONDS / STEP / FRAMES)
        if count % every == every // 2:
            self.frames.append(self.env.render(0))


def play(robot: str, gait: str) -> tuple[EnvSpec, np.ndarray, Log]:
    """Walk the tour and return the spec, the states `[T, S]` and the log."""
    env = make_env(
        "quadruped-velocity", 1, robot=robot, control="torque", control_step=STEP,
        physics_step=STEP, seconds=SECONDS, threads=1, resample=0.0,
    )  # fmt: skip
    limits = ContinuousActions((-1.0, -1.0, -2.0), (2.0, 1.0, 2.0))  # vx, vy, yaw rate
    legs = named_policy(f"mpc-wbc:gait={gait}", env.spec, {})
    policy = Cascade(
        env.spec,
        [Level("task", Tour(env.spec), limits, every=10), Level("legs", legs, env.spec.actions)],
    )
    log = Log(env)
    seating = Seating.self_play(env, policy, name="mpc-wbc", train=False)
    engine = RolloutEngine(env, seating, seed=0, observers=[log], threads=1)
    for _ in range(round(SECONDS / STEP) - 1):
        engine.step(deterministic=True)
    return env.spec, np.array(log.states), log


def heading_velocity(spec: EnvSpec, states: np.ndarray) -> np.ndarray:
    """Return forward and leftward velocity and yaw rate `[T, 3]`."""
    parts = spec.physics["state"]
    qpos, qvel = states[:, parts["qpos"]], states[:, parts["qvel"]]
    w, x, y, z = qpos[:, 3:7].T
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    c, s = np.cos(yaw), np.sin(yaw)
    forward = c * qvel[:, 0] + s * qvel[:, 1]
    return np.stack([forward, c * qvel[:, 1] - s * qvel[:, 0], qvel[:, 5]], axis=1)


def draw_tracking(spec: EnvSpec, states: np.ndarray, path: Path) -> None:
    """Draw velocities and the tour that they follow."""
    time = np.arange(len(states)) * STEP
    found = heading_velocity(spec, states)
    wanted = np.array([[c for begin, c in TOUR if begin <= t][-1] for t in time])
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    names = ("forward [m/s]", "to the left [m/s]", "yaw rate [rad/s]")
    axes: Any = figure.subplots(3, 1, sharex=True)
    for index, axis in enumerate(axes):
        axis.plot(time, found[:, index], lw=0.8, label="measured")
        axis.plot(time, wanted[:, index], "k--", lw=1, label="command")
        axis.set_ylabel(names[index])
        axis.grid(alpha=0.3)
    axes[0].legend(loc="upper left")
    axes[-1].set_xlabel("time [s]")
    figure.savefig(path, dpi=110)


def foot_data(spec: EnvSpec, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return forces of the ground on the feet [N] and the feet's places [m], each `[T, 4, 3]`."""
    sensors, feet = spec.physics["sensors"], spec.physics["feet"]
    force = np.stack([-states[:, sensors[f"{foot}_force"]] for foot in feet], axis=1)
    return force, np.stack([states[:, sensors[f"{foot}_pos"]] for foot in feet], axis=1)


def draw_forces(spec: EnvSpec, states: np.ndarray, path: Path, friction: float = 0.8) -> None:
    """Draw contact forces over time, and each foot's tangential over its normal force."""
    force, _ = foot_data(spec, states)
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    grid = figure.add_gridspec(2, 4)
    over = figure.add_subplot(grid[0, :])
    window = slice(round(5.0 / STEP), round(6.0 / STEP))
    time = np.arange(len(states))[window] * STEP
    for leg, name in enumerate(FEET):
        over.plot(time, force[window, leg, 2], lw=1, label=name)
    over.set_xlabel("time [s]")
    over.set_ylabel("normal force [N]")
    over.legend(ncols=4, fontsize=8)
    over.grid(alpha=0.3)
    most = float(force[:, :, 2].max())
    for leg, name in enumerate(FEET):
        axis = figure.add_subplot(grid[1, leg])
        draw_cone(axis, force[:, leg], most, friction)
        axis.set_title(name, fontsize=9)
    figure.savefig(path, dpi=110)


def draw_cone(axis: Axes, force: np.ndarray, most: float, friction: float) -> None:
    """Draw one foot's forces against the ground's cone and the one that is planned with."""
    tangent = np.hypot(force[:, 0], force[:, 1])
    axis.plot(force[:, 2], tangent, ".", ms=1, alpha=0.4)
    for value, style, name in ((friction, "k-", "ground"), (0.6, "r--", "planned")):
        axis.plot([0, most], [0, value * most], style, lw=1, label=f"{name} {value:g}")
    axis.set_ylim(0, 0.85 * most)
    axis.set_xlabel("normal [N]")
    axis.set_ylabel("tangential [N]")
    axis.legend(fontsize=7)
    axis.grid(alpha=0.3)


def draw_footholds(spec: EnvSpec, states: np.ndarray, path: Path) -> None:
    """Draw the way of the base and where the feet came down, from above."""
    force, place = foot_data(spec, states)
    base = states[:, spec.physics["state"]["qpos"]][:, :2]
    touch = force[:, :, 2] > 0.02 * spec.physics["mass"] * spec.physics["gravity"]
    figure = Figure(figsize=(7, 6), layout="constrained")
    axis = figure.subplots()
    axis.plot(base[:, 0], base[:, 1], "k-", lw=1, label="base")
    for leg, name in enumerate(FEET):
        # A landing is a touch after a tenth of a second in the air.
        air = np.convolve(~touch[:, leg], np.ones(50), mode="full")[: len(touch)] > 45
        down = np.flatnonzero(touch[1:, leg] & ~touch[:-1, leg] & air[:-1]) + 1
        axis.plot(place[down, leg, 0], place[down, leg, 1], "o", ms=4, label=name)
    axis.set_aspect("equal")
    axis.set_xlabel("x [m]")
    axis.set_ylabel("y [m]")
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def draw_times(log: Log, path: Path) -> None:
    """Draw histograms of the solvers' and of the whole call's times."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    axes: Any = figure.subplots(1, 3)
    names = {"mpc_time": "MPC", "wbc_time": "whole-body QP", "solve_time": "a whole decision"}
    for axis, (key, name) in zip(axes, names.items(), strict=True):
        taken = np.array(log.times[key][50:]) * 1e3
        taken = taken[taken > 0]
        p50, p99 = np.percentile(taken, [50, 99])
        axis.hist(taken, bins=60, range=(0, 1.3 * p99))
        axis.axvline(p50, color="k", lw=1, label=f"p50 {p50:.2f} ms")
        axis.axvline(p99, color="r", lw=1, label=f"p99 {p99:.2f} ms")
        axis.set_title(name, fontsize=9)
        axis.legend(fontsize=8)
        axis.set_xlabel("ms")
    figure.savefig(path, dpi=110)


def draw_film(log: Log, path: Path) -> None:
    """Put the frames in two rows."""
    frames = [Image.fromarray(frame).resize((320, 240)) for frame in log.frames[:FRAMES]]
    half = (len(frames) + 1) // 2
    film = Image.new("RGB", (320 * half, 480))
    for index, frame in enumerate(frames):
        film.paste(frame, (320 * (index % half), 240 * (index // half)))
    film.save(path)


def main(out: Path = Path("docs/images"), robot: str = "go2", gait: str = "trot") -> None:
    """Walk the tour and write the pictures."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    spec, states, log = play(robot, gait)
    draw_tracking(spec, states, out / "legged-tracking.png")
    draw_forces(spec, states, out / "legged-forces.png")
    draw_footholds(spec, states, out / "legged-footholds.png")
    draw_times(log, out / "legged-times.png")
    draw_film(log, out / "film-legged.png")


if __name__ == "__main__":
    tyro.cli(main)
