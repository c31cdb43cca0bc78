"""Run the parts of a step over many rows: before the planner, and after it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simrl_controllers.legged.kernels.algebra import apply, cross
from simrl_controllers.legged.kernels.clock import advance_clock, follow_gait
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.kernels.contacts import (
    follow_contacts,
    follow_ground,
    height_at,
    touching,
)
from simrl_controllers.legged.kernels.dynamics import evaluate_rows
from simrl_controllers.legged.kernels.reference import (
    follow_command,
    roll_pitch_yaw,
    wants_to_step,
    write_reference,
)
from simrl_controllers.legged.kernels.slip import SETTLE, follow_friction
from simrl_controllers.legged.kernels.steps import choose_foothold
from simrl_controllers.legged.kernels.tasks import write_base, write_feet, write_forces
from simrl_controllers.legged.payload import add_load, load_place, weigh
from simrl_controllers.legged.tree import Tree
from simrl_controllers.legged.tuning import Tuning

UPRIGHT = 0.5
"""Cosine of the tilt beyond which a robot has fallen."""
LOW = 0.45
"""Share of its height below which a robot has fallen."""


class Work(NamedTuple):
    """Hold what is computed for n rows in a step; all of it is written anew each time."""

    mass: np.ndarray
    """Inertia M `[n, nv, nv]`."""
    bias: np.ndarray
    """Coriolis, centrifugal, gravity and damping forces `[n, nv]`."""
    point: np.ndarray
    """Tracked point of each foot from its centre [m] `[n, 4, 3]`."""
    feet: np.ndarray
    """Centres of the feet [m] `[n, 4, 3]`."""
    speed: np.ndarray
    """Velocities of the tracked points [m/s] `[n, 4, 3]`."""
    jacobian: np.ndarray
    """Their Jacobians `[n, 4, 3, nv]`."""
    drift: np.ndarray
    """Their accelerations where qacc = 0 `[n, 4, 3]`."""
    rotation: np.ndarray
    """Base to world `[n, 3, 3]`."""
    rpy: np.ndarray
    """Roll, pitch, yaw of the base [rad] `[n, 3]`."""
    com: np.ndarray
    """Nominal centre of mass in the world [m] `[n, 3]`."""
    velocity: np.ndarray
    """Its velocity [m/s] `[n, 3]`."""
    omega: np.ndarray
    """Angular velocity of the base, world axes [rad/s] `[n, 3]`."""
    active: np.ndarray
    """Feet that stand on the ground `[n, 4]` bool."""
    friction: np.ndarray
    """Friction that is believed in `[n]`."""
    normal: np.ndarray
    """Normal of the ground at each foot `[n, 4, 3]`."""
    due: np.ndarray
    """Rows that need a new plan `[n]` bool."""
    reference: np.ndarray
    """What the planner shall follow `[n, N, 12]`."""
    levers: np.ndarray
    """Feet from the centre of mass in each planning step [m] `[n, N, 4, 3]`."""
    contact: np.ndarray
    """Feet on the ground in each planning step `[n, N, 4]` bool."""
    task_jacobian: np.ndarray
    """Jacobians of the tasks: base, feet, joints that are no leg's `[n, k, nv]`."""
    task_target: np.ndarray
    """Wanted J qacc of the tasks `[n, k]`."""
    task_weight: np.ndarray
    """Weights of the tasks' lines `[n, k]`."""
    foot_target: np.ndarray
    """Wanted J qacc of each foot `[n, 4, 3]`."""
    force_target: np.ndarray
    """Planned force on each foot [N] `[n, 4, 3]`."""
    load: np.ndarray
    """What is carried: mass [kg], shift of the centre of mass along the base's x and y [m]
    `[n, 3]`."""
    load_place: np.ndarray
    """Where it would be, from the nominal centre of mass, base axes [m] `[n, 3]`."""
    fallen: np.ndarray
    """Rows whose robot lies `[n]` bool."""


