"""Turn weights by name of state part into cost matrices, with defaults for the known systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simrl.core import EnvSpec
from simrl_controllers.coordinates import Coordinates


@dataclass(frozen=True)
class TaskWeights:
    """Hold the cost of a physical system that is used where the user gives none."""

    state: Mapping[str, tuple[float, ...]]
    """Weight of each number of each state part."""
    control: tuple[float, ...]
    """Weight of each action."""
    position: tuple[float, ...]
    """qpos of the operating point."""


TASK_WEIGHTS: Mapping[str, TaskWeights] = {
    "double-integrator": TaskWeights({"qpos": (1.0,), "qvel": (0.1,)}, (0.1,), (0.0,)),
    "cartpole": TaskWeights({"qpos": (2.0, 10.0), "qvel": (0.2, 0.2)}, (0.02,), (0.0, 0.0)),
    # Position and rotation, then linear and angular velocity; thrusts are small numbers [N].
    "quadrotor": TaskWeights(
        {
            "qpos": (40.0, 40.0, 60.0, 2.0, 2.0, 2.0),
            "qvel": (4.0, 4.0, 6.0, 0.1, 0.1, 0.1),
        },
        (0.5,),
        (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0),
    ),
}
"""Weights by `spec.physics["model"]`."""


def task_weights(spec: EnvSpec) -> TaskWeights:
    """Return the weights of the task's system; neutral ones if the system is not known."""
    known = TASK_WEIGHTS.get(str(spec.physics.get("model", "")))
    return known or TaskWeights({"qpos": (1.0,), "qvel": (0.1,)}, (0.1,), (0.0,))


def task_limits(
    spec: EnvSpec,
) -> tuple[Mapping[str, tuple[float, ...]], Mapping[str, tuple[float, ...]]]:
    """Return the lowest and highest state by part that a plan should keep to.

    A cart-pole's episode ends at the end of its track, so plans stay 15 % away from it.
    """
    if spec.physics.get("model") == "cartpole" and "x_limit" in spec.physics:
        reach = 0.85 * float(spec.physics["x_limit"])
        return {"qpos": (-reach, -np.inf)}, {"qpos": (reach, np.inf)}
    return {}, {}


def state_cost(
    coordinates: Coordinates, weights: Mapping[str, Sequence[float]], owner: str
) -> np.ndarray:
    """Build the diagonal state cost `[n, n]` from weights by part; parts not named cost nothing.

    Raises:
        ValueError: a part is unknown, has the wrong number of weights, or one is negative.
    """
    diagonal = np.zeros(coordinates.size)
    for name, given in weights.items():
        if name not in coordinates.part_slices:
            raise ValueError(
                f"{owner}: unknown state part {name!r}; the parts are "
                f"{', '.join(coordinates.part_slices)}"
            )
        place = coordinates.part_slices[name]
        label = f"{owner}: weights of {name}"
        diagonal[place] = spread(given, place.stop - place.start, label, least=0.0)
    return np.diag(diagonal)


def spread(
    given: Sequence[float] | float,
    size: int,
    label: str,
    *,
    least: float = -np.inf,
    strict: bool = False,
) -> np.ndarray:
    """Return `[size]` numbers from one for all or one each.

    Raises:
        ValueError: there are other than 1 or `size`, or one is NaN or below `least`.
    """
    values = np.atleast_1d(np.array(given, np.float64))
    if values.shape not in ((1,), (size,)):
        raise ValueError(f"{label} must be 1 or {size} numbers, got {values.tolist()}")
    if np.isnan(values).any() or (values < least).any() or (strict and (values <= least).any()):
        bound = f"{'above' if strict else 'at least'} {least:g}"
        raise ValueError(f"{label} must be {bound}, got {values.tolist()}")
    return np.broadcast_to(values, (size,)).copy()
