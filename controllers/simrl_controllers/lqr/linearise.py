"""Linearise a task about an operating point: by MuJoCo, by CasADi, or any model by differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from simrl.core import ContinuousActions, Dynamics, EnvSpec
from simrl_controllers.coordinates import Coordinates
from simrl_controllers.robot_model import (
    MujocoStep,
    linearise_mujoco,
    load_mjcf,
    supports_differences,
)

Linearisation = Literal["auto", "mujoco", "dynamics"]
"""How to linearise: MuJoCo's own differences of the task's MJCF, or differences of its Dynamics."""

Step = Callable[[Tensor, Tensor], Tensor]
"""Map configurations `[M, num_values]` and actions float32 `[M, nu]` to the next configurations."""


@dataclass(frozen=True)
class LinearModel:
    """Hold dx' = A dx + B du + c about an operating point, dx in steps of `Coordinates`."""

    a: np.ndarray
    """A `[n, n]`."""
    b: np.ndarray
    """B `[n, nu]`."""
    offset: np.ndarray
    """c `[n]`: where the operating point itself moves in one step; 0 at an equilibrium."""
    origin: np.ndarray
    """Configuration of the operating point `[num_values]`."""
    control: np.ndarray
    """Action of the operating point `[nu]`."""
    step_seconds: float
    """Length of a step [s]."""


def linearise(
    spec: EnvSpec,
    coordinates: Coordinates,
    origin: np.ndarray,
    control: np.ndarray,
    *,
    method: Linearisation = "auto",
    template: Tensor | None = None,
) -> LinearModel:
    """Linearise one control step of a task about a configuration and an action.

    "auto" takes MuJoCo where the task has an MJCF with one control for each action, else the
    task's own model.

    Args:
        spec: The task.
        coordinates: What the state consists of; all of qpos and qvel for "mujoco".
        origin: Configuration `[num_values]`.
        control: Action `[nu]`.
        method: Which model to use.
        template: Row `[S]` that fills in what `coordinates` leave out, for "dynamics"; zeros.

    Raises:
        ValueError: the task has no such model, or the model's step is not finite.
    """
    model = _mujoco_model(spec, coordinates, control) if method != "dynamics" else None
    if model is None and method == "mujoco":
        raise ValueError(f"{spec.id} has no mjcf in its physics with {len(control)} controls")
    if model is None and spec.dynamics is None:
        raise ValueError(f"{spec.id} has neither an mjcf nor a model to linearise")
    if model is not None and supports_differences(model):
        a, b, after = linearise_mujoco(model, origin, control, spec.step_seconds)
    else:
        if model is not None:
            step: Step = MujocoStep(model, spec.step_seconds)
        elif spec.dynamics is not None:
            step = _step_function(spec, coordinates, template, spec.dynamics())
        a, b, after = linearise_step(step, coordinates, origin, control, action_bounds(spec))
    offset = coordinates.difference(torch.from_numpy(after), torch.from_numpy(origin)).numpy()
    for name, part in (("A", a), ("B", b), ("the step", offset)):
        if not np.isfinite(part).all():
            raise ValueError(f"{spec.id}: {name} of the linear model is not finite")
    return LinearModel(a, b, offset, origin.copy(), control.copy(), spec.step_seconds)


