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
