"""Receding-horizon iterative LQR as a policy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from simrl.core import Dynamics, EnvSpec, Obs, PolicyOutput, PolicyState
from simrl_controllers.lqr.ilqr import Ilqr, IlqrCost, IlqrOptions
from simrl_controllers.lqr.linearise import Linearisation
from simrl_controllers.lqr.plant import Plant
from simrl_controllers.lqr.riccati import check_horizon, check_limits, solve_lqr
from simrl_controllers.lqr.weights import task_limits
from simrl_controllers.terminal_value import TerminalValue


@dataclass(frozen=True)
class IlqrConfig:
    """Set the horizon, the cost and the effort of iterative LQR."""

    horizon: int = 60
    """Steps to plan ahead."""
    iterations: int = 1
    """Improvements of the plan in each step."""
    first_iterations: int = 50
    """Improvements in the first step of an episode, when there is no plan yet."""
    state_weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Cost of squared deviations by state part; empty takes the task's own."""
    control_weights: tuple[float, ...] = ()
    """Cost of squared actions about the operating point's; empty takes the task's own."""
    position: tuple[float, ...] = ()
    """qpos of the operating point to steer to; empty takes the task's own."""
    terminal_weight: float = 1.0
    """Factor on the Riccati cost-to-go of the operating point that ends the plan."""
    state_low: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """State limits by part, below which plans pay; -inf for none.  Empty takes the task's own."""
    state_high: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """State limits by part, above which plans pay; empty takes the task's own."""
    limit_weight: float = 1e3
    """Cost of a squared violation of a state limit, at every step."""
    linearisation: Linearisation = "auto"
    """Which model to find the terminal cost with; plans are made in the task's own model."""

    def __post_init__(self) -> None:
        try:
            check_horizon(self.horizon)
        except ValueError as error:
            raise ValueError(f"horizon: {error}") from None
        for name in ("iterations", "first_iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("terminal_weight", "limit_weight"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


class IlqrPolicy:
    """Improve last step's plan by a few iterations of iLQR, apply its first input, and shift it.

    A plan that turns out not finite is not used: the last one goes on, counted as fallback.

    Memory: "controls" `[rows, H, nu]`, and "planned" `[rows]`, 0 before an episode's first plan.

    Extras, each `[rows]`: "cost" of the plan, "solve_time" [s] (the call's wall time shared among
    its rows), "fallback".
    """

    reads = frozenset({"state"})

    def __init__(
        self,
        spec: EnvSpec,
        config: IlqrConfig,
        *,
        dynamics: Dynamics | None = None,
        terminal_value: TerminalValue | None = None,
    ) -> None:
        if dynamics is None:
            if spec.dynamics is None:
                raise ValueError(f"{spec.id} has no model to plan in; pass dynamics=")
            dynamics = spec.dynamics()
        self._config = config
        self.plant = plant = Plant(
            spec,
            position=config.position,
            state_weights=config.state_weights,
            control_weights=config.control_weights,
            linearisation=config.linearisation,
            owner="ilqr",
        )
        p = solve_lqr(plant.model.a, plant.model.b, plant.q, plant.r).cost_to_go
        task_low, task_high = task_limits(spec)
        low, high = plant.limits(config.state_low or task_low, config.state_high or task_high)
        check_limits("ilqr: state", low, high)
        self._idle = torch.from_numpy(plant.model.control)
        cost = IlqrCost(
            plant.origin,
            self._idle,
            torch.from_numpy(plant.q),
            torch.from_numpy(plant.r),
            config.terminal_weight * torch.from_numpy(p),
            torch.from_numpy(low),
            torch.from_numpy(high),
            config.limit_weight,
        )
        bounds = torch.from_numpy(plant.low), torch.from_numpy(plant.high)
        self._solvers = {
            count: Ilqr(
                dynamics, plant.coordinates, cost, bounds, IlqrOptions(count), terminal_value
            )
            for count in (config.iterations, config.first_iterations)
        }
        self._bounds = bounds

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return plans near the idle action.

        They are not quite idle: hanging straight down is a stationary point from which the
        gradient sees no way up.
        """
        low, high = self._bounds
        reach = 1e-2 * torch.where(torch.isfinite(high - low), high - low, 1.0)
        wave = torch.sin(torch.arange(1, self._config.horizon + 1, dtype=torch.float64))[:, None]
        plan = (self._idle + reach * wave).clamp(low, high)
        return {
            "controls": plan.expand(num_rows, -1, -1).clone(),
            "planned": torch.zeros(num_rows, dtype=torch.int64),
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Plan and return the first input."""
        begin = time.perf_counter()
        now = obs["state"]
        self.plant.error(now)
        controls, cost = state["controls"].clone(), torch.zeros(len(now), dtype=torch.float64)
        targets = self.plant.targets(now, self._config.horizon + 1)
        for first in (True, False):
            rows = ((state["planned"] == 0) == first).nonzero().flatten()
            if len(rows):
                count = self._config.first_iterations if first else self._config.iterations
                plan = self._solvers[count].solve(now[rows], controls[rows], targets[rows])
                controls[rows], cost[rows] = plan.controls, plan.cost
        usable = torch.isfinite(cost) & torch.isfinite(controls).all(-1).all(-1)
        controls = torch.where(usable[:, None, None], controls, state["controls"])
        action = controls[:, 0].clamp(*self._bounds).to(torch.float32)
        shifted = torch.cat([controls[:, 1:], controls[:, -1:]], dim=1)
        taken = (time.perf_counter() - begin) / max(1, len(now))
        extras = {
            "cost": cost,
            "solve_time": torch.full((len(now),), taken),
            "fallback": (~usable).to(torch.int64),
        }
        memory = {"controls": shifted, "planned": torch.ones_like(state["planned"])}
        return PolicyOutput(action, memory, extras)


def make_ilqr(
    spec: EnvSpec,
    config: IlqrConfig,
    *,
    dynamics: Dynamics | None = None,
    terminal_value: TerminalValue | None = None,
) -> IlqrPolicy:
    """Build receding-horizon iLQR; the arguments are those of `IlqrPolicy`."""
    return IlqrPolicy(spec, config, dynamics=dynamics, terminal_value=terminal_value)