def make_work(count: int, nv: int, horizon: int, others: np.ndarray) -> Work:
    """Return room for `count` rows; `others` are the dofs of joints that are no leg's."""
    lines = 18 + len(others)
    jacobian = np.zeros((count, lines, nv))
    jacobian[:, np.arange(6), np.arange(6)] = 1.0
    jacobian[:, np.arange(18, lines), others] = 1.0
    return Work(
        mass=np.zeros((count, nv, nv)),
        bias=np.zeros((count, nv)),
        point=np.zeros((count, 4, 3)),
        feet=np.zeros((count, 4, 3)),
        speed=np.zeros((count, 4, 3)),
        jacobian=np.zeros((count, 4, 3, nv)),
        drift=np.zeros((count, 4, 3)),
        rotation=np.zeros((count, 3, 3)),
        rpy=np.zeros((count, 3)),
        com=np.zeros((count, 3)),
        velocity=np.zeros((count, 3)),
        omega=np.zeros((count, 3)),
        active=np.zeros((count, 4), np.bool_),
        friction=np.zeros(count),
        normal=np.zeros((count, 4, 3)),
        due=np.zeros(count, np.bool_),
        reference=np.zeros((count, horizon, 12)),
        levers=np.zeros((count, horizon, 4, 3)),
        contact=np.zeros((count, horizon, 4), np.bool_),
        task_jacobian=jacobian,
        task_target=np.zeros((count, lines)),
        task_weight=np.zeros((count, lines)),
        foot_target=np.zeros((count, 4, 3)),
        force_target=np.zeros((count, 4, 3)),
        load=np.zeros((count, 3)),
        load_place=np.zeros((count, 3)),
        fallen=np.zeros(count, np.bool_),
    )


@kernel
def sense_rows(
    tree: Tree,
    tune: Tuning,
    memory: np.ndarray,
    qpos: np.ndarray,
    qvel: np.ndarray,
    command: np.ndarray,
    force: np.ndarray,
    known: bool,
    every: float,
    work: Work,
) -> None:
    """Take a step's measurements: contacts, gait, wanted way, footholds, inputs of the planner.

    Args:
        tree: The robot.
        tune: Its numbers.
        memory: Records `[n]`, changed.
        qpos: Configurations `[n, nq]`.
        qvel: Velocities `[n, nv]`.
        command: Wanted vx, vy, yaw rate `[n, 3]`.
        force: Contact forces of the feet [N] `[n, 4, 3]`.
        known: Whether these are measured.
        every: Time after which a plan is old [s].
        work: Everything but the targets is written.
    """
    for i in range(qpos.shape[0]):
        for leg in range(4):
            standing = memory[i].begun == 0.0 or memory[i].held[leg] == 1.0
            work.point[i, leg, 2] = -tune.radius[leg] if standing else 0.0
    evaluate_rows(
        tree, qpos, qvel, work.point, work.mass, work.bias, work.feet, work.speed, work.jacobian,
        work.drift, work.rotation,
    )  # fmt: skip
    touch, arm, spin = np.zeros(4, np.bool_), np.empty(3), np.empty(3)
    for i in range(qpos.shape[0]):
        row = memory[i]
        place, velocity = qpos[i, :3], qvel[i, :3]
        for leg in range(4):
            work.feet[i, leg, 2] -= work.point[i, leg, 2]
        roll_pitch_yaw(work.rotation[i], work.rpy[i])
        apply(work.rotation[i], tune.com, arm)
        apply(work.rotation[i], qvel[i, 3:6], work.omega[i])
        cross(work.omega[i], arm, spin)
        for k in range(3):
            work.com[i, k] = place[k] + arm[k]
            work.velocity[i, k] = velocity[k] + spin[k]
        yaw = work.rpy[i, 2]
        if row.begun == 0.0:
            _begin(row, tune, work.feet[i], place, yaw)
        _carry(row, tune, force[i], place, qvel[i, 3:6], work, i)
        touching(tune, row, force[i], work.feet[i], known, touch)
        speed = np.sqrt(row.command[0] ** 2 + row.command[1] ** 2)
        aside = np.cos(yaw) * velocity[1] - np.sin(yaw) * velocity[0] - row.command[1]
        follow_gait(row, tune, speed, abs(aside))
        wanted = wants_to_step(row, tune, command[i], place, velocity, work.feet[i], yaw)
        row.wanted = 1.0 if wanted else 0.0
        advance_clock(row, tune, wanted)
        follow_contacts(row, tune, touch, work.feet[i], work.active[i])
        follow_friction(row, tune, work.active[i], force[i], work.speed[i])
        work.friction[i] = row.friction
        follow_ground(row, tune, place)
        _tilt(row, work.normal[i])
        height = place[2] - height_at(row, place[0], place[1])
        work.fallen[i] = work.rotation[i, 2, 2] < UPRIGHT or height < LOW * tune.height
        row.begun = 1.0
        follow_command(row, tune, command[i], place, velocity, yaw)
        for leg in range(4):
            if row.stance[leg] == 0.0:
                choose_foothold(row, tune, leg, place, velocity, yaw)
        row.age += tune.dt
        changed = False
        for leg in range(4):
            changed = changed or row.stance[leg] != row.plan_stance[leg]
        work.due[i] = row.planned == 0.0 or changed or row.age > every - 0.5 * tune.dt
        if work.due[i]:
            write_reference(
                row, tune, work.com[i], work.feet[i], work.reference[i], work.levers[i],
                work.contact[i],
            )  # fmt: skip


