"""The options of the linear MPC policies, and the problems that they make of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from simrl.core import EnvSpec
from simrl_controllers.linear.delay import Compensation
from simrl_controllers.linear.mpc import Form
from simrl_controllers.lqr.linearise import Linearisation
from simrl_controllers.lqr.plant import Plant
from simrl_controllers.lqr.riccati import check_horizon, check_limits
from simrl_controllers.lqr.weights import spread
from simrl_controllers.qp import SOLVERS

Weights = Mapping[str, tuple[float, ...]]
"""Numbers by state part, one for all of the part or one each."""


@dataclass(frozen=True)
class LinearMpcConfig:
    """Set the horizon, cost, limits and solver of linear MPC."""

    horizon: int = 20
    """Steps to plan ahead."""
    state_weights: Weights = field(default_factory=dict)
    """Cost of squared deviations by state part, such as {"qpos": (1, 10)}; empty takes the
    task's own."""
    control_weights: tuple[float, ...] = ()
    """Cost of squared actions about the operating point's, one for all or one each."""
    position: tuple[float, ...] = ()
    """qpos of the operating point; empty takes the task's own."""
    linearisation: Linearisation = "auto"
    """Which model to linearise: MuJoCo's, or the task's own by differences."""
    state_low: Weights = field(default_factory=dict)
    """Lowest allowed state by part, in the part's units; rotations count from the operating point.
    Parts not named have no limit."""
    state_high: Weights = field(default_factory=dict)
    """Highest allowed state by part."""
    rate: tuple[float, ...] = ()
    """Largest change of the actions per second, one for all or one each; empty for none."""
    soft: bool = True
    """Let state limits be violated at a price, so that there is always a plan."""
    soft_linear: float = 1e3
    """Price of a violation."""
    soft_quadratic: float = 1e3
    """Price of a squared violation."""
    terminal: Literal["riccati", "none"] = "riccati"
    """Cost of the last state: that of the unlimited regulator from there on, or only its own."""
    terminal_set: bool = False
    """Demand that the last state is one from which the regulator keeps all limits for ever."""
    offset_free: bool = False
    """Estimate a constant disturbance and remove the steady offset that it leaves."""
    observer_gain: float = 0.3
    """Share of the model's error that the estimate takes up in a step, in (0, 1]."""
    delay_steps: int = 0
    """Steps between an action and its effect in the plant."""
    compensation: Compensation = "predict"
    """How to plan through the delay: predict the state for when actions act, augment the state with
    the actions on their way, or ignore it."""
    solver: str = "daqp"
    """QP solver: daqp, quadprog, piqp, osqp or proxqp."""
    form: Form = "condensed"
    """Variables of the quadratic program: inputs alone, or inputs and states (sparse)."""
    deadline: float = 0.0
    """Seconds after which a solve is late and the last plan goes on instead; 0 for never."""
    value_iterations: int = 2
    """Solves per step when a terminal value is given, each with its model at the last end."""

    def __post_init__(self) -> None:
        try:
            check_horizon(self.horizon)
        except ValueError as error:
            raise ValueError(f"horizon: {error}") from None
        if self.solver not in SOLVERS:
            raise ValueError(f"unknown solver {self.solver!r}; they are {', '.join(SOLVERS)}")
        valid: dict[str, tuple[str, ...]] = {
            "terminal": ("riccati", "none"),
            "compensation": ("predict", "augment", "none"),
            "form": ("condensed", "sparse"),
        }
        for name, choices in valid.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )
        if self.delay_steps < 0 or self.value_iterations < 1 or not self.deadline >= 0.0:
            raise ValueError(
                "delay_steps and deadline must be at least 0 and value_iterations at least 1, got "
                f"{self.delay_steps}, {self.deadline} and {self.value_iterations}"
            )


def make_plant(owner: str, spec: EnvSpec, config: LinearMpcConfig) -> Plant:
    """Linearise a task as the config says; `owner` names the controller in messages."""
    return Plant(
        spec,
        position=config.position,
        state_weights=config.state_weights,
        control_weights=config.control_weights,
        linearisation=config.linearisation,
        owner=owner,
    )


def state_limits(plant: Plant, config: LinearMpcConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the steps from the operating point, each `[n]`.

    Raises:
        ValueError: a part is unknown, a limit does not fit, or some low is above its high.
    """
    low, high = plant.limits(config.state_low, config.state_high)
    check_limits(f"{plant.owner}: state", low, high)
    return low, high


def rate_limits(plant: Plant, rate: Sequence[float]) -> np.ndarray:
    """Return the largest change of the actions per step `[nu]`."""
    if not rate:
        return np.full(len(plant.low), np.inf)
    label = f"{plant.owner}: rate"
    each = spread(rate, len(plant.low), label, least=0.0, strict=True)
    return each * plant.spec.step_seconds
