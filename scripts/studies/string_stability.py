"""How linear feedback passes a disturbance on through a platoon, in the frequency domain.

All cars are alike and sampled: x+ = A x + B u(k - d) for position, speed and acceleration, exactly
as the task steps them.  Where each car's command depends on its spacing error, its predecessor's
motion and what that has announced, commands, and with them spacing errors, pass from car to car by
one factor G(z); a platoon is string stable if |G| <= 1 at every frequency.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from simrl_controllers.platoon.predict import exact_step
from simrl_envs.vehicle.platoon.acc import ALONE, RATE_GAIN, SPACING_GAIN

GRID = np.geomspace(1e-3, 30.0, 3000)
"""Angular frequencies at which |G| is looked at [rad/s]; half the sampling rate is 31."""
TOLERANCE = 1e-4
"""How far |G| may lie above 1 and still count as 1: at low frequencies it is 1."""


@dataclass(frozen=True)
class Cars:
    """Hold what the factor depends on."""

    headway: float
    """Time headway [s]."""
    delay_steps: int
    """Steps from a command to its effect."""
    age_steps: int
    """Age of what the predecessor announced, in steps."""
    lag: float = 0.3
    """Time constant of the acceleration [s]."""
    seconds: float = 0.1
    """Length of a step [s]."""

    def response(self, omega: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return z and the answer of position, speed and acceleration to a command, each `[W]`."""
        a, b = exact_step(self.lag, self.seconds)
        z = np.exp(1j * omega * self.seconds)
        pencil = z[:, None, None] * np.eye(3) - a
        x = np.linalg.solve(pencil, np.broadcast_to(b[:, None], (len(z), 3, 1)))[:, :, 0]
        x = x * (z**-self.delay_steps)[:, None]
        return z, x[:, 0], x[:, 1], x[:, 2]


Factor = Callable[[Cars, np.ndarray], np.ndarray]
"""Return G `[W]` of a platoon of such cars at angular frequencies `[W]`."""


def acc_factor(
    cars: Cars, omega: np.ndarray, gains: tuple[float, float, float] = ALONE
) -> np.ndarray:
    """Pass on by u = kp e + kd (relative speed) - ka a: feedback alone."""
    kp, kd, ka = gains
    _, s, v, a = cars.response(omega)
    own = 1.0 + kp * (s + cars.headway * v) + kd * v + ka * a
    return (kp * s + kd * v) / own


def cacc_factor(cars: Cars, omega: np.ndarray) -> np.ndarray:
    """Pass on by h u' = -u + kp e + kd e' + what the predecessor announced, in Euler steps."""
    h, kp, kd = cars.headway, SPACING_GAIN, RATE_GAIN
    z, s, v, a = cars.response(omega)
    share = cars.seconds / max(h, cars.seconds)
    heard = kp * s + kd * v + z**-cars.age_steps
    own = (1.0 - (1.0 - share) / z) / share + kp * (s + h * v) + kd * (v + h * a)
    return heard / own


def worst(factor: Factor, cars: Cars) -> float:
    """Return the largest |G| over all frequencies."""
    return float(np.abs(factor(cars, GRID)).max())


def least_headway(factor: Factor, delay_steps: int, age_steps: int = 1) -> float:
    """Return the least headway at which a platoon is string stable [s], to 5 ms; inf if none is.

    Up to 4 s are tried.
    """

    def fine(headway: float) -> bool:
        return worst(factor, Cars(headway, delay_steps, age_steps)) <= 1.0 + TOLERANCE

    tried = np.arange(0.1, 4.0, 0.05)
    first = next((index for index, headway in enumerate(tried) if fine(headway)), None)
    if first is None:
        return float("inf")
    return _bisect(fine, float(tried[max(first - 1, 0)]), float(tried[first]))


def best_headway(delay_steps: int) -> tuple[float, tuple[float, float, float]]:
    """Return the least headway [s] that feedback alone allows, and its gains, by a grid of gains.

    A platoon counts if its cars are stable by themselves, too.
    """
    omega = np.geomspace(1e-2, 30.0, 250)
    _, s, v, a = Cars(1.0, delay_steps, 1).response(omega)
    best, chosen = 4.0, (0.0, 0.0, 0.0)
    for gains in product(np.geomspace(0.02, 4, 22), np.geomspace(0.05, 4, 22), np.arange(7) / 4):
        kp, kd, ka = (float(gain) for gain in gains)

        def fine(headway: float, kp: float = kp, kd: float = kd, ka: float = ka) -> bool:
            own = 1.0 + kp * (s + headway * v) + kd * v + ka * a
            if np.abs((kp * s + kd * v) / own).max() > 1.0 + TOLERANCE:
                return False
            return car_is_stable(headway, delay_steps, (kp, kd, ka))

        if fine(best - 0.005):
            best, chosen = _bisect(fine, 0.0, best - 0.005), (kp, kd, ka)
    return best, chosen


def car_is_stable(headway: float, delay_steps: int, gains: tuple[float, float, float]) -> bool:
    """Tell whether a car that follows by u = kp e + kd (relative speed) - ka a settles."""
    a, b = exact_step(Cars.lag, Cars.seconds)
    own = np.poly(a)
    # The numerator of c (z I - A)^-1 B is det(z I - A + B c) - det(z I - A).
    s, v, acceleration = (np.poly(a - np.outer(b, c)) - own for c in np.eye(3))
    kp, kd, ka = gains
    closed = np.concatenate([own, np.zeros(delay_steps)])
    closed[-4:] += kp * (s + headway * v) + kd * v + ka * acceleration
    return bool(np.abs(np.roots(closed)).max() < 1.0 - 1e-6)


def _bisect(fine: Callable[[float], bool], low: float, high: float) -> float:
    """Return where `fine` begins to hold between `low`, where it does not, and `high`."""
    while high - low > 5e-3:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if fine(middle) else (middle, high)
    return high
