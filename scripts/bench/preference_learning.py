"""Learning from preferences: returns on the true reward after training on a learned one.

Each study trains several seeds on one torch thread: on the reward that a scripted teacher's answers
make the reward model learn, and, where that is the comparison, the same learner on the true reward.
Returns are those of the true reward, which the learner never saw.  `--curves FILE` keeps every
seed's curve as JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from preference_studies import cartpole, moba, pendulum, robot
from preference_studies.runs import Outcome
from report import add_json_flag, report

from simrl.core.files import write_atomic

Study = Callable[[Sequence[int]], tuple[dict[str, float], dict[str, list[Outcome]]]]

STUDIES: dict[str, tuple[Study, dict[str, str], range]] = {
    "pendulum": (pendulum.study, pendulum.NOTES, range(5, 10)),
    "cartpole": (cartpole.study, cartpole.NOTES, range(8, 13)),
    "robot": (robot.study, robot.NOTES, range(3, 6)),
    "moba": (moba.study, moba.NOTES, range(3)),
}
"""Each study with its notes and its seeds: others than those on which its settings were chosen."""


def main() -> None:
    """Run the studies asked for and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=STUDIES, action="append", help="run these studies alone")
    parser.add_argument("--seeds", type=int, help="number of seeds; default: the study's own")
    parser.add_argument("--first-seed", type=int, help="first seed; default: the study's own")
    parser.add_argument("--curves", type=Path, help="JSON file for every seed's curve")
    add_json_flag(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    notes: dict[str, str] = {}
    curves = {}
    for name in args.only or STUDIES:
        study, study_notes, own = STUDIES[name]
        first = own.start if args.first_seed is None else args.first_seed
        measured, runs = study(range(first, first + (args.seeds or len(own))))
        figures |= measured
        notes |= study_notes
        curves[name] = {
            kind: [dataclasses.asdict(run) for run in some] for kind, some in runs.items()
        }
    if args.curves is not None:
        write_atomic(args.curves, json.dumps(curves, indent=1) + "\n")
    report(
        figures,
        json_flag=args.json,
        title="Learning from preferences: true returns of policies trained on learned rewards",
        notes=notes,
        packages=("gymnasium", "mujoco"),
    )


if __name__ == "__main__":
    main()
