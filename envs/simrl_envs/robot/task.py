"""A task file compiled against a model: what is shown, paid, measured and when it ends."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from simrl.core.spec import Block, Column, Layout
from simrl_envs.robot.actuator import ActuatorNet, history_size
from simrl_envs.robot.config import RobotConfig
from simrl_envs.robot.robot import Robot, load_robot
from simrl_envs.robot.rows import RowLayout, View, field_size
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.taskfile import MetricUse, PlanningOptions, TaskFile, TermUse, read_task
from simrl_envs.robot.terms import registry
from simrl_envs.robot.terms.registry import BoundTerm

STAGE_NUMBERS = {"none": 0, "pos": 1, "vel": 2, "acc": 3}


@njit(cache=True, nogil=True)
def weigh(terms: np.ndarray, weights: np.ndarray, total: np.ndarray) -> None:
    """Write the weighted sums `[M]` of terms `[M, R]`, one row as if it were alone."""
    for row in range(terms.shape[0]):
        total[row] = 0.0
        for index in range(terms.shape[1]):
            total[row] += weights[index] * terms[row, index]


@dataclass(frozen=True)
class Group:
    """Hold one observation group: its layout, terms, ranges and noise."""

    layout: Layout
    terms: tuple[tuple[BoundTerm, slice], ...]
    low: np.ndarray
    high: np.ndarray
    noise: np.ndarray
    """Standard deviation of each column's noise, in its unit."""
    bounded: bool
    """Whether any column has a limit."""


@dataclass(frozen=True)
class Task:
    """Hold everything that the environment and its `Dynamics` share."""

    name: str
    """Name under which the environment is registered."""
    file: TaskFile
    robot: Robot
    layout: RowLayout
    groups: Mapping[str, Group]
    rewards: tuple[BoundTerm, ...]
    weights: tuple[float, ...]
    terminations: tuple[BoundTerm, ...]
    metrics: tuple[tuple[MetricUse, BoundTerm], ...]
    start: BoundTerm
    carry: BoundTerm | None
    update: BoundTerm | None
    reference: BoundTerm | None
    shape: BoundTerm | None
    needs: tuple[str, ...]
    """Derived fields that some term reads."""
    judged: tuple[str, ...]
    """Those of them that rewards, ends and metrics read."""
    low: np.ndarray
    """Least value of each action `[nu]`."""
    high: np.ndarray
    """Largest value of each action `[nu]`."""

    @property
    def stage(self) -> int:
        """How far derived fields are recomputed at the state after a step (an `mjtStage`)."""
        return STAGE_NUMBERS[self.file.fresh] if self.needs else 0

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the task's metrics; "success" only where its file says what that is."""
        judged = ("success",) if self.file.success else ()
        return (*(use.name for use in self.file.metrics), *judged, "diverged")

    def substeps(self, timestep: float) -> int:
        """Count the physics steps of `timestep` in one control step; ValueError if not whole."""
        count = round(self.file.step_seconds / timestep)
        if count < 1 or not math.isclose(count * timestep, self.file.step_seconds, rel_tol=1e-6):
            raise ValueError(
                f"{self.file.path.name}: step_seconds {self.file.step_seconds} is not a whole "
                f"number of physics steps of {timestep} s"
            )
        return count

    @cached_property
    def _weights(self) -> np.ndarray:
        return np.array(self.weights, np.float64)

    def observe(self, view: View, group: str, out: np.ndarray) -> None:
        """Write a group's columns `[M, D]` float64, without noise or limits."""
        for term, part in self.groups[group].terms:
            out[:, part] = term.call(view)

    def pay(self, view: View, terms: np.ndarray, total: np.ndarray) -> None:
        """Write the reward terms `[M, R]` and their weighted sum `[M]`."""
        for index, term in enumerate(self.rewards):
            terms[:, index] = term.call(view)
        weigh(terms, self._weights, total)

    def ended(self, view: View) -> np.ndarray:
        """Return in which rows the task ended by its own rules `[M]` bool."""
        ended = np.zeros(view.num_rows, np.bool_)
        for term in self.terminations:
            ended |= term.call(view)
        return ended

    def begin(self, view: View, draw: Draw, old: View | None = None) -> None:
        """Write the start of new episodes into `view`; `old` are those that ended, if any did."""
        if self.carry is not None:
            self.carry.call(old, view, draw)
        self.start.call(view, draw)

    def renew(self, view: View, draw: Draw) -> None:
        """Let commands and memory follow the step that has just been made."""
        if self.update is not None:
            self.update.call(view, draw)


