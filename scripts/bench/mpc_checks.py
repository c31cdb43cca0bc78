"""Check model-predictive control against what it must equal: LQR, long horizons, stable strings.

- `mpc_lqr_error`: where no limit is active, MPC with the Riccati cost is the regulator.  Largest
  difference of the first input over random states, horizons, systems and both forms.
- `terminal_value_gap`: closed-loop cost of MPC(N=10) with a terminal value over that of MPC(N=50)
  without one, minus 1.  The plant is the double integrator with so little force that the limit is
  active in every episode: there a short horizon alone is much worse (`..._without`).
- the platoon's figures, from `platoon.py`.
- success from 100 random starts by two controllers each, from `control_success.py`, which takes
  most of the time; `--skip-success` leaves it out.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from control_success import success_figures
from platoon import platoon_figures
from report import add_json_flag, report
from torch import Tensor

from simrl.core import EnvSpec, Policy
from simrl.core.plugins import make_env
from simrl.rollout import evaluate
from simrl_controllers.linear import (
    LinearMpc,
    LinearMpcConfig,
    MpcInstance,
    MpcProblem,
    make_linear_mpc,
)
from simrl_controllers.lqr import LqrConfig, make_lqr, solve_lqr
from simrl_controllers.terminal_value import CriticValue, RiccatiValue, RolloutValue

PLANT = {"max_force": 0.5, "step_seconds": 0.05, "episode_steps": 240}
"""Options of the plant: little force [N], active for seconds, and steps so short that ten of them
are half a second."""
GAMES, ROLLOUT_GAMES = 32, 8
CRITIC_STEPS = 3000


def mpc_lqr_error() -> float:
    """Return the largest difference of MPC's first input from the regulator's."""
    rng, worst = np.random.default_rng(0), 0.0
    for index in range(10):
        a, b, q, r = random_system(rng)
        n, nu = b.shape
        solution = solve_lqr(a, b, q, r)
        horizon = (1, 5, 10, 20, 40)[index % 5]
        problem = MpcProblem(
            a=a,
            b=b,
            q=q,
            r=r,
            final=solution.cost_to_go,
            horizon=horizon,
            low=np.full(nu, -1e3),
            high=np.full(nu, 1e3),
            rows=np.eye(n),
            row_low=np.full(n, -1e3),
            row_high=np.full(n, 1e3),
            rate=np.full(nu, np.inf),
            soft=np.zeros(n, np.bool_),
        )
        for form, solver in (("condensed", "daqp"), ("sparse", "piqp")):
            mpc = LinearMpc(problem, form=form, solver=solver)
            for x in rng.normal(size=(10, n)):
                still = MpcInstance(x, np.zeros((horizon + 1, n)), np.zeros(nu))
                found = mpc.solve(still)
                if not found.success:
                    return float("inf")
                worst = max(worst, float(np.abs(found.controls[0] + solution.gain @ x).max()))
    return worst


def random_system(
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw A, B, Q and R, with A slightly unstable (spectral radius 1.05)."""
    n, nu = int(rng.integers(2, 7)), int(rng.integers(1, 4))
    a = rng.normal(size=(n, n))
    a *= 1.05 / np.abs(np.linalg.eigvals(a)).max()
    q, r = np.diag(rng.uniform(0.1, 2.0, n)), np.diag(rng.uniform(0.1, 2.0, nu))
    return a, rng.normal(size=(n, nu)), q, r


def closed_loop_costs(policy: Policy, games: int = GAMES) -> np.ndarray:
    """Return the cost of each of `games` episodes, the same starts for every policy."""
    env = make_env("double-integrator", games, **PLANT)
    table = evaluate(env, policy, games=games, seed=1, deterministic=True)
    return -np.asarray(table.scores[0].episodes.returns).reshape(games)


