"""Robust linear MPC: keep limits under every disturbance of known size, by a tube round a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from simrl.core import EnvSpec, Obs, PolicyOutput, PolicyState
from simrl_controllers.linear.config import LinearMpcConfig, make_plant, state_limits
from simrl_controllers.linear.invariant import DisturbanceTube, admissible_set
from simrl_controllers.linear.mpc import LinearMpc, MpcSolution
from simrl_controllers.linear.policy import RowPlan, plan_extras, safe_rows
from simrl_controllers.linear.problem import MpcInstance, MpcProblem
from simrl_controllers.lqr.plant import Plant
from simrl_controllers.lqr.riccati import check_limits, solve_lqr
from simrl_controllers.lqr.weights import spread


@dataclass(frozen=True)
class TubeMpcConfig:
    """Set the disturbance, limits, cost and solver of tube MPC."""

    disturbance: Mapping[str, tuple[float, ...]] = field(
        default_factory=lambda: {"qpos": (0.001,), "qvel": (0.01,)}
    )
    """Largest change of each state per step that the model does not explain, by state part."""
    horizon: int = 20
    """Steps to plan ahead."""
    state_weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Cost of squared deviations by state part; empty takes the task's own."""
    control_weights: tuple[float, ...] = ()
    """Cost of squared actions about the operating point's; empty takes the task's own."""
    position: tuple[float, ...] = ()
    """qpos of the operating point; empty takes the task's own."""
    state_low: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Lowest allowed state by part; kept under every disturbance."""
    state_high: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Highest allowed state by part."""
    solver: str = "daqp"
    """QP solver: daqp, quadprog, piqp, osqp or proxqp."""

    def linear(self) -> LinearMpcConfig:
        """Return the options that plain linear MPC shares."""
        return LinearMpcConfig(
            horizon=self.horizon,
            state_weights=self.state_weights,
            control_weights=self.control_weights,
            position=self.position,
            state_low=self.state_low,
            state_high=self.state_high,
            solver=self.solver,
            soft=False,
        )

    def __post_init__(self) -> None:
        self.linear()


class TubeMpcPolicy:
    """Plan for a nominal state z inside tightened limits, and apply u = v - K (x - z).

    The error x - z never leaves the minimal invariant set Z of A - B K under the disturbances, so
    limits tightened by Z for z, and by K Z for v, hold for x and u; the last state of a plan lies
    in a set that the regulator keeps safe, so one plan makes the next possible (Mayne, Seron and
    Rakovic 2005).  z starts a step at the measured state where that is possible and cheaper, which
    is in its set since x - z = 0 is in Z, and otherwise where the last plan said.

    Without a plan (a start from which nothing is possible) the clipped regulator acts: fallback.

    Memory: "nominal" `[rows, n]`, where the last plan expects z now; "plan" `[rows, N, nu]`, its
    inputs, shifted; "planned" `[rows]`, 0 before the first plan.

    Extras: those of linear MPC, and "tube_error" `[rows]`: the largest x - z in units of Z's
    extent, at most 1 while the disturbances keep their bound.
    """

    reads = frozenset({"state"})

    def __init__(self, spec: EnvSpec, config: TubeMpcConfig) -> None:
        linear = config.linear()
        self.plant = plant = make_plant("tube-mpc", spec, linear)
        a, b = plant.model.a, plant.model.b
        solution = solve_lqr(a, b, plant.q, plant.r)
        self.gain = solution.gain
        self.tube = DisturbanceTube(a - b @ self.gain, _widths(plant, config))
        problem = tightened_problem(plant, linear, self.tube, self.gain, solution.cost_to_go)
        self.mpc = LinearMpc(problem, solver=config.solver)
        self._extent = np.maximum(self.tube.support(np.eye(len(a))), 1e-12)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory of an episode that has not begun."""
        problem = self.mpc.problem
        shape = (num_rows, problem.horizon, problem.num_controls)
        return {
            "nominal": torch.zeros(num_rows, problem.num_states, dtype=torch.float64),
            "plan": torch.zeros(shape, dtype=torch.float64),
            "planned": torch.zeros(num_rows, dtype=torch.int64),
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Plan for every row and return the nominal input plus the feedback on the error."""
        dx = self.plant.error(obs["state"])
        targets = self.plant.targets(obs["state"], self.mpc.problem.horizon + 1).numpy()
        plans, starts = [], []
        for row, x in enumerate(dx.numpy()):
            last = None
            if bool(state["planned"][row]):
                last = state["nominal"][row].numpy(), state["plan"][row].numpy()
            plan, start = self._plan(x, targets[row], last)
            plans.append(plan)
            starts.append(start)
        nominal, controls = np.array(starts), np.stack([plan.controls for plan in plans])
        return self._output(dx.numpy(), nominal, controls, plans, state)

    def _plan(
        self, x: np.ndarray, targets: np.ndarray, last: tuple[np.ndarray, np.ndarray] | None
    ) -> tuple[RowPlan, np.ndarray]:
        """Plan from the measured state and from the expected one; return the cheaper and its z."""
        fresh = self._solve(x, targets, None)
        if last is None:
            if fresh.success:
                return RowPlan(fresh.controls, fresh, False), x
            idle = np.zeros((self.mpc.problem.horizon, self.mpc.problem.num_controls))
            return RowPlan(idle, fresh, True), np.zeros_like(x)
        nominal, controls = last
        kept = self._solve(nominal, targets, controls)
        if fresh.success and (not kept.success or fresh.cost <= kept.cost):
            return RowPlan(fresh.controls, fresh, False), x
        if kept.success:
            return RowPlan(kept.controls, kept, False), nominal
        return RowPlan(controls, kept, True), nominal

    def _solve(
        self, start: np.ndarray, targets: np.ndarray, guess: np.ndarray | None
    ) -> MpcSolution:
        previous = np.zeros(self.mpc.problem.num_controls)
        return self.mpc.solve(MpcInstance(start, targets, previous), guess)

    def _output(
        self,
        x: np.ndarray,
        nominal: np.ndarray,
        controls: np.ndarray,
        plans: list[RowPlan],
        state: PolicyState,
    ) -> PolicyOutput:
        model = self.plant.model
        error = x - nominal
        wanted = model.control + controls[:, 0] - error @ self.gain.T
        action = np.clip(wanted, self.plant.low, self.plant.high).astype(np.float32)
        after = nominal @ model.a.T + controls[:, 0] @ model.b.T
        planned = [int(not plan.fallback) for plan in plans]
        shifted = np.concatenate([controls[:, 1:], controls[:, -1:]], axis=1)
        memory = {
            "nominal": torch.from_numpy(after),
            "plan": torch.from_numpy(shifted),
            "planned": torch.maximum(state["planned"], torch.tensor(planned)),
        }
        extras = plan_extras(plans)
        extras["tube_error"] = torch.from_numpy(np.abs(error / self._extent).max(axis=1))
        return PolicyOutput(torch.from_numpy(action), memory, extras)


