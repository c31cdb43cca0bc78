"""The options that every robot task shares: time limit, threads and domain randomisation."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

Range = tuple[float, float]
RANGES = ("mass", "friction", "motor_gain", "payload", "latency", "push")


@dataclass(frozen=True)
class RobotConfig:
    """Set the episode length, the threads, and what differs from one episode to the next.

    Each range `(low, high)` is drawn from uniformly when an episode starts, for each environment
    from its own random stream; equal bounds fix the value.  The defaults randomise nothing.
    """

    seconds: float = 0.0
    """Simulated seconds after which an episode is truncated; 0 keeps the task's own limit."""
    threads: int = 0
    """Native threads that step the simulations; 0 takes one for each core of this process."""
    mass: Range = (1.0, 1.0)
    """Factor on the mass and inertia of every body."""
    friction: Range | None = None
    """Sliding friction coefficient of every geom.  MuJoCo gives a pair the larger of its two geoms'
    coefficients, so all geoms get the same one, and contacts have exactly it."""
    motor_gain: Range = (1.0, 1.0)
    """Factor on the gain of each motor, drawn for each motor alone."""
    payload: Range = (0.0, 0.0)
    """Mass added at the centre of mass of the task's payload body [kg]."""
    latency: Range = (0.0, 0.0)
    """Delay between an action and its effect [s], rounded to whole physics steps."""
    observation_noise: float = 0.0
    """Factor on the noise that the task file names for each observation; 1 is as written there."""
    push: Range = (0.0, 0.0)
    """Impulse of a horizontal push on the task's push body [N s], in a random direction."""
    push_interval: float = 5.0
    """Seconds between the starts of two pushes."""
    push_seconds: float = 0.1
    """How long a push lasts [s]; its force is impulse / duration."""

    def __post_init__(self) -> None:
        for name in RANGES:
            given = getattr(self, name)
            if given is not None:  # files bring lists
                object.__setattr__(self, name, tuple(float(value) for value in given))
        positive = {"mass": self.mass, "motor_gain": self.motor_gain}
        if self.friction is not None:
            positive["friction"] = self.friction
        for name, given in positive.items():
            _check_range(name, given, above_zero=True)
        for name in ("payload", "latency", "push"):
            _check_range(name, getattr(self, name), above_zero=False)
        for name in ("seconds", "threads", "observation_noise"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be at least 0, got {value}")
        for name in ("push_interval", "push_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")

    @property
    def randomised(self) -> bool:
        """Whether the model itself differs between episodes: mass, friction, gains or payload."""
        return (
            self.mass != (1.0, 1.0)
            or self.friction is not None
            or self.motor_gain != (1.0, 1.0)
            or self.payload != (0.0, 0.0)
        )


def thread_count(config: RobotConfig, num_rows: int) -> int:
    """Return how many threads step `num_rows` simulations."""
    return max(1, min(config.threads or len(os.sched_getaffinity(0)), num_rows))


def _check_range(name: str, given: Range, *, above_zero: bool) -> None:
    bounds = tuple(given)
    if len(bounds) != 2 or not all(math.isfinite(value) for value in bounds):
        raise ValueError(f"{name} must be two finite numbers (low, high), got {given}")
    low, high = bounds
    if low > high or low < 0 or (above_zero and low == 0):
        limit = "0 < low <= high" if above_zero else "0 <= low <= high"
        raise ValueError(f"{name} must satisfy {limit}, got {given}")
