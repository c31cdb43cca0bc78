"""What the studies share: courses of episodes, pieces that are kept, intervals, tables, plots.

A study is a script of this folder.  It measures in pieces, each of which is kept in `--out`, so
that a study that was stopped goes on; writes its plots to `--images`; prints its tables as
Markdown, for docs/studies.md; and with `--json` prints its figures as the benchmarks do.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from simrl.compare.statistics import Estimate, Resampling, estimate
from simrl.core import Obs, Policy, PolicyOutput, PolicyState, TimeStep, VecEnv
from simrl.rollout import RolloutEngine, Seating
from simrl.rollout.intervals import wilson
from simrl.rollout.npz import write_npz
from simrl.rollout.observer import Observer, StepRecord
from simrl.runs.config import TrainConfig, is_run
from simrl.runs.training import start_run

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
from report import report  # the benchmarks' way to print figures

COLOURS = ("C0", "C3", "C2", "C1", "C4", "C5", "C6")
WARM_CALLS = 10
"""Decisions at the start of an episode that are not timed: they compile and fill caches."""


@dataclass(frozen=True)
class StudyArguments:
    """Set where a study keeps and shows its results."""

    out: Path = Path("runs/studies")
    """Folder of the pieces; those that are there are not measured again."""
    images: Path = Path("docs/images")
    """Folder of the plots."""
    json: bool = False
    """Print one JSON object with the figures instead of tables."""


@dataclass
class Findings:
    """Gather what a study found: figures by name, and tables."""

    figures: dict[str, float] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)

    def keep(self, name: str, value: Estimate) -> Estimate:
        """Put an estimate among the figures, its bounds as NAME_low and NAME_high; return it."""
        self.figures |= {
            name: value.value,
            f"{name}_low": value.low,
            f"{name}_high": value.high,
        }
        return value

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table in Markdown."""
        lines = [f"**{title}**", "", _row(head), _row(["---"] * len(head)), *map(_row, rows)]
        self.tables.append("\n".join(lines))

    def show(self, args: StudyArguments, title: str) -> None:
        """Print the tables, or with `--json` the figures; both are kept beside the pieces."""
        args.out.mkdir(parents=True, exist_ok=True)
        text = "\n\n".join(self.tables) + "\n"
        (args.out / "tables.md").write_text(text)
        if args.json:
            report(self.figures, json_flag=True, title=title)
        else:
            print(text)


@dataclass(frozen=True)
class Course:
    """Hold one episode of each of N rows, T steps of the longest."""

    states: np.ndarray
    """State before each step `[T, N, S]`; meaningless after a row's end."""
    actions: np.ndarray
    """Joint actions `[T, N, A, size]`, as the policy gave them."""
    rewards: np.ndarray
    """Rewards `[T, N, A]`, 0 after a row's end."""
    length: np.ndarray
    """Steps of each row `[N]`."""
    terminated: np.ndarray
    """Whether a row ended by the task's rules `[N]` bool."""
    metrics: Mapping[str, np.ndarray]
    """The task's metrics, each `[N, ...]`."""
    seconds: np.ndarray
    """Wall time of each decision for all rows, the first few left out [s]."""

    def during(self) -> np.ndarray:
        """Tell which steps belong to a row's episode `[T, N]` bool."""
        return np.arange(len(self.states))[:, None] < self.length


def play(env: VecEnv, policy: Policy, *, seed: int, starts: Tensor | None = None) -> Course:
    """Play one episode in each row, from `starts` `[N, S]` if they are given."""
    torch.set_num_threads(1)
    log = _Log(env)
    seating = Seating.self_play(env, policy, train=False)
    engine = RolloutEngine(env, seating, seed=seed, observers=[log], threads=1)
    engine.reset(starts)
    while not log.done.all():
        engine.step(deterministic=True)
    return log.course()


def decision_seconds(env: VecEnv, policy: Policy, *, starts: Tensor | None = None) -> np.ndarray:
    """Return the processor time of each decision of one episode [s], the first few left out.

    What else runs on the machine does not count, unlike in wall time; `env` has one row.
    """
    clocked = _Clocked(policy)
    play(env, clocked, seed=0, starts=starts)
    return np.array(clocked.seconds[WARM_CALLS:])


class _Clocked:
    """Act as a policy does, and keep how long the processor worked on it."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self.reads = policy, policy.reads
        self.seconds: list[float] = []

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the policy's memory."""
        return self._policy.initial_state(num_rows)

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the policy's action."""
        begin = time.process_time()
        output = self._policy.act(obs, state, rng, deterministic=deterministic)
        self.seconds.append(time.process_time() - begin)
        return output