def tightened_problem(
    plant: Plant,
    config: LinearMpcConfig,
    tube: DisturbanceTube,
    gain: np.ndarray,
    cost_to_go: np.ndarray,
) -> MpcProblem:
    """Build the problem of the nominal state: limits shrunk by the tube, and a safe last state.

    Raises:
        ValueError: the limits leave no room for the tube; the message names one.
    """
    a, b = plant.model.a, plant.model.b
    rows = np.eye(len(a))
    low, high = state_limits(plant, config)
    room, push = tube.support(rows), tube.support(gain)
    control_low = plant.low - plant.model.control + push
    control_high = plant.high - plant.model.control - push
    for label, lower, upper in (
        ("state, less the tube of disturbances,", low + room, high - room),
        ("input, less the tube of disturbances,", control_low, control_high),
    ):
        check_limits(f"tube-mpc: {label}", lower, upper)
    stacked, limits = safe_rows(rows, low + room, high - room, gain, control_low, control_high)
    final_rows, final_high = admissible_set(a - b @ gain, stacked, limits)
    return MpcProblem(
        a=a,
        b=b,
        q=plant.q,
        r=plant.r,
        final=cost_to_go,
        horizon=config.horizon,
        low=control_low,
        high=control_high,
        rows=rows,
        row_low=low + room,
        row_high=high - room,
        rate=np.full(b.shape[1], np.inf),
        soft=np.zeros(len(a), np.bool_),
        final_rows=final_rows,
        final_high=final_high,
    )


def _widths(plant: Plant, config: TubeMpcConfig) -> np.ndarray:
    """Return the largest disturbance of each state `[n]`."""
    widths = np.zeros(plant.coordinates.size)
    for name, given in config.disturbance.items():
        if name not in plant.coordinates.part_slices:
            raise ValueError(
                f"tube-mpc: unknown state part {name!r}; the parts are "
                f"{', '.join(plant.coordinates.part_slices)}"
            )
        place = plant.coordinates.part_slices[name]
        label = f"tube-mpc: disturbance of {name}"
        widths[place] = spread(given, place.stop - place.start, label, least=0.0)
    return widths


def make_tube_mpc(spec: EnvSpec, config: TubeMpcConfig) -> TubeMpcPolicy:
    """Build tube MPC for a task."""
    return TubeMpcPolicy(spec, config)
