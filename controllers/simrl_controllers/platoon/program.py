"""Write a car's problem as a quadratic program in its commands; most of it never changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl_controllers.platoon.config import PlatoonMpcConfig
from simrl_controllers.platoon.predict import condensed, exact_step


@dataclass(frozen=True)
class Spacing:
    """Hold the task's figures that enter the program."""

    headway: float
    """Time headway of the spacing policy [s]."""
    standstill: float
    """Gap at rest [m]."""
    lag: float
    """Time constant of the acceleration [s]."""
    seconds: float
    """Length of a step [s]."""
    low: float
    """Least command [m/s^2]."""
    high: float
    """Largest command [m/s^2]."""


class PlatoonProgram:
    """Minimise the sum of q e^2 + p (e')^2 + r (change of u)^2 over the horizon, softly safe.

    e_k = gap_k - d0 - h v_k with the gap to the predicted predecessor; the gap to the worst-case
    predecessor stays above its least value but for one slack.  The variables are the commands
    `[N]` and, where the gap is short, the slack.
    """

    def __init__(self, config: PlatoonMpcConfig, spacing: Spacing) -> None:
        n, h = config.horizon, spacing.headway
        self.config, self.spacing = config, spacing
        self.a, self.b = exact_step(spacing.lag, spacing.seconds)
        self.free, self.forced = condensed(self.a, self.b, n)
        # e = (place ahead - d0) - (s + h v);  e' = (speed ahead) - (v + h a)
        self.error_free = self.free[:, 0] + h * self.free[:, 1]
        self.error_forced = self.forced[:, 0] + h * self.forced[:, 1]
        self.rate_free = self.free[:, 1] + h * self.free[:, 2]
        self.rate_forced = self.forced[:, 1] + h * self.forced[:, 2]
        self.change = np.eye(n) - np.eye(n, k=-1)
        hessian = config.spacing_weight * self.error_forced.T @ self.error_forced
        hessian += config.rate_weight * self.rate_forced.T @ self.rate_forced
        hessian += config.change_weight * self.change.T @ self.change
        self.hessian = 2.0 * hessian
        self.inverse = np.linalg.inv(self.hessian)
        self.soft_hessian = np.zeros((n + 1, n + 1))
        self.soft_hessian[:n, :n] = self.hessian
        self.soft_hessian[n, n] = 2.0 * config.slack_weight
        self.rows = np.hstack([self.forced[:, 0], -np.ones((n, 1))])
        self.lower = np.append(np.full(n, spacing.low), 0.0)
        self.upper = np.append(np.full(n, spacing.high), np.inf)

    def gradient(
        self, x: np.ndarray, place: np.ndarray, speed: np.ndarray, last: np.ndarray
    ) -> np.ndarray:
        """Return the linear cost `[rows, N]`.

        x: the car when its first command takes effect `[rows, 3]`.  place, speed: the
        predecessor's rear and speed after 1 .. N steps from then `[rows, N]`.  last: the command
        before the first `[rows]`.
        """
        config = self.config
        error = place - self.spacing.standstill - x @ self.error_free.T
        rate = speed - x @ self.rate_free.T
        out = -config.spacing_weight * error @ self.error_forced
        out -= config.rate_weight * rate @ self.rate_forced
        out[:, 0] -= config.change_weight * last
        return 2.0 * out

    def room(self, x: np.ndarray, worst: np.ndarray) -> np.ndarray:
        """Return how far the commands may take the car `[rows, N]`: forced position <= room."""
        return worst - self.config.min_gap - x @ self.free[:, 0].T

    def unconstrained(self, gradient: np.ndarray) -> np.ndarray:
        """Return the minimum without limits `[rows, N]`."""
        return -gradient @ self.inverse

    def allowed(self, commands: np.ndarray, room: np.ndarray) -> np.ndarray:
        """Tell which rows of `commands` `[rows, N]` keep every limit without slack `[rows]`."""
        inside = (commands >= self.spacing.low) & (commands <= self.spacing.high)
        return inside.all(1) & (commands @ self.forced[:, 0].T <= room).all(1)

    def accelerations(self, x: np.ndarray, commands: np.ndarray) -> np.ndarray:
        """Return the accelerations that the commands lead to, after 1 .. N steps `[rows, N]`."""
        return x @ self.free[:, 2].T + commands @ self.forced[:, 2].T
