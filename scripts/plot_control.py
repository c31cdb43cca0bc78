"""Draw what controllers do: tracking, inputs within their limits, solve times, and filmstrips.

    python scripts/plot_control.py [--out docs/images] [--tasks cartpole quadrotor car arm]

Plays one episode of each task with two controllers in the rollout engine, and writes a plot and a
filmstrip a task.  docs/results.md shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
import torch
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from simrl.core import EnvSpec, VecEnv
from simrl.core.plugins import make_env
from simrl.rollout import RolloutEngine, Seating
from simrl.rollout.observer import Observer, StepRecord
from simrl.runs.policies import named_policy

FRAMES = 6


class Log(Observer):
    """Keep states, actions and solve times of row 0, and draw it now and then."""

    reads = frozenset({"state"})

    def __init__(self, env: VecEnv, every: int) -> None:
        self.env, self.every = env, every
        self.states: list[Tensor] = []
        self.actions: list[Tensor] = []
        self.solve: list[float] = []
        self.frames: list[np.ndarray] = []

    def on_act(self, record: StepRecord) -> None:
        """Keep what was seen and done."""
        self.states.append(record.obs["state"][0].clone())
        self.actions.append(record.action[0, 0].clone())
        self.solve += [act.seconds * 1e3 for act in record.acts]
        if len(self.states) % self.every == 1 and len(self.frames) < FRAMES:
            self.frames.append(self.env.render(0))


@dataclass(frozen=True)
class Task:
    """Say what to play and what to draw of it."""

    env: str
    """The environment."""
    controllers: tuple[str, ...]
    """Who plays."""
    track: Callable[[Axes, EnvSpec, np.ndarray, str], None]
    """How the tracking is drawn."""
    seed: int = 1
    """Seed of the episode."""


def part(spec: EnvSpec, states: np.ndarray, name: str) -> np.ndarray:
    """Return a named part of states `[T, S]`."""
    return states[:, spec.physics["state"][name]]


def swing_up(axes: Axes, spec: EnvSpec, states: np.ndarray, name: str) -> None:
    """Draw the pole's angle over time."""
    time = np.arange(len(states)) * spec.step_seconds
    axes.plot(time, part(spec, states, "qpos")[:, 1], label=name)
    axes.set(xlabel="time [s]", ylabel="pole angle [rad], 0 is upright")


def path(axes: Axes, spec: EnvSpec, states: np.ndarray, name: str) -> None:
    """Draw the way in the plane against the reference."""
    if not axes.lines:
        row = torch.from_numpy(states[:1])
        ahead = torch.arange(len(states)) * spec.step_seconds
        aim = spec.reference(row, ahead)[0].numpy()
        columns = list(spec.physics["reference"])
        x, y = columns.index("x"), columns.index("y")
        axes.plot(aim[:, x], aim[:, y], "k--", linewidth=1, label="reference")
    where = part(spec, states, "position" if "position" in spec.physics["state"] else "qpos")
    axes.plot(where[:, 0], where[:, 1], label=name)
    axes.set(xlabel="x [m]", ylabel="y [m]")


def hand(axes: Axes, spec: EnvSpec, states: np.ndarray, name: str) -> None:
    """Draw how far the hand is from its reference."""
    model = mujoco.MjModel.from_xml_string(spec.physics["mjcf"])
    data, site = mujoco.MjData(model), spec.physics["end_effector"]
    places = []
    for qpos in part(spec, states, "qpos"):
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        places.append(data.site(site).xpos.copy())
    ahead = torch.arange(len(states)) * spec.step_seconds
    assert spec.reference is not None
    aim = spec.reference(torch.from_numpy(states[:1]), ahead)[0, :, :3].numpy()
    error = np.linalg.norm(np.array(places) - aim, axis=-1)
    axes.plot(ahead, 1e3 * error, label=name)
    axes.set(xlabel="time [s]", ylabel="error of the hand [mm]", yscale="log")


def play(task: Task, controller: str) -> tuple[EnvSpec, Log]:
    """Play one episode."""
    env = make_env(task.env, 1)
    policy = named_policy(controller, env.spec, {})
    log = Log(env, max(1, env.spec.max_steps // FRAMES))
    seating = Seating.self_play(env, policy, train=False)
    RolloutEngine(env, seating, seed=task.seed, observers=[log]).run_episodes(1, deterministic=True)
    return env.spec, log


def draw(name: str, task: Task, out: Path) -> None:
    """Write the plot and the filmstrip of one task."""
    figure = Figure(figsize=(11.0, 3.0), layout="constrained")
    tracking, inputs, times = figure.subplots(1, 3)
    strips = []
    for index, controller in enumerate(task.controllers):
        spec, log = play(task, controller)
        states, actions = torch.stack(log.states).numpy(), torch.stack(log.actions).numpy()
        task.track(tracking, spec, states, controller)
        clock = np.arange(len(actions)) * spec.step_seconds
        low, high = np.array(spec.actions.low), np.array(spec.actions.high)
        # Inputs as shares of their range: the one that comes nearest to a limit.
        shares = 2.0 * (actions - low) / (high - low) - 1.0
        inputs.plot(clock, shares[:, np.abs(shares).max(0).argmax()], linewidth=0.9)
        if index == 0:
            for limit in (-1.0, 1.0):
                inputs.axhline(limit, color="k", linestyle=":", linewidth=1)
        bins = np.geomspace(0.01, 100.0, 60)
        times.hist(log.solve, bins=bins, histtype="step", label=controller)
        strips.append(np.concatenate(log.frames, 1))
    tracking.legend(fontsize=8)
    inputs.set(xlabel="time [s]", ylabel="busiest input, share of its limit")
    times.set(xlabel="time of a decision [ms]", ylabel="steps", xscale="log")
    times.legend(fontsize=8)
    for axes in (tracking, inputs, times):
        axes.grid(alpha=0.3)
    figure.suptitle(task.env)
    figure.savefig(out / f"control-{name}.png", dpi=110)
    width = min(strip.shape[1] for strip in strips)
    film = Image.fromarray(np.concatenate([strip[:, :width] for strip in strips], 0))
    film.thumbnail((1320, 1320))
    film.save(out / f"film-{name}.png")


TASKS = {
    "cartpole": Task("cartpole-swingup", ("nmpc", "mppi"), swing_up),
    "quadrotor": Task("quadrotor-track", ("nmpc", "lqr"), path),
    "car": Task("car-lane", ("nmpc", "driver"), path),
    "arm": Task("arm-track", ("osc", "pd"), hand),
}


@dataclass(frozen=True)
class Arguments:
    """Draw what controllers do."""

    out: Path = Path("docs/images")
    """Folder for the pictures."""
    tasks: tuple[str, ...] = tuple(TASKS)
    """Tasks to draw."""


def main(args: Arguments) -> None:
    """Draw every task."""
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.tasks:
        if name not in TASKS:
            raise SystemExit(f"unknown task {name!r}; the tasks are {', '.join(TASKS)}")
        draw(name, TASKS[name], args.out)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
