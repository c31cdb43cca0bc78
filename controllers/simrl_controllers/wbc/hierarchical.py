"""Find the torques that serve ranked tasks: no level ever yields to one below it.

Source: "Perception-less terrain adaptation through whole body control and hierarchical
optimization" (Bellicoso et al. 2016): each level is a QP in the nullspace of those above it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from simrl_controllers.qp import STATUS_CODES, solve_qp
from simrl_controllers.qp.backend import import_solver
from simrl_controllers.wbc.build import (
    BUILT,
    Program,
    empty_program,
    residual,
    write_result,
)
from simrl_controllers.wbc.config import FACETS, WbcConfig
from simrl_controllers.wbc.inputs import WbcInputs, prices, stack, what_is_wrong
from simrl_controllers.wbc.level import begin, level_program, rest_program
from simrl_controllers.wbc.relax import SETTINGS, relax, slack_weights
from simrl_controllers.wbc.result import WbcResult
from simrl_controllers.wbc.task import Contacts, LinearLimit, RobotDynamics, Task
from simrl_controllers.wbc.weighted import ACCURACY, make_motors

Array = np.ndarray


class HierarchicalWbc:
    """Serve tasks by strict rank: motion, contacts and limits, then level 1, level 2 and so on.

    The equations of motion come before the standing contacts, and both before all tasks; limits
    hold at every level.  A level solves its least-squares problem over what the levels above leave
    open.  Within a level, weights count.  What no level asks for is kept small.  Limits that
    conflict give way by the least squares of slack (friction and normal forces do not).

    Raises:
        ValueError: indices or limits of the motors do not fit.
    """

    def __init__(
        self,
        config: WbcConfig,
        num_dofs: int,
        driven: Array,
        torque_limit: Array,
        num_contacts: int = 0,
        force_level: int = 2,
    ) -> None:
        """Take the robot's sizes as `WeightedWbc` does, and the level of the wanted forces."""
        self.config = config
        self.motors = make_motors(num_dofs, driven, torque_limit)
        self.num_contacts = num_contacts
        self.force_level = force_level
        self._num_dofs = num_dofs
        self._planes = (FACETS[config.cone], config.cone == "cone")
        self._daqp: Any = import_solver("daqp")
        self._programs: dict[tuple[int, int], Program] = {}

    def solve(
        self,
        dynamics: RobotDynamics,
        tasks: Sequence[Task],
        contacts: Contacts | None = None,
        limits: Sequence[LinearLimit] = (),
    ) -> WbcResult:
        """Solve n rows; ValueError names what has the wrong shape or is not finite."""
        inputs = stack(dynamics, tasks, contacts, limits, self.num_contacts)
        lines = [np.full(np.shape(task.target)[1], task.level) for task in tasks]
        line_level = np.concatenate([np.zeros(0, np.int64), *lines])
        return self.solve_arrays(inputs, line_level, prices(limits))

    def solve_arrays(
        self, inputs: WbcInputs, line_level: Array, limit_price: Array | None = None
    ) -> WbcResult:
        """Solve n rows given as arrays, `line_level` `[k]` being the level of each task line.

        `limit_price` `[r]` says what exceeding each limit costs (see `LinearLimit.price`), else 1.
        """
        price = np.ones(inputs.limit_low.shape[1]) if limit_price is None else limit_price
        line_level = np.ascontiguousarray(line_level, np.int64)
        levels = np.unique(np.append(line_level, self.force_level)).tolist()
        count = len(inputs.mass)
        result = WbcResult.empty(count, self._num_dofs, self.num_contacts, len(self.motors.driven))
        # Each level of a row is a problem of its own size for daqp; `WeightedWbc` is the fast way.
        for row in range(count):
            start = time.perf_counter()
            _Row(self, row, inputs, price, result).solve(line_level, levels)
            result.seconds[row] = time.perf_counter() - start
        return result


