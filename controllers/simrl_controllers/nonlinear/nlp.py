"""Solve the same problem to the end with ipopt or fatrop, through CasADi."""

from __future__ import annotations

import time
from typing import Any

import casadi as ca
import numpy as np

from simrl_controllers.nonlinear.config import NmpcConfig
from simrl_controllers.nonlinear.model import Model
from simrl_controllers.nonlinear.plan import Beyond, Plan
from simrl_controllers.nonlinear.transcription import Stages

_GOOD = {"Solve_Succeeded", "Solved_To_Acceptable_Level", "success", "acceptable"}


class NlpSolver:
    """Solve the multiple-shooting problem; each stage holds x, u and the slacks of its constraints.

    Constraints of a stage stand after its dynamics, which is the order that fatrop looks for.
    """

    def __init__(
        self,
        model: Model,
        stages: Stages,
        num_stages: int,
        prices: np.ndarray,
        config: NmpcConfig,
    ) -> None:
        self._nx, self._nu = model.num_states, model.num_inputs
        self._nh, self._n = stages.soft.numel(), num_stages
        self._max_iterations = config.max_iterations
        self._fatrop = config.solver == "fatrop"
        self._low, self._high = model.low, model.high
        self._build(stages, prices, config)

    def _build(self, s: Stages, prices: np.ndarray, config: NmpcConfig) -> None:
        nx, nu, nh, n = self._nx, self._nu, self._nh, self._n
        inputs = [s.x, s.u, s.p]
        motion = ca.Function("motion", inputs, [s.following])
        cost = ca.Function("cost", inputs, [0.5 * ca.sumsqr(s.residual)])
        last_cost = ca.Function(
            "last_cost", [s.x, s.p], [0.5 * ca.sumsqr(s.last_residual) + s.last_cost]
        )
        soft = ca.Function("soft", inputs, [s.soft])
        last_soft = ca.Function("last_soft", [s.x, s.p], [s.last_soft])
        size = s.p.numel()
        p = ca.MX.sym("p", size, n + 1)
        first = ca.MX.sym("first", nx)
        point, slope = ca.MX.sym("point", nx), ca.MX.sym("slope", nx)
        curve = ca.MX.sym("curve", nx, nx)
        xs = [ca.MX.sym(f"x{k}", nx) for k in range(n + 1)]
        us = [ca.MX.sym(f"u{k}", nu) for k in range(n)]
        ss = [ca.MX.sym(f"s{k}", nh) for k in range(n + 1)]
        linear, quadratic = ca.DM(prices[0]), ca.DM(prices[1])
        total, w, g, equal, low, high = ca.MX(0.0), [], [], [], [], []
        zero, free = [0.0], [-np.inf]
        for k in range(n + 1):
            last = k == n
            w += [xs[k]] if last else [xs[k], us[k]]
            low += [-np.inf] * nx + ([] if last else list(self._low)) + [0.0] * nh
            high += [np.inf] * nx + ([] if last else list(self._high)) + [np.inf] * nh
            w.append(ss[k])
            total += ca.dot(linear, ss[k]) + 0.5 * ca.dot(quadratic, ss[k] ** 2)
            if last:
                step = xs[k] - point
                total += last_cost(xs[k], p[:, k])
                total += ca.dot(slope, step) + 0.5 * ca.dot(step, ca.mtimes(curve, step))
                values = last_soft(xs[k], p[:, k])
            else:
                total += cost(xs[k], us[k], p[:, k])
                values = soft(xs[k], us[k], p[:, k])
                # Fatrop finds the stages only in x_{k+1} - f, not in f - x_{k+1}.
                g.append(xs[k + 1] - motion(xs[k], us[k], p[:, k]))
                equal += [True] * nx
            if k == 0:
                g.append(xs[0] - first)
                equal += [True] * nx
            g.append(values - ss[k])
            equal += [False] * nh
        self._bounds = {"lbx": np.array(low), "ubx": np.array(high)}
        self._bounds |= {"lbg": np.where(equal, zero, free), "ubg": np.zeros(len(equal))}
        self._nlp = {
            "x": ca.vertcat(*w),
            "f": total,
            "g": ca.vertcat(*g),
            "p": ca.vertcat(ca.reshape(p, -1, 1), first, point, slope, ca.reshape(curve, -1, 1)),
        }
        self._equal = equal
        self._solver = self._make(1e-3 * config.deadline_ms)
        prices_of_g = ca.MX.sym("lam_g", len(equal))
        lagrangian = total + ca.dot(prices_of_g, self._nlp["g"])
        self._conditions = ca.Function(
            "conditions",
            [self._nlp["x"], self._nlp["p"], prices_of_g],
            [self._nlp["g"], ca.gradient(lagrangian, self._nlp["x"])],
        )

    def _make(self, seconds: float) -> Any:
        """Build the solver; ipopt gives up after `seconds`, if they are not 0."""
        options: dict[str, Any] = {"print_time": False, "error_on_fail": False, "expand": True}
        if self._fatrop:
            options |= {"structure_detection": "auto", "equality": self._equal}
            options["fatrop"] = {"print_level": 0, "max_iter": self._max_iterations, "tol": 1e-8}
        else:
            options["ipopt"] = {
                "print_level": 0,
                "sb": "yes",
                "max_iter": self._max_iterations,
                "tol": 1e-8,
            }
            if seconds:
                options["ipopt"]["max_wall_time"] = seconds
        return ca.nlpsol("nmpc", "fatrop" if self._fatrop else "ipopt", self._nlp, options)

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
        """Solve from a plan; see `Solver.solve`.

        The time limit is that of the config, for ipopt alone: it is set when the solver is built.
        """
        nx = self._nx
        more = (np.zeros(nx), np.zeros(nx), np.zeros((nx, nx)))
        if beyond is not None:
            more = (beyond.point, beyond.gradient, beyond.hessian)
        numbers = [parameters.ravel(), first, more[0], more[1], more[2].T.ravel()]
        start = time.perf_counter()
        answer = self._solver(x0=self._pack(plan), p=np.concatenate(numbers), **self._bounds)
        taken = time.perf_counter() - start
        stats = self._solver.stats()
        w = np.array(answer["x"]).ravel()
        x, u = self._unpack(w)
        ok = bool(stats["success"]) or stats["return_status"] in _GOOD
        return Plan(
            x,
            u,
            ok and bool(np.isfinite(w).all()),
            float(answer["f"]),
            self._kkt(w, answer, np.concatenate(numbers)),
            int(stats["iter_count"]),
            taken,
        )

    def _pack(self, plan: Plan) -> np.ndarray:
        """Lay a plan out as the solver's unknowns, slacks 0."""
        slack = np.zeros((self._n, self._nh))
        rows = np.hstack([plan.x[:-1], plan.u, slack]).ravel()
        return np.concatenate([rows, plan.x[-1], np.zeros(self._nh)])

    def _unpack(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        width = self._nx + self._nu + self._nh
        rows = w[: self._n * width].reshape(self._n, width)
        last = w[self._n * width : self._n * width + self._nx]
        x = np.vstack([rows[:, : self._nx], last])
        u = np.clip(rows[:, self._nx : self._nx + self._nu], self._low, self._high)
        return x, u

    def _kkt(self, w: np.ndarray, answer: Any, p: np.ndarray) -> float:
        """Return the largest violation of a constraint or entry of the Lagrangian's gradient."""
        g, gradient = (np.array(v).ravel() for v in self._conditions(w, p, answer["lam_g"]))
        slope = gradient + np.array(answer["lam_x"]).ravel()
        over = np.maximum(g - self._bounds["ubg"], self._bounds["lbg"] - g)
        return float(max(over.max(initial=0.0), np.abs(slope).max()))
