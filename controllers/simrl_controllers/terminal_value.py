"""Tell what lies beyond a planner's horizon: one interface for linear, nonlinear and sampling MPC.

A terminal value answers `value(state [B, S]) -> [B]`: the rewards that are still to come from a
state row, so higher is better and a cost-to-go is its negative.  `quadratic` gives its local model
for planners that need derivatives.  There are four kinds:

- `RiccatiValue`: minus dx P dx, exact where the model is linear and no limit is active;
- `CriticValue`: a torch critic, a network or any function of the state;
- `RolloutValue`: follow a policy for some steps in a model, then ask a critic;
- any object with the two methods of `TerminalValue`.

The scale matters: planners add minus the value to their own cost, so a critic that was trained on
rewards belongs to stage costs that are those rewards with the sign turned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from simrl.core import Dynamics
from simrl_controllers.coordinates import Coordinates


@dataclass(frozen=True)
class QuadraticModel:
    """Approximate V(z moved by dx) by value + gradient dx + 1/2 dx hessian dx, each of B rows."""

    value: Tensor
    """Value at the state itself `[B]` float64."""
    gradient: Tensor
    """First derivative `[B, n]` float64."""
    hessian: Tensor
    """Second derivative `[B, n, n]` float64, symmetric."""

    def convex_cost(self, floor: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return gradient `[B, n]` and hessian `[B, n, n]` of the cost -V, made convex.

        Eigenvalues of the hessian below `floor` are raised to it, so that a QP stays solvable
        where the critic is not concave.
        """
        values, vectors = torch.linalg.eigh(-self.hessian)
        raised = values.clamp(min=floor)
        return -self.gradient, vectors @ torch.diag_embed(raised) @ vectors.transpose(-1, -2)


@runtime_checkable
class TerminalValue(Protocol):
    """Tell the rewards that are to come after a planner's last state."""

    def value(self, state: Tensor) -> Tensor:
        """Return the value `[B]` float64 of rows `[B, S]`; higher is better."""
        ...

    def quadratic(self, state: Tensor, coordinates: Coordinates) -> QuadraticModel:
        """Return the local model about rows `[B, S]` in steps of `coordinates`."""
        ...

    def __call__(self, state: Tensor) -> Tensor:
        """Return `value(state)`, for planners that take any function of the state."""
        ...


class RiccatiValue:
    """Value states by minus dx P dx, dx the step from an operating point.

    Args:
        coordinates: The coordinates of P.
        cost_to_go: P `[n, n]`, as `simrl_controllers.lqr.solve_lqr` returns it.
        origin: Configuration of the operating point `[num_values]`.
    """

    def __init__(self, coordinates: Coordinates, cost_to_go: Tensor, origin: Tensor) -> None:
        size = coordinates.size
        if tuple(cost_to_go.shape) != (size, size):
            raise ValueError(
                f"cost_to_go must have shape {(size, size)}, got {tuple(cost_to_go.shape)}"
            )
        self.coordinates = coordinates
        self.cost_to_go = 0.5 * (cost_to_go + cost_to_go.T).to(torch.float64)
        self.origin = origin.to(torch.float64)

    def value(self, state: Tensor) -> Tensor:
        """Return minus dx P dx `[B]`."""
        dx = self.coordinates.difference(self.coordinates.read(state), self.origin)
        return -((dx @ self.cost_to_go) * dx).sum(-1)

    def quadratic(self, state: Tensor, coordinates: Coordinates) -> QuadraticModel:
        """Return the exact model in P's own coordinates, by differences in others."""
        if coordinates.parts != self.coordinates.parts:
            return finite_quadratic(self.value, state, coordinates)
        dx = self.coordinates.difference(self.coordinates.read(state), self.origin)
        gradient = -2.0 * dx @ self.cost_to_go
        hessian = (-2.0 * self.cost_to_go).expand(len(dx), -1, -1)
        return QuadraticModel(0.5 * (gradient * dx).sum(-1), gradient, hessian)

    def __call__(self, state: Tensor) -> Tensor:
        """Return `value(state)`."""
        return self.value(state)


class CriticValue:
    """Value states by a torch critic.

    Args:
        critic: Gives `[B]` or `[B, 1]` from features `[B, ...]`; a module or any function.
        features: Makes the critic's input from rows `[B, S]`; the rows themselves by default.
            Features that torch can differentiate give exact derivatives, others finite ones.
        scale: Factor on the critic, such as the inverse of a reward normaliser's.
        step: Size of the finite differences.
    """

    def __init__(
        self,
        critic: Callable[[Tensor], Tensor],
        features: Callable[[Tensor], Tensor] | None = None,
        *,
        scale: float = 1.0,
        step: float = 1e-2,
    ) -> None:
        self._critic, self._features = critic, features
        self._scale, self._step = scale, step

    def value(self, state: Tensor) -> Tensor:
        """Return the critic's value `[B]`."""
        with torch.no_grad():
            return self._value(state)

    def quadratic(self, state: Tensor, coordinates: Coordinates) -> QuadraticModel:
        """Return the local model, by autograd where the features allow it."""
        with torch.inference_mode(False), torch.enable_grad():
            z = coordinates.read(state).clone()
            step = torch.zeros(len(z), coordinates.size, dtype=torch.float64, requires_grad=True)
            value = self._value(coordinates.write(state.clone(), coordinates.move(z, step)))
            model = _differentiate(value, step) if value.requires_grad else None
        if model is not None:
            return model
        return finite_quadratic(self.value, state, coordinates, self._step)

    def __call__(self, state: Tensor) -> Tensor:
        """Return `value(state)`."""
        return self.value(state)

    def _value(self, state: Tensor) -> Tensor:
        features = state if self._features is None else self._features(state)
        value = self._critic(features)
        if value.ndim == 2 and value.shape[1] == 1:
            value = value[:, 0]
        if tuple(value.shape) != (len(state),):
            raise ValueError(
                f"the critic must give one value a row, [{len(state)}], got {tuple(value.shape)}"
            )
        return self._scale * value.to(torch.float64)


