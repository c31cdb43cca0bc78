"""Find the torques that serve weighted tasks best within all limits: one QP a row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from simrl_controllers.qp import STATUS_CODES
from simrl_controllers.qp.backend import import_solver
from simrl_controllers.wbc.build import (
    BUILT,
    Motors,
    Program,
    build_weighted,
    empty_program,
    residual,
    write_result,
)
from simrl_controllers.wbc.config import FACETS, WbcConfig
from simrl_controllers.wbc.inputs import WbcInputs, prices, stack, what_is_wrong
from simrl_controllers.wbc.reduce import solve_rows
from simrl_controllers.wbc.relax import relax, slack_weights
from simrl_controllers.wbc.result import WbcResult
from simrl_controllers.wbc.task import Contacts, LinearLimit, RobotDynamics, Task

Array = np.ndarray

ACCURACY = {"primal_tol": 1e-9, "dual_tol": 1e-12}
"""What daqp is asked for."""


class WeightedWbc:
    """Weigh all tasks in one quadratic program over accelerations and contact forces.

    The equations of motion and standing contacts are equalities, so torques are eliminated;
    torque, friction, normal-force and the caller's limits are inequalities.  Where limits
    conflict, they give way by slacks (friction and normal forces do not), and the result says by
    how much.  Rows do not influence each other, and nothing that matters is kept between calls.

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
    ) -> None:
        """Take the robot's sizes.

        Args:
            config: Weights and tolerances.
            num_dofs: Number of accelerations nv, those of a floating base included.
            driven: Which of them motors drive `[nu]`.
            torque_limit: Greatest torques `[nu]`, or least and greatest `[nu, 2]`, perhaps
                infinite [N m].
            num_contacts: Number of points K that may stand.
        """
        self.config = config
        self.motors = make_motors(num_dofs, driven, torque_limit)
        self.num_contacts = num_contacts
        self._num_dofs = num_dofs
        self._planes = (FACETS[config.cone], config.cone == "cone")
        self._daqp: Any = import_solver("daqp")

    def solve(
        self,
        dynamics: RobotDynamics,
        tasks: Sequence[Task],
        contacts: Contacts | None = None,
        limits: Sequence[LinearLimit] = (),
    ) -> WbcResult:
        """Solve n rows; ValueError names what has the wrong shape or is not finite."""
        inputs = stack(dynamics, tasks, contacts, limits, self.num_contacts)
        return self.solve_arrays(inputs, prices(limits))

    def solve_arrays(self, inputs: WbcInputs, limit_price: Array | None = None) -> WbcResult:
        """Solve n rows given as contiguous float64 arrays, whose shapes are not checked again.

        `limit_price` `[r]` says what exceeding each limit costs (see `LinearLimit.price`), else 1.
        """
        config, count = self.config, len(inputs.mass)
        result = WbcResult.empty(count, self._num_dofs, self.num_contacts, len(self.motors.driven))
        begin = time.perf_counter()
        solve_rows(
            inputs, self.motors, *self._planes, config.acceleration_weight, config.force_weight,
            config.tolerance, result.acceleration, result.force, result.torque, result.status,
            result.residual,
        )  # fmt: skip
        result.seconds[:] = (time.perf_counter() - begin) / max(1, count)
        if result.status.any():
            price = np.ones(inputs.limit_low.shape[1]) if limit_price is None else limit_price
            for row in np.flatnonzero(result.status).tolist():
                begin = time.perf_counter()
                self._solve_again(row, inputs, price, result)
                result.seconds[row] += time.perf_counter() - begin
        return result

    def program(self, row: int, inputs: WbcInputs) -> Program:
        """Build the quadratic program of one row; ValueError names what is not finite."""
        program = empty_program(
            self._num_dofs, int(np.count_nonzero(inputs.active[row])), self.num_contacts,
            inputs.limit_low.shape[1], self._planes[0], len(self.motors.free),
            len(self.motors.limited),
        )  # fmt: skip
        config = self.config
        outcome = build_weighted(
            row, inputs, self.motors, *self._planes, config.acceleration_weight,
            config.force_weight, program,
        )  # fmt: skip
        if outcome != BUILT:
            raise ValueError(what_is_wrong(row, inputs))
        return program

    def _solve_again(self, row: int, inputs: WbcInputs, price: Array, result: WbcResult) -> None:
        """Solve a row that the compiled solver did not: by daqp, then with limits giving way."""
        program = self.program(row, inputs)
        x, _, flag, info = self._daqp.solve(
            program.cost, program.linear, program.rows, program.upper, program.lower,
            program.sense, **ACCURACY,
        )  # fmt: skip
        gap = residual(*program[:5], x, info["lam"]) if flag > 0 else np.inf
        standing = (len(program.linear) - self._num_dofs) // 3
        result.status[row] = STATUS_CODES["solved"]
        if not gap <= self.config.tolerance:
            weights = slack_weights(program, self.motors, standing, price, self.config.slack_weight)
            relaxed, x, result.violation[row] = relax(program, weights)
            gap, result.status[row] = relaxed.kkt_residual, relaxed.code
        result.residual[row] = gap
        if result.status[row] == STATUS_CODES["solved"]:
            write_result(
                row, inputs, self.motors, program.standing[:standing], x, result.acceleration,
                result.force, result.torque,
            )  # fmt: skip


def make_motors(num_dofs: int, driven: Array, torque_limit: Array) -> Motors:
    """Check and hold which accelerations are driven; ValueError says what does not fit."""
    driven = np.asarray(driven, np.int64)
    if driven.ndim != 1 or len(np.unique(driven)) != len(driven):
        raise ValueError(f"WBC: driven must be different indices [nu], got {driven}")
    if len(driven) and not (driven.min() >= 0 and driven.max() < num_dofs):
        raise ValueError(f"WBC: driven must be indices below num_dofs = {num_dofs}, got {driven}")
    limit = np.asarray(torque_limit, np.float64)
    if limit.shape == (len(driven),):
        limit = np.stack([-limit, limit], axis=1)
    if limit.shape != (len(driven), 2) or not (limit[:, 0] <= limit[:, 1]).all():
        raise ValueError(
            f"WBC: torque_limit must be {len(driven)} limits of at least 0, or pairs of least and "
            f"greatest, got {torque_limit}"
        )
    low, high = np.ascontiguousarray(limit[:, 0]), np.ascontiguousarray(limit[:, 1])
    limited = np.flatnonzero(np.isfinite(low) | np.isfinite(high))
    free = np.setdiff1d(np.arange(num_dofs), driven)
    return Motors(driven, free, limited, low, high)
