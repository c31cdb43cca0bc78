"""Name what a whole-body controller wants and must obey, for n rows at once.

A task is an error and a Jacobian, J qacc = target; the target holds the wanted acceleration less
what the motion itself brings (dJ/dt qvel).  Contacts hold points still and push; limits bound
linear functions of the accelerations, such as joint ranges or the approach of two bodies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class RobotDynamics:
    """Hold the equations of motion M qacc + bias = S' torque + J' force of n rows."""

    mass: Array
    """Joint-space inertia M `[n, nv, nv]`."""
    bias: Array
    """Coriolis, centrifugal, gravity and passive forces `[n, nv]`."""


@dataclass(frozen=True)
class Task:
    """Ask for J qacc = target, as far as other tasks and the limits let it."""

    name: str
    """What messages call it."""
    jacobian: Array
    """J `[n, k, nv]`."""
    target: Array
    """Wanted acceleration, less dJ/dt qvel `[n, k]`."""
    weight: Array | float = 1.0
    """Weight, a number, `[k]` or `[n, k]`; 0 switches a line off."""
    level: int = 1
    """Rank in the strict hierarchy, 1 above 2; the weighted controller knows none."""


@dataclass(frozen=True)
class Contacts:
    """Hold K points of n rows that may stand on something rigid."""

    jacobian: Array
    """Of the points' positions in the world `[n, K, 3, nv]`."""
    active: Array
    """Points that stand `[n, K]` bool."""
    target: Array | None = None
    """Acceleration that a standing point keeps, J qacc = target `[n, K, 3]`: -dJ/dt qvel, perhaps
    less a damping of the point's velocity.  0 without it."""
    normal: Array | None = None
    """Unit normals of the ground `[n, K, 3]`; up without it."""
    friction: Array | float = 0.6
    """Friction coefficients, a number or `[n]`."""
    min_force: Array | float = 0.0
    """Least normal forces, a number or `[n, K]` [N]."""
    max_force: Array | float = np.inf
    """Greatest normal forces, a number or `[n, K]` [N]."""
    force_target: Array | None = None
    """Wanted forces of the ground on the points, world frame `[n, K, 3]` [N]; 0 without it."""
    force_weight: Array | float = 0.0
    """Weight of their errors, a number or `[n, K, 3]` [1/N^2]."""


@dataclass(frozen=True)
class LinearLimit:
    """Demand low <= J qacc <= high of every row; where they are equal, an equality."""

    name: str
    """What messages call it."""
    jacobian: Array
    """J `[n, r, nv]`."""
    low: Array
    """Least values `[n, r]`, perhaps infinite."""
    high: Array
    """Greatest values `[n, r]`, perhaps infinite."""
    price: float = 1.0
    """What giving way costs where limits conflict, as a multiple of the configured weight of slack;
    infinite for a limit that never does.  Equalities never do."""
