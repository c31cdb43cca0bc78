"""Measure what is learned on robots: read finished runs, or train what is missing.

    python scripts/bench/robot_learning.py [--recipes quadrotor-track arm-reach] [--seeds 0 1 2]

The runs lie in runs/learn-robots, where `make learn-robots` puts them.  Costs are those of the
task's reward, beside a model-based controller's from the same starts; see
`simrl.runs.robot_scores`.  Training takes hours for all recipes and seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from report import add_json_flag, report

from simrl.runs.robot_recipes import RUNS, measure_recipes
from simrl.runs.robot_scores import RECIPES

BARS = {
    "cartpole_cost_over_nmpc": "bar 1.1 in 5 minutes",
    "quadrotor_cost_over_nmpc": "bar 1.1 in 5 minutes",
    "arm_cost_over_nmpc": "bar 1.1 in 5 minutes; beside osc or inverse-dynamics",
    "quadruped_rmse": "bar 0.15 m/s in 30 minutes, commands -0.5 to 1.0 m/s",
    "quadruped_survival": "share of episodes of 20 s without a fall",
    "car_state_cost_over_nmpc": "by numbers instead of the camera, with obstacles; no bar",
    "car_lap_done": "share of laps of 400 m on unseen roads without a takeover, from a camera",
    "car_train_min": "bar 20 minutes",
    "halfcheetah_return": "bar 5800: best published PPO at 1M steps",
    "hopper_return": "bar 2600: best published PPO at 1M steps",
    "walker2d_return": "bar 3600: best published PPO at 1M steps",
}
"""What the figures are held to."""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="training seeds")
    parser.add_argument("--games", type=int, help="episodes that each policy plays")
    parser.add_argument("--steps", type=int, help="agent-steps of a run that is missing")
    parser.add_argument("--out", type=Path, default=RUNS, help="folder of the runs")
    add_json_flag(parser)
    options = parser.parse_args()
    figures = measure_recipes(
        options.recipes, options.seeds, options.out, steps=options.steps, games=options.games
    )
    report(
        figures,
        json_flag=options.json,
        title=f"learning on robots, seeds {', '.join(map(str, options.seeds))}",
        notes={name: note for name, note in BARS.items() if name in figures},
        packages=("mujoco", "casadi"),
    )


if __name__ == "__main__":
    main()