def linearise_step(
    step: Step,
    coordinates: Coordinates,
    origin: np.ndarray,
    control: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    *,
    eps: float = 1e-4,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linearise any step function by centred differences in one batched call.

    Actions are float32 by contract, so their differences are divided by what was really applied
    after rounding and after clipping to their bounds.

    Args:
        step: Maps configurations `[M, num_values]` and actions float32 `[M, nu]` to configurations.
        coordinates: The coordinates.
        origin: Configuration `[num_values]`.
        control: Action `[nu]`.
        bounds: Lowest and highest action, each `[nu]`.
        eps: Size of the differences of the state; actions move by 1 % of their range.

    Returns:
        A `[n, n]`, B `[n, nu]` and the configuration after the step `[num_values]`.
    """
    n, nu = coordinates.size, len(control)
    low, high = bounds
    reach = np.where(np.isfinite(high - low), 0.01 * (high - low), 1e-2)
    actions = np.tile(control, (2 * (n + nu) + 1, 1))
    index = np.arange(nu)
    actions[2 * n + index, index] = np.minimum(control + reach, high)
    actions[2 * n + nu + index, index] = np.maximum(control - reach, low)
    applied = torch.from_numpy(actions.astype(np.float32))
    moves = torch.zeros(len(actions), n, dtype=torch.float64)
    moves[:n], moves[n : 2 * n] = eps * torch.eye(n), -eps * torch.eye(n)
    base = torch.from_numpy(origin).expand(len(actions), -1)
    after = step(coordinates.move(base, moves), applied)
    change = coordinates.difference(after, after[-1:]).numpy()
    span = (applied[2 * n + index, index] - applied[2 * n + nu + index, index]).double().numpy()
    a = (change[:n] - change[n : 2 * n]).T / (2.0 * eps)
    b = (change[2 * n : 2 * n + nu] - change[2 * n + nu : -1]).T / span
    return a, b, after[-1].numpy()


def linearise_casadi(
    function: Any, state: np.ndarray, control: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linearise a CasADi function x' = f(x, u) exactly, by algorithmic differentiation.

    Returns:
        A `[n, n]`, B `[n, nu]` and the next state `[n]`.

    Raises:
        ValueError: the function does not take a state and a control of these sizes.
    """
    import casadi

    sizes = [function.numel_in(index) for index in range(function.n_in())]
    if sizes != [len(state), len(control)]:
        raise ValueError(
            f"the function must take (x [{len(state)}], u [{len(control)}]), its inputs are {sizes}"
        )
    x, u = casadi.MX.sym("x", len(state)), casadi.MX.sym("u", len(control))
    after = function(x, u)
    both = casadi.Function("both", [x, u], [casadi.jacobian(after, x), casadi.jacobian(after, u)])
    a, b = (part.full() for part in both(state, control))
    return a, b, function(state, control).full().ravel()


def trim(
    spec: EnvSpec,
    coordinates: Coordinates,
    origin: np.ndarray,
    *,
    method: Linearisation = "auto",
    tolerance: float = 1e-4,
) -> LinearModel:
    """Find the action that holds a configuration still, and linearise there.

    Raises:
        ValueError: no action within the bounds holds it: it moves by more than `tolerance`.
    """
    low, high = action_bounds(spec)
    control = np.clip(np.zeros_like(low), low, high)
    model = linearise(spec, coordinates, origin, control, method=method)
    for _ in range(6):
        if np.abs(model.offset).max() < 1e-9:
            break
        better = model.control - np.linalg.lstsq(model.b, model.offset, rcond=None)[0]
        control = np.clip(better, low, high)
        model = linearise(spec, coordinates, origin, control, method=method)
    worst = int(np.abs(model.offset).argmax())
    if abs(model.offset[worst]) > tolerance:
        raise ValueError(
            f"{spec.id}: no action holds the operating point {origin.tolist()}: number {worst} of "
            f"the state moves by {model.offset[worst]:.3g} in a step"
        )
    return model


def action_bounds(spec: EnvSpec) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest action, each `[nu]` float64.

    Raises:
        ValueError: the environment has several agents or discrete actions.
    """
    if not isinstance(spec.actions, ContinuousActions) or spec.num_agents != 1:
        raise ValueError(
            f"{spec.id}: this controller needs one agent with continuous actions, there are "
            f"{spec.num_agents} with {type(spec.actions).__name__}"
        )
    low, high = np.array(spec.actions.low, float), np.array(spec.actions.high, float)
    if (low > high).any():
        raise ValueError(f"{spec.id}: action limits are infeasible: low {low} above high {high}")
    return low, high


def _mujoco_model(spec: EnvSpec, coordinates: Coordinates, control: np.ndarray) -> Any:
    if "mjcf" not in spec.physics:
        return None
    model = load_mjcf(spec.physics["mjcf"])
    fits = model.nu == len(control) and coordinates.num_values == model.nq + model.nv
    return model if fits and not model.na else None


def _step_function(
    spec: EnvSpec, coordinates: Coordinates, template: Tensor | None, dynamics: Dynamics
) -> Step:
    if template is None:
        template = torch.zeros(spec.state_size, dtype=spec.state_dtype)

    def step(z: Tensor, action: Tensor) -> Tensor:
        rows = coordinates.write(template.expand(len(z), -1), z)
        return coordinates.read(dynamics.step(rows, action[:, None])[0])

    return step
