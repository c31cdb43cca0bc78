"""Stack tasks, contacts and limits of n rows into plain arrays, as the compiled code reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simrl_controllers.wbc.task import Contacts, LinearLimit, RobotDynamics, Task

Array = np.ndarray


class WbcInputs(NamedTuple):
    """Hold one call's numbers for n rows: nv accelerations, K contacts, k task lines, r limits."""

    mass: Array
    """`[n, nv, nv]`."""
    bias: Array
    """`[n, nv]`."""
    task_jacobian: Array
    """`[n, k, nv]`."""
    task_target: Array
    """`[n, k]`."""
    task_weight: Array
    """`[n, k]`."""
    contact_jacobian: Array
    """`[n, K, 3, nv]`."""
    contact_target: Array
    """`[n, K, 3]`."""
    active: Array
    """`[n, K]` bool."""
    normal: Array
    """`[n, K, 3]`."""
    friction: Array
    """`[n]`."""
    min_force: Array
    """`[n, K]`."""
    max_force: Array
    """`[n, K]`."""
    force_target: Array
    """`[n, K, 3]`."""
    force_weight: Array
    """`[n, K, 3]`."""
    limit_jacobian: Array
    """`[n, r, nv]`."""
    limit_low: Array
    """`[n, r]`."""
    limit_high: Array
    """`[n, r]`."""


def stack(
    dynamics: RobotDynamics,
    tasks: Sequence[Task],
    contacts: Contacts | None,
    limits: Sequence[LinearLimit],
    num_contacts: int,
) -> WbcInputs:
    """Stack n rows; ValueError names a part of the wrong shape and the shape that it must have."""
    mass = np.require(dynamics.mass, np.float64, ("C", "W"))
    if mass.ndim != 3 or mass.shape[1] != mass.shape[2]:
        raise ValueError(f"WBC: mass must have shape [n, nv, nv], got {list(mass.shape)}")
    n, nv = mass.shape[:2]
    bias = _shaped("bias", dynamics.bias, (n, nv))
    parts = (
        mass,
        bias,
        *_stack_tasks(tasks, n, nv),
        *_stack_contacts(contacts, n, nv, num_contacts),
        *_stack_limits(limits, n, nv),
    )
    return WbcInputs._make(parts)


def _stack_tasks(tasks: Sequence[Task], n: int, nv: int) -> tuple[Array, Array, Array]:
    jacobians, targets, weights = [np.zeros((n, 0, nv))], [np.zeros((n, 0))], [np.zeros((n, 0))]
    for task in tasks:
        lines = np.shape(task.jacobian)[1] if np.ndim(task.jacobian) == 3 else 0
        name = f"task {task.name!r}: "
        jacobians.append(_shaped(name + "jacobian", task.jacobian, (n, lines, nv)))
        targets.append(_shaped(name + "target", task.target, (n, lines)))
        weights.append(_spread(name + "weight", task.weight, (n, lines)))
    return (
        np.concatenate(jacobians, axis=1),
        np.concatenate(targets, axis=1),
        np.concatenate(weights, axis=1),
    )


def _stack_contacts(
    contacts: Contacts | None, n: int, nv: int, num_contacts: int
) -> tuple[Array, ...]:
    if contacts is None:
        contacts = Contacts(np.zeros((n, num_contacts, 3, nv)), np.zeros((n, num_contacts), bool))
    full = (n, num_contacts, 3)
    normal = contacts.normal
    if normal is None:
        normal = np.zeros(full)
        normal[:, :, 2] = 1.0
    active = np.require(contacts.active, np.bool_, ("C", "W"))
    if active.shape != full[:2]:
        raise ValueError(
            f"WBC: contacts: active must have shape {list(full[:2])}, got {list(active.shape)}"
        )
    return (
        _shaped("contacts: jacobian", contacts.jacobian, (*full, nv)),
        _or_zero("contacts: target", contacts.target, full),
        active,
        _shaped("contacts: normal", normal, full),
        _spread("contacts: friction", contacts.friction, (n,)),
        _spread("contacts: min_force", contacts.min_force, full[:2]),
        _spread("contacts: max_force", contacts.max_force, full[:2]),
        _or_zero("contacts: force_target", contacts.force_target, full),
        _spread("contacts: force_weight", contacts.force_weight, full),
    )


def _stack_limits(limits: Sequence[LinearLimit], n: int, nv: int) -> tuple[Array, Array, Array]:
    jacobians, lows, highs = [np.zeros((n, 0, nv))], [np.zeros((n, 0))], [np.zeros((n, 0))]
    for limit in limits:
        lines = np.shape(limit.jacobian)[1] if np.ndim(limit.jacobian) == 3 else 0
        name = f"limit {limit.name!r}: "
        jacobians.append(_shaped(name + "jacobian", limit.jacobian, (n, lines, nv)))
        lows.append(_shaped(name + "low", limit.low, (n, lines)))
        highs.append(_shaped(name + "high", limit.high, (n, lines)))
    return (
        np.concatenate(jacobians, axis=1),
        np.concatenate(lows, axis=1),
        np.concatenate(highs, axis=1),
    )


def prices(limits: Sequence[LinearLimit]) -> Array:
    """Return what each line of the limits costs to exceed `[r]`; ValueError if not positive."""
    for limit in limits:
        if not limit.price > 0.0:
            raise ValueError(
                f"WBC: limit {limit.name!r}: price must be positive, got {limit.price}"
            )
    lines = [np.full(np.shape(limit.low)[1], float(limit.price)) for limit in limits]
    return np.concatenate([np.zeros(0), *lines])


def _or_zero(name: str, value: Array | None, shape: tuple[int, ...]) -> Array:
    return np.zeros(shape) if value is None else _shaped(name, value, shape)


def _shaped(name: str, value: Array, shape: tuple[int, ...]) -> Array:
    array = np.require(value, np.float64, ("C", "W"))  # one type, so one compilation
    if array.shape != shape:
        raise ValueError(f"WBC: {name} must have shape {list(shape)}, got {list(array.shape)}")
    return array


def _spread(name: str, value: Array | float, shape: tuple[int, ...]) -> Array:
    try:
        return np.array(np.broadcast_to(np.asarray(value, np.float64), shape), order="C")
    except ValueError:
        raise ValueError(
            f"WBC: {name} must be a number or broadcast to {list(shape)}, "
            f"got {list(np.shape(value))}"
        ) from None


def what_is_wrong(row: int, inputs: WbcInputs) -> str:
    """Name the first number of a row that is not finite (limits: that is NaN)."""
    for name, value in zip(inputs._fields, inputs, strict=True):
        if name in ("limit_low", "limit_high", "max_force"):
            bad = np.argwhere(np.isnan(value[row]))
        else:
            bad = np.argwhere(~np.isfinite(value[row]))
        if len(bad):
            place = "".join(f"[{index}]" for index in bad[0])
            return f"WBC: row {row}: {name}{place} is {value[row][tuple(bad[0])]}"
    raise AssertionError("every number is finite")