class _Log(Observer):
    """Keep all steps of each row's first episode."""

    reads = frozenset({"state"})

    def __init__(self, env: VecEnv) -> None:
        self.done = np.zeros(env.num_envs, np.bool_)
        self._length = np.zeros(env.num_envs, np.int64)
        self._terminated = np.zeros(env.num_envs, np.bool_)
        self._steps: dict[str, list[np.ndarray]] = {"state": [], "action": [], "reward": []}
        self._metrics: dict[str, np.ndarray] = {}
        self._seconds: list[float] = []

    def on_act(self, record: StepRecord) -> None:
        """Keep what was seen and done."""
        self._steps["state"].append(record.obs["state"].numpy().copy())
        self._steps["action"].append(record.action.numpy().copy())
        self._seconds.append(sum(act.seconds for act in record.acts))

    def on_step(self, record: StepRecord, timestep: TimeStep) -> None:
        """Keep what came of it, and the figures of the rows that end for the first time."""
        reward = timestep.reward.numpy().copy()
        reward[self.done] = 0.0
        self._steps["reward"].append(reward)
        self._length += ~self.done
        new = timestep.done.numpy() & ~self.done
        self._terminated |= new & timestep.terminated.numpy()
        for name, value in timestep.metrics.items():
            kept = self._metrics.setdefault(name, np.zeros(value.shape))
            kept[new] = value.numpy()[new]
        self.done |= new

    def course(self) -> Course:
        """Return what was kept."""
        steps = {name: np.stack(values) for name, values in self._steps.items()}
        return Course(
            steps["state"],
            steps["action"],
            steps["reward"],
            self._length,
            self._terminated,
            self._metrics,
            np.array(self._seconds[WARM_CALLS:]),
        )


def piece(
    folder: Path, name: str, facts: Mapping[str, Any], make: Callable[[], Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return the arrays that `make` measures; those of equal `facts` are measured once."""
    said = json.dumps({"piece": name, **facts}, sort_keys=True, default=str)
    path = folder / "pieces" / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_npz(path, make())
    with np.load(path, allow_pickle=False) as data:
        return {key: data[key] for key in data.files}


def trained(config: TrainConfig, folder: Path) -> Path:
    """Train a run in `folder`, unless it is there; return the folder."""
    if not is_run(folder):
        part = folder.with_suffix(".part")  # a run that was stopped is begun anew
        shutil.rmtree(part, ignore_errors=True)
        run = start_run(config, part)
        run.loop.run()
        if run.loop.writer is not None:
            run.loop.writer.close()
        part.rename(folder)
    return folder


def mean(values: np.ndarray) -> Estimate:
    """Return the mean over scenarios `[M]` with its bootstrap interval."""
    values = np.asarray(values, np.float64)
    return estimate(values.mean(), _weights(len(values)) @ values)


def ratio(first: np.ndarray, second: np.ndarray) -> Estimate:
    """Return the mean of `first` over that of `second` `[M]`, of the same scenarios.

    first: `[M]`, or `[K, M]` of K training seeds, which are resampled apart from scenarios.
    """
    first, second = np.atleast_2d(np.asarray(first, np.float64)), np.asarray(second, np.float64)
    if first.shape[1:] != second.shape:
        raise ValueError(f"paired values differ in number: {first.shape[1]} and {len(second)}")
    draws = Resampling(np.zeros(len(second), np.int64), seed=0)
    weights = draws.scenario_weights()
    by_seed = (weights @ first.T) / (weights @ second)[:, None]
    drawn = np.take_along_axis(by_seed, draws.seeds("training", len(first)), 1).mean(1)
    return estimate(float(first.mean() / second.mean()), drawn)


def share(hits: np.ndarray) -> Estimate:
    """Return the share of `hits` `[M]` that hold, with its Wilson interval."""
    return Estimate(*wilson(float(np.sum(hits)), len(hits)))


def _weights(count: int) -> np.ndarray:
    return Resampling(np.zeros(count, np.int64), seed=0).scenario_weights()


def cell(value: Estimate, digits: int = 3) -> str:
    """Write an estimate with its interval, to so many significant digits."""
    said = f"{value.value:.{digits}g}"
    if not (np.isfinite(value.low) and np.isfinite(value.high)):
        return said
    return f"{said} ({value.low:.{digits}g} to {value.high:.{digits}g})"


def percent(value: Estimate) -> str:
    """Write a share with its interval in per cent."""
    return f"{100 * value.value:.0f} % ({100 * value.low:.0f} to {100 * value.high:.0f})"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def panels(
    columns: int, rows: int = 1, *, height: float = 3.2, width: float = 11.0
) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels, row by row, in the manner of the other plots of the docs."""
    figure = Figure(figsize=(width, rows * height), layout="constrained")
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(rows * columns)]
    for ax in axes:
        ax.grid(alpha=0.3)
    return figure, axes


def line(
    axes: Axes,
    x: Sequence[float],
    values: Sequence[Estimate],
    label: str,
    colour: str,
    **style: Any,
) -> None:
    """Draw estimates over `x` with their intervals as a band."""
    low, high = [value.low for value in values], [value.high for value in values]
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    style = {"marker": "o", "markersize": 3.5, "linewidth": 1.3, **style}
    axes.plot(x, [value.value for value in values], label=label, color=colour, **style)


def save(figure: Figure, args: StudyArguments, name: str) -> None:
    """Write a plot among the pictures of the docs."""
    args.images.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.images / f"{name}.png", dpi=110)
