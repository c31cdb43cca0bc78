"""Control each car of a platoon by its own model-predictive controller.

A car knows its own state, the gap and relative speed that it measures, and its predecessor's plan,
which has an age.  It predicts itself through its actuation delay by rolling the model over the
commands already sent, aligns the plan by its age, and solves one quadratic program; what it then
expects of itself is its own broadcast.  After "Distributed receding horizon control of vehicle
platoons with stability and string stability" (Dunbar and Caveney 2012).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from simrl.core import EnvSpec
from simrl.core.actions import ContinuousActions
from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl_controllers.platoon.config import PlatoonMpcConfig
from simrl_controllers.platoon.predict import aligned, through_delay, travel, worst_case
from simrl_controllers.platoon.program import PlatoonProgram, Spacing
from simrl_controllers.qp import QPSettings, QPWorkspace, solve_qp

_FACTS = (
    "headway",
    "standstill",
    "lag",
    "delay_steps",
    "min_age",
    "max_age",
    "horizon",
    "max_brake",
    "max_throttle",
)


class PlatoonMpc:
    """Act for the followers of a platoon; rows share nothing, so each car could run its own.

    extras: "solve_time" [s], "fallback" (1 where the program was not solved and the last plan,
    shifted, is used), "status" (0 solved), "kkt_residual" and "constrained" (1 where a limit was
    active), each `[rows]`.

    Raises:
        ValueError: the environment is not a platoon, or the solver is unknown.
        ImportError: the solver's package is missing; the message says what to install.
    """

    reads = frozenset({"policy"})

    def __init__(self, spec: EnvSpec, config: PlatoonMpcConfig) -> None:
        facts = _platoon_facts(spec)
        self.settings = QPSettings(check=False)
        QPWorkspace(config.solver, self.settings)  # says now if the solver is unknown or missing
        self.config = config
        self.layout = spec.observations["policy"]
        self.seconds = spec.step_seconds
        self.plan_steps: int = facts["horizon"]
        self.brake: float = facts["max_brake"]
        self.delay: int = facts["delay_steps"] if config.compensate else 0
        self.ages = range(facts["min_age"], facts["max_age"] + 1) if config.compensate else None
        spacing = Spacing(
            headway=facts["headway"],
            standstill=facts["standstill"],
            lag=facts["lag"],
            seconds=spec.step_seconds,
            low=-facts["max_brake"],
            high=facts["max_throttle"],
        )
        self.program = PlatoonProgram(config, spacing)
        if not isinstance(spec.actions, ContinuousActions):
            raise ValueError(f"platoon-mpc: {spec.id} has no continuous actions")
        self.low, self.high = np.array(spec.actions.low), np.array(spec.actions.high)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the last plan of commands `[rows, N]` and the last command `[rows]` [m/s^2]."""
        return {
            "commands": torch.zeros(num_rows, self.config.horizon, dtype=torch.float64),
            "last": torch.zeros(num_rows, dtype=torch.float64),
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the command and the broadcast plan `[rows, 1 + H]` [m/s^2]."""
        begin = time.perf_counter()
        seen = {
            name: part.numpy().astype(np.float64)
            for name, part in self.layout.split(obs["policy"]).items()
        }
        last = state["last"].numpy()
        x, way = self._own(seen)
        ahead, worst = self._ahead(seen)
        gradient = self.program.gradient(x, *ahead, last)
        room = self.program.room(x, worst)
        commands, report = self._solve(gradient, room, state["commands"].numpy())
        expected = np.hstack([way, self.program.accelerations(x, commands)])
        plan = _fit(expected, self.plan_steps)
        action = np.clip(np.hstack([commands[:, :1], plan]), self.low, self.high)
        memory = {
            "commands": torch.from_numpy(commands),
            "last": torch.from_numpy(commands[:, 0].copy()),
        }
        taken = (time.perf_counter() - begin) / len(action)
        extras = {name: torch.from_numpy(value) for name, value in report.items()}
        extras["solve_time"] = torch.full((len(action),), taken, dtype=torch.float64)
        return PolicyOutput(torch.from_numpy(action.astype(np.float32)), memory, extras)

    def _own(self, seen: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the car when its next command takes effect `[rows, 3]` and how it gets there."""
        car = seen["car"]
        x = np.stack([np.zeros(len(car)), car[:, 0], car[:, 1]], axis=1)
        sent = seen["sent"] if self.delay else np.zeros((len(car), 0))
        return through_delay(x, sent, self.program.a, self.program.b)

    def _ahead(
        self, seen: Mapping[str, np.ndarray]
    ) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Return the predecessor's expected rear and speed, and its worst rear, each `[rows, N]`.

        Without compensation the plan counts as fresh, and the worst case as the expected one.
        """
        gap, speed = seen["car"][:, 2], seen["car"][:, 0] + seen["car"][:, 3]
        age = np.round(seen["message"][:, 0] / self.seconds).astype(np.int64)
        plan, steps = seen["message"][:, 1:], self.delay + self.config.horizon
        a, b = self.program.a, self.program.b
        if self.ages is None:
            ahead = travel(gap, speed, aligned(plan, np.zeros_like(age), steps), a, b)
            return ahead, ahead[0]
        place, faster = travel(gap, speed, aligned(plan, age, steps), a, b)
        worst = worst_case(gap, speed, plan, self.ages, steps, self.brake, a, b)
        return (place[:, self.delay :], faster[:, self.delay :]), worst[:, self.delay :]

    def _solve(
        self, gradient: np.ndarray, room: np.ndarray, before: np.ndarray
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the best commands `[rows, N]` and what is reported about them.

        Where the minimum without limits keeps every limit it is the answer; elsewhere a solver
        looks for it.
        """
        commands = self.program.unconstrained(gradient)
        rows = len(commands)
        finite = np.isfinite(gradient).all(1) & np.isfinite(room).all(1)
        hard = np.flatnonzero(~(self.program.allowed(commands, room) & finite))
        report = {name: np.zeros(rows) for name in ("fallback", "status", "kkt_residual")}
        report["constrained"] = np.zeros(rows)
        report["constrained"][hard] = 1.0
        slack = self.config.slack_weight
        for row in hard:
            result = None
            if finite[row]:
                result = solve_qp(
                    self.program.soft_hessian,
                    np.append(gradient[row], slack),
                    self.program.rows,
                    None,
                    room[row],
                    self.program.lower,
                    self.program.upper,
                    solver=self.config.solver,
                    settings=self.settings,
                )
                report["status"][row] = result.code
                report["kkt_residual"][row] = result.kkt_residual
            if result is not None and result.success:
                commands[row] = result.x[:-1]
                continue
            commands[row] = np.append(before[row, 1:], before[row, -1])
            report["fallback"][row] = 1.0
        return commands, report


def _fit(plan: np.ndarray, steps: int) -> np.ndarray:
    """Cut a plan `[rows, n]` to `steps` numbers, or hold its last one to that length."""
    missing = steps - plan.shape[1]
    if missing <= 0:
        return plan[:, :steps]
    return np.hstack([plan, np.repeat(plan[:, -1:], missing, axis=1)])


def _platoon_facts(spec: EnvSpec) -> dict[str, Any]:
    """Return the facts of a platoon; ValueError says what the environment lacks."""
    if spec.physics.get("model") != "platoon":
        raise ValueError(
            f"platoon-mpc drives a platoon; {spec.id} is of the model "
            f"{spec.physics.get('model', '') or 'none'!r}"
        )
    missing = [name for name in _FACTS if name not in spec.physics]
    if missing:
        raise ValueError(f"platoon-mpc: the physics of {spec.id} lacks {', '.join(missing)}")
    return {name: spec.physics[name] for name in _FACTS}
