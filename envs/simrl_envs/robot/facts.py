"""What a task tells controllers: the facts of its physics, and the targets that lie ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simrl_envs.robot.rows import RowLayout
from simrl_envs.robot.task import Task
from simrl_envs.robot.terms import registry


def task_facts(task: Task) -> dict[str, Any]:
    """Return what the task's facts term says of the model, and the names of reference columns."""
    found: dict[str, Any] = {}
    if task.file.facts is not None:
        use = task.file.facts
        found |= registry.facts.bind(use.term, use.arguments, use.where).call(task.robot)
    if task.reference is not None:
        found["reference"] = tuple(column.name for column in task.reference.columns(task.robot))
    return found


def sensor_facts(task: Task, layout: RowLayout) -> dict[str, Any]:
    """Return "sensors": where the numbers of each sensor by name stand in a state row.

    They are those of the last physics step's beginning; nothing where rows keep no sensors.
    """
    where = layout.parts.get("data.sensordata")
    if where is None:
        return {}
    model, found = task.robot.model, {}
    for index in range(model.nsensor):
        start = where.start + int(model.sensor_adr[index])
        found[model.sensor(index).name] = slice(start, start + int(model.sensor_dim[index]))
    return {"sensors": found}


def task_reference(task: Task, layout: RowLayout) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return `spec.reference`: targets `[B, H, n]`, `ahead` `[H]` seconds from `[B, S]`."""
    term = task.reference
    if term is None:
        return None
    command, time = layout.parts["command"], layout.parts["time"]

    def targets(state: Tensor, ahead: Tensor) -> Tensor:
        rows = state.detach().numpy()
        when = rows[:, time] + ahead.numpy().astype(np.float64)[None, :]
        return torch.from_numpy(np.asarray(term.call(rows[:, command], when)))

    return targets