def terminal_value_figures() -> dict[str, float]:
    """Return the gaps of MPC(N=10) to MPC(N=50): alone and with each kind of terminal value."""
    spec = make_env("double-integrator", 1, **PLANT).spec
    short = LinearMpcConfig(horizon=10, terminal="none")
    long = make_linear_mpc(spec, LinearMpcConfig(horizon=50, terminal="none"))
    wanted = closed_loop_costs(long)
    plant = long.plant
    riccati = RiccatiValue(plant.coordinates, torch.from_numpy(long.cost_to_go), plant.origin)
    rollout = follow_regulator(spec, riccati)
    gaps = {"terminal_value_gap_without": make_linear_mpc(spec, short)}
    values = {"": riccati, "_rollout": rollout, "_critic": fit_critic(spec, rollout)}
    for name, value in values.items():
        policy = make_linear_mpc(spec, short, terminal_value=value)
        gaps[f"terminal_value_gap{name}"] = policy
    result = {}
    for name, policy in gaps.items():
        games = ROLLOUT_GAMES if name.endswith("_rollout") else GAMES
        mean = wanted.mean() if games == GAMES else closed_loop_costs(long, games).mean()
        result[name] = float(closed_loop_costs(policy, games).mean() / mean - 1.0)
    return result


def follow_regulator(spec: EnvSpec, beyond: RiccatiValue) -> RolloutValue:
    """Value states by following the clipped regulator for 5 s in the task's model."""
    if spec.dynamics is None:
        raise ValueError(f"{spec.id} has no model")
    regulator, rng = make_lqr(spec, LqrConfig()), torch.Generator()

    def act(state: Tensor) -> Tensor:
        return regulator.act({"state": state}, {}, rng).action[:, None]

    return RolloutValue(spec.dynamics(), act, 100, beyond=beyond)


def fit_critic(spec: EnvSpec, teacher: RolloutValue) -> CriticValue:
    """Fit a small network to the regulator's returns on random states."""
    generator = torch.Generator().manual_seed(0)
    coordinates = make_linear_mpc(spec, LinearMpcConfig()).plant.coordinates
    span = torch.tensor([2.5, 1.5], dtype=torch.float64)
    z = (2.0 * torch.rand(8192, 2, dtype=torch.float64, generator=generator) - 1.0) * span
    rows = torch.zeros(len(z), spec.state_size, dtype=spec.state_dtype)
    wanted = teacher.value(coordinates.write(rows, z))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Linear(5, 64),
            torch.nn.Tanh(),
            torch.nn.Linear(64, 64),
            torch.nn.Tanh(),
            torch.nn.Linear(64, 1),
        ).double()
    scale = float(wanted.std())
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, CRITIC_STEPS)

    def features(z: Tensor) -> Tensor:
        unit = z / span  # squares and the product let the network be quadratic near rest
        return torch.cat([unit, unit.square(), unit.prod(-1, keepdim=True)], dim=-1)

    for _ in range(CRITIC_STEPS):
        pick = torch.randint(len(z), (256,), generator=generator)
        loss = (net(features(z[pick]))[:, 0] - wanted[pick] / scale).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return CriticValue(net, lambda state: features(coordinates.read(state)), scale=scale)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="MPC against LQR, long horizons and strings")
    parser.add_argument(
        "--skip-success", action="store_true", help="leave out the success from random starts"
    )
    add_json_flag(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)  # the arrays are small: a second thread only waits for the first
    success = {} if options.skip_success else success_figures()
    report(
        {
            "mpc_lqr_error": mpc_lqr_error(),
            **terminal_value_figures(),
            **platoon_figures(),
            **success,
        },
        json_flag=options.json,
        title="model-predictive control against what it must equal",
        notes={
            "mpc_lqr_error": "bar: at most 1e-6",
            "terminal_value_gap": "bar: within 0.02; Riccati's P beyond 10 steps against 50 steps",
            "terminal_value_gap_without": "10 steps and nothing beyond",
            "terminal_value_gap_rollout": "100 steps of the clipped regulator, then P",
            "terminal_value_gap_critic": "a network fitted to that",
            "platoon_max_ratio": "bar: at most 1, without a collision",
            "platoon_max_ratio_uncompensated": "the same MPC blind to delay: above 1",
            **dict.fromkeys(success, "the second-best controller's rate; bar: at least 0.95"),
        },
        packages=("daqp", "piqp"),
    )


if __name__ == "__main__":
    main()
