"""Measure string stability of a platoon under delay, with and without compensation.

Ten cars, the first of which is driven by a person; commands take effect 200 ms late, and plans
arrive 200 ms old.  The leader brakes hard, changes its speed in steps, or swings it as a sine at
frequencies over the critical band.  Every follower starts at its gap, so that the leader is the
only disturbance.  For each episode the 2-norm over time of every follower's spacing error e is
taken; the ratio of a follower is its norm over its predecessor's, and the figure is the largest
ratio of all followers (from the second on) in all episodes: at most 1 is string stable.  Both sides
have the same weights and horizon and meet the same episodes.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from report import add_json_flag, report

from simrl.core.plugins import controller_plugin, make_config, make_env
from simrl.rollout import EpisodeTable, evaluate

SETTING: dict[str, Any] = {
    "num_cars": 10,
    "actuation_delay": 0.2,
    "comm_delay": 0.2,
    "spread": 0.0,
}
"""The bar's platoon; the rest is the task's default."""
FREQUENCIES = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 5.0)
"""Angular frequencies of the leader's speed [rad/s]."""
DRIVES: tuple[tuple[dict[str, Any], int], ...] = (
    ({"profile": "brake"}, 8),
    ({"profile": "brake", "deceleration": 7.0}, 4),
    ({"profile": "steps"}, 8),
    *(({"profile": "sine", "frequency": value}, 1) for value in FREQUENCIES),
)
"""How the leader drives, and in how many episodes."""


def drive_platoon(options: dict[str, Any], *, compensate: bool, games: int) -> EpisodeTable:
    """Play `games` episodes with `platoon-mpc` in every car and return them."""
    env = make_env("platoon", games, **SETTING, **options)
    plugin = controller_plugin("platoon-mpc")
    config = make_config(plugin.config, {"compensate": compensate}, "platoon-mpc")
    policy = plugin.make(env.spec, config)
    return evaluate(env, policy, games=games, seed=0, deterministic=True).scores[0].episodes


def max_ratio(episodes: EpisodeTable) -> float:
    """Return the largest ratio of successive spacing-error norms; infinite on a collision."""
    if bool(episodes.metric("collision").any()):
        return float("inf")
    norms = episodes.metric("error_norm")
    return float((norms[:, 1:] / norms[:, :-1]).max())


def platoon_figures() -> dict[str, float]:
    """Return the figures of the platoon by name."""
    figures: dict[str, float] = {}
    for compensate, ending in ((True, ""), (False, "_uncompensated")):
        tables = [
            drive_platoon(options, compensate=compensate, games=games) for options, games in DRIVES
        ]
        figures[f"platoon_max_ratio{ending}"] = max(max_ratio(table) for table in tables)
        hits = [table.metric("collision")[:, 0] for table in tables]
        figures[f"platoon_collisions{ending}"] = float(np.concatenate(hits).sum())
        gaps = [table.metric("min_gap").min() for table in tables]
        figures[f"platoon_min_gap_m{ending}"] = float(min(gaps))
        errors = [table.metric("rmse").max() for table in tables]
        figures[f"platoon_worst_rmse_m{ending}"] = float(max(errors))
    return figures


def plot_norms(path: str) -> None:
    """Draw how the spacing error passes from car to car, with and without compensation."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = {
        "brake": ({"profile": "brake"}, 8),
        "sine, 1 rad/s": DRIVES[3 + FREQUENCIES.index(1.0)],
    }
    figure, axes = pyplot.subplots(1, len(shown), figsize=(10, 4), sharey=True, squeeze=False)
    for axis, (title, (options, games)) in zip(axes[0], shown.items(), strict=True):
        for compensate, label in ((True, "compensated"), (False, "blind to delay")):
            norms = drive_platoon(options, compensate=compensate, games=games).metric("error_norm")
            cars = np.arange(1, norms.shape[1] + 1)
            axis.semilogy(cars, norms.T, color="C0" if compensate else "C3", alpha=0.5)
            axis.plot([], [], color="C0" if compensate else "C3", label=label)
        axis.set(title=title, xlabel="follower")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("norm of the spacing error [m s^0.5]")
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="string stability of a platoon under delay")
    add_json_flag(parser)
    parser.add_argument("--plot", default="", help="also draw each car's error into this file")
    options = parser.parse_args()
    if options.plot:
        plot_norms(options.plot)
    report(
        platoon_figures(),
        json_flag=options.json,
        title="platoon of 10 cars, 200 ms actuation and communication delay",
        notes={
            "platoon_max_ratio": "bar: at most 1, without a collision",
            "platoon_max_ratio_uncompensated": "the same MPC blind to delay: above 1",
        },
        packages=("daqp",),
    )


if __name__ == "__main__":
    main()
