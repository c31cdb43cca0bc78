"""`simrl train PRESET`: train an agent, or continue a run."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

import tyro
from rich.console import Console

from simrl.cli.arguments import parse_preset, with_length
from simrl.cli.display import TrainingDisplay
from simrl.cli.tables import evaluation_table
from simrl.learn.loop import Loop
from simrl.runs.config import TrainConfig, run_config
from simrl.runs.evaluation import EvaluationHook
from simrl.runs.options import parse_options
from simrl.runs.presets import PRESETS, preset
from simrl.runs.training import Run, resume_run, start_run


@dataclass(frozen=True)
class TrainArguments:
    """Train an agent; every figure, checkpoint and replay goes to the run's folder."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder of the run; by default runs/PRESET-DATE-TIME."""
    resume: Path | None = None
    """Continue the run in this folder from its newest checkpoint; only --minutes and --steps, if
    given, replace what it was started with."""
    minutes: float | None = None
    """Train for so many minutes in all [min]; replaces the preset's length."""
    steps: int | None = None
    """Train for so many agent-steps in all; replaces the preset's length."""
    option: tuple[str, ...] = ()
    """Options of the environment's config, each NAME=VALUE with the value in YAML."""
    evaluate: bool = True
    """Play the evaluation games at the end."""


def run(arguments: Sequence[str]) -> int:
    """Train as asked and return the exit code."""
    words = list(arguments)
    if not words or words[0] in ("-h", "--help"):
        _print_help()
        return 0 if words else 2
    name, args = parse_preset(
        "simrl train", words, PRESETS, lambda name: TrainArguments(preset(name))
    )
    console = Console(emoji=False, highlight=False)
    if args.resume and (args.config != preset(name) or args.option):
        raise ValueError("a resumed run keeps its config; only --minutes and --steps may be given")
    built = _resume(args) if args.resume else _start(name, args)
    if built.folder is None:
        raise ValueError("the run has no folder")
    console.print(f"run folder: {built.folder}", soft_wrap=True)
    return train(built, console, title=name, evaluate=args.evaluate)


class Trainable(Protocol):
    """What a run must have to be trained with a display."""

    @property
    def config(self) -> TrainConfig:
        """What was asked for."""
        ...

    @property
    def loop(self) -> Loop:
        """The training loop."""
        ...

    @property
    def evaluation(self) -> EvaluationHook:
        """What measures the run."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where everything is written."""
        ...


def train(
    built: Trainable,
    console: Console,
    *,
    title: str,
    evaluate: bool = True,
    command: str = "",
    report: str = "",
) -> int:
    """Train a built run with a display; Ctrl-C saves and says how to resume.

    `command` starts such a run and `report` tells about this one; by default those of plain runs.
    A second Ctrl-C, or one in the last evaluation, stops at once: the last checkpoint is good.
    """
    resume = f"continue with: {command or f'simrl train {title}'} --resume {built.folder}"
    try:
        if _interrupted(built, console, title):
            console.print(f"stopped and saved; {resume}", soft_wrap=True)
            return 2
        _finish(built, console, evaluate, report or f"simrl report {built.folder}")
        return 0
    except KeyboardInterrupt:
        saved = built.loop.checkpoints is not None and built.loop.checkpoints.steps()
        if saved:
            console.print(f"stopped; {resume}", soft_wrap=True)
        else:
            console.print("stopped before anything was saved")
        return 2
    finally:
        if built.loop.writer is not None:
            built.loop.writer.close()


def _interrupted(built: Trainable, console: Console, title: str) -> bool:
    """Train to the end, or until the first Ctrl-C; tell whether there was one."""
    loop = built.loop
    with (
        _stop_on_interrupt() as interrupted,
        TrainingDisplay(title, loop.config, console) as display,
    ):
        loop.hooks.append(display)
        if built.config.evaluation.at_start and loop.progress.updates == 0:
            display.note("measuring the untrained agent")
            figures = built.evaluation.evaluate(loop.progress)
            display.after_update(loop.progress, figures)
        loop.run(lambda: bool(interrupted))
    return bool(interrupted)


def _finish(built: Trainable, console: Console, evaluate: bool, report: str) -> None:
    """Evaluate, save and say what was done."""
    loop = built.loop
    if evaluate:
        figures = built.evaluation.evaluate(loop.progress)
        if loop.writer is not None:
            loop.writer.write(loop.progress.steps, figures)
        loop.save()
        console.print(evaluation_table(built.evaluation.last))
    console.print(
        f"trained {loop.progress.steps:,} agent-steps in {loop.progress.seconds / 60:.1f} minutes\n"
        f"report:   {report}",
        soft_wrap=True,
    )


def _start(name: str, args: TrainArguments) -> Run:
    folder = args.out or Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    config = args.config
    options = {**config.env_options, **parse_options(args.option)}
    loop = with_length(config.loop, args)
    return start_run(dataclasses.replace(config, env_options=options, loop=loop), folder)


def _resume(args: TrainArguments) -> Run:
    if args.resume is None:
        raise ValueError("there is nothing to resume")
    config = run_config(args.resume)
    return resume_run(args.resume, dataclasses.replace(config, loop=with_length(config.loop, args)))


@contextmanager
def _stop_on_interrupt() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM in a list, so that an update or a checkpoint ends whole.

    A second Ctrl-C stops at once; the last checkpoint is still good.
    """
    caught: list[int] = []

    def handle(number: int, frame: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_help() -> None:
    out = Console(emoji=False, highlight=False)
    out.print("usage: simrl train PRESET [--minutes M | --steps N] [--seed S] [--out DIR]")
    out.print("                         [--resume DIR] [any field of the config]\n")
    out.print("simrl train PRESET --help shows every field. The presets:\n")
    for name, function in PRESETS.items():
        out.print(f"  [bold]{name:<14}[/] {(function.__doc__ or '').splitlines()[0]}")
