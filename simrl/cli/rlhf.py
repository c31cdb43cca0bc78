"""`simrl prefs rlhf PRESET`: clone, learn a reward from comparisons, then PPO near the clone."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from simrl.cli.arguments import parse_preset, with_length
from simrl.cli.train import train
from simrl.core.files import write_atomic
from simrl.runs.report.charts import standalone
from simrl.runs.rlhf import (
    PRESETS,
    RLHFConfig,
    RLHFRun,
    preset,
    resume_rlhf,
    rlhf_config,
    start_rlhf,
)
from simrl.runs.rlhf_report import gold_chart

CHART = "overoptimisation.svg"
"""Name of the picture that a run leaves in its folder."""


@dataclass(frozen=True)
class RLHFArguments:
    """Clone a demonstrator (or take a run), learn a reward from comparisons, train near the clone.

    At the end the true reward is fitted against the distance to the clone; a picture of it,
    overoptimisation.svg, is left in the run's folder.
    """

    config: Annotated[RLHFConfig, tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder of the run; by default runs/rlhf-PRESET-DATE-TIME."""
    resume: Path | None = None
    """Continue the run in this folder from its newest checkpoint; only --minutes and --steps, if
    given, replace what it was started with."""
    minutes: float | None = None
    """Train for so many minutes in all [min]; replaces the preset's length."""
    steps: int | None = None
    """Train for so many agent-steps in all; replaces the preset's length."""
    evaluate: bool = True
    """Play the evaluation games at the end."""


def rlhf(words: Sequence[str]) -> int:
    """Run the three steps, or go on with the third, and return the exit code."""
    name, args = parse_preset(
        "simrl prefs rlhf", words, PRESETS, lambda name: RLHFArguments(preset(name))
    )
    if args.resume and args.config != preset(name):
        raise ValueError("a resumed run keeps its config; only --minutes and --steps may be given")
    console = Console(emoji=False, highlight=False)
    built = _resume(args) if args.resume else _start(name, args, console)
    console.print(f"run folder: {built.run.folder}", soft_wrap=True)
    code = train(
        built.run,
        console,
        title=f"rlhf {name}",
        command=f"simrl prefs rlhf {name}",
        report=f"simrl prefs report {built.run.folder}",
        evaluate=args.evaluate,
    )
    if code == 0 and built.run.folder is not None:
        try:
            picture = standalone(gold_chart(built.run.folder))
            write_atomic(built.run.folder / CHART, picture)
        except ValueError as error:
            console.print(f"no picture of over-optimisation: {error}", soft_wrap=True)
    return code


def _start(name: str, args: RLHFArguments, console: Console) -> RLHFRun:
    folder = args.out or Path("runs") / f"rlhf-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    prefs = args.config.prefs
    train_config = dataclasses.replace(prefs.train, loop=with_length(prefs.train.loop, args))
    prefs = dataclasses.replace(prefs, train=train_config)
    return start_rlhf(dataclasses.replace(args.config, prefs=prefs), folder, console.print)


def _resume(args: RLHFArguments) -> RLHFRun:
    if args.resume is None:
        raise ValueError("there is nothing to resume")
    config = rlhf_config(args.resume).prefs.train
    return resume_rlhf(
        args.resume, dataclasses.replace(config, loop=with_length(config.loop, args))
    )