def load_task(
    path: Path | str,
    name: str,
    *,
    robot: Robot | None = None,
    variables: Mapping[str, Any] | None = None,
) -> Task:
    """Read a task file and compile it; ValueError says what does not fit.

    Args:
        path: The TOML file.
        name: Name under which the environment is registered.
        robot: The model; default: the task file's `model`, relative to the file.
        variables: What "$..." stands for in the file.
    """
    file = read_task(path, variables)
    if robot is None:
        if not file.model:
            raise ValueError(f"{file.path.name}: the key 'model' is missing: the path of an MJCF")
        robot = load_robot(model_path(file), contact_forces=file.contact_forces)
    return compile_task(file, name, robot)


def model_path(file: TaskFile) -> Path:
    """Return the path of a task file's model: relative to it, or among gymnasium's own."""
    kind, colon, name = file.model.partition(":")
    if not colon:
        return file.path.parent / file.model
    found = importlib.util.find_spec("gymnasium") if kind == "gymnasium" else None
    if found is None or found.origin is None:
        raise ValueError(f"{file.path.name}: unknown model {file.model!r}")
    return Path(found.origin).parent / "envs" / "mujoco" / "assets" / name


def compile_task(file: TaskFile, name: str, robot: Robot) -> Task:
    """Bind a task file's terms to a model."""
    for module in ("simrl_envs.robot.terms.general", *file.terms):
        try:
            importlib.import_module(module)
        except ImportError as error:
            where = f"{file.path.name}: terms: {module!r}"
            raise ValueError(f"{where} cannot be imported: {error}") from error
    rewards = tuple(_bind(registry.reward, use) for use in file.rewards)
    terminations = tuple(_bind(registry.termination, use) for use in file.terminations)
    metrics = tuple((use, _bind(registry.measure, use)) for use in file.metrics)
    groups = {
        group: _compile_group(
            robot, [(_bind(registry.observation, use), use.name, use.noise) for use in uses]
        )
        for group, uses in file.observations.items()
    }
    shown = [term for group in groups.values() for term, _ in group.terms]
    update = _bind(registry.update, file.update) if file.update else None
    begin = _bind(registry.start, file.start)
    judges = [*rewards, *terminations, *(term for _, term in metrics)]
    judged, needs = _needs(judges), _needs([*judges, *shown])
    limits = action_limits(robot)
    task = Task(
        name=name,
        file=file,
        robot=robot,
        layout=row_layout(file, robot, needs),
        groups=groups,
        rewards=rewards,
        weights=tuple(use.weight for use in file.rewards),
        terminations=terminations,
        metrics=metrics,
        start=begin,
        carry=_bind(registry.carry, file.carry) if file.carry else None,
        update=update,
        reference=_bind(registry.reference, file.reference) if file.reference else None,
        shape=_bind(registry.shape, file.shape) if file.shape else None,
        needs=needs,
        judged=judged,
        low=limits[0],
        high=limits[1],
    )
    task.substeps(robot.model.opt.timestep)
    return task


