"""`simrl report RUN`: one HTML page about a run."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from simrl.cli.arguments import parse
from simrl.runs.report import write_report


@dataclass(frozen=True)
class ReportArguments:
    """Write one self-contained HTML page about a run: curves, win rates, league, replays."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    out: Path | None = None
    """File to write; by default report.html in the run's folder."""
    open: bool = False
    """Open the page in the browser."""


def run(arguments: Sequence[str]) -> int:
    """Write the page and say where it is; return the exit code."""
    args = parse(ReportArguments, "simrl report", arguments)
    path = write_report(args.run, args.out)
    Console(emoji=False, highlight=False, soft_wrap=True).print(f"report: {path}", markup=False)
    if args.open:
        webbrowser.open(path.resolve().as_uri())
    return 0
