"""`simrl expert`: train a network by the searches it guides, and rate what it was on the way."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from simrl.cli.arguments import chosen_action, parse, parse_preset, with_length
from simrl.cli.players import split_names
from simrl.cli.train import train
from simrl.runs.expert import (
    ExpertConfig,
    ExpertRun,
    expert_config,
    resume_expert,
    start_expert,
)
from simrl.runs.expert_elo import EloPoint, elo_curve
from simrl.runs.expert_presets import PRESETS, preset
from simrl.runs.options import parse_options


@dataclass(frozen=True)
class ExpertArguments:
    """Train by expert iteration; every figure and checkpoint goes to the run's folder."""

    config: Annotated[ExpertConfig, tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder of the run; by default runs/expert-PRESET-DATE-TIME."""
    resume: Path | None = None
    """Continue the run in this folder from its newest checkpoint; only --minutes and --steps, if
    given, replace what it was started with."""
    minutes: float | None = None
    """Train for so many minutes in all [min]; replaces the preset's length."""
    steps: int | None = None
    """Train for so many searched positions in all; replaces the preset's length."""
    option: tuple[str, ...] = ()
    """Options of the environment's config, each NAME=VALUE with the value in YAML."""
    evaluate: bool = True
    """Play the evaluation games at the end."""


@dataclass(frozen=True)
class EloArguments:
    """Rate a run's frozen snapshots and other players against each other: its Elo curve.

    Everybody plays everybody, sides swapped; the snapshots search as evaluations of the run do.
    The ratings are written to elo.json in the run's folder, too.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a run of expert iteration."""
    opponents: str = ""
    """Other players, comma-separated: scripted policies, searches, other runs."""
    snapshots: int = 6
    """Snapshots to rate, evenly spread over the run, its first and last state among them."""
    simulations: int | None = None
    """Simulations of each move of a snapshot; default: as in the run's evaluations."""
    games: int = 40
    """Games between each two players; even, since sides are swapped."""
    seed: int = 1
    """Seed of the games."""
    json: bool = False
    """Print one JSON object instead of a table."""


def run(arguments: Sequence[str]) -> int:
    """Do what the first word says and return the exit code."""
    words = list(arguments)
    action = chosen_action(words, ACTIONS, _print_help)
    return action if isinstance(action, int) else ACTIONS[action](words[1:])


def _train(words: Sequence[str]) -> int:
    if words and words[0] in ("-h", "--help"):
        _print_help()
        return 0
    name, args = parse_preset(
        "simrl expert train", words, PRESETS, lambda name: ExpertArguments(preset(name))
    )
    if args.resume and (args.config != preset(name) or args.option):
        raise ValueError("a resumed run keeps its config; only --minutes and --steps may be given")
    built = _resume(args) if args.resume else _start(name, args)
    console = Console(emoji=False, highlight=False)
    console.print(f"run folder: {built.folder}", soft_wrap=True)
    return train(
        built,
        console,
        title=f"expert {name}",
        evaluate=args.evaluate,
        command=f"simrl expert train {name}",
    )


def _start(name: str, args: ExpertArguments) -> ExpertRun:
    folder = args.out or Path("runs") / f"expert-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    config = args.config
    options = {**config.env_options, **parse_options(args.option)}
    loop = with_length(config.loop, args)
    return start_expert(dataclasses.replace(config, env_options=options, loop=loop), folder)


def _resume(args: ExpertArguments) -> ExpertRun:
    if args.resume is None:
        raise ValueError("there is nothing to resume")
    config = expert_config(args.resume)
    return resume_expert(
        args.resume, dataclasses.replace(config, loop=with_length(config.loop, args))
    )


def _elo(words: Sequence[str]) -> int:
    args = parse(EloArguments, "simrl expert elo", list(words))
    status = Console(emoji=False, stderr=True, highlight=False).status(
        "playing everybody against everybody"
    )
    with status:
        points = elo_curve(
            args.run,
            split_names(args.opponents),
            count=args.snapshots,
            simulations=args.simulations,
            games=args.games,
            seed=args.seed,
        )
    if args.json:
        sys.stdout.write(json.dumps([vars(point) for point in points], indent=2) + "\n")
    else:
        Console(emoji=False, highlight=False).print(elo_table(points))
    return 0


def elo_table(points: Sequence[EloPoint]) -> Table:
    """Lay out an Elo curve, in the order of training; the other players come last."""
    table = Table(title="Elo; 400 points are odds of ten to one, the first snapshot is 0")
    table.add_column("player")
    for column in ("positions", "minutes", "Elo", "95 % interval"):
        table.add_column(column, justify="right")
    for point in points:
        table.add_row(
            point.player,
            "" if point.steps is None else f"{point.steps:,}",
            "" if point.minutes is None else f"{point.minutes:.1f}",
            f"{point.elo:+.0f}",
            f"{point.low:+.0f} to {point.high:+.0f}",
        )
    return table


def _print_help() -> None:
    out = Console(emoji=False, highlight=False)
    out.print("usage: simrl expert train PRESET [--minutes M | --steps N] [--seed S] [--out DIR]")
    out.print("                                [--resume DIR] [any field of the config]")
    out.print("       simrl expert elo RUN [--opponents A,B] [--games N]\n")
    out.print("A network guides a search, and learns from what the search made of its hints")
    out.print(
        "(AlphaZero, Gumbel AlphaZero). train PRESET --help shows every field. The presets:\n"
    )
    for name, function in PRESETS.items():
        out.print(f"  [bold]{name:<14}[/] {(function.__doc__ or '').splitlines()[0]}")


ACTIONS: dict[str, Callable[[Sequence[str]], int]] = {"train": _train, "elo": _elo}
"""What can follow `simrl expert`."""
