"""Linear model-predictive control as a policy."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec, Obs, PolicyOutput, PolicyState
from simrl_controllers.linear.config import (
    LinearMpcConfig,
    make_plant,
    rate_limits,
    state_limits,
)
from simrl_controllers.linear.delay import augment, predict_through, push
from simrl_controllers.linear.invariant import admissible_set
from simrl_controllers.linear.mpc import LinearMpc, MpcSolution
from simrl_controllers.linear.offset import Offset
from simrl_controllers.linear.problem import FinalCost, MpcInstance, MpcProblem
from simrl_controllers.lqr.riccati import solve_lqr
from simrl_controllers.qp import STATUS_CODES
from simrl_controllers.terminal_value import TerminalValue


@dataclass(frozen=True)
class RowPlan:
    """Hold what was decided for one row."""

    controls: np.ndarray
    """Inputs `[N, nu]` about the operating point's."""
    solution: MpcSolution
    """The solve that was made, good or not."""
    fallback: bool
    """Whether the last plan goes on instead."""


class LinearMpcPolicy:
    """Plan in the linear model at every step and apply the first input.

    A solve that fails or is late never stops the loop: the last plan, shifted, goes on, and the
    regulator acts where there is none yet.

    Memory: "plan" `[rows, N, nu]` (shifted, about the operating point's input), "planned" `[rows]`
    (0 before an episode's first step), "previous" `[rows, nu]` (the input sent last), "applied"
    `[rows, nu]` (the one acting now), "sent" `[rows, d, nu]` (inputs on their way), "last" and
    "disturbance" `[rows, n]` (observer).

    Extras, each `[rows]`: "fallback" (0 or 1), "status" (`qp.STATUS_CODES`), "kkt_residual",
    "cost", "solve_time" [s].

    Args:
        spec: The task.
        config: The options.
        terminal_value: What lies beyond the horizon, instead of `config.terminal`.
    """

    reads = frozenset({"state"})
    owner = "linear-mpc"

    def __init__(
        self,
        spec: EnvSpec,
        config: LinearMpcConfig,
        *,
        terminal_value: TerminalValue | None = None,
    ) -> None:
        self.config = config
        self.plant = plant = make_plant(self.owner, spec, config)
        self._value = terminal_value
        model = plant.model
        solution = solve_lqr(model.a, model.b, plant.q, plant.r)
        self.gain, self.cost_to_go = solution.gain, solution.cost_to_go
        self._a, self._b = torch.from_numpy(model.a), torch.from_numpy(model.b)
        self._control = torch.from_numpy(model.control)
        self._low, self._high = torch.from_numpy(plant.low), torch.from_numpy(plant.high)
        self._augmented = config.compensation == "augment" and config.delay_steps > 0
        self._offset = (
            Offset(model.a, model.b, plant.q, plant.r, config.observer_gain)
            if config.offset_free
            else None
        )
        self.mpc = LinearMpc(self._problem(), solver=config.solver, form=config.form)

    def _problem(self) -> MpcProblem:
        """Build the problem of the config, its state augmented if so asked."""
        plant, config = self.plant, self.config
        a, b, q = plant.model.a, plant.model.b, plant.q
        n = len(a)
        low, high = state_limits(plant, config)
        if self._augmented:
            a, b, q = augment(a, b, q, config.delay_steps)
        final = q
        if config.terminal == "riccati":
            final = solve_lqr(a, b, q, plant.r).cost_to_go
        rows = np.eye(n, len(a))
        final_rows, final_high = None, None
        control_low, control_high = (
            plant.low - plant.model.control,
            plant.high - plant.model.control,
        )
        if config.terminal_set:
            gain = solve_lqr(a, b, q, plant.r).gain
            stacked, limits = safe_rows(rows, low, high, gain, control_low, control_high)
            final_rows, final_high = admissible_set(a - b @ gain, stacked, limits)
        return MpcProblem(
            a=a,
            b=b,
            q=q,
            r=plant.r,
            final=final,
            horizon=config.horizon,
            low=control_low,
            high=control_high,
            rows=rows,
            row_low=low,
            row_high=high,
            rate=rate_limits(plant, config.rate),
            soft=np.full(n, config.soft),
            soft_linear=config.soft_linear,
            soft_quadratic=config.soft_quadratic,
            final_rows=final_rows,
            final_high=final_high,
        )

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory of an episode that has not begun."""
        n, nu = self._b.shape
        sizes = {
            "plan": (self.config.horizon, nu),
            "previous": (nu,),
            "applied": (nu,),
            "sent": (self.config.delay_steps, nu),
            "last": (n,),
            "disturbance": (n,),
        }
        memory = {
            name: torch.zeros(num_rows, *size, dtype=torch.float64) for name, size in sizes.items()
        }
        return {**memory, "planned": torch.zeros(num_rows, dtype=torch.int64)}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Plan for every row and return the first inputs."""
        dx = self.plant.error(obs["state"])
        disturbance = self._estimate(dx, state)
        rest = self._rest(disturbance)
        instances = self._instances(obs["state"], dx, state, rest)
        begin = time.perf_counter()
        guesses = self._guesses(instances, state, rest[1])
        if self._value is None:
            warm = [bool(planned) for planned in state["planned"]]
            solutions = [
                self.mpc.solve(instance, guess if known else None)
                for instance, guess, known in zip(instances, guesses, warm, strict=True)
            ]
        else:
            solutions = self._solve_valued(self._value, instances, guesses, obs["state"], rest[0])
        late = 0.0 < self.config.deadline < (time.perf_counter() - begin) / max(1, len(dx))
        plans = []
        for solution, guess, shift in zip(solutions, guesses, rest[1].numpy(), strict=True):
            use = solution.success and not late
            plans.append(RowPlan((solution.controls if use else guess) + shift, solution, not use))
        controls = torch.from_numpy(np.stack([plan.controls for plan in plans]))
        return self._output(dx, controls, plans, state, disturbance)

    def _estimate(self, dx: Tensor, state: PolicyState) -> Tensor:
        """Return the disturbance that the last step tells of `[rows, n]`."""
        if self._offset is None:
            return state["disturbance"]
        estimate = state["disturbance"]
        found = self._offset.update(estimate, state["last"], state["applied"], dx)
        return torch.where(state["planned"][:, None] > 0, found, state["disturbance"])

    def _rest(self, disturbance: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the plant rests under the disturbance: x_o `[rows, n]`, u_o `[rows, nu]`."""
        if self._offset is None:
            zero = torch.zeros(len(disturbance), self._b.shape[1], dtype=torch.float64)
            return torch.zeros_like(disturbance), zero
        return self._offset.rest(disturbance)

    def _instances(
        self, rows: Tensor, dx: Tensor, state: PolicyState, rest: tuple[Tensor, Tensor]
    ) -> list[MpcInstance]:
        """State the problem of every row, measured from where it rests."""
        config, horizon = self.config, self.config.horizon
        start, sent = dx - rest[0], state["sent"] - rest[1][:, None]
        ahead = config.delay_steps if config.compensation == "predict" else 0
        targets = self.plant.targets(rows, horizon + 1 + ahead)[:, ahead:]
        if ahead:
            start = predict_through(self._a, self._b, start, sent)
        elif self._augmented:
            start = torch.cat([start, sent.flatten(1)], dim=1)
            pad = torch.zeros(*targets.shape[:2], start.shape[1] - targets.shape[2]).double()
            targets = torch.cat([targets, pad], dim=2)
        previous = (state["previous"] - rest[1]).numpy()
        shift = np.zeros((len(dx), start.shape[1]))
        shift[:, : dx.shape[1]] = -rest[0].numpy()
        return [
            MpcInstance(
                state=start[row].numpy(),
                targets=targets[row].numpy(),
                previous=previous[row],
                control_shift=-rest[1][row].numpy(),
                state_shift=shift[row],
            )
            for row in range(len(dx))
        ]

    def _guesses(
        self, instances: list[MpcInstance], state: PolicyState, shift: Tensor
    ) -> list[np.ndarray]:
        """Return what would go on if nothing is solved: the last plans, or the regulator's."""
        last = (state["plan"] - shift[:, None]).numpy()
        return [
            last[row] if bool(state["planned"][row]) else self._regulate(instance)
            for row, instance in enumerate(instances)
        ]

    def _solve_valued(
        self,
        value: TerminalValue,
        instances: list[MpcInstance],
        guesses: list[np.ndarray],
        rows: Tensor,
        rest: Tensor,
    ) -> list[MpcSolution]:
        """Solve with the local model of the terminal value at the end of the plan before."""
        n = rest.shape[1]
        ends = [self.mpc.predict(i.state, g)[-1] for i, g in zip(instances, guesses, strict=True)]
        solutions: list[MpcSolution] = []
        for _ in range(self.config.value_iterations):
            reached = torch.from_numpy(np.array(ends)[:, :n]) + rest
            at = self.plant.coordinates.write(
                rows, self.plant.coordinates.move(self.plant.origin.expand(len(rows), -1), reached)
            )
            slope, bend = value.quadratic(at, self.plant.coordinates).convex_cost()
            # From the slope at the end of the plan to that where the problem's state is 0.
            slope = slope - (bend @ (reached - rest)[..., None])[..., 0]
            solutions = [
                self.mpc.solve(replace(instance, final=_padded(s, c, len(instance.state))))
                for instance, s, c in zip(instances, slope.numpy(), bend.numpy(), strict=True)
            ]
            ends = [
                solution.states[-1] if solution.success else end
                for solution, end in zip(solutions, ends, strict=True)
            ]
        return solutions

    def _regulate(self, instance: MpcInstance) -> np.ndarray:
        """Return the inputs `[N, nu]` of the clipped regulator, where no plan was made yet."""
        model, low = self.plant.model, self.plant.low - self.plant.model.control
        high = self.plant.high - self.plant.model.control
        state, controls = instance.state[: len(model.a)], []
        for target in instance.targets[:-1, : len(model.a)]:
            controls.append(np.clip(-self.gain @ (state - target), low, high))
            state = model.a @ state + model.b @ controls[-1]
        return np.array(controls)

    def _output(
        self,
        dx: Tensor,
        controls: Tensor,
        plans: list[RowPlan],
        state: PolicyState,
        disturbance: Tensor,
    ) -> PolicyOutput:
        action = (self._control + controls[:, 0]).clamp(self._low, self._high).to(torch.float32)
        command = action.to(torch.float64) - self._control
        sent, applied = state["sent"], command
        if self.config.delay_steps:
            sent, applied = push(sent, command), sent[:, 0]
        memory = {
            "plan": torch.cat([controls[:, 1:], controls[:, -1:]], dim=1),
            "planned": torch.ones_like(state["planned"]),
            "previous": command,
            "applied": applied,
            "sent": sent,
            "last": dx,
            "disturbance": disturbance,
        }
        return PolicyOutput(action, memory, plan_extras(plans))


def plan_extras(plans: list[RowPlan]) -> dict[str, Tensor]:
    """Collect the figures of the rows' solves, each `[rows]`."""
    solutions = [plan.solution for plan in plans]
    return {
        "fallback": torch.tensor([int(plan.fallback) for plan in plans]),
        "status": torch.tensor([STATUS_CODES[solution.status] for solution in solutions]),
        "kkt_residual": torch.tensor([s.kkt_residual for s in solutions], dtype=torch.float64),
        "cost": torch.tensor([s.cost for s in solutions], dtype=torch.float64),
        "solve_time": torch.tensor([s.solve_time for s in solutions], dtype=torch.float64),
    }


def _padded(slope: np.ndarray, curvature: np.ndarray, size: int) -> FinalCost:
    """Return the cost of a longer state whose further numbers cost nothing."""
    n = len(slope)
    long, wide = np.zeros(size), np.zeros((size, size))
    long[:n], wide[:n, :n] = slope, curvature
    return FinalCost(long, wide)


def safe_rows(
    rows: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    gain: np.ndarray,
    control_low: np.ndarray,
    control_high: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Stack the finite limits of the state and of u = -gain x as rows x <= limits."""
    directions = np.vstack([rows, -rows, -gain, gain])
    limits = np.concatenate([high, -low, control_high, -control_low])
    finite = np.isfinite(limits)
    return directions[finite], limits[finite]


def make_linear_mpc(
    spec: EnvSpec, config: LinearMpcConfig, *, terminal_value: TerminalValue | None = None
) -> LinearMpcPolicy:
    """Build linear MPC; the arguments are those of `LinearMpcPolicy`."""
    return LinearMpcPolicy(spec, config, terminal_value=terminal_value)
