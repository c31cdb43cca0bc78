"""Measure training end to end: the moba-1v1 preset as it stands, league and all, on this machine.

    python scripts/bench/train_speed.py [--updates 150] [--json]

An update is one batch collected and learned from.  Speed drifts on shared machines, so the updates
are timed one by one: the figure is the median, and the spread is shown beside it.
"""

from __future__ import annotations

import argparse

import numpy as np
from report import add_json_flag, report

from simrl.runs.presets import preset
from simrl.runs.training import build_run

WARM_UP = 20


def measure(name: str, updates: int) -> dict[str, float]:
    """Train for `updates` updates after a warm-up and return the figures."""
    run = build_run(preset(name))
    if run.league is not None:
        run.league.update(0, run.loop.learner.net.state_dict())
    for _ in range(WARM_UP):
        run.loop.update()
    rows = [run.loop.update() for _ in range(updates)]

    def median(key: str) -> float:
        return float(np.median([row[key] for row in rows]))

    rates = np.array([row["time/steps_per_s"] for row in rows])
    return {
        "agent_steps_per_s": float(np.median(rates)),
        "agent_steps_per_s_p10": float(np.quantile(rates, 0.1)),
        "agent_steps_per_s_p90": float(np.quantile(rates, 0.9)),
        "env_share": median("time/env_share"),
        "act_share": median("time/act_share"),
        "learn_share": median("time/learn_share"),
        "parameters": float(sum(p.numel() for p in run.loop.learner.net.parameters())),
    }


def main() -> None:
    """Parse the options, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="moba-1v1", help="which preset to train")
    parser.add_argument("--updates", type=int, default=150, help="updates that are timed")
    add_json_flag(parser)
    args = parser.parse_args()
    report(
        measure(args.preset, args.updates),
        json_flag=args.json,
        title=f"Training speed of {args.preset}, end to end",
        notes={
            "agent_steps_per_s": "median over updates; bar: 20,000 on two cores",
            "env_share": "share of the time in which games are stepped",
            "act_share": "share in which policies act, opponents too",
            "learn_share": "share in which the learner learns",
        },
    )


if __name__ == "__main__":
    main()
