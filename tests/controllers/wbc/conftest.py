"""A floating robot of random numbers, and whole-body control with torques as variables."""

from types import SimpleNamespace

import numpy as np
import pytest

from simrl_controllers.qp import solve_qp
from simrl_controllers.wbc import Contacts, RobotDynamics, Task

NV, NU, K = 14, 8, 3
DRIVEN = np.arange(6, 14)
TORQUE = np.linspace(20.0, 60.0, NU)


def robot(count, seed):
    """Three contacts on eight motors; the equations of motion are those of no real robot."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(count, NV, NV))
    mass = root @ np.swapaxes(root, 1, 2) / NV + 0.5 * np.eye(NV)
    bias = rng.normal(size=(count, NV)) * 5
    bias[:, 2] += 60.0
    jacobian = rng.normal(size=(count, K, 3, NV))
    active = rng.random((count, K)) < 0.6
    contacts = Contacts(
        jacobian,
        active,
        rng.normal(size=(count, K, 3)),
        friction=rng.uniform(0.4, 0.9, count),
        min_force=1.0,
        max_force=rng.uniform(60, 90, (count, K)),
        force_target=rng.normal(size=(count, K, 3)) * 10,
        force_weight=1e-2,
    )
    tasks = [
        Task("base", rng.normal(size=(count, 6, NV)), rng.normal(size=(count, 6)) * 3, 5.0),
        Task(
            "posture", np.tile(np.eye(NV)[6:], (count, 1, 1)), rng.normal(size=(count, 8)), 0.1, 2
        ),
    ]
    return SimpleNamespace(dynamics=RobotDynamics(mass, bias), contacts=contacts, tasks=tasks)


@pytest.fixture
def any_robot():
    return robot


@pytest.fixture
def sizes():
    return {"num_dofs": NV, "driven": DRIVEN, "torque_limit": TORQUE, "num_contacts": K}


class FullForm:
    """One row over accelerations, the standing contacts' forces, and torques."""

    def __init__(self, scene, row, driven, torque_limit, limits=(), facets=4, inner=False):
        self.mass, self.bias = scene.dynamics.mass[row], scene.dynamics.bias[row]
        contacts = scene.contacts
        self.nv, self.nu = len(self.bias), len(driven)
        self.standing = [] if contacts is None else np.flatnonzero(contacts.active[row]).tolist()
        self.size = self.nv + 3 * len(self.standing) + self.nu
        self.scene, self.row = scene, row
        rows, low, high = [], [], []
        if contacts is not None:
            self.jacobian = contacts.jacobian[row][self.standing].reshape(-1, self.nv)
        else:
            self.jacobian = np.zeros((0, self.nv))
        select = np.zeros((self.nu, self.nv))
        select[np.arange(self.nu), driven] = 1.0
        rows.append(np.hstack([self.mass, -self.jacobian.T, -select.T]))
        low.append(-self.bias)
        high.append(-self.bias)
        rows.append(self.wide(self.jacobian))
        target = np.zeros(0) if contacts is None else contacts.target[row][self.standing].ravel()
        low.append(target)
        high.append(target)
        rows.append(np.hstack([np.zeros((self.nu, self.size - self.nu)), np.eye(self.nu)]))
        low.append(-torque_limit)
        high.append(torque_limit)
        for index, contact in enumerate(self.standing):
            mu = contacts.friction[row] * (np.cos(np.pi / facets) if inner else 1.0)
            at = self.nv + 3 * index
            lines = np.zeros((facets + 1, self.size))
            for facet in range(facets):
                angle = 2 * np.pi * facet / facets
                lines[facet, at : at + 3] = [np.cos(angle), np.sin(angle), -mu]
            lines[facets, at + 2] = 1.0
            rows.append(lines)
            low.append([*[-np.inf] * facets, contacts.min_force])
            high.append([*[0.0] * facets, contacts.max_force[row, contact]])
        for limit in limits:
            rows.append(self.wide(limit.jacobian[row]))
            low.append(limit.low[row])
            high.append(limit.high[row])
        self.rows, self.low, self.high = np.vstack(rows), np.concatenate(low), np.concatenate(high)

    def wide(self, jacobian):
        return np.hstack([jacobian, np.zeros((len(jacobian), self.size - self.nv))])

    def cost(self, tasks, force_weight, acceleration_weight=0.0, least_force=0.0):
        """Return H and g of tasks and wanted forces."""
        cost, linear = np.zeros((self.size, self.size)), np.zeros(self.size)
        cost[: self.nv, : self.nv] += acceleration_weight * np.eye(self.nv)
        for task in tasks:
            lines = self.wide(task.jacobian[self.row])
            cost += task.weight * lines.T @ lines
            linear -= task.weight * lines.T @ task.target[self.row]
        for index, contact in enumerate(self.standing):
            at = slice(self.nv + 3 * index, self.nv + 3 * index + 3)
            cost[at, at] += (force_weight + least_force) * np.eye(3)
            wanted = self.scene.contacts.force_target[self.row, contact]
            linear[at] -= (force_weight + least_force) * wanted
        return cost, linear

    def solve(self, cost, linear, rows=None, values=None):
        """Solve, perhaps with further equalities; a tiny cost makes H definite for quadprog."""
        tables, low, high = [self.rows], [self.low], [self.high]
        if rows is not None:
            tables.append(rows)
            low.append(values)
            high.append(values)
        return solve_qp(
            cost + 1e-10 * np.eye(self.size), linear, np.vstack(tables), np.concatenate(low),
            np.concatenate(high), solver="quadprog",
        )  # fmt: skip

    def parts(self, x):
        """Split into accelerations, forces of all contacts, torques."""
        count = 0 if self.scene.contacts is None else self.scene.contacts.active.shape[1]
        force = np.zeros((count, 3))
        end = self.nv + 3 * len(self.standing)
        force[self.standing] = x[self.nv : end].reshape(-1, 3)
        return x[: self.nv], force, x[end:]


@pytest.fixture
def full_form():
    return FullForm
