"""Swing a pendulum up and hold it: the dynamics, cost, limits and start of gymnasium's Pendulum-v1.

A uniform rod of 1 kg and 1 m hangs from a motor that is too weak to lift it at one go.  The angle
is 0 upright and grows anticlockwise; the step is semi-implicit Euler of 50 ms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor

from simrl.core.actions import ContinuousActions
from simrl.core.policy import PolicyOutput
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.core.timestep import Obs, PolicyState, TimeStep
from simrl_envs.toy.base import Move, ToyDynamics, ToyEnv, check_action_shape, record
from simrl_envs.toy.draw import COLOURS, INK, canvas, pixels

GRAVITY = 10.0  # [m/s^2]
MASS, LENGTH = 1.0, 1.0  # [kg], [m]
SECONDS = 0.05  # [s]
MAX_TORQUE = 2.0  # [N m]
MAX_SPEED = 8.0  # [rad/s]
MAX_START_SPEED = 1.0  # [rad/s]
ANGLE_COST, SPEED_COST, TORQUE_COST = 1.0, 0.1, 0.001
"""Costs of a squared radian, of a squared rad/s and of a squared N m."""


@dataclass(frozen=True)
class PendulumConfig:
    """Set the time limit."""

    max_steps: int = 200
    """Steps after which an episode is truncated."""


class PendulumRules:
    """Turn the pendulum by a torque; each step costs its angle, its speed and the torque squared.

    An episode never ends by its own rules, only by the time limit.
    """

    def __init__(self, config: PendulumConfig) -> None:
        self.config = config
        columns = (
            Column("cos_angle", -1.0, 1.0),
            Column("sin_angle", -1.0, 1.0),
            Column("angular_velocity", -MAX_SPEED, MAX_SPEED, "rad/s"),
        )
        self.record = record(("x", np.float64, (2,)))
        self.spec = EnvSpec(
            id="pendulum",
            num_agents=1,
            observations={"policy": Layout((vector("pendulum", *columns),))},
            actions=ContinuousActions((-MAX_TORQUE,), (MAX_TORQUE,), names=("torque [N m]",)),
            state_size=self.record.itemsize,
            step_seconds=SECONDS,
            max_steps=config.max_steps,
            dynamics=lambda: ToyDynamics(self),
        )

    def start(self, games: np.ndarray) -> None:
        """Start at any angle, slowly."""
        _start_rows(games["rng"], games["x"])

    def advance(self, games: np.ndarray, action: np.ndarray) -> Move:
        """Charge the cost of the state before the step, then move by 50 ms."""
        reward = np.zeros((len(games), 1), np.float32)
        _advance_rows(games["x"], action, reward)
        return Move(reward, np.zeros(len(games), np.bool_))

    def observe(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Show cosine and sine of the angle, and the angular velocity."""
        angle, speed = games["x"][:, 0], games["x"][:, 1]
        shown = np.stack([np.cos(angle), np.sin(angle), speed], axis=-1)
        return {"policy": shown[:, None].astype(np.float32)}

    def metrics(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Report nothing; the return is the cost."""
        return {}

    def draw(self, game: np.void) -> np.ndarray:
        """Draw the pivot and the rod; upright is up."""
        image, pen = canvas(200, 200)
        angle = float(game["x"][0])
        tip = (100 - 70 * math.sin(angle), 100 - 70 * math.cos(angle))
        pen.line((100, 100, *tip), fill=COLOURS[1], width=14)
        pen.ellipse((tip[0] - 7, tip[1] - 7, tip[0] + 7, tip[1] + 7), fill=COLOURS[1])
        pen.ellipse((93, 93, 107, 107), fill=INK)
        pen.text((8, 8), f"step {int(game['steps'])}", fill=INK)
        return pixels(image)


class PendulumEnv(ToyEnv):
    """Step many pendulums in one kernel, checks, autoreset and observations included."""

    def __init__(self, rules: PendulumRules, num_envs: int) -> None:
        super().__init__(rules, num_envs)
        games = self._games
        self._arrays = (
            games["rng"],
            games["steps"],
            games["x"],
            self._final_state,
            self._bytes(),
            self._obs["policy"],
            self._final_obs["policy"],
            self._reward,
            self._truncated,
        )
        self._limit = self.spec.max_steps

    def step(self, action: Tensor) -> TimeStep:
        """Turn every pendulum; float32 `[N, 1, 1]` [N m], clipped to 2 N m either way."""
        if not self._started or action.dtype != torch.float32 or action.ndim != 3:
            self._require_start()
            check_action_shape(self.spec, self.num_envs, action)
        joint = action.numpy()
        if joint.shape != (self.num_envs, 1, 1) or not _step_rows(joint, self._limit, self._arrays):
            self._checked(action)
        return self._step


class SwingPolicy:
    """Pump energy until the pendulum can reach the top, then hold it there by a linear rule.

    Energy shaping as in Astrom and Furuta 2000, "Swinging up a pendulum by energy control".
    """

    reads = frozenset({"policy"})

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return torques `[B, 1]` [N m]."""
        cos, sin, speed = obs["policy"].unbind(-1)
        # Kinetic plus potential energy of the rod, 0 at rest upright [J].
        energy = MASS * LENGTH**2 / 6 * speed**2 + MASS * GRAVITY * LENGTH / 2 * (cos - 1)
        pump = MAX_TORQUE * torch.where(speed >= 0, 1.0, -1.0) * (-2.0 * energy).clamp(-1, 1)
        hold = -(15.0 * sin + 4.0 * speed)
        torque = torch.where((cos > 0.9) & (speed.abs() < 3.0), hold, pump)
        return PolicyOutput(torque.clamp(-MAX_TORQUE, MAX_TORQUE)[..., None])


def make_swing(config: PendulumConfig) -> SwingPolicy:
    """Build the energy-pumping rule."""
    return SwingPolicy()


@njit(cache=True, nogil=True, inline="always")
def _advance(x: np.ndarray, torque: float) -> float:
    """Move one pendulum `[2]` in place and return the reward of the state that it left."""
    angle, speed = x[0], x[1]
    # Within [-pi, pi): the remainder of Python, whose sign is the divisor's.
    wrapped = ((angle + math.pi) % (2 * math.pi)) - math.pi
    cost = ANGLE_COST * wrapped**2 + SPEED_COST * speed**2 + TORQUE_COST * torque**2
    gravity = 3 * GRAVITY / (2 * LENGTH) * math.sin(angle)
    speed += (gravity + 3.0 / (MASS * LENGTH**2) * torque) * SECONDS
    speed = min(max(speed, -MAX_SPEED), MAX_SPEED)
    x[0] = angle + speed * SECONDS
    x[1] = speed
    return -cost


@njit(cache=True, nogil=True, inline="always")
def _unit(rng: np.ndarray, row: int) -> float:
    """Draw a float in [0, 1) from the row's SplitMix64 stream."""
    rng[row] += np.uint64(0x9E3779B97F4A7C15)
    z = rng[row]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True, inline="always")
