"""The real-time iteration: compiled stage functions and the SQP kernel behind one method."""

from __future__ import annotations

import time

import numpy as np

from simrl_controllers.nonlinear.config import NmpcConfig
from simrl_controllers.nonlinear.kernels.linearise import Problem, evaluate, roll, shift
from simrl_controllers.nonlinear.kernels.problem import QpPoint, empty_qp
from simrl_controllers.nonlinear.kernels.riccati import empty_work
from simrl_controllers.nonlinear.kernels.sqp import (
    COST,
    GAP,
    ITERATIONS,
    KKT,
    NUM_STATS,
    STATUS,
    STEPPED,
    optimise,
)
from simrl_controllers.nonlinear.machine_code import MachineCode, compile_functions
from simrl_controllers.nonlinear.model import Model
from simrl_controllers.nonlinear.plan import Beyond, Plan
from simrl_controllers.nonlinear.transcription import Stages, stage_functions


class StageCode:
    """Own the compiled stage functions of a problem and the arrays that its kernels use."""

    def __init__(self, model: Model, stages: Stages, num_stages: int, prices: np.ndarray) -> None:
        self.codes: list[MachineCode] = compile_functions(stage_functions(stages))
        nx, nu, nh = model.num_states, model.num_inputs, stages.soft.numel()
        n, size = num_stages, stages.p.numel()
        self.problem = Problem(
            code=np.array([code.address for code in self.codes], np.int64),
            parameters=np.zeros((n + 1, max(size, 1))),
            low=model.low.copy(),
            high=model.high.copy(),
            beyond_point=np.zeros(nx),
            beyond_gradient=np.zeros(nx),
            beyond_hessian=np.zeros((nx, nx)),
            out=np.zeros((n + 1, max(code.size for code in self.codes[:2]))),
            brief=np.zeros((n + 1, max(code.size for code in self.codes[2:]))),
        )
        self.qp = empty_qp(n, nx, nu, nh)
        self.qp.w1[:], self.qp.w2[:] = prices
        self.work = empty_work(n, nx, nu)
        self.point = QpPoint(np.zeros((n + 1, nx)), np.zeros((n, nu)), np.zeros((n + 1, nh)))
        self.costates = np.zeros((n + 1, nx))
        self.stats = np.zeros(NUM_STATS)

    def shift(self, plan: Plan, parameters: np.ndarray, stages: float) -> Plan:
        """Return the plan moved `stages` of its stages ahead in time."""
        self.problem.parameters[:] = parameters
        moved = Plan(plan.x.copy(), plan.u.copy())
        shift(self.problem, moved.x, moved.u, stages)
        return moved

    def merit(self, plan: Plan, parameters: np.ndarray) -> float:
        """Return cost and prices of a plan; a gap in its motion is priced as a violation is."""
        self.problem.parameters[:] = parameters
        cost, price, gaps = evaluate(self.problem, self.qp, plan.x, plan.u)
        return float(cost + price + self.qp.w1.max(initial=1.0) * gaps)

    def roll(self, plan: Plan, parameters: np.ndarray) -> Plan:
        """Return the plan with the states that its inputs lead to."""
        self.problem.parameters[:] = parameters
        rolled = Plan(plan.x.copy(), plan.u.copy())
        roll(self.problem, rolled.x, rolled.u)
        return rolled


class RealTimeIteration:
    """Solve by Gauss-Newton SQP: one full step from a shifted plan, more from a guess."""

    def __init__(self, code: StageCode, config: NmpcConfig) -> None:
        self._code, self._config = code, config

    def solve(
        self,
        first: np.ndarray,
        plan: Plan,
        parameters: np.ndarray,
        *,
        fresh: bool,
        beyond: Beyond | None = None,
        seconds: float = 0.0,
    ) -> Plan:
        """Improve a plan; see `Solver.solve`."""
        config, code = self._config, self._code
        code.problem.parameters[:] = parameters
        _set_beyond(code.problem, beyond)
        x, u = plan.x.copy(), plan.u.copy()
        left = config.first_iterations if fresh else config.iterations
        search = fresh or config.line_search
        start, done = time.perf_counter(), 0
        while True:
            # With a deadline the clock is read after each iteration, else one call does them all.
            count = 1 if seconds else left
            optimise(
                code.problem,
                code.qp,
                code.point,
                code.work,
                code.costates,
                x,
                u,
                first,
                count,
                config.tolerance,
                config.levenberg,
                search,
                code.stats,
            )
            done += int(code.stats[ITERATIONS])
            left -= count
            taken = time.perf_counter() - start
            if left <= 0 or code.stats[STATUS] != STEPPED or (seconds and taken > seconds):
                break
        ok = code.stats[STATUS] <= STEPPED and code.stats[GAP] <= config.max_gap
        if fresh and code.stats[STATUS] > STEPPED:
            # The line search found no better plan; the best one so far may still be good.
            ok = bool(np.isfinite(u).all()) and code.stats[GAP] <= 1e-3 * config.max_gap
        return Plan(
            x,
            u,
            bool(ok),
            float(code.stats[COST]),
            float(code.stats[KKT]),
            done,
            time.perf_counter() - start,
        )


def _set_beyond(problem: Problem, beyond: Beyond | None) -> None:
    if beyond is None:
        problem.beyond_gradient[:] = 0.0
        problem.beyond_hessian[:] = 0.0
        return
    problem.beyond_point[:] = beyond.point
    problem.beyond_gradient[:] = beyond.gradient
    problem.beyond_hessian[:] = beyond.hessian
