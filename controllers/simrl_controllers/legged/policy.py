"""Walk on four legs: plan forces by convex MPC, turn them into torques by whole-body control."""

from __future__ import annotations

import time

import numpy as np
import torch

from simrl.core import EnvSpec, Obs, PolicyOutput, PolicyState
from simrl_controllers.legged.config import LeggedConfig
from simrl_controllers.legged.kernels.rows import Work, make_work, sense_rows, task_rows
from simrl_controllers.legged.memory import fresh_memory, records
from simrl_controllers.legged.observe import Observer, Seen
from simrl_controllers.legged.recovery import GetUp, Help, outcome
from simrl_controllers.legged.robot import LeggedRobot, legged_robot
from simrl_controllers.legged.srbd import SrbdConfig, SrbdMpc, SrbdState
from simrl_controllers.legged.tuning import Tuning, tune
from simrl_controllers.wbc import WbcConfig, WbcInputs, WeightedWbc

Array = np.ndarray
SLOW = 0.03
"""Speed of a joint at which three quarters of its dry friction are made up for [rad/s]."""
AHEAD = 0.02
"""How far ahead the speed is taken that decides the sense of dry friction [s]."""


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
        self._dry = config.dry_friction * robot.friction_loss
        self._low = np.array(spec.actions.low)  # type: ignore[union-attr]
        self._high = np.array(spec.actions.high)  # type: ignore[union-attr]
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
        senses: dict[str, torch.Tensor] = {**self._observer.keep(state)}
        seen = self._observer.see(rows, senses)
        qpos, qvel = seen.qpos, seen.qvel
        sense_rows(
            self.robot.tree, self.tuning, records(memory), qpos, qvel, self._commands(rows),
            seen.force, seen.known, self.config.mpc_seconds, work,
        )  # fmt: skip
        lying = self._help(state, seen, work, senses)
        mpc_time, mpc_status = self._plan(work, plan.numpy(), count)
        solved = work.due & (mpc_status == 0) & self._in_time(mpc_time)
        task_rows(self.tuning, records(memory), plan.numpy(), solved, work)
        result = self._wbc.solve_arrays(inputs)
        torque = result.torque
        failed = (result.status != 0) | ~self._in_time(result.seconds)
        if failed.any():
            torque[failed] = state["torque"].numpy()[failed]
        if lying is not None:
            torque[lying.busy], result.acceleration[lying.busy] = lying.torque[lying.busy], 0.0
            failed &= ~lying.busy
            memory[torch.from_numpy(lying.done)] = 0.0  # walks on as if it had just been put there
        action = self._to_action(torque, result.acceleration, qpos, qvel)
        if lying is not None and self.robot.control == "position":
            action[lying.busy] = np.clip(lying.target[lying.busy], self._low, self._high)
        self._observer.sent(result.acceleration, senses)
        fallback = failed | (work.due & ~solved)
        status = np.where(failed, result.status, mpc_status)
        seconds = (time.perf_counter() - start) / max(1, count)
        extras = {
            "solve_time": torch.full((count,), seconds),
            "mpc_time": torch.from_numpy(mpc_time.astype(np.float32)),
            "wbc_time": torch.from_numpy(result.seconds.astype(np.float32)),
            "status": torch.from_numpy(status),
            "fallback": torch.from_numpy(fallback.astype(np.float32)),
            "load": torch.from_numpy(work.load[:, 0].astype(np.float32)),
            "fallen": torch.from_numpy(work.fallen.astype(np.float32)),
            "recovery": torch.from_numpy(outcome(senses, count)),
        }
        kept = {"memory": memory, "plan": plan, "torque": torch.from_numpy(torque), **senses}
        return PolicyOutput(torch.from_numpy(action), kept, extras)

    def _help(
        self, state: PolicyState, seen: Seen, work: Work, kept: dict[str, torch.Tensor]
    ) -> Help | None:
        """Help rows up that lie; the memory of it is put into `kept`."""
        if self._get_up is None:
            return None
        kept["recovery"] = memory = state["recovery"].clone()
        lying = self._get_up.act(
            memory.numpy(), seen.qpos, seen.qvel, work.rotation, work.feet, work.fallen
        )
        if lying is not None:
            work.due[lying.busy], work.active[lying.busy] = False, False
        return lying

    def _in_time(self, seconds: Array) -> Array:
        """Tell which solves were not late `[n]`."""
        deadline = self.config.deadline
        return seconds <= deadline if deadline > 0.0 else np.ones(len(seconds), np.bool_)

    def _commands(self, rows: Array) -> Array:
        if self._command is not None:
            return np.repeat(self._command[None], len(rows), axis=0)
        return np.ascontiguousarray(rows[:, self.robot.command])

    def _plan(self, work: Work, plan: Array, count: int) -> tuple[Array, Array]:
        """Plan the rows that are due into `plan`; return seconds and status of each row."""
        if not work.due.any():
            return np.zeros(count), np.zeros(count, np.int64)
        rows = np.flatnonzero(work.due)
        found = self._mpc.solve(
            SrbdState(work.rpy, work.com, work.omega, work.velocity),
            work.reference,
            work.levers,
            work.contact,
            rows=rows,
            extra_mass=work.load[:, 0],
            extra_com=work.load_place,
        )
        good = rows[(found.status[rows] == 0) & self._in_time(found.seconds[rows])]
        plan[good] = found.all_forces[good]
        return found.seconds, np.where(work.due, found.status, 0)

    def _to_action(self, torque: Array, acceleration: Array, qpos: Array, qvel: Array) -> Array:
        """Return torques, or targets of servos that give these torques in the middle of the step.

        A servo's torque is stiffness (target - angle) - damping speed; angle and speed are those
        that the accelerations lead to.
        """
        robot = self.robot
        push, speed = acceleration[:, self._order], qvel[:, self._order]
        torque = torque + self._dry * np.tanh((speed + AHEAD * push) / SLOW)
        if robot.control == "position":
            speed = speed + 0.5 * self._dt * push
            angle = qpos[:, self._order + 1] + 0.5 * self._dt * qvel[:, self._order]
            torque = angle + (torque + robot.damping * speed) / robot.stiffness
        action: Array = np.clip(torque, self._low, self._high).astype(np.float32)
        return action

    def _rooms(self, count: int) -> tuple[Work, WbcInputs]:
        """Return room for `count` rows; it is kept, but nothing in it outlives a call."""
        if self._work is None or self._inputs is None or len(self._work.mass) != count:
            nv = len(self.robot.tree.damping)
            self._work = make_work(count, nv, self.config.horizon, self._others)
            self._inputs = self._wbc_inputs(self._work, count, nv)
        return self._work, self._inputs

    def _wbc_inputs(self, work: Work, count: int, nv: int) -> WbcInputs:
        normal = np.zeros((count, 4, 3))
        normal[:, :, 2] = 1.0
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
            normal=normal,
            friction=np.full(count, self.config.friction),
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
