"""Gather what is measured in every step into one figure per episode."""

from __future__ import annotations

import numpy as np
from numba import njit

from simrl_envs.robot.rows import View
from simrl_envs.robot.task import Task

LAST, MOST, SQUARES, SUM = range(4)
_KINDS = {"last": LAST, "max": MOST, "any": MOST, "rms": SQUARES, "mean": SUM, "sum": SUM}


def measure(task: Task, view: View, out: np.ndarray) -> None:
    """Write what each metric measures in this step, `[M, K]`."""
    for index, (_, term) in enumerate(task.metrics):
        out[:, index] = term.call(view)


def reductions(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return how each metric gathers, as a number, and the time from which on it does [s] `[K]`."""
    uses = [use for use, _ in task.metrics]
    kind = np.array([_KINDS[use.reduce] for use in uses], np.int64)
    return kind, np.array([use.after for use in uses], np.float64)


@njit(cache=True, nogil=True)
def gather(
    kind: np.ndarray,
    after: np.ndarray,
    time: np.ndarray,
    measured: np.ndarray,
    totals: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Add one step's measures `[M, K]` at times `[M]` to the totals of the episode, in place."""
    for row in range(measured.shape[0]):
        for index in range(measured.shape[1]):
            if time[row] < after[index] - 1e-9:
                continue
            value, first = measured[row, index], counts[row, index] == 0.0
            counts[row, index] += 1.0
            if kind[index] == LAST:
                totals[row, index] = value
            elif kind[index] == MOST:
                if first or value > totals[row, index] or np.isnan(value):
                    totals[row, index] = value
            elif kind[index] == SQUARES:
                totals[row, index] += value * value
            else:
                totals[row, index] += value


def gather_over(
    task: Task, time: np.ndarray, measured: np.ndarray, totals: np.ndarray, counts: np.ndarray
) -> None:
    """Add the measures of H steps, `[M, H, K]`, to the totals and counts, in place.

    Each total and count holds the value before the first step, at every H; afterwards it holds the
    value after its step.  time: `[M, H]`.
    """
    for index, (use, _) in enumerate(task.metrics):
        counted = time >= use.after - 1e-9
        value, total = measured[:, :, index], totals[:, :, index]
        count = counts[:, :, index]
        count += np.add.accumulate(counted, axis=1)
        if use.reduce == "last":
            np.copyto(total, value, where=counted)
        elif use.reduce in ("max", "any"):
            value = np.where(counted, value, -np.inf)
            value[:, 0] = np.where(
                count[:, 0] - counted[:, 0] > 0, np.maximum(value[:, 0], total[:, 0]), value[:, 0]
            )
            best = np.maximum.accumulate(value, axis=1)
            np.copyto(total, best, where=count > 0)
        else:
            value = np.where(counted, value * value if use.reduce == "rms" else value, 0.0)
            value[:, 0] += total[:, 0]
            total[:] = np.add.accumulate(value, axis=1)


def conclude(
    task: Task, totals: np.ndarray, counts: np.ndarray, measured: np.ndarray
) -> np.ndarray:
    """Turn totals `[R, K]` into figures; an episode too short to count gives its last measure."""
    result = totals.copy()
    for index, (use, _) in enumerate(task.metrics):
        count = counts[:, index]
        if use.reduce in ("mean", "rms"):
            result[:, index] /= np.maximum(count, 1.0)
        if use.reduce == "rms":
            result[:, index] = np.sqrt(result[:, index])
        result[:, index] = np.where(count == 0, measured[:, index], result[:, index])
        if use.reduce == "any":
            result[:, index] = result[:, index] > 0.5
    return result


def succeeded(task: Task, figures: np.ndarray, terminated: np.ndarray) -> np.ndarray:
    """Return which episodes met every bound of the task's [success] table, `[R]` bool."""
    names = [use.name for use, _ in task.metrics]
    good = np.ones(len(figures), np.bool_)
    for name, (low, high) in task.file.success.items():
        value = terminated if name == "terminated" else figures[:, names.index(name)]
        good &= (value >= low) & (value <= high)
    return good
