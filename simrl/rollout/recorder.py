"""Record stretches of play from a snapshot on, so that any moment can be replayed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simrl.core import Obs, TimeStep, VecEnv
from simrl.rollout.npz import write_npz
from simrl.rollout.observer import Observer, StepRecord

_OBS = "obs/"


@dataclass(frozen=True)
class Trajectory:
    """Hold T steps of R environments; an episode may end within, and the next one follows on."""

    env: str
    """Registered name of the environment."""
    rows: np.ndarray
    """Environment rows that were recorded `[R]` int64."""
    snapshot: np.ndarray
    """Simulator states before the first step `[R, S]`."""
    obs: dict[str, np.ndarray]
    """Recorded groups as the policies saw them, each `[T, R, A, ...]`."""
    action: np.ndarray
    """Actions `[T, R, A, ...]`."""
    reward: np.ndarray
    """Weighted rewards `[T, R, A]`."""
    reward_terms: np.ndarray
    """Unweighted terms `[T, R, A, K]`; K = 0 if rewards are not itemised."""
    terminated: np.ndarray
    """Whether step t ended the episode by the task's own rules `[T, R]` bool."""
    truncated: np.ndarray
    """Whether a time limit cut the episode at step t `[T, R]` bool."""

    def save(self, path: Path | str) -> None:
        """Write one npz file, atomically."""
        arrays = {name: value for name, value in vars(self).items() if name not in ("env", "obs")}
        arrays |= {_OBS + group: value for group, value in self.obs.items()}
        write_npz(path, {**arrays, "env": np.array(self.env)})


def load_trajectory(path: Path | str) -> Trajectory:
    """Read a file that `Trajectory.save` wrote; ValueError names a file that is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        obs = {k.removeprefix(_OBS): arrays.pop(k) for k in list(arrays) if k.startswith(_OBS)}
        return Trajectory(env=str(arrays.pop("env")), obs=obs, **arrays)
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a whole trajectory: {error}") from error


def replay_to(env: VecEnv, trajectory: Trajectory, row: int, t: int) -> Obs:
    """Bring environment 0 of `env` to the moment before step `t` and return the observations.

    `row` counts within the trajectory.  `env` must be of the same kind and configuration; its other
    environments are put there too.  ValueError if the moment lies outside the trajectory.
    """
    steps, rows = trajectory.action.shape[:2]
    if not (0 <= row < rows and 0 <= t <= steps):
        raise ValueError(f"row must be below {rows} and t at most {steps}, got row {row} and t {t}")
    start = torch.from_numpy(trajectory.snapshot[row]).expand(env.num_envs, -1)
    obs = env.restore(start.clone())
    for action in trajectory.action[:t, row]:
        joint = torch.from_numpy(action).expand(env.num_envs, *action.shape)
        obs = env.step(joint.clone()).obs
    return obs


class TrajectoryRecorder(Observer):
    """Record every `length` steps as one `Trajectory` and hand it to `sink`."""

    def __init__(
        self,
        env: VecEnv,
        length: int,
        sink: Callable[[Trajectory], None],
        *,
        rows: Sequence[int] | None = None,
        groups: Sequence[str] = ("policy",),
    ) -> None:
        """Record the groups in `groups` of the environments in `rows` (default: all).

        `save_into(folder)` makes a sink that writes files.
        """
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        chosen = range(env.num_envs) if rows is None else rows
        wrong = [row for row in chosen if not 0 <= row < env.num_envs]
        if wrong:
            raise ValueError(f"there is no row {wrong[0]}; the rows are 0 to {env.num_envs - 1}")
        self.reads = frozenset(groups)
        self._env, self._length, self._sink = env, length, sink
        self._rows = torch.tensor(list(chosen), device=env.device)
        self._snapshot = np.zeros(0)
        self._steps: list[dict[str, np.ndarray]] = []

    def on_act(self, record: StepRecord) -> None:
        """Keep what is seen and done, and the simulator's state before a first step."""
        if not self._steps:
            self._snapshot = self._copy(self._env.snapshot())
        step = {_OBS + group: self._copy(record.obs[group]) for group in sorted(self.reads)}
        self._steps.append({**step, "action": self._copy(record.action)})

    def on_step(self, record: StepRecord, timestep: TimeStep) -> None:
        """Keep what came of it; hand the trajectory over when it is long enough."""
        terms = timestep.reward_terms
        if terms is None:
            terms = timestep.reward.new_zeros(*timestep.reward.shape, 0)
        self._steps[-1] |= {
            "reward": self._copy(timestep.reward),
            "reward_terms": self._copy(terms),
            "terminated": self._copy(timestep.terminated),
            "truncated": self._copy(timestep.truncated),
        }
        if len(self._steps) == self._length:
            self.flush()

    def flush(self) -> None:
        """Hand over what has been recorded so far, however short."""
        if not self._steps:
            return
        columns = {name: np.stack([step[name] for step in self._steps]) for name in self._steps[0]}
        obs = {k.removeprefix(_OBS): columns.pop(k) for k in list(columns) if k.startswith(_OBS)}
        self._steps = []
        self._sink(
            Trajectory(
                env=self._env.spec.id,
                rows=self._rows.cpu().numpy(),
                snapshot=self._snapshot,
                obs=obs,
                **columns,
            )
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the steps that have not been handed over yet, between two steps of the engine."""
        return {
            "snapshot": torch.from_numpy(self._snapshot.copy()),
            "steps": [
                {name: torch.from_numpy(value) for name, value in step.items()}
                for step in self._steps
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the recording that `state_dict` was taken of."""
        self._snapshot = state["snapshot"].numpy()
        self._steps = [
            {name: value.numpy() for name, value in step.items()} for step in state["steps"]
        ]

    def _copy(self, value: Tensor) -> np.ndarray:
        return value.index_select(0, self._rows).cpu().numpy()


def save_into(folder: Path | str) -> Callable[[Trajectory], None]:
    """Make a sink that writes `trajectory-000000.npz`, `trajectory-000001.npz`, ... in `folder`.

    Counts on from the files that are there.
    """
    folder = Path(folder)

    def save(trajectory: Trajectory) -> None:
        known = (path.stem.removeprefix("trajectory-") for path in folder.glob("trajectory-*.npz"))
        number = 1 + max((int(name) for name in known if name.isdigit()), default=-1)
        trajectory.save(folder / f"trajectory-{number:06d}.npz")

    return save
