"""Run studies that train or play for minutes: which, on which seeds, and what they print."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from report import add_json_flag, report

from simrl.core.files import write_atomic


@dataclass(frozen=True)
class Measured:
    """Hold what one study measured."""

    figures: dict[str, float]
    """Numbers by name, as the benchmark prints them."""
    notes: dict[str, str] = field(default_factory=dict)
    """For some figures, the interval, what it means or which bar it is held to."""
    curves: dict[str, Any] = field(default_factory=dict)
    """What `--curves FILE` keeps as JSON."""


@dataclass(frozen=True)
class Study:
    """Hold a study and its own seeds."""

    run: Callable[[Sequence[int]], Measured]
    """Measures on the seeds given."""
    seeds: range
    """Its seeds where none are asked for."""


def run_studies(
    studies: Mapping[str, Study], *, about: str, title: str, packages: Iterable[str]
) -> None:
    """Run the studies that the command line asks for, on one torch thread, and print figures."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--only", choices=studies, action="append", help="run these studies alone")
    parser.add_argument("--seeds", type=int, help="number of seeds; default: the study's own")
    parser.add_argument("--first-seed", type=int, help="first seed; default: the study's own")
    parser.add_argument("--curves", type=Path, help="JSON file for what lies behind the figures")
    add_json_flag(parser)
    args = parser.parse_args()
    if args.seeds is not None and args.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {args.seeds}")
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    notes: dict[str, str] = {}
    curves = {}
    for name in args.only or studies:
        study = studies[name]
        first = study.seeds.start if args.first_seed is None else args.first_seed
        measured = study.run(range(first, first + (args.seeds or len(study.seeds))))
        figures |= measured.figures
        notes |= measured.notes
        curves[name] = measured.curves
    if args.curves is not None:
        write_atomic(args.curves, json.dumps(curves, indent=1) + "\n")
    report(figures, json_flag=args.json, title=title, notes=notes, packages=packages)
