"""Act as a mobile manipulator: phases order, the base is planned, one QP moves all joints."""

from __future__ import annotations

import time

import numpy as np
import torch

from simrl.core import EnvSpec, Obs, PolicyOutput, PolicyState
from simrl_controllers.cascade import memory_under
from simrl_controllers.mobile.base_drive import BaseDrive
from simrl_controllers.mobile.body_qp import WholeBody, Wish
from simrl_controllers.mobile.clearance import Clearance
from simrl_controllers.mobile.config import WholeBodyConfig
from simrl_controllers.mobile.machine import Machine, Script
from simrl_controllers.mobile.motors import Motors
from simrl_controllers.mobile.moves import wrapped
from simrl_controllers.mobile.orders import Orders, Scene
from simrl_controllers.mobile.robot import MobileRobot

Array = np.ndarray
FOLLOW_SECONDS = 0.12
"""Time in which the base takes up the speed that its plan asks for [s]."""


class MobilePolicy:
    """Drive base, arm and gripper by a script of phases; reads the physical state alone.

    Memory, each `[rows, ...]` float64: "task" (the machine's table), "arm" and "arm_speed" (the
    reference that the arm's servos follow), "begun", and the base's plan under "drive/".

    Extras, each `[rows]`: "phase" (index into `phases`), "tries" (failures so far), "status" (0
    where the QP was solved, 1 where the row braked instead), "gap" (smallest distance between parts
    [m], at most what is looked at), "hand_error" [m], "solve_time" [s].
    """

    reads = frozenset({"state"})

    def __init__(
        self,
        spec: EnvSpec,
        robot: MobileRobot,
        script: Script,
        clearance: Clearance,
        config: WholeBodyConfig,
    ) -> None:
        self.spec, self.robot = spec, robot
        self.machine = Machine(script, spec.step_seconds)
        self.phases = self.machine.names
        self._body = WholeBody(robot, clearance, config)
        self._drive = BaseDrive(spec, robot, config)
        self._motors = Motors(robot, config.base_ahead)
        self._config = config
        self._site = robot.model.site(robot.facts.effector).id
        self._near = config.near

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return an empty memory: every row is in its first phase."""
        arm = torch.zeros(num_rows, self.robot.facts.num_arm, dtype=torch.float64)
        drive = self._drive.initial_state(num_rows)
        return {
            "task": torch.zeros(num_rows, self.machine.width, dtype=torch.float64),
            "arm": arm,
            "arm_speed": arm.clone(),
            "begun": torch.zeros(num_rows, dtype=torch.bool),
            **{f"drive/{name}": value for name, value in drive.items()},
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the actions of each row; nothing is drawn."""
        start = time.perf_counter()
        rows, facts = obs["state"], self.robot.facts
        table = rows.numpy()
        qpos, qvel = self._split(table)
        task = state["task"].numpy().copy()
        scene = self._scene(table, qpos, qvel)
        orders = Orders.stay(scene, facts.home, 0.0)
        self.machine.step(scene, task, orders)
        speed, drive = self._drive.step(
            rows, orders.base, orders.drive, memory_under(state, "drive")
        )
        arm, rate = self._reference(scene, qvel, state)
        ahead, moving = qpos.copy(), qvel.copy()
        ahead[:, self.robot.qpos[3:]], moving[:, self.robot.qvel[3:]] = arm, rate
        step = self._body.step(ahead, moving, table, self._wish(orders, scene, speed))
        dt = facts.step
        action = self._motors.action(
            scene.base,
            moving[:, self.robot.qvel],
            arm,
            step,
            (scene.arm, qvel[:, self.robot.qvel[3:]]),
            orders.opening,
        )
        change = step.acceleration[:, 3:]
        memory = {
            "task": torch.from_numpy(task),
            "arm": torch.from_numpy(arm + dt * rate + 0.5 * dt * dt * change),
            "arm_speed": torch.from_numpy(rate + dt * change),
            "begun": torch.ones(len(table), dtype=torch.bool),
            **{f"drive/{name}": value for name, value in drive.items()},
        }
        phases = task.view(self.machine.dtype)[:, 0]
        seconds = (time.perf_counter() - start) / max(1, len(table))
        extras = {
            "phase": torch.from_numpy(phases["phase"].astype(np.int64)),
            "tries": torch.from_numpy(phases["tries"].astype(np.int64)),
            "status": torch.from_numpy(step.status),
            "gap": torch.from_numpy(np.minimum(step.gap, self._near)),
            "hand_error": torch.from_numpy(step.error[:, 0].copy()),
            "solve_time": torch.full((len(table),), seconds),
        }
        return PolicyOutput(torch.from_numpy(action), memory, extras)

    def _split(self, table: Array) -> tuple[Array, Array]:
        facts = self.robot.facts
        parts = facts.part(table, "qpos"), facts.part(table, "qvel")
        for name, value in zip(("qpos", "qvel"), parts, strict=True):
            if not np.isfinite(value).all():
                row, index = np.argwhere(~np.isfinite(value))[0]
                raise ValueError(
                    f"{self.spec.id}: row {row}: {name}[{index}] of the state is "
                    f"{value[row, index]}"
                )
        return parts

    def _scene(self, table: Array, qpos: Array, qvel: Array) -> Scene:
        robot, facts = self.robot, self.robot.facts
        motion = robot.evaluate(qpos)
        return Scene(
            rows=table,
            qpos=qpos,
            base=qpos[:, robot.qpos[:3]],
            base_speed=qvel[:, robot.qvel[:3]],
            arm=qpos[:, robot.qpos[3:]],
            hand=motion.sites[:, self._site],
            turn=motion.turns[:, self._site],
            opening=qpos[:, facts.finger_qpos].sum(axis=1),
            command=facts.part(table, "command"),
        )

    def _reference(self, scene: Scene, qvel: Array, state: PolicyState) -> tuple[Array, Array]:
        """Return the arm's reference, angles and speeds `[n, a]`, not too far from the arm."""
        begun = state["begun"].numpy()[:, None]
        own = qvel[:, self.robot.qvel[3:]]
        lead = self._config.lead
        arm = np.where(begun, state["arm"].numpy(), scene.arm)
        arm = np.clip(arm, scene.arm - lead, scene.arm + lead)
        return arm, np.where(begun, state["arm_speed"].numpy(), own)

    def _wish(self, orders: Orders, scene: Scene, speed: Array) -> Wish:
        """Turn orders into the tasks of the whole body."""
        config, count = self._config, len(scene.base)
        cos, sin = np.cos(scene.base[:, 2]), np.sin(scene.base[:, 2])
        wanted = np.stack(
            [cos * speed[:, 0] - sin * speed[:, 1], sin * speed[:, 0] + cos * speed[:, 1]], axis=1
        )
        wanted = np.concatenate([wanted, speed[:, 2:]], axis=1)
        follow = (wanted - scene.base_speed) / max(FOLLOW_SECONDS, config.base_ahead)
        off = orders.base - scene.base
        off[:, 2] = wrapped(off[:, 2])
        frequency = config.base_frequency
        hold = frequency**2 * off - 2.0 * frequency * scene.base_speed
        return Wish(
            hand=orders.hand,
            turn=orders.turn,
            twist=orders.twist,
            hand_weight=np.where(orders.follow, config.hand_weight, 0.0),
            posture=orders.posture,
            posture_weight=np.where(orders.follow, config.posture_weight, 1.0),
            base=np.where(orders.drive[:, None], follow, hold),
            base_weight=np.full(count, config.base_weight),
            max_speed=np.minimum(orders.speed, config.max_speed),
            held=orders.held,
        )
