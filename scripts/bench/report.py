"""Print the figures of a benchmark: a table for people, or one JSON object for programs.

Every script of this folder measures both sides of its claim in one run, then ends with
`report(figures, ...)`. The scripts are run as `python scripts/bench/x.py`, which puts this folder
first on the import path, so `from report import ...` finds this file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table

from simrl.runs.machine import VERSIONED_PACKAGES, machine
from simrl.runs.machine import versions as package_versions


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    """Add the `--json` option that every benchmark has.

    Args:
        parser: The script's own parser.
    """
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of a table"
    )


def report(
    figures: Mapping[str, float],
    *,
    json_flag: bool,
    title: str,
    notes: Mapping[str, str] | None = None,
    packages: Iterable[str] = (),
) -> None:
    """Print the figures of one benchmark to standard output.

    Args:
        figures: The measured numbers by name; names carry their unit (`train_s`, `steps_per_s`).
        json_flag: Print `{"figures": ..., "machine": ..., "versions": ...}` and nothing else.
        title: What was measured, in one line.
        notes: For some figures, what the number means or which bar it is held to.
        packages: Distributions whose versions matter here beside simrl, torch, numpy and numba.

    Raises:
        ValueError: A note names a figure that was not measured.
    """
    notes = notes or {}
    unknown = sorted(set(notes) - set(figures))
    if unknown:
        raise ValueError(f"notes for unknown figures {unknown}; the figures are {sorted(figures)}")
    versions = package_versions((*VERSIONED_PACKAGES, *packages))
    if json_flag:
        payload = {
            "figures": {name: float(value) for name, value in figures.items()},
            "machine": machine(),
            "versions": versions,
        }
        print(json.dumps(payload, indent=2))
        return
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("note", overflow="fold")
    for name, value in figures.items():
        table.add_row(name, format_figure(value), notes.get(name, ""))
    console = Console(emoji=False)
    console.print(table)
    stands_on = [f"{key} {value}" for key, value in {**machine(), **versions}.items()]
    console.print(", ".join(stands_on), style="dim", highlight=False)


def format_figure(value: float) -> str:
    """Write a number as people read it: no decimals when large, four significant digits else."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
