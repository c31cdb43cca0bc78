"""`simrl label record`: let policies play and keep clips of their play."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress

from simrl.cli.arguments import parse
from simrl.cli.players import Stage, split_names, stage_for
from simrl.core.plugins import env_names, env_plugin
from simrl.preferences.clips import ClipLibrary
from simrl.preferences.clips.record import clip_steps, record_clips
from simrl.runs.config import is_run


@dataclass(frozen=True)
class RecordArguments:
    """Let policies play and keep clips: stretches of play, spread over policies and episodes.

    Whoever judges the clips is not told which policy played.
    """

    what: Annotated[str, tyro.conf.Positional]
    """An environment, or a run's folder, whose environment is played."""
    policies: str = ""
    """Whom to judge, comma-separated: scripted policies, random, controllers, runs (with @best,
    @newest or @STEPS). Default: the run, or every scripted policy and random."""
    opponents: str = ""
    """Who plays the other side, comma-separated. Default: the policies themselves."""
    clips: int = 40
    """How many clips to keep."""
    seconds: float = 4.0
    """Length of a clip [s]; moves of games without a clock count half a second each."""
    steps: int | None = None
    """Length of a clip in steps, instead of --seconds."""
    play_steps: int | None = None
    """Steps that every game is followed for. Default: one episode, at most 8192."""
    out: Path | None = None
    """Folder that the clips go to. Default: the run's, or runs/clips-ENV."""
    seed: int = 0
    """Seed of the games and of the choice; the same seed gives the same clips."""
    option: tuple[str, ...] = ()
    """Options of the environment's config, each NAME=VALUE with the value in YAML."""
    deterministic: bool = False
    """Take the policies' likeliest actions instead of samples."""
    draw: bool = False
    """Draw the videos now; else they are drawn when the page is served."""


def record(words: Sequence[str]) -> int:
    """Record and say where the clips are; return the exit code."""
    args = parse(RecordArguments, "simrl label record", words)
    stage, names = _stage(args)
    run = args.what.partition("@")[0]
    out = args.out or (Path(run) if is_run(run) else _default_folder(stage))
    env = stage.make(1)
    length = clip_steps(
        env.spec, seconds=None if args.steps is not None else args.seconds, steps=args.steps
    )
    library = ClipLibrary(out)
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    with Progress(console=Console(emoji=False, stderr=True), transient=True) as progress:
        line = progress.add_task(f"playing {stage.env}", total=None)
        ids = record_clips(
            library,
            stage.env,
            stage.options,
            stage.players(names, env.spec),
            opponents=stage.players(split_names(args.opponents), env.spec) or None,
            count=args.clips,
            steps=length,
            play_steps=args.play_steps,
            seed=args.seed,
            deterministic=args.deterministic,
            say=lambda done, total: progress.update(line, completed=done, total=total),
        )
    seconds = length * env.spec.step_seconds
    each = f"{seconds:.3g} s" if seconds else f"{length} steps"
    console.print(f"{len(ids)} clips of up to {each}: {out}", markup=False)
    failed = _draw(library, ids) if args.draw else 0
    console.print(f"label them: simrl label serve {out}", markup=False)
    return 1 if failed else 0


def _stage(args: RecordArguments) -> tuple[Stage, list[str]]:
    names = split_names(args.policies)
    others = split_names(args.opponents)
    if args.what in env_names():
        stage = stage_for([*names, *others], args.what, args.option)
        return stage, names or [*env_plugin(stage.env).policies, "random"]
    if not is_run(args.what.partition("@")[0]):
        raise ValueError(
            f"{args.what} is neither a run nor an environment; "
            f"the environments are {', '.join(env_names())}"
        )
    return stage_for([args.what], None, args.option), names or [args.what]


def _default_folder(stage: Stage) -> Path:
    return Path("runs") / f"clips-{stage.env.replace('/', '-')}"


def _draw(library: ClipLibrary, ids: Sequence[str]) -> int:
    """Draw the clips, show how far it is, and return how many failed."""
    from simrl.cli.label_drawing import show_drawing
    from simrl.preferences.clips.pool import RenderPool

    with RenderPool(library) as pool:
        pool.submit(ids)
        show_drawing(pool, Console(emoji=False, stderr=True, highlight=False, soft_wrap=True))
        return pool.progress()[2]
