"""Push a mass on a line to the origin at quadratic cost: the best controller is known (LQR)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import solve_discrete_are
from torch import Tensor

from simrl.core.actions import ContinuousActions
from simrl.core.policy import PolicyOutput
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.core.timestep import Obs, PolicyState
from simrl_envs.toy.base import Move, ToyDynamics, record
from simrl_envs.toy.draw import COLOURS, INK, canvas, pixels
from simrl_envs.toy.streams import uniform


@dataclass(frozen=True)
class DoubleIntegratorConfig:
    """Set the cost and the time step; the mass is 1 kg."""

    position_cost: float = 1.0
    """Cost of the squared position [1/m^2]."""
    velocity_cost: float = 0.1
    """Cost of the squared velocity [s^2/m^2]."""
    effort_cost: float = 0.1
    """Cost of the squared force [1/N^2]."""
    max_force: float = 5.0
    """Largest force [N]."""
    step_seconds: float = 0.1
    """Time step [s]."""
    episode_steps: int = 100
    """Steps after which an episode is truncated."""


class DoubleIntegratorRules:
    """Move exactly under a force held for one step; pay minus the cost of state and force.

    x' = [[1, h], [0, 1]] x + [h^2 / 2, h] u, with the cost x Q x + u R u before the step.
    """

    def __init__(self, config: DoubleIntegratorConfig) -> None:
        self.config = config
        self.record = record(("x", np.float64, (2,)))
        span = config.episode_steps * config.step_seconds
        speed = 1.0 + config.max_force * span
        columns = (
            Column("position", -(2.0 + speed * span), 2.0 + speed * span, "m"),
            Column("velocity", -speed, speed, "m/s"),
        )
        self.spec = EnvSpec(
            id="double-integrator",
            num_agents=1,
            observations={"policy": Layout((vector("mass", *columns),))},
            actions=ContinuousActions(
                (-config.max_force,), (config.max_force,), names=("force [N]",)
            ),
            reward_terms=("position", "velocity", "effort"),
            reward_weights=(-config.position_cost, -config.velocity_cost, -config.effort_cost),
            reward_groups=("state", "state", "effort"),
            state_size=self.record.itemsize,
            step_seconds=config.step_seconds,
            max_steps=config.episode_steps,
            physics={
                "model": "double-integrator",
                "mass": 1.0,
                # Bytes of the record: position and velocity are its last two float64 numbers.
                "state": {"qpos": slice(16, 24), "qvel": slice(24, 32)},
            },
            dynamics=lambda: ToyDynamics(self),
        )

    def start(self, games: np.ndarray) -> None:
        """Start within 1 m and 1 m/s of rest at the origin."""
        games["x"] = uniform(games, -1.0, 1.0, 2)

    def advance(self, games: np.ndarray, action: np.ndarray) -> Move:
        """Charge state and force, then move."""
        h, x = self.config.step_seconds, games["x"]
        force = action[:, 0, 0].astype(np.float64)
        position, velocity = x[:, 0].copy(), x[:, 1].copy()
        terms = np.square(np.stack([position, velocity, force], axis=-1))[:, None]
        x[:, 0] = position + h * velocity + 0.5 * h * h * force
        x[:, 1] = velocity + h * force
        return Move(terms @ np.array(self.spec.reward_weights), np.zeros(len(x), np.bool_), terms)

    def observe(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Show position and velocity."""
        return {"policy": games["x"][:, None].astype(np.float32)}

    def metrics(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Report nothing; the return is the cost."""
        return {}

    def draw(self, game: np.void) -> np.ndarray:
        """Draw the mass on its line, 4 m wide."""
        image, pen = canvas(320, 80)
        pen.line((0, 50, 320, 50), fill=INK)
        pen.line((160, 40, 160, 60), fill=INK)
        centre = 160 + 80 * float(game["x"][0])
        pen.rectangle((centre - 10, 30, centre + 10, 50), fill=COLOURS[0])
        return pixels(image)


class LqrPolicy:
    """Apply u = -K x with the infinite-horizon optimal gain K."""

    reads = frozenset({"policy"})

    def __init__(self, config: DoubleIntegratorConfig) -> None:
        self.gain = torch.from_numpy(optimal_gain(config)[0].astype(np.float32))
        self.max_force = config.max_force

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the optimal force within its bounds."""
        force: Tensor = -(obs["policy"] * self.gain).sum(-1, keepdim=True)
        return PolicyOutput(force.clamp(-self.max_force, self.max_force))


def make_lqr(config: DoubleIntegratorConfig) -> LqrPolicy:
    """Build the optimal controller."""
    return LqrPolicy(config)


def optimal_gain(config: DoubleIntegratorConfig) -> tuple[np.ndarray, np.ndarray]:
    """Solve the discrete algebraic Riccati equation: gain K `[1, 2]` and cost-to-go P `[2, 2]`.

    Without the bound on the force, the least cost from x is x P x, reached by u = -K x.
    """
    h = config.step_seconds
    a, b = np.array([[1.0, h], [0.0, 1.0]]), np.array([[0.5 * h * h], [h]])
    q = np.diag([config.position_cost, config.velocity_cost])
    r = np.array([[config.effort_cost]])
    p = solve_discrete_are(a, b, q, r)
    return np.linalg.solve(r + b.T @ p @ b, b.T @ p @ a), p
