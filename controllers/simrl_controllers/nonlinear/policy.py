"""Nonlinear model predictive control as a policy: plan anew in every step, act on its start."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec, Obs, PolicyOutput, PolicyState
from simrl_controllers.nonlinear.config import NmpcConfig
from simrl_controllers.nonlinear.kernels.problem import StageQp
from simrl_controllers.nonlinear.model import part_columns, read_rows
from simrl_controllers.nonlinear.models import build_model
from simrl_controllers.nonlinear.nlp import NlpSolver
from simrl_controllers.nonlinear.plan import Plan, Solver
from simrl_controllers.nonlinear.rti import RealTimeIteration, StageCode
from simrl_controllers.nonlinear.terminal import TerminalModel, riccati_cost
from simrl_controllers.nonlinear.transcription import build_stages
from simrl_controllers.terminal_value import TerminalValue

FIGURES = (
    "status",
    "fallback",
    "solve_time",
    "plan_time",
    "cost",
    "kkt_residual",
    "sqp_iterations",
)
"""Names of the extras."""
SWITCH = 0.95
"""Another way is gone if it costs less than this share of the plan's cost."""
SOLVED, FAILED, LATE = range(3)
"""The extra "status": the plan is new; the solver failed; it came past the deadline."""


class NmpcPolicy:
    """Plan with a nonlinear model over a receding horizon; reads the physical state alone.

    The memory is each row's last plan, shifted and improved in the next step.  Where obstacles
    leave a choice, the plan is held beside drives around either side.  A plan that fails
    or comes late is replaced by the last one, shifted, and the extras say so: "status" (0 solved,
    1 failed, 2 late), "fallback" (0 or 1), "solve_time" in the solver and "plan_time" in all [s],
    "cost", "kkt_residual" and "sqp_iterations".

    One policy serves one thread: its rows are planned one after the other in the same buffers.

    Args:
        spec: The environment; its physics name the model.
        config: The options.
        terminal_value: What lies beyond the horizon, added to the cost of the last state.

    Raises:
        ValueError: nmpc has no model of this environment, or a fact or weight is unknown.
    """

    reads = frozenset({"state"})

    def __init__(
        self, spec: EnvSpec, config: NmpcConfig, *, terminal_value: TerminalValue | None = None
    ) -> None:
        if spec.num_agents != 1:
            raise ValueError(f"nmpc controls one agent, {spec.id} has {spec.num_agents}")
        self.spec, self.config = spec, config
        self.model = build_model(spec, config.weights)
        model = self.model
        self.horizon = model.horizon if config.horizon is None else config.horizon
        self.dt = model.dt if config.dt is None else config.dt
        substeps = model.substeps if config.substeps is None else config.substeps
        beyond = riccati_cost(model, self.dt, substeps) if config.terminal == "riccati" else None
        stages = build_stages(model, self.dt, substeps, beyond, config.terminal_scale)
        prices = np.empty((2, stages.soft.numel()))
        prices[0] = model.soft_linear if config.soft_linear is None else config.soft_linear
        prices[1] = model.soft_quadratic if config.soft_quadratic is None else config.soft_quadratic
        self._code = StageCode(model, stages, self.horizon, prices)
        self._solver: Solver
        if config.solver == "rti":
            self._solver = RealTimeIteration(self._code, config)
        else:
            self._solver = NlpSolver(model, stages, self.horizon, prices, config)
        self._terminal = None
        if terminal_value is not None:
            self._terminal = TerminalModel(spec, model, terminal_value)
        self._times = self.dt * np.arange(self.horizon + 1)
        self._ahead = torch.from_numpy(self._times)
        self._stride = (config.period or spec.step_seconds or self.dt) / self.dt
        self._low, self._high = np.float32(model.low), np.float32(model.high)
        self._discs = part_columns(spec, "obstacles") if model.num_obstacles else None

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return empty plans: x `[rows, N + 1, nx]`, u `[rows, N, nu]`, and how often each failed.

        "failures" counts the last steps in a row without a new plan; -1 says that there is none.
        """
        n, nx, nu = self.horizon, self.model.num_states, self.model.num_inputs
        return {
            "plan_x": torch.zeros(num_rows, n + 1, nx, dtype=torch.float64),
            "plan_u": torch.zeros(num_rows, n, nu, dtype=torch.float64),
            "failures": torch.full((num_rows,), -1, dtype=torch.int64),
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Plan for every row and return the first inputs `[rows, nu]`."""
        rows = obs["state"]
        first = read_rows(rows)[:, self.model.columns]
        if not np.isfinite(first).all():
            row, index = (int(i) for i in np.argwhere(~np.isfinite(first))[0])
            raise ValueError(
                f"nmpc: row {row}: the state {self.model.states[index]!r} is {first[row, index]}"
            )
        parameters = self._parameters(rows, first)
        plans_x, plans_u = state["plan_x"].numpy().copy(), state["plan_u"].numpy().copy()
        failures = state["failures"].numpy().copy()
        action = np.empty((len(first), self.model.num_inputs), np.float32)
        figures = np.zeros((len(FIGURES), len(first)))
        for row in range(len(first)):
            last = None if failures[row] < 0 else Plan(plans_x[row], plans_u[row])
            memory = rows[row : row + 1]
            plan, status = self._plan(first[row], last, parameters[row], memory, figures[:, row])
            plans_x[row], plans_u[row] = plan.x, plan.u
            failures[row] = self._count(int(failures[row]), status)
            action[row] = plan.u[0]
        np.clip(action, self._low, self._high, out=action)
        if self.model.embed is not None:
            action = self.model.embed(action)
        memory_out: dict[str, Tensor] = {
            "plan_x": torch.from_numpy(plans_x),
            "plan_u": torch.from_numpy(plans_u),
            "failures": torch.from_numpy(failures),
        }
        extras = dict(zip(FIGURES, torch.from_numpy(figures), strict=True))
        return PolicyOutput(torch.from_numpy(action), memory_out, extras)

    @property
    def last_qp(self) -> StageQp:
        """The quadratic program of the last iteration of the last row; `act` changes it."""
        return self._code.qp

    def _count(self, failures: int, status: int) -> int:
        """Count failures in a row; a plan that is used up is forgotten."""
        if status == SOLVED:
            return 0
        return -1 if failures < 0 or failures + 1 >= self.horizon else failures + 1

    def _parameters(self, rows: Tensor, first: np.ndarray) -> np.ndarray:
        """Return what the stages are handed: targets, then the discs where they will be."""
        count, stages, model = len(rows), self.horizon + 1, self.model
        if self.spec.reference is None:
            targets = np.broadcast_to(model.goal, (count, stages, len(model.goal)))
        else:
            targets = self.spec.reference(rows, self._ahead).numpy()
            if model.targets is not None:
                targets = np.stack([model.targets(target) for target in targets])
        if self._discs is None:
            return self._aimed(first, targets, np.zeros((count, stages, 0, 3)))
        discs = read_rows(rows)[:, self._discs].reshape(count, 1, model.num_obstacles, 5)
        ahead = np.repeat(discs[..., [0, 1, 4]], stages, axis=1)
        ahead[..., :2] += discs[..., 2:4] * self._times[:, None, None]
        targets = self._aimed(first, targets, ahead)
        return np.concatenate([targets, ahead.reshape(count, stages, -1)], axis=2)

    def _aimed(self, first: np.ndarray, targets: np.ndarray, discs: np.ndarray) -> np.ndarray:
        """Return each row's targets, laid along a way to them if the model knows one."""
        if self.model.aim is None:
            return np.ascontiguousarray(targets, np.float64)
        rows = zip(first, targets, discs, strict=True)
        return np.stack([self.model.aim(*row) for row in rows])

    def _plan(
        self,
        first: np.ndarray,
        last: Plan | None,
        parameters: np.ndarray,
        row: Tensor,
        figures: np.ndarray,
    ) -> tuple[Plan, int]:
        """Return one row's plan, new or the shifted last one, and the status; fill the figures."""
        start, deadline = time.perf_counter(), 1e-3 * self.config.deadline_ms
        if last is None:
            kept, *others = self._guesses(first, parameters)
            plan = self._solve(first, kept, parameters, row, True, start)
        else:
            kept, others = self._code.shift(last, parameters, self._stride), None
            plan = self._solve(first, kept, parameters, row, False, start)
        if not plan.ok and not self._late(start):
            for guess in others or self._guesses(first, parameters):
                plan = self._solve(first, guess, parameters, row, True, start)
                if plan.ok or self._late(start):
                    break
        if self.model.ways is not None and not self._late(start):
            plan = self._compare(first, plan, parameters, row, start)
        taken = time.perf_counter() - start
        status = SOLVED if plan.ok else FAILED
        if deadline and taken > deadline:
            status = LATE
        used = status != SOLVED
        figures[:] = (
            status,
            used,
            plan.solve_seconds,
            taken,
            plan.cost,
            plan.kkt,
            plan.iterations,
        )
        return (kept if used else plan), status

    def _late(self, start: float) -> bool:
        """Tell whether the deadline has passed."""
        deadline = 1e-3 * self.config.deadline_ms
        return bool(deadline) and time.perf_counter() - start > deadline

    def _solve(
        self,
        first: np.ndarray,
        plan: Plan,
        parameters: np.ndarray,
        row: Tensor,
        fresh: bool,
        start: float,
    ) -> Plan:
        seconds = 0.0
        if self.config.deadline_ms:
            left = 1e-3 * self.config.deadline_ms - (time.perf_counter() - start)
            seconds = max(left, 1e-6)
        beyond = None if self._terminal is None else self._terminal.about(row, plan.x[-1])
        return self._solver.solve(
            first, plan, parameters, fresh=fresh, beyond=beyond, seconds=seconds
        )

    def _compare(
        self, first: np.ndarray, plan: Plan, parameters: np.ndarray, row: Tensor, start: float
    ) -> Plan:
        """Return the plan, or a cheaper one that goes another way around the obstacles.

        The ways are driven by rule with the model itself, so each is a plan that could be carried
        out: where one is cheaper, the optimiser is caught on the wrong side of an obstacle.
        """
        ways = self._ways(first, parameters)
        costs = np.array([self._code.merit(way, parameters) for way in ways])
        limit = SWITCH * self._code.merit(plan, parameters) if plan.ok else np.inf
        costs[~np.isfinite(costs)] = np.inf
        if not costs.min(initial=np.inf) < limit:
            return plan
        best, cost = ways[int(costs.argmin())], float(costs.min())
        better = self._solve(first, best, parameters, row, False, start)
        if not better.ok and not plan.ok:
            return plan
        chosen = better
        if not better.ok or not self._code.merit(better, parameters) <= cost:
            chosen = replace(plan, x=best.x, u=best.u, cost=cost)
        return replace(
            chosen,
            ok=True,
            iterations=plan.iterations + better.iterations,
            solve_seconds=plan.solve_seconds + better.solve_seconds,
        )

    def _ways(self, first: np.ndarray, parameters: np.ndarray) -> list[Plan]:
        """Return the model's motions on other ways around the obstacles."""
        model, goals = self.model, len(self.model.goal)
        if model.ways is None:
            return []
        discs = parameters[:, goals:].reshape(len(parameters), model.num_obstacles, 3)
        inputs = model.ways(self.dt, first, parameters[:, :goals], discs)
        states = np.tile(first, (self.horizon + 1, 1))
        return [self._code.roll(Plan(states, u), parameters) for u in inputs]

    def _guesses(self, first: np.ndarray, parameters: np.ndarray) -> list[Plan]:
        """Return plans to begin with: the model's own, and the motion under nominal inputs."""
        targets = parameters[:, : len(self.model.goal)]
        u = np.tile(self.model.nominal, (self.horizon, 1))
        x = np.array(self.model.guess(first, targets), np.float64)
        x[0] = first
        own = Plan(x, u)
        return [own, self._code.roll(own, parameters)]