class RolloutValue:
    """Value states by following a policy for some steps, and a terminal value after them.

    Args:
        dynamics: The model to roll out in; rewards are those of its first agent.
        policy: Chooses joint actions `[B, A, size]` for rows `[B, S]`.
        steps: Steps to follow it, at least 1.
        beyond: Value of the last state; 0 by default.
        gamma: Discount per step.
        step: Size of the finite differences of `quadratic`.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        policy: Callable[[Tensor], Tensor],
        steps: int,
        *,
        beyond: Callable[[Tensor], Tensor] | None = None,
        gamma: float = 1.0,
        step: float = 1e-2,
    ) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if not 0.0 < gamma <= 1.0:
            raise ValueError(f"gamma must be in (0, 1], got {gamma}")
        self._dynamics, self._policy, self._steps = dynamics, policy, steps
        self._beyond, self._gamma, self._step = beyond, gamma, step

    def value(self, state: Tensor) -> Tensor:
        """Return the discounted rewards `[B]` of the rollout and what lies beyond."""
        total = torch.zeros(len(state), dtype=torch.float64)
        weight = torch.ones(len(state), dtype=torch.float64)
        with torch.no_grad():
            for _ in range(self._steps):
                state, reward, discount = self._dynamics.step(state, self._policy(state))
                total += weight * reward[:, 0].to(torch.float64)
                weight *= self._gamma * discount.to(torch.float64)
                state = state.clone()
            if self._beyond is not None:
                total += weight * self._beyond(state).to(torch.float64)
        return total

    def quadratic(self, state: Tensor, coordinates: Coordinates) -> QuadraticModel:
        """Return the local model by finite differences."""
        return finite_quadratic(self.value, state, coordinates, self._step)

    def __call__(self, state: Tensor) -> Tensor:
        """Return `value(state)`."""
        return self.value(state)


def finite_quadratic(
    value: Callable[[Tensor], Tensor], state: Tensor, coordinates: Coordinates, step: float = 1e-3
) -> QuadraticModel:
    """Build the local model of a function of rows by centred differences, in one batched call.

    Each of the B rows is evaluated at 1 + 2 n^2 points.
    """
    n = coordinates.size
    eye = step * torch.eye(n, dtype=torch.float64)
    left, right = torch.triu_indices(n, n, 1)
    pairs = [eye[left] + eye[right], -eye[left] - eye[right]]
    pairs += [eye[left] - eye[right], eye[right] - eye[left]]
    offsets = torch.cat([torch.zeros(1, n, dtype=torch.float64), eye, -eye, *pairs])
    z = coordinates.read(state)
    moved = coordinates.move(z[:, None], offsets[None].expand(len(z), -1, -1)).flatten(0, 1)
    rows = state.repeat_interleave(len(offsets), dim=0)
    found = value(coordinates.write(rows, moved)).to(torch.float64).view(len(z), -1)
    centre, plus, minus = found[:, :1], found[:, 1 : n + 1], found[:, n + 1 : 2 * n + 1]
    hessian = torch.diag_embed((plus - 2.0 * centre + minus) / step**2)
    up, down, one, two = found[:, 2 * n + 1 :].chunk(4, dim=1)
    mixed = (up + down - one - two) / (4.0 * step**2)
    hessian[:, left, right] = mixed
    hessian[:, right, left] = mixed
    return QuadraticModel(found[:, 0], (plus - minus) / (2.0 * step), hessian)


def _differentiate(value: Tensor, step: Tensor) -> QuadraticModel | None:
    """Differentiate value `[B]` twice by step `[B, n]`; None if the step does not reach it.

    Rows do not depend on each other.
    """
    (gradient,) = torch.autograd.grad(value.sum(), step, create_graph=True, allow_unused=True)
    if gradient is None:
        return None
    columns = []
    for index in range(step.shape[1]):
        part = gradient[:, index].sum()
        if part.requires_grad:
            (column,) = torch.autograd.grad(part, step, retain_graph=True, allow_unused=True)
        else:
            column = None
        columns.append(torch.zeros_like(step) if column is None else column)
    hessian = torch.stack(columns, dim=1)
    hessian = 0.5 * (hessian + hessian.transpose(1, 2))
    return QuadraticModel(value.detach(), gradient.detach(), hessian.detach())
