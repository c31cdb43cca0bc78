"""`simrl prefs train PRESET`, `rlhf PRESET` and `report RUN`: train on a reward that is learned."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from simrl.cli.arguments import chosen_action, parse, parse_preset, with_length
from simrl.cli.rlhf import rlhf
from simrl.cli.train import train
from simrl.preferences.reward_files import save_reward_model
from simrl.runs.options import parse_options
from simrl.runs.page import PageConfig
from simrl.runs.preference_presets import PRESETS, preset
from simrl.runs.preferences import (
    HUMAN,
    REWARD_MODEL_FOLDER,
    PreferenceConfig,
    PreferenceRun,
    preference_config,
    resume_preferences,
    start_preferences,
)
from simrl.runs.preferences_report import preference_figures
from simrl.runs.rlhf import PRESETS as RLHF_PRESETS
from simrl.runs.rlhf import is_rlhf
from simrl.runs.rlhf_report import rlhf_figures

ACTIONS = {
    "train": "train an agent on a reward that is learned from comparisons",
    "rlhf": "the three steps of RLHF: a policy to start from, a reward model, PPO near the policy",
    "report": "print what a run asked, what it learned and how it did",
}
"""What `simrl prefs` can do."""


@dataclass(frozen=True)
class PrefsTrainArguments:
    """Train an agent on a reward that is learned from comparisons of its play.

    With a scripted teacher (oracle, mistake, noisy, skip, myopic, equal) the answers come at once.
    With --teacher human they come from the labelling page, which is served beside training;
    questions are asked while training goes on, and people answer whenever they come.
    """

    config: Annotated[PreferenceConfig, tyro.conf.arg(name="")]
    out: Path | None = None
    """Folder of the run; by default runs/prefs-PRESET-DATE-TIME."""
    resume: Path | None = None
    """Continue the run in this folder from its newest checkpoint; only --minutes and --steps, if
    given, replace what it was started with."""
    labels: int | None = None
    """Ask so many questions in all; short for --queries.labels."""
    wait: int | None = None
    """Learn nothing before so many answers have come; short for --queries.wait."""
    minutes: float | None = None
    """Train for so many minutes in all [min]; replaces the preset's length."""
    steps: int | None = None
    """Train for so many agent-steps in all; replaces the preset's length."""
    option: tuple[str, ...] = ()
    """Options of the environment's config, each NAME=VALUE with the value in YAML."""
    term: tuple[str, ...] = ()
    """Reward terms of the environment that a scripted teacher judges by instead of the task's
    reward, each NAME=WEIGHT."""
    evaluate: bool = True
    """Play the evaluation games at the end."""
    page: PageConfig = field(default_factory=PageConfig)
    """Where the labelling page is served if people answer."""


@dataclass(frozen=True)
class PrefsReportArguments:
    """Print what a run asked, what its reward model learned, and how the agent does."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    out: Path | None = None
    """File of the page about the reward model; by default reward_model.html in the run's folder."""
    page: bool = True
    """Judge the reward model by fresh play (of people: by held-out answers) and write the page."""
    json: bool = False
    """Print one JSON object instead of a table, and write no page."""
    open: bool = False
    """Open the page in the browser."""


def run(arguments: Sequence[str]) -> int:
    """Do what the first word says and return the exit code."""
    words = list(arguments)
    action = chosen_action(words, ACTIONS, _print_help)
    if isinstance(action, int):
        return action
    rest = words[1:]
    if action in ("train", "rlhf") and (not rest or rest[0] in ("-h", "--help")):
        _print_help()
        return 0 if rest else 2
    return {"train": _train, "rlhf": rlhf, "report": _report}[action](rest)


def _train(words: list[str]) -> int:
    name, args = parse_preset(
        "simrl prefs train", words, PRESETS, lambda name: PrefsTrainArguments(preset(name))
    )
    asked = args.labels is not None or args.wait is not None or bool(args.term)
    if args.resume and (args.config != preset(name) or args.option or asked):
        raise ValueError("a resumed run keeps its config; only --minutes and --steps may be given")
    console = Console(emoji=False, highlight=False)
    built = _resume(args) if args.resume else _start(name, args)
    try:
        return _run(built, name, args, console)
    finally:
        if built.people is not None:
            built.people.close()


