"""Regulate or track with the infinite-horizon linear-quadratic regulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec, Obs, PolicyOutput, PolicyState
from simrl_controllers.lqr.linearise import Linearisation
from simrl_controllers.lqr.plant import Plant
from simrl_controllers.lqr.riccati import check_horizon, solve_lqr


@dataclass(frozen=True)
class LqrConfig:
    """Set the cost, the operating point and the preview."""

    state_weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Cost of squared deviations by state part, one number for all of the part or one each, such as
    {"qpos": (1, 10), "qvel": (0.1,)}; empty takes the task's own."""
    control_weights: tuple[float, ...] = ()
    """Cost of squared actions about the operating point's, one for all or one each."""
    position: tuple[float, ...] = ()
    """qpos of the operating point; empty takes the task's own."""
    preview: int = 50
    """Steps of the reference to look ahead, if the task has one."""
    linearisation: Linearisation = "auto"
    """Which model to linearise: MuJoCo's, or the task's own by differences."""

    def __post_init__(self) -> None:
        try:
            check_horizon(self.preview)
        except ValueError as error:
            raise ValueError(f"preview: {error}") from None


class LqrPolicy:
    """Apply u = u0 - K dx + what the targets ahead ask for, clipped to the action limits.

    The feed-forward is the optimal one for a target that is known for `preview` steps and then
    stays where it is relative to the system's own motion: with V(x) = x P x - 2 s x, s runs
    backward as s_k = Q t_k + (A - B K)' s_{k+1} from s_N = P t_N (Anderson and Moore 1990, ch. 4).

    Extras: "cost", the cost-to-go dx P dx of the deviation from the target `[rows]`.
    """

    reads = frozenset({"state"})

    def __init__(self, spec: EnvSpec, config: LqrConfig) -> None:
        self.plant = plant = Plant(
            spec,
            position=config.position,
            state_weights=config.state_weights,
            control_weights=config.control_weights,
            linearisation=config.linearisation,
        )
        self.solution = solve_lqr(plant.model.a, plant.model.b, plant.q, plant.r)
        gain, p = self.solution.gain, self.solution.cost_to_go
        a, b = plant.model.a, plant.model.b
        self._gain, self._p = torch.from_numpy(gain), torch.from_numpy(p)
        self._feed = torch.from_numpy(np.linalg.solve(plant.r + b.T @ p @ b, b.T))
        self._closed, self._q = torch.from_numpy(a - b @ gain), torch.from_numpy(plant.q)
        self._control = torch.from_numpy(plant.model.control)
        self._low, self._high = torch.from_numpy(plant.low), torch.from_numpy(plant.high)
        self._preview = config.preview

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the optimal action of the linear model, within the action limits."""
        dx = self.plant.error(obs["state"])
        control = self._control - dx @ self._gain.T
        target = torch.zeros_like(dx)
        if self.plant.tracks:
            targets = self.plant.targets(obs["state"], self._preview + 1)
            target = targets[:, 0]
            control = control + self._feed_forward(targets)
        off = dx - target
        cost = ((off @ self._p) * off).sum(-1)
        action = control.clamp(self._low, self._high).to(torch.float32)
        return PolicyOutput(action, {}, {"cost": cost})

    def _feed_forward(self, targets: Tensor) -> Tensor:
        """Return the actions `[rows, nu]` that targets `[rows, H + 1, n]` ask for."""
        slope = targets[:, -1] @ self._p
        for step in range(targets.shape[1] - 2, 0, -1):
            slope = targets[:, step] @ self._q + slope @ self._closed
        return slope @ self._feed.T


def make_lqr(spec: EnvSpec, config: LqrConfig) -> LqrPolicy:
    """Build the regulator for a task."""
    return LqrPolicy(spec, config)
