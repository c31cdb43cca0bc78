"""Plan foot forces for many bodies at once by convex model-predictive control."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from simrl_controllers.legged.srbd.config import FACETS, SrbdConfig
from simrl_controllers.legged.srbd.plan import NOT_ASKED, SrbdPlan, SrbdState
from simrl_controllers.legged.srbd.problem import (
    BUILT,
    NOT_FINITE,
    Body,
    Inputs,
    Model,
    Program,
    build_row,
    check_solution,
    dense_rows,
    empty_model,
    empty_program,
    write_plan,
)
from simrl_controllers.qp import STATUS_CODES, QPSettings, solve_qp
from simrl_controllers.qp.backend import import_solver

Array = np.ndarray

_DAQP_STATUS = {1: "solved", 2: "solved", -1: "infeasible", -3: "unbounded", -4: "max_iter"}


class SrbdMpc:
    """Minimise the tracking error of a single rigid body over the forces of its standing feet.

    Source: Di Carlo et al. 2018, with the full map of Euler rates along the reference, exact
    discretisation and a load of known mass and place.  Rows do not influence each other, and
    nothing that matters is kept between calls.

    Raises:
        ValueError: mass, inertia or gravity are not those of a body.
    """

    def __init__(
        self, config: SrbdConfig, mass: float, inertia_body: Array, gravity: Array | float = 9.81
    ) -> None:
        """Take the body's mass [kg] and inertia about its centre of mass `[3, 3]` [kg m^2].

        `gravity` is its acceleration downwards [m/s^2], or a vector in the world frame `[3]`.
        """
        self.config = config
        self._body = _body(config, mass, inertia_body, gravity)
        self._daqp: Any = import_solver("daqp") if config.solver == "daqp" else None
        self._accuracy = {"primal_tol": 1e-9, "dual_tol": 1e-12}
        self._settings = QPSettings(tolerance=config.tolerance, reuse=False, check=False)
        self._model: Model | None = None
        self._programs: dict[int, Program] = {}

    def solve(
        self,
        state: SrbdState,
        reference: Array,
        feet: Array,
        contact: Array,
        *,
        rows: Array | None = None,
        extra_mass: Array | None = None,
        extra_com: Array | None = None,
        friction: Array | None = None,
        normals: Array | None = None,
    ) -> SrbdPlan:
        """Plan the forces of n rows with F feet over N steps.

        Args:
            state: Where the bodies are.
            reference: Wanted rpy, position, omega, velocity after each step `[n, N, 12]`; whole
                turns of the yaw do not matter at its start.
            feet: Feet from the centre of mass during each step, world frame `[n, N, F, 3]` [m].
            contact: Feet on the ground during each step `[n, N, F]` bool.
            rows: Indices of the rows to solve; all without it.  Others get status NOT_ASKED.
            extra_mass: Mass of a load `[n]` [kg], negative if the body is lighter than told.
            extra_com: Its place from the body's centre of mass, body frame `[n, 3]` [m].
            friction: Friction coefficient of each row `[n]`, else the configured one.
            normals: Unit normals of the ground at each foot, world frame `[n, F, 3]`, else up.

        Raises:
            ValueError: a part has the wrong shape or a number is not finite; the message names
                part and row.
        """
        inputs = self._inputs(
            state, reference, feet, contact, extra_mass, extra_com, friction, normals
        )
        count, steps, num_feet = inputs.contact.shape
        plan = SrbdPlan(
            np.zeros((count, steps, num_feet, 3)),
            np.zeros((count, steps, 12)),
            np.full(count, NOT_ASKED),
            np.full(count, np.inf),
            np.zeros(count),
        )
        if self._model is None or self._model.levers.shape[1] != num_feet:
            self._model = empty_model(steps, num_feet)
        # daqp takes one problem at a time; all that stands around it is compiled.
        for row in range(count) if rows is None else np.asarray(rows).tolist():
            begin = time.perf_counter()
            self._solve_row(row, inputs, self._model, plan)
            plan.seconds[row] = time.perf_counter() - begin
        return plan

    def program(self, row: int, inputs: Inputs, model: Model) -> Program:
        """Build the quadratic program of one row; ValueError names a part that is not finite."""
        standing = int(np.count_nonzero(inputs.contact[row]))
        program = self._programs.get(standing)
        if program is None:
            program = self._programs[standing] = empty_program(standing, self._body.num_facets)
        outcome = build_row(row, inputs, self._body, model, program)
        if outcome == NOT_FINITE:
            raise ValueError(_what_is_not_finite(row, inputs))
        if outcome != BUILT:
            raise ValueError(
                f"SRBD MPC: row {row}: the load makes a body of {model.mass[0]} kg whose inertia "
                f"is not positive definite: extra_mass {inputs.extra_mass[row]}, "
                f"extra_com {inputs.extra_com[row]}"
            )
        return program

    def _solve_row(self, row: int, inputs: Inputs, model: Model, plan: SrbdPlan) -> None:
        program = self.program(row, inputs, model)
        if not len(program.x):
            status, residual = 0, 0.0
        elif self._daqp is None:
            status, residual = self._general(program, self.config.solver)
        else:
            status, residual = self._fast(program)
            if status:
                status, residual = self._general(program, "quadprog")
        plan.status[row], plan.residual[row] = status, residual
        if status == 0:
            write_plan(row, self._body.dt, program.x, model, plan.all_forces, plan.states)

    def _fast(self, program: Program) -> tuple[int, float]:
        """Solve the least-distance form by daqp, from scratch."""
        y, _, flag, info = self._daqp.solve(
            program.identity, program.distance_linear, program.distance_rows, program.upper,
            program.lower, program.sense, **self._accuracy,
        )  # fmt: skip
        status = _DAQP_STATUS.get(flag, "failed")
        if status != "solved":
            return STATUS_CODES[status], np.inf  # type: ignore[index]
        residual = check_solution(y, info["lam"], program)
        return (0 if residual <= self.config.tolerance else STATUS_CODES["inaccurate"]), residual

    def _general(self, program: Program, solver: str) -> tuple[int, float]:
        """Solve the problem as posed by any solver of `simrl_controllers.qp`."""
        result = solve_qp(
            program.cost, program.linear, dense_rows(program), program.lower, program.upper,
            solver=solver, settings=self._settings,
        )  # fmt: skip
        program.x[:] = result.x
        return result.code, result.kkt_residual

    def _inputs(
        self,
        state: SrbdState,
        reference: Array,
        feet: Array,
        contact: Array,
        extra_mass: Array | None,
        extra_com: Array | None,
        friction: Array | None,
        normals: Array | None,
    ) -> Inputs:
        contact = np.ascontiguousarray(contact, np.bool_)
        if contact.ndim != 3 or contact.shape[1] != self.config.horizon:
            raise ValueError(
                f"SRBD MPC: contact must have shape [n, {self.config.horizon}, feet], "
                f"got {list(contact.shape)}"
            )
        n, steps, num_feet = contact.shape
        up = np.zeros((n, num_feet, 3))
        up[:, :, 2] = 1.0
        return Inputs(
            _shaped("rpy", state.rpy, (n, 3)),
            _shaped("position", state.position, (n, 3)),
            _shaped("omega", state.omega, (n, 3)),
            _shaped("velocity", state.velocity, (n, 3)),
            _shaped("reference", reference, (n, steps, 12)),
            _shaped("feet", feet, (n, steps, num_feet, 3)),
            contact,
            np.zeros(n) if extra_mass is None else _shaped("extra_mass", extra_mass, (n,)),
            np.zeros((n, 3)) if extra_com is None else _shaped("extra_com", extra_com, (n, 3)),
            np.full(n, self.config.friction)
            if friction is None
            else _shaped("friction", friction, (n,)),
            up if normals is None else _shaped("normals", normals, (n, num_feet, 3)),
        )


def _body(config: SrbdConfig, mass: float, inertia_body: Array, gravity: Array | float) -> Body:
    inertia = np.array(inertia_body, np.float64)
    if inertia.shape != (3, 3) or not np.allclose(inertia, inertia.T, atol=1e-9):
        raise ValueError(f"inertia_body must be a symmetric 3 x 3 matrix, got {inertia_body}")
    if not np.linalg.eigvalsh(inertia)[0] > 0.0:
        raise ValueError(f"inertia_body must be positive definite, got {inertia_body}")
    if not 0.0 < mass < np.inf:
        raise ValueError(f"mass must be positive and finite, got {mass}")
    pull = np.array([0.0, 0.0, -gravity] if np.ndim(gravity) == 0 else gravity, np.float64)
    if pull.shape != (3,) or not np.isfinite(pull).all():
        raise ValueError(f"gravity must be a finite number or vector [3], got {gravity}")
    weights = [
        *config.rpy_weight, *config.position_weight, *config.omega_weight, *config.velocity_weight
    ]  # fmt: skip
    return Body(
        float(mass),
        inertia,
        pull,
        float(config.dt),
        np.array(weights, np.float64),
        float(config.force_weight),
        float(config.min_force),
        float(config.max_force),
        FACETS[config.cone],
        config.cone == "cone",
    )


def _shaped(name: str, value: Array, shape: tuple[int, ...]) -> Array:
    array = np.ascontiguousarray(value, np.float64)
    if array.shape != shape:
        raise ValueError(f"SRBD MPC: {name} must have shape {list(shape)}, got {list(array.shape)}")
    return array


def _what_is_not_finite(row: int, inputs: Inputs) -> str:
    for name, value in zip(inputs._fields, inputs, strict=True):
        bad = np.argwhere(~np.isfinite(value[row]))
        if len(bad):
            place = "".join(f"[{index}]" for index in bad[0])
            return f"SRBD MPC: row {row}: {name}{place} is {value[row][tuple(bad[0])]}"
    raise AssertionError("every number is finite")
