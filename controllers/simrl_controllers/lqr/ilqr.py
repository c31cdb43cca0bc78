"""Iterative LQR: improve input sequences in a nonlinear model, many rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simrl.core import Dynamics
from simrl_controllers.coordinates import Coordinates
from simrl_controllers.lqr.backward import backward_rows
from simrl_controllers.terminal_value import TerminalValue

_STEP_SIZES = (1.0, 0.5, 0.25, 0.1, 0.03)
"""Fractions of the step that the line search tries, all at once."""


@dataclass(frozen=True)
class IlqrCost:
    """Hold the quadratic cost of steps dx from an origin and of inputs u.

    Each step costs (dx - t) Q (dx - t) + (u - u0) R (u - u0), t its target; the last state costs
    (dx - t) final (dx - t), or minus a terminal value.
    """

    origin: Tensor
    """Configuration that dx is measured from `[num_values]`."""
    control: Tensor
    """u0 `[nu]`."""
    q: Tensor
    """Q `[n, n]`."""
    r: Tensor
    """R `[nu, nu]`."""
    final: Tensor
    """Cost of the last state `[n, n]`, not used with a terminal value."""
    low: Tensor
    """Steps dx below which a violation costs `[n]`; -inf for none."""
    high: Tensor
    """Steps dx above which a violation costs `[n]`; inf for none."""
    limit: float = 0.0
    """Cost of a squared violation at every step."""

    def over(self, dx: Tensor) -> Tensor:
        """Return the violations of steps `[..., n]`, with their sign; 0 inside the limits."""
        return dx - dx.clamp(self.low, self.high)


@dataclass(frozen=True)
class IlqrOptions:
    """Set how long and how carefully iLQR improves a plan."""

    iterations: int = 10
    """Most improvements."""
    tolerance: float = 1e-6
    """Relative decrease of the cost below which a row is done."""
    damping: float = 1e-6
    """First Levenberg-Marquardt damping of the inputs; grows tenfold where no step improves."""
    difference: float = 1e-4
    """Size of the finite differences of the state."""


@dataclass(frozen=True)
class IlqrPlan:
    """Hold improved plans of M rows."""

    controls: Tensor
    """Inputs `[M, H, nu]` float64, within their limits."""
    gains: Tensor
    """Feedback K `[M, H, nu, n]`: u = controls + K dx, dx the step from the planned state."""
    configurations: Tensor
    """Planned states `[M, H + 1, num_values]`."""
    cost: Tensor
    """Cost of the plans `[M]`."""
    improved: Tensor
    """Whether any iteration made the plan cheaper `[M]` bool."""
    iterations: int
    """Iterations made."""


class Ilqr:
    """Improve plans by Riccati passes over local models (Li and Todorov 2004; Tassa et al. 2012).

    The model is linearised by centred finite differences, all times and rows in one batched call;
    the line search tries its step sizes in one batch too.

    Args:
        dynamics: The model.
        coordinates: What the cost sees of a row.
        cost: The cost.
        bounds: Lowest and highest input, each `[nu]`.
        options: The options.
        terminal_value: What lies beyond the horizon, instead of `cost.final`.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        coordinates: Coordinates,
        cost: IlqrCost,
        bounds: tuple[Tensor, Tensor],
        options: IlqrOptions,
        terminal_value: TerminalValue | None = None,
    ) -> None:
        self._dynamics, self._coordinates, self._cost = dynamics, coordinates, cost
        self._low, self._high = bounds
        self._options, self._value = options, terminal_value

    def solve(self, state: Tensor, controls: Tensor, targets: Tensor) -> IlqrPlan:
        """Improve `controls` `[M, H, nu]` from rows `[M, S]` towards targets `[M, H + 1, n]`."""
        if controls.ndim != 3 or controls.shape[1] < 1:
            raise ValueError(f"controls must be [rows, horizon >= 1, nu], {tuple(controls.shape)}")
        controls = controls.clamp(self._low, self._high).to(torch.float32).to(torch.float64)
        states = self._follow(state, controls)
        cost = first = self._total(states, controls, targets)
        damping = torch.full((len(state),), self._options.damping, dtype=torch.float64)
        gains = torch.zeros(*controls.shape, self._coordinates.size, dtype=torch.float64)
        made = 0
        for made in range(1, self._options.iterations + 1):  # noqa: B007 (counts what was made)
            change, gains = self._backward(states, controls, targets, damping)
            trial = self._search(states, controls, change, gains, targets)
            better = trial[2] < cost
            gained = (cost - trial[2]) / cost.abs().clamp(min=1e-12)
            pick = better[:, None, None]
            states = torch.where(pick, trial[0], states)
            controls = torch.where(pick, trial[1], controls)
            cost = torch.where(better, trial[2], cost)
            damping = torch.where(better, 0.2 * damping, 10.0 * damping.clamp(min=1e-6))
            if bool(((gained < self._options.tolerance) & (better | (damping > 1e6))).all()):
                break
        z = self._read(states)
        return IlqrPlan(controls, gains, z, cost, cost < first, made)

    def _follow(self, state: Tensor, controls: Tensor) -> Tensor:
        """Return rows `[M, H + 1, S]` under the controls."""
        rows = [state]
        for k in range(controls.shape[1]):
            action = controls[:, k].to(torch.float32)[:, None]
            rows.append(self._dynamics.step(rows[-1], action)[0].clone())
        return torch.stack(rows, dim=1)

    def _read(self, states: Tensor) -> Tensor:
        return self._coordinates.read(states.flatten(0, 1)).unflatten(0, states.shape[:2])

    def _total(self, states: Tensor, controls: Tensor, targets: Tensor) -> Tensor:
        """Return the cost of plans `[M]`; infinite where a plan diverged."""
        cost = self._cost
        dx = self._coordinates.difference(self._read(states), cost.origin)
        off = dx - targets
        push = controls - cost.control
        total = ((off[:, :-1] @ cost.q) * off[:, :-1]).sum((1, 2))
        total = total + ((push @ cost.r) * push).sum((1, 2))
        total = total + cost.limit * cost.over(dx).square().sum((1, 2))
        if self._value is None:
            total = total + ((off[:, -1] @ cost.final) * off[:, -1]).sum(-1)
        else:
            total = total - self._value.value(states[:, -1]).to(torch.float64)
        return torch.where(torch.isfinite(total), total, torch.inf)

    def _linearise(self, states: Tensor, controls: Tensor) -> tuple[Tensor, Tensor]:
        """Return A `[M, H, n, n]` and B `[M, H, n, nu]` along the plans."""
        n, nu = self._coordinates.size, controls.shape[2]
        eps = self._options.difference
        count = 2 * (n + nu)
        here = states[:, :-1].flatten(0, 1)
        moves = torch.zeros(count, n, dtype=torch.float64)
        moves[:n], moves[n : 2 * n] = eps * torch.eye(n), -eps * torch.eye(n)
        reach = 1e-3 * (self._high - self._low).clamp(max=10.0)
        pushes = torch.zeros(count, nu, dtype=torch.float64)
        pushes[2 * n : 2 * n + nu], pushes[2 * n + nu :] = torch.diag(reach), -torch.diag(reach)
        z = self._coordinates.read(here)[:, None].expand(-1, count, -1)
        moved = self._coordinates.move(z, moves.expand(len(here), -1, -1)).flatten(0, 1)
        rows = self._coordinates.write(here.repeat_interleave(count, dim=0), moved)
        action = controls.flatten(0, 1)[:, None] + pushes
        applied = action.clamp(self._low, self._high).to(torch.float32)
        after = self._dynamics.step(rows, applied.flatten(0, 1)[:, None])[0]
        following = self._coordinates.read(states[:, 1:].flatten(0, 1))[:, None]
        ends = self._coordinates.read(after).unflatten(0, (-1, count))
        change = self._coordinates.difference(ends, following)
        a = (change[:, :n] - change[:, n : 2 * n]) / (2.0 * eps)
        index = torch.arange(nu)
        span = (applied[:, 2 * n + index, index] - applied[:, 2 * n + nu + index, index]).double()
        b = (change[:, 2 * n : 2 * n + nu] - change[:, 2 * n + nu :]) / span[..., None]
        shape = controls.shape[:2]
        return a.mT.unflatten(0, shape), b.mT.unflatten(0, shape)

    def _backward(
        self, states: Tensor, controls: Tensor, targets: Tensor, damping: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the change `[M, H, nu]` and the feedback `[M, H, nu, n]` of the inputs."""
        cost = self._cost
        a, b = self._linearise(states, controls)
        a, b = torch.nan_to_num(a), torch.nan_to_num(b)
        dx = self._coordinates.difference(self._read(states), cost.origin)
        off, over = dx - targets, torch.nan_to_num(cost.over(dx))
        if self._value is None:
            final_slope = 2.0 * off[:, -1] @ cost.final
            final_cost = (2.0 * cost.final).expand(len(off), -1, -1)
        else:
            final_slope, final_cost = self._value.quadratic(
                states[:, -1], self._coordinates
            ).convex_cost()
        final_slope = final_slope + 2.0 * cost.limit * over[:, -1]
        bend = 2.0 * cost.limit * (over[:, -1] != 0.0).double()
        final_cost = final_cost + torch.diag_embed(bend)
        inputs = (
            a,
            b,
            2.0 * (torch.nan_to_num(off[:, :-1]) @ cost.q + cost.limit * over[:, :-1]),
            2.0 * cost.q,
            2.0 * cost.limit * (over[:, :-1] != 0.0).double(),
            2.0 * (controls - cost.control) @ cost.r,
            2.0 * cost.r,
            torch.nan_to_num(final_slope),
            torch.nan_to_num(final_cost),
            (self._low - controls).clamp(max=0.0),
            (self._high - controls).clamp(min=0.0),
            damping,
        )
        change = np.zeros(controls.shape)
        gains = np.zeros((*controls.shape, self._coordinates.size))
        arrays = [np.ascontiguousarray(part.detach().numpy()) for part in inputs]
        compiled: Any = backward_rows
        compiled(*arrays, change, gains)
        return torch.from_numpy(change), torch.from_numpy(gains)

    def _search(
        self, states: Tensor, controls: Tensor, change: Tensor, gains: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Try every step size in one batch; return the best states, controls and costs per row."""
        count, rows = len(_STEP_SIZES), len(states)
        sizes = torch.tensor(_STEP_SIZES, dtype=torch.float64)[:, None, None]
        nominal = self._read(states)
        now = states[:, 0].repeat(count, 1)
        tried, applied = [now], []
        for k in range(controls.shape[1]):
            z = self._coordinates.read(now).unflatten(0, (count, rows))
            dx = torch.nan_to_num(self._coordinates.difference(z, nominal[:, k]))
            push = sizes * change[:, k] + (gains[:, k] @ dx[..., None])[..., 0]
            action = (controls[:, k] + push).clamp(self._low, self._high).to(torch.float32)
            applied.append(action.flatten(0, 1).to(torch.float64))
            now = self._dynamics.step(now, action.flatten(0, 1)[:, None])[0].clone()
            tried.append(now)
        all_states, all_controls = torch.stack(tried, dim=1), torch.stack(applied, dim=1)
        total = self._total(all_states, all_controls, targets.repeat(count, 1, 1))
        best = total.view(count, rows).argmin(dim=0) * rows + torch.arange(rows)
        return all_states[best], all_controls[best], total[best]
