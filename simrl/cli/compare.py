"""`simrl compare TASK`: put controllers through the same scenarios and report what that shows."""

from __future__ import annotations

import json
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from simrl.cli.arguments import parse
from simrl.cli.compare_table import figure_table, pair_table, winner_table
from simrl.compare.grid_file import find_grids
from simrl.compare.plan import Plan
from simrl.compare.run import Advance, check, require_parquet, write_table
from simrl.compare.run import run as play
from simrl.compare.summary import Summary, summarise
from simrl.compare.table import Table
from simrl.core.files import write_atomic
from simrl.runs.comparison import REPORT_FILE, write_report
from simrl.runs.controllers import entrants, make_member, split_controllers
from simrl.runs.machine import VERSIONED_PACKAGES, machine, versions
from simrl.runs.options import parse_options
from simrl.runs.policies import split_words

SUMMARY_FILE, EPISODES_FILE = "summary.json", "episodes.parquet"


@dataclass(frozen=True)
class CompareArguments:
    """Put controllers through the same scenarios: figures with intervals, and one HTML report.

    A comparison that was stopped goes on by the same command, and ends with the same table.
    """

    task: Annotated[str, tyro.conf.Positional]
    """Name of the environment."""
    controllers: str
    """Controllers, comma-separated: whatever `simrl evaluate` takes (nmpc:horizon=20, a run's
    folder, search:RUN, mppi:RUN), ppo:RUN1+RUN2+RUN3 for the training seeds of one recipe,
    sac:FILE.zip, module:function; LABEL=... gives a name."""
    out: Path
    """Folder of the comparison."""
    scenarios: str = "all"
    """Grids of the task's shipped file, comma-separated, or a file of your own: mine.yaml,
    mine.yaml:push,payload."""
    real_time: bool = False
    """Let compute time count: an action that took t to compute is applied t later."""
    seeds: int | None = None
    """Starts at each point of every grid, instead of what the file says."""
    seed: int = 0
    """Seed of the scenarios, the policies' draws and the bootstrap."""
    interface: tuple[str, ...] = ()
    """How a controller acts, where it chooses: NAME:OPTION=VALUE, such as
    osc:control=torque:control_step=0.01.  A run brings what it was trained with."""
    rows: int = 100
    """Most scenarios that are played side by side."""
    jobs: int = 0
    """Worker processes; 0 takes one for each core, and one alone in real time."""
    videos: int = 2
    """Scenarios that are shown side by side as videos; 0 for none."""
    open: bool = False
    """Open the report in the browser."""
    json: bool = False
    """Print one JSON object instead of tables."""


def run(arguments: Sequence[str]) -> int:
    """Compare, print, write the report; return the exit code."""
    args = parse(CompareArguments, "simrl compare", arguments)
    if args.videos < 0 or args.jobs < 0:
        raise ValueError(f"--videos and --jobs must be at least 0, got {args.videos}, {args.jobs}")
    require_parquet()
    torch.set_num_threads(1)
    plan = make_plan(args)
    check(plan, make_member)
    with Advancing(quiet=args.json) as advancing:
        table = play(plan, make_member, args.out, jobs=args.jobs, on_advance=advancing.show)
    summary = summarise(table)
    write_results(summary, table, args.out)
    notes = write_report(summary, args.out, make_member, command_of(arguments), videos=args.videos)
    out = Console(emoji=False, highlight=False, soft_wrap=True)
    if args.json:
        sys.stdout.write(json.dumps(described(summary)) + "\n")
    else:
        show(summary, out)
        for note in notes:
            out.print(note, markup=False)
        out.print(f"report: {args.out / REPORT_FILE}", markup=False)
    if args.open:
        webbrowser.open((args.out / REPORT_FILE).resolve().as_uri())
    return 0


def make_plan(args: CompareArguments) -> Plan:
    """Turn what was typed into a plan; ValueError names what is wrong before anything is run."""
    grids = find_grids(args.task, args.scenarios)
    if args.seeds is not None:
        grids = grids.with_seeds(args.seeds)
    names = split_controllers(args.controllers)
    plan = Plan(
        grids,
        entrants(names, grids, _interfaces(args.interface)),
        seed=args.seed,
        real_time=args.real_time,
        rows=args.rows,
    )
    scenarios = plan.scenarios()
    for number in range(len(plan.entrants)):
        plan.stage(number).configs(scenarios[:1])
    return plan


def write_results(summary: Summary, table: Table, folder: Path) -> None:
    """Write the summary as JSON and every episode as Parquet."""
    write_atomic(folder / SUMMARY_FILE, json.dumps(described(summary), indent=1) + "\n")
    write_table(table, folder / EPISODES_FILE)


def described(summary: Summary) -> dict[str, Any]:
    """Return the summary with the machine and the versions that made it."""
    packages = (*VERSIONED_PACKAGES, "mujoco", "scipy")
    return {**summary.to_dict(), "machine": machine(), "versions": versions(packages)}


def show(summary: Summary, out: Console) -> None:
    """Print figures, pairs and winners."""
    for where in summary.figures:
        out.print(figure_table(summary, where))
    if summary.pairs:
        out.print(pair_table(summary))
        out.print(winner_table(summary))


def command_of(words: Sequence[str]) -> str:
    """Return the command that was typed, for the report."""
    quoted = [word if word.replace("-", "").isalnum() else f"'{word}'" for word in words]
    return " ".join(["simrl", "compare", *quoted])


class Advancing:
    """Show how far a comparison is: a bar with the time left, or a line for each piece of work."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(emoji=False, highlight=False, stderr=True)
        self._quiet = quiet
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.total:.0f} episodes"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._bar.add_task("checking", total=None)

    def __enter__(self) -> Advancing:
        """Start the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state standing."""
        self._bar.stop()

    def show(self, advance: Advance) -> None:
        """Show one more piece of work."""
        self._bar.update(
            self._task, completed=advance.done, total=advance.total, description=advance.text
        )
        if not self._quiet and not self._console.is_terminal:
            self._console.print(
                f"{advance.done} of {advance.total} episodes: {advance.text}", soft_wrap=True
            )


def _interfaces(texts: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """Read NAME:OPTION=VALUE:... texts."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, *options = split_words(text)
        if not options or "=" in name:
            raise ValueError(f"--interface is NAME:OPTION=VALUE, got {text!r}")
        found.setdefault(name, {}).update(parse_options(options))
    return found
