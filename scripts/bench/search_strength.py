"""How strong searches play: against exact answers, against OpenSpiel, against their own priors.

Each study is a module of `search_studies` with a function `study(seeds) -> Measured`; seeds are
whole numbers that the study's random streams are made from.  `--only NAME` runs some of them, and
`--curves FILE` keeps what they say beside their figures as JSON.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path

import torch
from report import add_json_flag, report
from search_studies.measured import Measured

from simrl.core.files import write_atomic

STUDIES: dict[str, int] = {
    "connect_four": 4,
    "expert_iteration": 1,
    "moba": 2,
    "moba_teacher": 1,
    "fbts": 1,
}
"""Each study, by the name of its module, with its number of seeds."""


def main() -> None:
    """Run the studies asked for and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=STUDIES, action="append", help="run these studies alone")
    parser.add_argument("--seeds", type=int, help="seeds of each study; default: its own number")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--curves", type=Path, help="JSON file for what lies behind the figures")
    add_json_flag(parser)
    args = parser.parse_args()
    if args.seeds is not None and args.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {args.seeds}")
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    notes: dict[str, str] = {}
    curves = {}
    for name in args.only or STUDIES:
        number = STUDIES[name] if args.seeds is None else args.seeds
        measured = run(name, range(args.first_seed, args.first_seed + number))
        figures |= measured.figures
        notes |= measured.notes
        curves[name] = measured.curves
    if args.curves is not None:
        write_atomic(args.curves, json.dumps(curves, indent=1) + "\n")
    report(
        figures,
        json_flag=args.json,
        title="Strength of searches",
        notes=notes,
        packages=("open-spiel",),
    )


def run(name: str, seeds: range) -> Measured:
    """Import one study and run it."""
    measured: Measured = import_module(f"search_studies.{name}").study(seeds)
    return measured


if __name__ == "__main__":
    main()
