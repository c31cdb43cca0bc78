"""Many copies of a robot task, stepped together on native threads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import ContinuousActions
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, TimeStep
from simrl_envs.robot.actuator import ActuatorNet
from simrl_envs.robot.config import RobotConfig, thread_count
from simrl_envs.robot.dynamics import RobotDynamics
from simrl_envs.robot.facts import sensor_facts, task_facts, task_reference
from simrl_envs.robot.metrics import succeeded
from simrl_envs.robot.mirror import mirror_facts
from simrl_envs.robot.randomise import Randomiser
from simrl_envs.robot.simulation import Simulation
from simrl_envs.robot.streams import first_streams, next_streams
from simrl_envs.robot.task import Task, action_names, layout_for

logger = logging.getLogger(__name__)

CHEAP_GROUPS = frozenset({"policy"})
PATH_SECONDS, PATH_POINTS = 3.0, 36
"""How much of a reference that lies ahead is drawn [s], and by how many points."""


class RobotEnv:
    """Step N rows of a robot task; A is 1.

    A row whose physics diverges is put back to its last good state, ends there (terminated, metric
    "diverged"), is reported by a logging warning and starts anew; the others go on.
    """

    def __init__(
        self,
        task: Task,
        config: RobotConfig,
        num_envs: int,
        row_configs: Sequence[RobotConfig] | None = None,
    ) -> None:
        """Build N rows that follow `config`, or row i the ranges of `row_configs[i]`."""
        if num_envs < 1:
            raise ValueError(f"{task.name}: num_envs must be at least 1, got {num_envs}")
        self.task, self.config = task, config
        self.num_envs = num_envs
        self.device = torch.device("cpu")
        self._layout = layout_for(task, config)
        threads = thread_count(config, num_envs)
        actuator = ActuatorNet.load(config.actuator) if config.actuator else None
        self.simulation = Simulation(task, self._layout, num_envs, threads, actuator=actuator)
        self._random = Randomiser(
            task, row_configs or [config], self.simulation, config.compute_delay
        )
        self.spec = _make_spec(task, config, self._layout)
        self._all = np.arange(num_envs)
        self._started = False
        self._make_buffers()
        self.request([*task.groups, "state"])

    def request(self, groups: Iterable[str]) -> None:
        """Compute only these groups from now on, and always "policy"."""
        valid = [*self.task.groups, "state"]
        wanted = set(groups)
        for name in sorted(wanted):
            if name not in valid:
                raise ValueError(
                    f"{self.spec.id}: unknown observation group {name!r}; "
                    f"the groups are {', '.join(valid)}"
                )
        keep = [name for name in valid if name in wanted or name in CHEAP_GROUPS]
        self._wanted = [name for name in keep if name != "state"]
        self._want_state = "state" in keep
        self._seen: Obs = {name: torch.from_numpy(self._obs[name]) for name in keep}
        self._step = TimeStep(
            obs=self._seen,
            reward=torch.from_numpy(self._reward),
            terminated=torch.from_numpy(self._terminated),
            truncated=torch.from_numpy(self._truncated),
            final_obs={name: torch.from_numpy(self._final_obs[name]) for name in keep},
            reward_terms=torch.from_numpy(self._terms) if self.task.rewards else None,
            metrics={name: torch.from_numpy(value) for name, value in self._metrics.items()},
        )

    def reset(self, seed: int) -> Obs:
        """Start every row anew from its own stream of `seed`."""
        self._started = True
        self._begin(self._all, first_streams(seed, self.num_envs))
        self._look()
        return self._seen

    def step(self, action: Tensor) -> TimeStep:
        """Apply float32 `[N, 1, nu]`; floats beyond their bounds are clipped, done rows reset."""
        simulation = self.simulation
        joint = self._checked(action)
        self._random.push()
        bad = simulation.step(joint, self._random.delays())
        terminated = simulation.settle(bad)
        if len(bad):
            logger.warning(
                "%s: the physics of environments %s diverged; they were reset",
                self.spec.id,
                bad.tolist(),
            )
        self._terminated[:] = terminated
        np.greater_equal(simulation.steps, self.spec.max_steps, out=self._truncated)
        self._truncated &= ~terminated
        self._reward[:, 0] = simulation.reward
        self._terms[:, 0] = simulation.terms
        simulation.ended[:] = terminated
        simulation.renew()
        self._look()
        done = np.flatnonzero(self._terminated | self._truncated)
        if done.size:
            self._restart(done, bad)
        return self._step

    def snapshot(self) -> Tensor:
        """Copy each row's state `[N, S]` float64, laid out as `spec.physics["state"]` says."""
        self._require_start()
        return torch.from_numpy(self.simulation.pack(np.empty_like(self._obs["state"])))

    def restore(self, snapshot: Tensor, rows: Tensor | None = None) -> Obs:
        """Put states `[len(rows), S]` into `rows` and return the observations of all rows.

        ValueError if a number is not finite: it names row and part.
        """
        count = self.num_envs if rows is None else len(rows)
        shape = (count, self.spec.state_size)
        if tuple(snapshot.shape) != shape or snapshot.dtype != torch.float64:
            raise ValueError(
                f"{self.spec.id}: a snapshot of {count} rows is float64 {shape}, "
                f"got {snapshot.dtype} {tuple(snapshot.shape)}"
            )
        state = snapshot.numpy()
        check_finite(state, self._layout.parts, self.spec.id)
        if rows is None:
            self.simulation.load(state)
            self._started = True
            where = self._all
        else:
            order = np.argsort(rows.numpy(), kind="stable")
            where = rows.numpy()[order]
            self.simulation.load(state[order], where)
        if self._random.apply(where, self.simulation.streams(where)):
            self.simulation.refresh(where)
        self._look()
        return self._seen

    def render(self, row: int) -> np.ndarray:
        """Draw one environment as `(height, width, 3)` uint8."""
        if not 0 <= row < self.num_envs:
            raise ValueError(f"{self.spec.id}: row {row} is not in 0..{self.num_envs - 1}")
        from simrl_envs.robot.render import draw

        return draw(*self.mujoco_state(row), path=self._path(row))

    def _path(self, row: int) -> np.ndarray | None:
        """Return where one row's reference leads `[H, 3]` [m], if it is a place."""
        columns = self.spec.physics.get("reference", ())
        if self.spec.reference is None or tuple(columns[:3]) != ("x", "y", "z"):
            return None
        ahead = torch.arange(PATH_POINTS) * (PATH_SECONDS / PATH_POINTS)
        targets = self.spec.reference(self.snapshot()[row : row + 1], ahead)
        return targets[0, :, :3].numpy()

    def mujoco_state(self, row: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Copy one environment's model and data, derived fields computed, to look at it."""
        self._require_start()
        model = self.simulation.batch.get_model(row)
        data = self.simulation.batch.get_data(row)
        mujoco.mj_forward(model, data)
        return model, data

    @property
    def precise(self) -> Mapping[str, np.ndarray]:
        """Observation groups `[N, D]` and "reward" `[N]` as float64, before rounding to float32."""
        return {**self._wide, "reward": self.simulation.reward}

    @property
    def measures(self) -> Mapping[str, np.ndarray]:
        """What each metric of the task measured in the last step `[N]`, before any reset."""
        measured = self.simulation.measured
        return {use.name: measured[:, i] for i, (use, _) in enumerate(self.task.metrics)}

    def delay_actions(self, seconds: np.ndarray) -> None:
        """Let the actions of the next step act so much later `[N]` [s], beyond their latency.

        It is how the time that a controller computes is made to count; rounded to whole physics
        steps.  ValueError beyond the option `compute_delay`.
        """
        if not (np.all(seconds >= 0.0) and np.all(seconds <= self.config.compute_delay + 1e-9)):
            raise ValueError(
                f"{self.spec.id}: actions are delayed by 0 to compute_delay = "
                f"{self.config.compute_delay} s, got up to {np.max(seconds)} s"
            )
        self._random.delay(seconds)

    def _make_buffers(self) -> None:
        n, task = self.num_envs, self.task
        widths = {name: group.layout.size for name, group in task.groups.items()}
        self._wide = {name: np.zeros((n, width)) for name, width in widths.items()}
        self._obs: dict[str, np.ndarray] = {
            name: np.zeros((n, 1, w), np.float32) for name, w in widths.items()
        }
        self._obs["state"] = np.zeros((n, self._layout.size), np.float64)
        self._final_obs = {name: value.copy() for name, value in self._obs.items()}
        self._joint = np.zeros((n, len(task.low)))
        self._reward = np.zeros((n, 1), np.float32)
        self._terms = np.zeros((n, 1, len(task.rewards)), np.float32)
        self._terminated = np.zeros(n, np.bool_)
        self._truncated = np.zeros(n, np.bool_)
        self._metrics = {name: np.zeros((n, 1), np.float32) for name in self.spec.metrics}

    def _look(self) -> None:
        """Show every row as it is now."""
        for name in self._wanted:
            self._show(name, self.simulation.view, self._wide[name], slice(None))
        if self._want_state:
            self.simulation.pack(self._obs["state"])

    def _show(self, name: str, view: Any, wide: np.ndarray, rows: np.ndarray | slice) -> None:
        group = self.task.groups[name]
        self.task.observe(view, name, wide)
        self._random.blur(name, wide, rows)
        if group.bounded:
            np.maximum(wide, group.low, out=wide)
            np.minimum(wide, group.high, out=wide)
        self._obs[name][rows, 0] = wide

    def _begin(self, rows: np.ndarray, streams: np.ndarray, *, again: bool = False) -> None:
        self._random.apply(rows, streams)
        self.simulation.begin(rows, streams, again=again)

    def _restart(self, rows: np.ndarray, diverged: np.ndarray) -> None:
        """Keep what the ended episodes showed last, then begin the next ones."""
        figures = self.simulation.figures(rows)
        for index, (use, _) in enumerate(self.task.metrics):
            self._metrics[use.name][rows, 0] = figures[:, index]
        fell = np.isin(rows, diverged)
        if "success" in self._metrics:
            good = succeeded(self.task, figures, self._terminated[rows]) & ~fell
            self._metrics["success"][rows, 0] = good
        self._metrics["diverged"][rows, 0] = fell
        for name in self._seen:
            self._final_obs[name][rows] = self._obs[name][rows]
        self._begin(rows, next_streams(self.simulation.streams(rows)), again=True)
        if len(rows) == self.num_envs:
            self._look()
            return
        view = self.simulation.view.take(rows)
        for name in self._wanted:
            wide = np.empty((len(rows), self._wide[name].shape[1]))
            self._show(name, view, wide, rows)
            self._wide[name][rows] = wide
        if self._want_state:
            out = np.empty((len(rows), self._layout.size))
            sim, extra = self.simulation.sim[rows], self.simulation.extra[rows]
            self._obs["state"][rows] = self._layout.pack(sim, extra, out)

    def _require_start(self) -> None:
        if not self._started:
            raise ValueError(f"{self.spec.id}: call reset before anything else")

    def _checked(self, action: Tensor) -> np.ndarray:
        """Return the joint action `[N, nu]` within its bounds, or say what is wrong with it."""
        self._require_start()
        shape = (self.num_envs, 1, len(self.task.low))
        if tuple(action.shape) != shape or action.dtype != torch.float32:
            raise ValueError(
                f"{self.spec.id}: an action is torch.float32 {shape}, "
                f"got {action.dtype} {tuple(action.shape)}"
            )
        given = action.numpy()[:, 0]
        if not np.isfinite(given).all():
            row, index = (int(i) for i in np.argwhere(~np.isfinite(given))[0])
            raise ValueError(
                f"{self.spec.id}: environment {row}, agent 0: index {index} of the action is "
                f"{given[row, index]}; actions must be finite"
            )
        np.maximum(given, self.task.low, out=self._joint)
        return np.minimum(self._joint, self.task.high, out=self._joint)


def check_finite(state: np.ndarray, parts: Mapping[str, slice], name: str) -> None:
    """Raise ValueError naming the first row and part of states `[M, S]` that is not finite."""
    if np.isfinite(state).all():
        return
    row, column = (int(i) for i in np.argwhere(~np.isfinite(state))[0])
    part = next(key for key, where in parts.items() if where.start <= column < where.stop)
    raise ValueError(f"{name}: row {row} of the state is {state[row, column]} in its part {part!r}")


def _make_spec(task: Task, config: RobotConfig, layout: Any) -> EnvSpec:
    file, robot = task.file, task.robot
    low, high = task.low.astype(np.float32), task.high.astype(np.float32)
    seconds = config.seconds or file.seconds
    physics = {
        "mjcf": robot.mjcf,
        "model": file.system,
        "state": dict(layout.parts),
        "command": tuple(column.name for column in file.command),
        **task_facts(task),
        **sensor_facts(task, layout),
        **mirror_facts(task),
    }
    return EnvSpec(
        id=task.name,
        num_agents=1,
        observations={name: group.layout for name, group in task.groups.items()},
        actions=ContinuousActions(
            tuple(float(value) for value in low),
            tuple(float(value) for value in high),
            action_names(robot),
        ),
        reward_terms=tuple(use.name for use in file.rewards),
        reward_weights=task.weights,
        reward_groups=tuple(use.group for use in file.rewards),
        state_size=layout.size,
        state_dtype=torch.float64,
        step_seconds=file.step_seconds,
        max_steps=max(1, round(seconds / file.step_seconds)),
        metrics=task.metric_names,
        physics=physics,
        dynamics=lambda: RobotDynamics(task, config, file.planning),
        reference=task_reference(task, layout),
    )
