"""Build, factor and check the quadratic program of one row in one compiled call each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from simrl_controllers.legged.srbd.condense import cost_row, limit_rows, model_row
from simrl_controllers.legged.srbd.dynamics import predict
from simrl_controllers.legged.srbd.factor import distance_problem, expand, factor, foot_residual

Array = np.ndarray

BUILT, NOT_FINITE, NOT_DEFINITE = 0, 1, 2
"""What `build_row` returns."""


class Inputs(NamedTuple):
    """Hold the arguments of `SrbdMpc.solve` for n rows."""

    rpy: Array
    position: Array
    omega: Array
    velocity: Array
    reference: Array
    feet: Array
    contact: Array
    extra_mass: Array
    extra_com: Array
    friction: Array
    normals: Array


class Body(NamedTuple):
    """Hold what a body is and what its plans cost and may use."""

    mass: float
    inertia: Array
    gravity: Array
    dt: float
    weights: Array
    force_weight: float
    min_force: float
    max_force: float
    num_facets: int
    inner: bool


class Model(NamedTuple):
    """Hold the linear model of one row, written anew for each."""

    rates: Array
    """Maps from angular velocity to Euler rates `[N, 3, 3]`."""
    levers: Array
    """Maps from force to angular acceleration `[N, F, 3, 3]`."""
    free: Array
    """States after each step without forces `[N, 12]`."""
    target: Array
    """Reference of the same body `[N, 12]`."""
    offset: Array
    """How far a load moves the centre of mass after each step `[N, 3]`."""
    columns: Array
    """Step and foot of each three columns `[N F, 2]`."""
    share: Array
    """Force of each standing foot that costs nothing, by step `[N, 3]`."""
    mass: Array
    """Mass with the load `[1]`."""


class Program(NamedTuple):
    """Hold a quadratic program of n variables and m limits, written anew for each row."""

    cost: Array
    """H `[n, n]`."""
    linear: Array
    """g `[n]`."""
    rows: Array
    """Coefficients of the limits of each foot `[n / 3, m / (n / 3), 3]`."""
    lower: Array
    """Lower limits `[m]`."""
    upper: Array
    """Upper limits `[m]`."""
    root: Array
    """U with H = U' U `[n, n]`."""
    inverse: Array
    """U^-1 `[n, n]`."""
    distance_linear: Array
    """v of the problem 1/2 y y + v y in y = U x `[n]`."""
    distance_rows: Array
    """Its limits' coefficients `[m, n]`."""
    identity: Array
    """Its cost `[n, n]`."""
    sense: Array
    """daqp's kind of each limit: all inequalities `[m]`."""
    x: Array
    """Room for the solution `[n]`."""


def empty_model(steps: int, feet: int) -> Model:
    """Make room for the model of a horizon."""
    return Model(
        np.zeros((steps, 3, 3)),
        np.zeros((steps, feet, 3, 3)),
        np.zeros((steps, 12)),
        np.zeros((steps, 12)),
        np.zeros((steps, 3)),
        np.zeros((steps * feet, 2), np.int64),
        np.zeros((steps, 3)),
        np.zeros(1),
    )


def empty_program(feet: int, num_facets: int) -> Program:
    """Make room for the program of a number of standing feet, summed over the steps."""
    n, m = 3 * feet, feet * (num_facets + 1)
    return Program(
        np.zeros((n, n)),
        np.zeros(n),
        np.zeros((feet, num_facets + 1, 3)),
        np.zeros(m),
        np.zeros(m),
        np.zeros((n, n)),
        np.zeros((n, n)),
        np.zeros(n),
        np.zeros((m, n)),
        np.eye(n),
        np.zeros(m, np.int32),
        np.zeros(n),
    )


def dense_rows(program: Program) -> Array:
    """Return A `[m, n]` with its zeros."""
    feet, width, _ = program.rows.shape
    dense = np.zeros((feet, width, feet, 3))
    index = np.arange(feet)
    dense[index, :, index] = program.rows
    return dense.reshape(feet * width, 3 * feet)


@njit(cache=True, nogil=True)
def build_row(row: int, inputs: Inputs, body: Body, model: Model, program: Program) -> int:
    """Write model, program and its least-distance form of one row; BUILT, or what is wrong."""
    state = np.empty(12)
    for i in range(3):
        state[i], state[3 + i] = inputs.rpy[row, i], inputs.position[row, i]
        state[6 + i], state[9 + i] = inputs.omega[row, i], inputs.velocity[row, i]
    reference, feet, contact = inputs.reference[row], inputs.feet[row], inputs.contact[row]
    load = inputs.extra_com[row]
    normals, friction = inputs.normals[row], inputs.friction[row]
    if not (_finite(state) and _finite(reference) and _finite(feet) and _finite(load)):
        return NOT_FINITE
    if not (_finite(normals) and np.isfinite(inputs.extra_mass[row]) and np.isfinite(friction)):
        return NOT_FINITE
    core = (body.mass, body.inertia, body.gravity, body.dt)
    count, mass = model_row(
        state, reference, feet, contact, core, (inputs.extra_mass[row], load),
        model.rates, model.levers, model.free, model.target, model.offset, model.columns,
    )  # fmt: skip
    model.mass[0] = mass
    if count < 0:
        return NOT_DEFINITE
    for step in range(len(contact)):
        standing = max(contact[step].sum(), 1)
        for i in range(3):
            model.share[step, i] = -mass * body.gravity[i] / standing
    columns = model.columns[:count]
    cost_row(
        model.rates, model.levers, model.free, model.target, columns, body.weights,
        body.force_weight, model.share, mass, body.dt, program.cost, program.linear,
    )  # fmt: skip
    limit_rows(
        columns, normals, friction, body.min_force, body.max_force, body.num_facets, body.inner,
        program.rows, program.lower, program.upper,
    )  # fmt: skip
    if not factor(program.cost, program.root, program.inverse):
        return NOT_DEFINITE
    distance_problem(
        program.inverse, program.linear, program.rows, program.distance_linear,
        program.distance_rows,
    )  # fmt: skip
    return BUILT


@njit(cache=True, nogil=True)
def _finite(values: Array) -> bool:
    total = 0.0
    for value in values.flat:
        total += 0.0 * value
    return total == 0.0


@njit(cache=True, nogil=True)
def check_solution(distance: Array, duals: Array, program: Program) -> float:
    """Write x = U^-1 y and return its KKT residual in the problem as it was posed."""
    expand(program.inverse, distance, program.x)
    return foot_residual(
        program.cost, program.linear, program.rows, program.lower, program.upper, program.x, duals
    )


@njit(cache=True, nogil=True)
def write_plan(row: int, dt: float, x: Array, model: Model, forces: Array, states: Array) -> None:
    """Write forces `[n, N, F, 3]` and predicted states `[n, N, 12]` of one row.

    The states are those of the centre of mass without the load.
    """
    for index in range(len(x) // 3):
        step, foot = model.columns[index, 0], model.columns[index, 1]
        for i in range(3):
            forces[row, step, foot, i] = x[3 * index + i]
    predict(model.free, model.rates, model.levers, forces[row], model.mass[0], dt, states[row])
    for step in range(len(model.free)):
        moved, out = model.offset[step], states[row, step]
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            out[3 + i] -= moved[i]
            out[9 + i] -= out[6 + j] * moved[k] - out[6 + k] * moved[j]
