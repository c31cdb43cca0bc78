"""Balance a pole on a cart: the dynamics, limits and start of gymnasium's CartPole-v1.

Equations of motion as in Barto, Sutton and Anderson 1983, with the explicit Euler step of 20 ms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor

from simrl.core.actions import DiscreteActions, Head
from simrl.core.policy import PolicyOutput
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.core.timestep import Obs, PolicyState, TimeStep
from simrl_envs.toy.base import Move, ToyEnv, check_action_shape, record
from simrl_envs.toy.draw import COLOURS, INK, canvas, pixels

GRAVITY = 9.8  # [m/s^2]
CART_MASS, POLE_MASS = 1.0, 0.1  # [kg]
TOTAL_MASS = CART_MASS + POLE_MASS
HALF_LENGTH = 0.5  # [m]
FORCE = 10.0  # [N]
SECONDS = 0.02  # [s]
MAX_ANGLE = 12 * 2 * math.pi / 360  # [rad]
MAX_POSITION = 2.4  # [m]
START = 0.05
"""Each of the four numbers starts uniformly within plus or minus this."""


@dataclass(frozen=True)
class CartPoleConfig:
    """Set the time limit."""

    max_steps: int = 500
    """Steps after which an episode is truncated."""


class CartPoleRules:
    """Push the cart left (0) or right (1); each step pays 1 until the pole or the cart is out."""

    def __init__(self, config: CartPoleConfig) -> None:
        self.config = config
        # The cart leaves its track at 2.4 m, so what it can gain on the way bounds the velocities.
        columns = (
            Column("position", -4.8, 4.8, "m"),
            Column("velocity", -12.0, 12.0, "m/s"),
            Column("angle", -2 * MAX_ANGLE, 2 * MAX_ANGLE, "rad"),
            Column("angular_velocity", -8.0, 8.0, "rad/s"),
        )
        self.record = record(("x", np.float64, (4,)))
        self.spec = EnvSpec(
            id="cart-pole",
            num_agents=1,
            observations={"policy": Layout((vector("cart", *columns),))},
            actions=DiscreteActions((Head("push", 2, choices=("left", "right")),)),
            state_size=self.record.itemsize,
            step_seconds=SECONDS,
            max_steps=config.max_steps,
        )

    def start(self, games: np.ndarray) -> None:
        """Put the cart near the middle and the pole near upright."""
        _start_rows(games["rng"], games["x"])

    def advance(self, games: np.ndarray, action: np.ndarray) -> Move:
        """Move by one Euler step of 20 ms."""
        terminated = np.zeros(len(games), np.bool_)
        _advance_rows(games["x"], action, terminated)
        return Move(np.ones((len(games), 1), np.float32), terminated)

    def observe(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Show position, velocity, angle and angular velocity."""
        return {
            "policy": games["x"][:, None].astype(np.float32),
            "action_mask": np.ones((len(games), 1, 2), np.bool_),
        }

    def metrics(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Report nothing; the return is the number of steps."""
        return {}

    def draw(self, game: np.void) -> np.ndarray:
        """Draw the track, the cart and the pole."""
        image, pen = canvas(320, 160)
        scale, ground = 320 / 4.8, 120
        position, angle = float(game["x"][0]), float(game["x"][2])
        centre = 160 + position * scale
        pen.line((0, ground, 320, ground), fill=INK)
        pen.rectangle((centre - 18, ground - 10, centre + 18, ground + 10), fill=COLOURS[0])
        reach = 2 * HALF_LENGTH * scale
        tip = (centre + reach * math.sin(angle), ground - reach * math.cos(angle))
        pen.line((centre, ground, *tip), fill=COLOURS[1], width=6)
        pen.text((8, 8), f"step {int(game['steps'])}", fill=INK)
        return pixels(image)


class CartPoleEnv(ToyEnv):
    """Step many cart-poles in one kernel, checks, autoreset and observations included."""

    def __init__(self, rules: CartPoleRules, num_envs: int) -> None:
        super().__init__(rules, num_envs)
        games = self._games
        self._arrays = (
            games["rng"],
            games["steps"],
            games["ended"],
            games["x"],
            self._final_state,
            self._bytes(),
            self._obs["policy"],
            self._final_obs["policy"],
            self._terminated,
            self._truncated,
        )
        self._limit = self.spec.max_steps
        self._reward[:] = 1.0
        self._final_obs["action_mask"][:] = True

    def step(self, action: Tensor) -> TimeStep:
        """Push every cart; int64 `[N, 1, 1]`."""
        if not self._started or action.dtype != torch.int64 or action.ndim != 3:
            self._require_start()
            check_action_shape(self.spec, self.num_envs, action)
        joint = action.numpy()
        if joint.shape != (self.num_envs, 1, 1) or not _step_rows(joint, self._limit, self._arrays):
            self._checked(action)
        return self._step


class BalancePolicy:
    """Push towards where the pole will fall: a linear rule that keeps it up for 500 steps."""

    reads = frozenset({"policy"})

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Push right where a weighted sum of the four numbers is positive."""
        weights = torch.tensor([0.1, 0.5, 3.0, 1.0])
        return PolicyOutput(((obs["policy"] * weights).sum(-1, keepdim=True) > 0).long())


def make_balance(config: CartPoleConfig) -> BalancePolicy:
    """Build the balancing rule."""
    return BalancePolicy()


@njit(cache=True, nogil=True, inline="always")
def _advance(x: np.ndarray, push: int) -> bool:
    """Move one cart-pole `[4]` in place and say whether it is out."""
    force = FORCE if push == 1 else -FORCE
    angle, rate = x[2], x[3]
    cos, sin = math.cos(angle), math.sin(angle)
    pull = POLE_MASS * HALF_LENGTH
    common = (force + pull * (rate * rate) * sin) / TOTAL_MASS
    spin = (GRAVITY * sin - cos * common) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS)
    )
    drive = common - pull * spin * cos / TOTAL_MASS
    x[0] += SECONDS * x[1]
    x[1] += SECONDS * drive
    x[2] += SECONDS * rate
    x[3] += SECONDS * spin
    return abs(x[0]) > MAX_POSITION or abs(x[2]) > MAX_ANGLE


