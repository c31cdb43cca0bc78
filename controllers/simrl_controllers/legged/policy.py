"""Walk on four legs: plan forces by convex MPC, turn them into torques by whole-body control."""

from __future__ import annotations

import time

import numpy as np
import torch

from simrl.core import EnvSpec, Obs, PolicyOutput, PolicyState
from simrl_controllers.legged.config import LeggedConfig
from simrl_controllers.legged.kernels.finish import TOLD, Aid, Drive, Found, finish_rows
from simrl_controllers.legged.kernels.rows import Work, make_work, sense_rows, task_rows
from simrl_controllers.legged.memory import fresh_memory, records
from simrl_controllers.legged.observe import Observer, Seen
from simrl_controllers.legged.recovery import GetUp, outcome
from simrl_controllers.legged.robot import LeggedRobot, legged_robot
from simrl_controllers.legged.srbd import SrbdConfig, SrbdMpc, SrbdState
from simrl_controllers.legged.tuning import Tuning, tune
from simrl_controllers.wbc import WbcConfig, WbcInputs, WeightedWbc

Array = np.ndarray

NO_AID = Aid(np.zeros(0, np.bool_), np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0, np.float32))
"""What is done where nobody lies."""


class LeggedPolicy:
    """Follow a commanded velocity on four legs.

    Every call: contacts, gait, footholds, swing; every `mpc_seconds`, and when a contact changes,
    a plan of the feet's forces (Di Carlo et al. 2018); then one quadratic program over
    accelerations and forces, whose torques go to the motors.

    Memory: "memory" `[rows, WIDTH]`, one record a row; "plan" `[rows, N, 4, 3]`, planned forces
    [N]; "torque" `[rows, nu]`, the last torques; and those of `Observer` and `GetUp`.

    Extras, each `[rows]`: "solve_time" [s], the call's wall time shared among its rows; "mpc_time"
    and "wbc_time" [s], those of each row's solvers (0 where no plan was due); "status", 0 or the
    code in `STATUS_CODES` of the solver that failed; "fallback", 1 where the last plan or the last
    torques went on, since a solver failed or missed `config.deadline`; "load" [kg], what the robot
    is believed to carry; "fallen", 1 where it lies; "recovery", 1 while it is helped up, 2
    where that was given up.
    """

    reads = frozenset({"state"})

    def __init__(self, spec: EnvSpec, config: LeggedConfig) -> None:
        """Prepare for the robot of `spec`; ValueError says what it lacks."""
        self.robot: LeggedRobot = legged_robot(spec)
        self.config = config
        self._id = spec.id
        self._dt = spec.step_seconds or 0.02
        self.tuning: Tuning = tune(self.robot, config, self._dt)
        self._observer = Observer(spec, self.robot, config, self._dt)
        robot, nv = self.robot, len(self.robot.tree.damping)
        weight = robot.mass * robot.gravity
        self._mpc = SrbdMpc(_srbd(robot, config), robot.mass, robot.inertia, robot.gravity)
        self._order = robot.tree.order
        self._wbc = WeightedWbc(
            WbcConfig(cone=config.cone),  # type: ignore[arg-type]
            nv,
            self._order,
            robot.torque_limit,
            num_contacts=4,
        )
        self._others = np.setdiff1d(np.arange(6, nv), self._order[robot.leg_joints.ravel()])
        self._force_weight = config.force_share / weight**2
        self._drive = Drive(
            self._order,
            config.dry_friction * robot.friction_loss,
            robot.control == "position",
            robot.stiffness,
            robot.damping,
            np.array(spec.actions.low, np.float64),  # type: ignore[union-attr]
            np.array(spec.actions.high, np.float64),  # type: ignore[union-attr]
            float(self._dt),
            float(config.deadline),
        )
        self._command = np.array(config.command, np.float64) if config.command else None
        if self._command is None and robot.command is None:
            self._command = np.zeros(3)
        self._get_up = GetUp(spec, robot, config.recovery, self._dt) if config.get_up else None
        self._work: Work | None = None
        self._inputs: WbcInputs | None = None

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory at the start of an episode."""
        size = len(self.robot.joints)
        return {
            "memory": fresh_memory(num_rows),
            "plan": torch.zeros(num_rows, self.config.horizon, 4, 3, dtype=torch.float64),
            "torque": torch.zeros(num_rows, size, dtype=torch.float64),
            **self._observer.initial_state(num_rows),
            **(self._get_up.initial_state(num_rows) if self._get_up else {}),
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the motors' commands; nothing is drawn."""
        start = time.perf_counter()
        rows = obs["state"].numpy()
        count = len(rows)
        memory, plan = state["memory"].clone(), state["plan"].clone()
        work, inputs = self._rooms(count)
        record = records(memory)
        senses: dict[str, torch.Tensor] = {**self._observer.keep(state)}
        seen = self._observer.see(rows, senses)
        qpos, qvel = seen.qpos, seen.qvel
        sense_rows(
            self.robot.tree, self.tuning, record, qpos, qvel, self._commands(rows),
            seen.force, seen.known, self.config.mpc_seconds, work,
        )  # fmt: skip
        aid = self._help(state, seen, work, senses, memory)
        mpc_time, status, solved = self._plan(work, plan.numpy(), count)
        task_rows(self.tuning, record, plan.numpy(), solved, work)
        result = self._wbc.solve_arrays(inputs)
        found = Found(
            result.torque, result.acceleration, result.status, result.seconds, status, mpc_time,
            work.due, solved, state["torque"].numpy(), work.load, work.fallen,
        )  # fmt: skip
        action = np.empty(result.torque.shape, np.float32)
        told = np.empty((len(TOLD), count), np.float32)
        finish_rows(self._drive, qpos, qvel, found, aid, action, told)
        self._observer.sent(result.acceleration, senses)
        told[0] = (time.perf_counter() - start) / max(1, count)
        extras = {name: torch.from_numpy(part) for name, part in zip(TOLD, told, strict=True)}
        extras["status"] = torch.from_numpy(status)
        torque = torch.from_numpy(result.torque)
        kept = {"memory": memory, "plan": plan, "torque": torque, **senses}
        return PolicyOutput(torch.from_numpy(action), kept, extras)

    def _help(
        self,
        state: PolicyState,
        seen: Seen,
        work: Work,
        kept: dict[str, torch.Tensor],
        memory: torch.Tensor,
    ) -> Aid:
        """Help rows up that lie; what is remembered of it is put into `kept`."""
        if self._get_up is None:
            return NO_AID
        kept["recovery"] = own = state["recovery"].clone()
        lying = self._get_up.act(
            own.numpy(), seen.qpos, seen.qvel, work.rotation, work.feet, work.fallen
        )
        if lying is None:
            return NO_AID
        work.due[lying.busy], work.active[lying.busy] = False, False
        memory[torch.from_numpy(lying.done)] = 0.0  # it walks on as if it had just been put there
        return Aid(lying.busy, lying.torque, lying.target, outcome(own.numpy()))

    def _commands(self, rows: Array) -> Array:
        if self._command is not None:
            return np.repeat(self._command[None], len(rows), axis=0)
        return np.ascontiguousarray(rows[:, self.robot.command])

    def _plan(self, work: Work, plan: Array, count: int) -> tuple[Array, Array, Array]:
        """Plan the rows that are due into `plan`; return seconds, status, and who got a plan."""
        solved = np.zeros(count, np.bool_)
        if not np.count_nonzero(work.due):
            return np.zeros(count), np.zeros(count, np.int64), solved
        rows = np.flatnonzero(work.due)
        found = self._mpc.solve(
            SrbdState(work.rpy, work.com, work.omega, work.velocity),
            work.reference,
            work.levers,
            work.contact,
            rows=rows,
            extra_mass=work.load[:, 0],
            extra_com=work.load_place,
            friction=work.friction,
            normals=work.normal,
        )
        solved = work.due & (found.status == 0)
        if self.config.deadline > 0.0:
            solved &= found.seconds <= self.config.deadline
        plan[solved] = found.all_forces[solved]
        return found.seconds, np.where(work.due, found.status, 0), solved

    def _rooms(self, count: int) -> tuple[Work, WbcInputs]:
        """Return room for `count` rows; it is kept, but nothing in it outlives a call."""
        if self._work is None or self._inputs is None or len(self._work.mass) != count:
            nv = len(self.robot.tree.damping)
            self._work = make_work(count, nv, self.config.horizon, self._others)
            self._inputs = self._wbc_inputs(self._work, count, nv)
        return self._work, self._inputs

    def _wbc_inputs(self, work: Work, count: int, nv: int) -> WbcInputs:
        weight = self.robot.mass * self.robot.gravity
        return WbcInputs(
            mass=work.mass,
            bias=work.bias,
            task_jacobian=work.task_jacobian,
            task_target=work.task_target,
            task_weight=work.task_weight,
            contact_jacobian=work.jacobian,
            contact_target=work.foot_target,
            active=work.active,
            normal=work.normal,
            friction=work.friction,
            min_force=np.zeros((count, 4)),
            max_force=np.full((count, 4), 3.0 * weight),
            force_target=work.force_target,
            force_weight=np.full((count, 4, 3), self._force_weight),
            limit_jacobian=np.zeros((count, 0, nv)),
            limit_low=np.zeros((count, 0)),
            limit_high=np.zeros((count, 0)),
        )


def _srbd(robot: LeggedRobot, config: LeggedConfig) -> SrbdConfig:
    weight = robot.mass * robot.gravity
    return SrbdConfig(
        horizon=config.horizon,
        dt=config.mpc_dt,
        rpy_weight=config.rpy_weight,
        position_weight=config.position_weight,
        omega_weight=config.omega_weight,
        velocity_weight=config.velocity_weight,
        force_weight=config.force_weight / weight**2,
        friction=config.friction,
        min_force=0.01 * weight,
        max_force=2.5 * weight,
        cone=config.cone,  # type: ignore[arg-type]
    )


def make_legged(spec: EnvSpec, config: LeggedConfig) -> LeggedPolicy:
    """Build the legged controller for the robot of `spec`."""
    return LeggedPolicy(spec, config)
