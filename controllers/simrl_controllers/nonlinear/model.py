"""What a model tells the optimiser: motion, cost, limits, and where its state stands in a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
import torch
from torch import Tensor

from simrl.core import ContinuousActions, EnvSpec

Ways = Callable[[float, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Make inputs `[ways, N, nu]` from dt [s], the first state `[nx]`, targets `[N + 1, num_targets]`
and discs `[N + 1, num_obstacles, 3]`: motions that the optimiser would not find from its plan."""


@dataclass(frozen=True)
class Model:
    """Describe a physical system and what is wanted of it, in CasADi SX.

    The cost of a stage is half the squared length of its residuals: Gauss-Newton needs no more.
    """

    name: str
    """Name of the physical system."""
    states: tuple[str, ...]
    """Name of each state, for errors."""
    columns: np.ndarray
    """`[nx]` int64: where the states stand in a row of the environment's state."""
    rates: Callable[[ca.SX, ca.SX], ca.SX]
    """Time derivative `[nx]` of x under u."""
    residual: Callable[[ca.SX, ca.SX], ca.SX]
    """Weighted residuals of x against the targets; also those of the last stage."""
    effort: Callable[[ca.SX, ca.SX], ca.SX]
    """Weighted residuals of the input against the targets."""
    low: np.ndarray
    """`[nu]` smallest inputs."""
    high: np.ndarray
    """`[nu]` largest inputs."""
    nominal: np.ndarray
    """`[nu]` inputs to begin with, such as those that hover."""
    goal: np.ndarray
    """`[num_targets]` targets where the environment tells no reference."""
    guess: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """States `[H, nx]` to begin a plan with, from the first `[nx]` and targets `[H, n]`."""
    rest: Callable[[ca.SX], ca.SX]
    """State at rest at constant targets, about which a Riccati cost-to-go is taken."""
    soft: Callable[[ca.SX, ca.SX, ca.SX, ca.SX], ca.SX] | None = None
    """Values c(x, u, targets, discs `[num_obstacles, 3]`) that should be 0 or less."""
    targets: Callable[[np.ndarray], np.ndarray] | None = None
    """Make targets `[H, num_targets]` from the environment's reference `[H, n]`."""
    ways: Ways | None = None
    """Drive other ways around the discs, for models in which obstacles leave a choice."""
    aim: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None
    """Lay targets `[N + 1, num_targets]` along a way to them: from the first state `[nx]`, the
    targets and the discs `[N + 1, num_obstacles, 3]`, for systems whose goal may lie behind things
    that the horizon does not reach around."""
    embed: Callable[[np.ndarray], np.ndarray] | None = None
    """Make the environment's actions `[B, size]` float32 of inputs `[B, nu]`; None if they are."""
    num_obstacles: int = 0
    """Number of discs, each x, y and radius at the time of the stage."""
    terminal_scale: float = 1.0
    """Factor on the cost of the last state."""
    soft_linear: float = 100.0
    """Price of a violation."""
    soft_quadratic: float = 100.0
    """Price of a squared violation."""
    horizon: int = 20
    """Stages that suit the system."""
    dt: float = 0.05
    """Length of a stage that suits the system [s]."""
    substeps: int = 1
    """Runge-Kutta steps in a stage that suit the system."""

    @property
    def num_states(self) -> int:
        """Number of states nx."""
        return len(self.states)

    @property
    def num_inputs(self) -> int:
        """Number of inputs nu."""
        return len(self.low)


Weights = Mapping[str, float]


def weights_of(name: str, defaults: Weights, given: Weights) -> dict[str, float]:
    """Return the weights with those given; ValueError names an unknown or negative one."""
    for key, value in given.items():
        if key not in defaults:
            raise ValueError(f"{name} has no weight {key!r}; its weights are {', '.join(defaults)}")
        if not value >= 0.0 or not np.isfinite(value):
            raise ValueError(f"{name}: the weight {key!r} must be 0 or more, got {value}")
    return {**defaults, **given}


def part_columns(spec: EnvSpec, *parts: str) -> np.ndarray:
    """Return the columns of the named parts in rows read by `read_rows`; ValueError lists them."""
    places = spec.physics.get("state", {})
    width = 8 if spec.state_dtype == torch.uint8 else 1
    result: list[int] = []
    for part in parts:
        if part not in places:
            raise ValueError(
                f"{spec.id} has no state part {part!r}; its parts are {', '.join(places) or 'none'}"
            )
        start, stop = places[part].start, places[part].stop
        if start % width or stop % width or spec.state_size % width:
            raise ValueError(f"{spec.id}: the state part {part!r} is not made of whole floats")
        result += range(start // width, stop // width)
    return np.array(result, np.int64)


def read_rows(rows: Tensor) -> np.ndarray:
    """Return rows `[B, S]` as float64; those of bytes are read as the floats that they hold."""
    if rows.dtype == torch.uint8:
        return rows.contiguous().numpy().view(np.float64)
    return rows.numpy()


def fact(spec: EnvSpec, name: str) -> Any:
    """Return a fact of `spec.physics`; ValueError lists those that there are."""
    if name not in spec.physics:
        raise ValueError(
            f"{spec.id} does not tell {name!r} in spec.physics; it tells {', '.join(spec.physics)}"
        )
    return spec.physics[name]


def input_limits(spec: EnvSpec, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits `[size]` of the actions."""
    actions = spec.actions
    if not isinstance(actions, ContinuousActions) or actions.size != size:
        raise ValueError(f"{spec.id}: nmpc needs {size} continuous actions, got {actions}")
    return np.array(actions.low, np.float64), np.array(actions.high, np.float64)


def weighted(values: list[ca.SX], weights: list[float]) -> ca.SX:
    """Scale residuals so that their squares count with the weights."""
    return ca.vertcat(*values) * ca.DM(np.sqrt(np.array(weights, np.float64)))