@kernel
def _tilt(row: Any, normal: np.ndarray) -> None:
    """Write the normal of the ground's plane for every foot `[4, 3]`."""
    size = np.sqrt(1.0 + row.plane[1] * row.plane[1] + row.plane[2] * row.plane[2])
    for leg in range(4):
        normal[leg, 0], normal[leg, 1] = -row.plane[1] / size, -row.plane[2] / size
        normal[leg, 2] = 1.0 / size


@kernel
def _carry(
    row: Any,
    tune: Tuning,
    force: np.ndarray,
    place: np.ndarray,
    omega: np.ndarray,
    work: Work,
    i: int,
) -> None:
    """Weigh the load, and add it to the equations of motion; `omega` in the base's axes."""
    press = np.empty(4)
    for leg in range(4):
        press[leg] = max(0.0, -force[leg, 2])
    weigh(tune.scale, press, work.feet[i], place, work.rotation[i], tune.dt, row.load)
    load_place(tune.scale, row.load, work.load_place[i])
    work.load[i, 0] = row.load[0]
    for k in range(1, 3):
        share = row.load[0] / (tune.mass + row.load[0])
        work.load[i, k] = share * work.load_place[i, k - 1]
    if row.load[0] != 0.0:
        arm = np.empty(3)
        for k in range(3):
            arm[k] = tune.com[k] + work.load_place[i, k]
        add_load(
            row.load[0], arm, work.rotation[i], omega, tune.gravity, work.mass[i], work.bias[i]
        )


@kernel
def _begin(row: Any, tune: Tuning, feet: np.ndarray, place: np.ndarray, yaw: float) -> None:
    """Start a row's memory where the robot is, on four feet."""
    row.cycle, row.period, row.duty = tune.gaits[0, 0], tune.gaits[0, 0], tune.gaits[0, 1]
    lowest = feet[0, 2]
    for leg in range(4):
        lowest = min(lowest, feet[leg, 2])
    for leg in range(4):
        row.offset[leg] = tune.gaits[0, 2 + leg]
        row.stance[leg], row.held[leg], row.slip[leg] = 1.0, 1.0, -SETTLE
        for k in range(3):
            row.ground[leg, k] = feet[leg, k]
            row.target[leg, k] = feet[leg, k]
        row.ground[leg, 2] = lowest
    for k in range(3):
        row.place[k] = place[k]
    row.yaw = yaw
    row.friction, row.grip = tune.friction, tune.friction


@kernel
def task_rows(
    tune: Tuning,
    memory: np.ndarray,
    plan: np.ndarray,
    solved: np.ndarray,
    work: Work,
) -> None:
    """Write the targets of the whole body from the plans.

    Args:
        tune: The robot's numbers.
        memory: Records `[n]`, changed.
        plan: Planned forces `[n, N, 4, 3]` [N].
        solved: Rows with a new plan `[n]` bool.
        work: The targets are written.
    """
    for i in range(memory.shape[0]):
        row = memory[i]
        if work.due[i]:
            row.failures = 0.0 if solved[i] else row.failures + 1.0
        if solved[i]:
            row.age, row.planned = 0.0, 1.0
            for k in range(3):
                row.plan_position[k] = work.com[i, k]
                row.plan_velocity[k] = work.velocity[i, k]
                row.plan_rotation[k] = work.rpy[i, k]
                row.plan_omega[k] = work.omega[i, k]
            for leg in range(4):
                row.plan_stance[leg] = row.stance[leg]
        write_forces(row, tune, plan[i], work.force_target[i])
        write_base(
            row, tune, work.rotation[i], work.com[i], work.velocity[i], work.omega[i],
            work.rpy[i], work.feet[i], work.load[i], work.force_target[i],
            work.task_target[i, :6],
        )  # fmt: skip
        write_feet(
            row, tune, work.feet[i], work.speed[i], work.drift[i], work.active[i],
            work.foot_target[i],
        )  # fmt: skip
        work.task_weight[i, :6] = tune.base_weight
        for leg in range(4):
            for k in range(3):
                line = 6 + 3 * leg + k
                work.task_target[i, line] = work.foot_target[i, leg, k]
                work.task_weight[i, line] = 0.0 if work.active[i, leg] else tune.foot_weight
                work.task_jacobian[i, line] = work.jacobian[i, leg, k]