class _Row:
    """Descend the levels of one row."""

    def __init__(
        self,
        owner: HierarchicalWbc,
        row: int,
        inputs: WbcInputs,
        price: Array,
        result: WbcResult,
    ) -> None:
        self.owner, self.row, self.inputs, self.result = owner, row, inputs, result
        self.price = price
        standing = int(np.count_nonzero(inputs.active[row]))
        lines = inputs.limit_low.shape[1]
        key = (standing, lines)
        if key not in owner._programs:
            owner._programs[key] = empty_program(
                owner._num_dofs, standing, owner.num_contacts, lines, owner._planes[0],
                len(owner.motors.free), len(owner.motors.limited),
            )  # fmt: skip
        self.program = owner._programs[key]
        self.standing, self.num_equal = standing, len(owner.motors.free) + 3 * standing
        self.settled = False  # whether x keeps all limits

    def solve(self, line_level: Array, levels: Sequence[int]) -> None:
        """Write the row's result."""
        owner, row, config = self.owner, self.row, self.owner.config
        outcome, x, basis = begin(
            row, self.inputs, owner.motors, *owner._planes, config.rank_tolerance, self.program
        )
        if outcome != BUILT:
            raise ValueError(what_is_wrong(row, self.inputs))
        for level in (*levels, None):
            x, basis = self._descend(line_level, level, x, basis)
            if self.result.status[row] != STATUS_CODES["solved"]:
                return
        write_result(
            row, self.inputs, owner.motors, self.program.standing[: self.standing], x,
            self.result.acceleration, self.result.force, self.result.torque,
        )  # fmt: skip

    def _descend(
        self, line_level: Array, level: int | None, x: Array, basis: Array
    ) -> tuple[Array, Array]:
        """Solve one level, or for None what is left; returns the new point and basis."""
        rank, turned, *parts = self._level(line_level, level, x, basis)
        solution, gap = self._best(rank, *parts)
        if solution is None and not self.settled:
            x = self._relax(x)
            rank, turned, *parts = self._level(line_level, level, x, basis)
            solution, gap = self._best(rank, *parts)
        if solution is None:
            solution, gap, self.result.status[self.row] = self._last_resort(*parts)
        self.settled = True
        self.result.residual[self.row] = max(self.result.residual[self.row], gap)
        return x + turned @ solution, np.ascontiguousarray(turned[:, rank:])

    def _level(
        self, line_level: Array, level: int | None, x: Array, basis: Array
    ) -> tuple[Any, ...]:
        config = self.owner.config
        if level is None:
            rank, turned, *parts = rest_program(
                self.program, self.num_equal, self.owner._num_dofs, config.acceleration_weight,
                config.force_weight, x, basis, config.rank_tolerance,
            )  # fmt: skip
        else:
            rank, turned, *parts = level_program(
                self.row, self.inputs, self.program, self.num_equal, line_level,
                self.owner.force_level, level, x, basis, config.rank_tolerance,
            )  # fmt: skip
        if self.settled:  # x keeps the limits, but for rounding
            parts[3], parts[4] = np.minimum(parts[3], 0.0), np.maximum(parts[4], 0.0)
        return rank, turned, *parts

    def _last_resort(
        self, cost: Array, linear: Array, rows: Array, lower: Array, upper: Array
    ) -> tuple[Array, float, int]:
        """Solve by another solver; returns its last point, residual and status."""
        if not len(linear):
            return linear, np.inf, STATUS_CODES["infeasible"]
        result = solve_qp(cost, linear, rows, lower, upper, solver="quadprog", settings=SETTINGS)
        return result.x, result.kkt_residual, result.code

    def _best(
        self, rank: int, cost: Array, linear: Array, rows: Array, lower: Array, upper: Array
    ) -> tuple[Array | None, float]:
        """Solve a level; None if it fails.

        The small cost of directions that the level does not see would bias it where limits bind: a
        second solve charges only the distance from the first one's (a proximal-point step).
        """
        z, gap, bound = self._once(cost, linear, rows, lower, upper)
        if z is None or not bound or rank in (0, len(linear)):
            return z, gap
        linear = linear.copy()
        linear[rank:] -= cost[rank, rank] * z[rank:]
        second, second_gap, _ = self._once(cost, linear, rows, lower, upper)
        return (z, gap) if second is None else (second, second_gap)

    def _once(
        self, cost: Array, linear: Array, rows: Array, lower: Array, upper: Array
    ) -> tuple[Array | None, float, bool]:
        """Solve by daqp, None if it or its optimality conditions fail; also whether limits bind."""
        if not len(linear):
            inside = np.all(lower <= 1e-5) and np.all(upper >= -1e-5)
            return (np.zeros(0), 0.0, False) if inside else (None, np.inf, False)
        sense = np.zeros(len(lower), np.int32)
        for accuracy in (ACCURACY, ACCURACY | {"primal_tol": 1e-7}):
            z, _, flag, info = self.owner._daqp.solve(
                cost, linear, rows, upper, lower, sense, **accuracy
            )
            if flag > 0:
                gap = residual(cost, linear, rows, lower, upper, z, info["lam"])
                if gap <= self.owner.config.tolerance:
                    return z, gap, bool(np.any(info["lam"]))
        return None, np.inf, False

    def _relax(self, x: Array) -> Array:
        """Widen the limits by the least slack that lets them hold together; a point within them."""
        program, size = self.program, len(x)
        equal = slice(len(self.owner.motors.free), self.num_equal)
        program.lower[equal] = program.upper[equal] = program.rows[equal] @ x
        weights = slack_weights(
            program, self.owner.motors, self.standing, self.price, self.owner.config.slack_weight
        )
        weights[equal] = np.inf
        near = 1e-6 * self.owner.config.slack_weight  # of all points of least slack, the nearest
        easy = program._replace(cost=near * np.eye(size), linear=-near * x)
        result, point, slack = relax(easy, weights)
        if not result.success:
            return x
        self.settled = True
        self.result.violation[self.row] = slack
        value = program.rows @ point
        soft = np.isfinite(weights)
        margin = 1e-7 * (1.0 + np.abs(value[soft]))  # room for rounding
        program.lower[soft] = np.minimum(program.lower[soft], value[soft] - margin)
        program.upper[soft] = np.maximum(program.upper[soft], value[soft] + margin)
        return point