def _run(built: PreferenceRun, name: str, args: PrefsTrainArguments, console: Console) -> int:
    console.print(f"run folder: {built.run.folder}", soft_wrap=True)
    if built.people is not None:
        console.print(f"labelling page: {built.people.serve(args.page)}", soft_wrap=True)
        if built.loop.config.wait:
            console.print(f"training waits for the first {built.loop.config.wait} answers")
    code = train(
        built.run,
        console,
        title=f"prefs {name}",
        command=f"simrl prefs train {name}",
        report=f"simrl prefs report {built.run.folder}",
        evaluate=args.evaluate,
    )
    if code == 0 and built.loop.ready and built.run.folder is not None:
        save_reward_model(built.loop.trainer.ensemble, built.run.folder / REWARD_MODEL_FOLDER)
    return code


def _start(name: str, args: PrefsTrainArguments) -> PreferenceRun:
    stem = f"prefs-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    config = args.config
    train_config = config.train
    options = {**train_config.env_options, **parse_options(args.option)}
    loop = with_length(train_config.loop, args)
    queries = config.queries
    if args.labels is not None:
        queries = dataclasses.replace(queries, labels=args.labels)
    if args.wait is not None:
        queries = dataclasses.replace(queries, wait=args.wait)
    train_config = dataclasses.replace(train_config, env_options=options, loop=loop)
    config = dataclasses.replace(config, train=train_config, queries=queries)
    if args.term and config.teacher == HUMAN:
        raise ValueError("people judge by themselves; --term is for scripted teachers")
    if args.term:
        config = dataclasses.replace(config, terms=_weights(args.term))
    out = args.out or Path("runs") / stem
    if config.teacher == HUMAN:
        from simrl.runs.people import check_page  # needs packages that scripted teachers do without

        check_page(args.page, out)
    return start_preferences(config, out)


def _weights(terms: Sequence[str]) -> dict[str, float]:
    """Read NAME=WEIGHT texts."""
    weights = {}
    for name, value in parse_options(terms).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"the weight of {name} must be a number, got {value!r}")
        weights[name] = float(value)
    return weights


def _resume(args: PrefsTrainArguments) -> PreferenceRun:
    if args.resume is None:
        raise ValueError("there is nothing to resume")
    config = preference_config(args.resume).train
    return resume_preferences(
        args.resume, dataclasses.replace(config, loop=with_length(config.loop, args))
    )


def _report(words: list[str]) -> int:
    args = parse(PrefsReportArguments, "simrl prefs report", words)
    figures = preference_figures(args.run)
    if is_rlhf(args.run):
        figures |= {f"rlhf/{name}": value for name, value in rlhf_figures(args.run).items()}
    if args.json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
        return 0
    table = Table(title=str(args.run), title_justify="left", show_header=False)
    table.add_column("figure", style="dim")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.4g}" if isinstance(value, float) else str(value))
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    console.print(table)
    if args.page and not is_rlhf(args.run):
        from simrl.runs.report.reward_model_run import write_reward_model_report

        path = write_reward_model_report(args.run, args.out)
        console.print(f"page: {path}", markup=False)
        if args.open:
            webbrowser.open(path.resolve().as_uri())
    return 0


def _print_help() -> None:
    out = Console(emoji=False, highlight=False)
    out.print("usage: simrl prefs train PRESET [--teacher NAME] [--labels N] [--wait N]")
    out.print("                               [--minutes M | --steps N] [--seed S] [--out DIR]")
    out.print("                               [--resume DIR] \\[any field of the config]")
    out.print("       simrl prefs rlhf PRESET [--steps N] [--out DIR] [--resume DIR]")
    out.print("                               \\[any field of the config]")
    out.print("       simrl prefs report RUN [--json] [--no-page]\n")
    out.print(f"teachers: oracle, mistake, noisy, skip, myopic, equal, {HUMAN}")
    out.print("simrl prefs train PRESET --help shows every field. The presets of train:\n")
    for name, function in PRESETS.items():
        out.print(f"  [bold]{name:<14}[/] {(function.__doc__ or '').splitlines()[0]}")
    out.print("\nThe presets of rlhf:\n")
    for name, start in RLHF_PRESETS.items():
        out.print(f"  [bold]{name:<14}[/] {(start.__doc__ or '').splitlines()[0]}")
