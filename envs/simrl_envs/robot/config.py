"""The options that every robot task shares: time limit, threads and domain randomisation."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Literal

Range = tuple[float, float]
RANGES = ("mass", "friction", "motor_gain", "payload", "latency", "push", "push_angle")
PUSH_FRAMES = ("world", "heading")


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
    compute_delay: float = 0.0
    """Longest further delay that `RobotEnv.delay_actions` may be asked for [s], so that the time
    that a controller takes to decide can be made to count."""
    actuator: str = ""
    """File of a network that gives the torques of servos in their stead, fitted to logs by
    `simrl.learn.actuator`: for robots under control=position.  Planners' models keep the servos."""
    observation_noise: float = 0.0
    """Factor on the noise that the task file names for each observation; 1 is as written there."""
    push: Range = (0.0, 0.0)
    """Impulse of a horizontal push on the task's push body [N s]."""
    push_angle: Range = (0.0, 2.0 * math.pi)
    """Direction of a push, counterclockwise from the x axis of `push_frame` [rad]: in frame
    heading, 0 pushes forward and pi/2 to the left."""
    push_frame: Literal["world", "heading"] = "world"
    """Where angles are counted from: the world's x axis, or that of the push body, made level."""
    push_start: float | None = None
    """When the first push starts [s], the next ones following every `push_interval`; none starts
    one at a random time in each interval."""
    push_interval: float = 5.0
    """Seconds between the starts of two pushes, or the interval in which one falls."""
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
        _check_finite_range("push_angle", self.push_angle)
        if self.push_angle[0] > self.push_angle[1]:
            raise ValueError(f"push_angle must satisfy low <= high, got {self.push_angle}")
        if self.push_frame not in PUSH_FRAMES:
            valid = ", ".join(PUSH_FRAMES)
            raise ValueError(f"push_frame is {self.push_frame!r}; it is one of {valid}")
        if self.push_start is not None and not 0.0 <= self.push_start < math.inf:
            raise ValueError(f"push_start must be at least 0, got {self.push_start}")
        if self.actuator and self.motor_gain != (1.0, 1.0):
            raise ValueError("motor_gain has no meaning where a network gives the torques")
        for name in ("seconds", "threads", "observation_noise", "compute_delay"):
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


def _check_finite_range(name: str, given: Range) -> None:
    if len(given) != 2 or not all(math.isfinite(value) for value in given):
        raise ValueError(f"{name} must be two finite numbers (low, high), got {given}")


def _check_range(name: str, given: Range, *, above_zero: bool) -> None:
    _check_finite_range(name, given)
    low, high = given
    if low > high or low < 0 or (above_zero and low == 0):
        limit = "0 < low <= high" if above_zero else "0 <= low <= high"
        raise ValueError(f"{name} must satisfy {limit}, got {given}")