def _start(rng: np.ndarray, row: int, x: np.ndarray) -> None:
    """Draw a start `[2]`."""
    x[0] = -math.pi + 2 * math.pi * _unit(rng, row)
    x[1] = -MAX_START_SPEED + 2 * MAX_START_SPEED * _unit(rng, row)


@njit(cache=True, nogil=True, inline="always")
def _show(x: np.ndarray, obs: np.ndarray) -> None:
    """Write an observation `[3]`."""
    obs[0] = math.cos(x[0])
    obs[1] = math.sin(x[0])
    obs[2] = x[1]


@njit(cache=True, nogil=True)
def _start_rows(rng: np.ndarray, x: np.ndarray) -> None:
    for row in range(len(x)):
        _start(rng, row, x[row])


@njit(cache=True, nogil=True)
def _advance_rows(x: np.ndarray, action: np.ndarray, reward: np.ndarray) -> None:
    for row in range(len(x)):
        reward[row, 0] = _advance(x[row], np.float64(action[row, 0, 0]))


@njit(cache=True, nogil=True)
def _step_rows(action: np.ndarray, limit: int, arrays: tuple) -> bool:  # type: ignore[type-arg]
    """Step all rows; change nothing and return False if an action is not finite."""
    for row in range(len(action)):
        if not math.isfinite(action[row, 0, 0]):
            return False
    rng, steps, x, final_state, state, obs, final_obs, reward, truncated = arrays
    for row in range(len(action)):
        steps[row] += 1
        torque = min(max(np.float64(action[row, 0, 0]), -MAX_TORQUE), MAX_TORQUE)
        reward[row, 0] = _advance(x[row], torque)
        truncated[row] = limit > 0 and steps[row] >= limit
        if truncated[row]:
            final_state[row] = state[row]
            _show(x[row], final_obs[row, 0])
            steps[row] = 0
            _start(rng, row, x[row])
        _show(x[row], obs[row, 0])
    return True