@njit(cache=True, nogil=True, inline="always")
def _start(rng: np.ndarray, row: int, x: np.ndarray) -> None:
    """Draw a start `[4]` from the row's SplitMix64 stream."""
    for i in range(4):
        rng[row] += np.uint64(0x9E3779B97F4A7C15)
        z = rng[row]
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        x[i] = -START + 2 * START * (np.float64(z >> np.uint64(11)) * 2.0**-53)


@njit(cache=True, nogil=True)
def _start_rows(rng: np.ndarray, x: np.ndarray) -> None:
    for row in range(len(x)):
        _start(rng, row, x[row])


@njit(cache=True, nogil=True)
def _advance_rows(x: np.ndarray, action: np.ndarray, terminated: np.ndarray) -> None:
    for row in range(len(x)):
        terminated[row] = _advance(x[row], action[row, 0, 0])


@njit(cache=True, nogil=True)
def _step_rows(action: np.ndarray, limit: int, arrays: tuple) -> bool:  # type: ignore[type-arg]
    """Step all rows; change nothing and return False if an action is not 0 or 1."""
    for row in range(len(action)):
        if action[row, 0, 0] != 0 and action[row, 0, 0] != 1:
            return False
    rng, steps, ended, x, final_state, state, obs, final_obs, terminated, truncated = arrays
    for row in range(len(action)):
        steps[row] += 1
        terminated[row] = _advance(x[row], action[row, 0, 0])
        truncated[row] = not terminated[row] and limit > 0 and steps[row] >= limit
        if terminated[row] or truncated[row]:
            ended[row] = terminated[row]
            final_state[row] = state[row]
            ended[row] = 0
            for i in range(4):
                final_obs[row, 0, i] = x[row, i]
            steps[row] = 0
            _start(rng, row, x[row])
        for i in range(4):
            obs[row, 0, i] = x[row, i]
    return True