def row_layout(
    file: TaskFile,
    robot: Robot,
    needs: tuple[str, ...],
    latency_steps: int = 0,
    motor_history: int = 0,
) -> RowLayout:
    """Lay out a row: `latency_steps` past actions are kept for delayed actuation.

    motor_history: numbers that an actuator network keeps.
    """
    nu, num_metrics = robot.model.nu, len(file.metrics)
    extras = {
        "command": len(file.command),
        "steps": 1,
        "ended": 1,
        "stream": 2,
        "action": nu,
        "sent": latency_steps * nu,
        "motors": motor_history,
        **file.memory,
        "metric_totals": num_metrics,
        "metric_counts": num_metrics,
    }
    if file.fresh == "none":
        extras |= {f"data.{need}": field_size(robot, need) for need in needs}
    return RowLayout(robot, extras, tuple(file.memory), file.step_seconds)


def layout_for(task: Task, config: RobotConfig) -> RowLayout:
    """Lay out a row of a task under a config: delayed actuators need the actions already sent.

    An actuator network needs what its motors did before.
    """
    longest = config.latency[1] + config.compute_delay
    slots = math.ceil(longest / task.file.step_seconds - 1e-9)
    history = 0
    if config.actuator:
        history = history_size(ActuatorNet.load(config.actuator), task.robot.model)
    if not slots and not history:
        return task.layout
    return row_layout(task.file, task.robot, task.needs, slots, history)


def action_limits(robot: Robot) -> tuple[np.ndarray, np.ndarray]:
    """Return the actuators' control ranges; ValueError names one that has none."""
    model = robot.model
    if model.nu == 0:
        raise ValueError(f"{robot.source} has no actuators")
    free = [
        name
        for name, limited in zip(_actuators(robot), model.actuator_ctrllimited, strict=True)
        if not limited
    ]
    if free:
        raise ValueError(f"{robot.source}: actuators {', '.join(free)} need a ctrlrange")
    return model.actuator_ctrlrange[:, 0].copy(), model.actuator_ctrlrange[:, 1].copy()


def action_names(robot: Robot) -> tuple[str, ...]:
    """Return the actuators' names."""
    return tuple(_actuators(robot))


def planning_model(task: Task, options: PlanningOptions) -> Any:
    """Return a copy of the task's model with a planner's options."""
    import copy

    import mujoco

    model = copy.copy(task.robot.model)
    if options.timestep:
        model.opt.timestep = options.timestep
    if options.integrator:
        name = f"mjINT_{options.integrator.upper()}"
        model.opt.integrator = getattr(mujoco.mjtIntegrator, name)
    if options.cone:
        model.opt.cone = getattr(mujoco.mjtCone, f"mjCONE_{options.cone.upper()}")
    if options.iterations:
        model.opt.iterations = options.iterations
    if options.ls_iterations:
        model.opt.ls_iterations = options.ls_iterations
    if not options.joint_friction:
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_FRICTIONLOSS)
    return model


def _actuators(robot: Robot) -> list[str]:
    names = []
    for index in range(robot.model.nu):
        names.append(robot.model.actuator(index).name or f"actuator {index}")
    return names


def _needs(terms: list[BoundTerm]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(need for term in terms for need in term.term.needs))


def _bind(kind: registry.Registry, use: TermUse) -> BoundTerm:
    return kind.bind(use.term, use.arguments, use.where)


def _compile_group(robot: Robot, uses: list[tuple[BoundTerm, str, float]]) -> Group:
    blocks, terms, noise, start = [], [], [], 0
    for term, name, deviation in uses:
        columns: tuple[Column, ...] = term.columns(robot)
        blocks.append(Block(name, (len(columns),), columns))
        terms.append((term, slice(start, start + len(columns))))
        noise += [deviation] * len(columns)
        start += len(columns)
    layout = Layout(tuple(blocks))
    low = np.array([column.low for block in blocks for column in block.columns])
    high = np.array([column.high for block in blocks for column in block.columns])
    bounded = bool(np.isfinite(low).any() or np.isfinite(high).any())
    return Group(layout, tuple(terms), low, high, np.array(noise), bounded)
