"""`simrl play A B`: let any two policies or runs play one game, and keep it to watch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from simrl.cli.arguments import parse
from simrl.cli.players import Stage, short_name, stage_for
from simrl.cli.watch import WatchConfig, write_video
from simrl.core.env import VecEnv
from simrl.core.files import write_atomic
from simrl.core.plugins import env_plugin, make_config
from simrl.core.replay import Replay
from simrl.core.spec import EnvSpec
from simrl.learn.policy import NetworkPolicy
from simrl.rollout.replay import record_replay
from simrl.rollout.seating import Seating
from simrl.runs.config import is_run
from simrl.runs.policies import named_run


@dataclass(frozen=True)
class PlayArguments:
    """Let two players play one game, or one player a task of its own, and write the replay."""

    a: Annotated[str, tyro.conf.Positional]
    """Player on the first side, or the only one: a run's folder (with @best, @newest, @STEPS or
    @SNAPSHOT if wanted), or the name of a scripted policy, a controller or a search: macro,
    nmpc:solver=ipopt:horizon=30, mcts:1000, search:runs/x:simulations=64, openspiel:1000."""
    b: Annotated[str | None, tyro.conf.Positional] = None
    """Player on the other side; by default the same as A. None in a task with one team."""
    env: str | None = None
    """Environment, where no run says which."""
    seed: int = 0
    """Seed of the game and of the players' draws."""
    option: tuple[str, ...] = ()
    """Options of the environment's config, each NAME=VALUE with the value in YAML."""
    heroes: str = ""
    """Hero of each agent, comma-separated, in games that have heroes."""
    deterministic: bool = False
    """Take the players' likeliest actions instead of samples."""
    out: Path | None = None
    """Replay file to write; by default in the replays of the run, or in the current folder."""
    html: Path | None = None
    """Write the replay's page to this file as well."""
    mp4: Path | None = None
    """Write a video of the game in real time to this file as well."""


def run(arguments: Sequence[str]) -> int:
    """Play and print the result; return the exit code."""
    args = parse(PlayArguments, "simrl play", arguments)
    stage = stage_for([args.a, args.b or args.a], args.env, args.option)
    if args.heroes:
        stage = _with_heroes(stage, split_heroes(args.heroes))
    plugin = env_plugin(stage.env)
    page = plugin.replay_page
    if args.html is not None and page is None:
        raise ValueError(f"{stage.env} has no replay page; leave out --html")
    if args.mp4 is not None and plugin.frames is None:
        raise ValueError(f"{stage.env} draws no frames; leave out --mp4")
    env = stage.make(1)
    replay = play(stage, env, args.a, args.b, seed=args.seed, deterministic=args.deterministic)
    out = args.out or _default_path(args, replay)
    replay.save(out)
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    console.print(describe(replay, env.spec), markup=False)
    if args.html is not None and page is not None:
        write_atomic(args.html, page(replay))
        console.print(f"page:   {args.html}", markup=False)
    if args.mp4 is not None:
        write_video(replay, args.mp4, WatchConfig(out, mp4=args.mp4))
        console.print(f"video:  {args.mp4}", markup=False)
    watch = "" if page else f" --mp4 {out.with_suffix('.mp4')}"
    console.print(f"replay: {out}\nwatch:  simrl watch {out}{watch}", markup=False)
    return 0


def play(
    stage: Stage, env: VecEnv, a: str, b: str | None, *, seed: int, deterministic: bool = False
) -> Replay:
    """Play one game of `a` against `b` in an environment of one row and return its replay."""
    spec = env.spec
    alone = len(set(spec.teams)) < 2
    if alone and b is not None:
        raise ValueError(f"{spec.id} has one team: {b!r} has nobody to play against")
    names = [a] if alone else [a, b or a]
    players = [stage.players([name], spec)[name] for name in names]
    for player in players:
        if isinstance(player, NetworkPolicy):
            player.show_probs = True
    shown = [short_name(name) for name in names]
    if alone:
        seating = Seating.self_play(env, players[0], name=shown[0], train=False)
    else:
        other = shown[1] if shown[1] != shown[0] else f"{shown[1]} (2)"
        seating = Seating.versus(env, *players, names=(shown[0], other), swap_sides=False)
    plugin = env_plugin(stage.env)
    config = dataclasses.asdict(make_config(plugin.config, stage.options, stage.env))
    return record_replay(env, seating, seed=seed, config=config, deterministic=deterministic)


def describe(replay: Replay, spec: EnvSpec) -> str:
    """Say in one line who won, and after how long."""
    steps = len(replay.actions)
    seconds = steps * spec.step_seconds
    length = f"{seconds / 60.0:.1f} minutes of play" if seconds else f"{steps} steps"
    if 0.0 < seconds < 60.0:
        length = f"{seconds:.1f} seconds"
    if not replay.metrics.get("terminated", True):
        length += " (time limit)"
    outcome = replay.metrics.get("outcome")
    if isinstance(outcome, list) and len(set(spec.teams)) > 1:
        winners = dict.fromkeys(
            f"{replay.policies[agent]} ({spec.agent_names[agent]})"
            for agent, result in enumerate(outcome)
            if result > 0
        )
        verdict = f"{', '.join(winners)} won" if winners else "a draw"
        return f"{' against '.join(dict.fromkeys(replay.policies))}: {verdict} after {length}"
    returns = ", ".join(f"{value:.4g}" for value in replay.metrics["returns"])
    return f"{', '.join(dict.fromkeys(replay.policies))}: return {returns} after {length}"


def split_heroes(text: str) -> tuple[str, ...]:
    """Split a comma-separated list in which names may repeat."""
    return tuple(name.strip() for name in text.split(","))


def _with_heroes(stage: Stage, heroes: tuple[str, ...]) -> Stage:
    fields = [field.name for field in dataclasses.fields(env_plugin(stage.env).config)]
    if "seats" not in fields:
        raise ValueError(f"{stage.env} has no heroes to choose; leave out --heroes")
    return Stage(stage.env, {**stage.options, "seats": heroes})


def _default_path(args: PlayArguments, replay: Replay) -> Path:
    names = "-vs-".join(dict.fromkeys(name.replace("/", "_") for name in replay.policies))
    file = f"{names}-seed{args.seed}.jsonl".replace(" ", "").replace("@", "-at-").replace(":", "-")
    for name in (args.a, args.b or ""):
        folder = named_run(name)[0]
        if folder and is_run(folder):
            return Path(folder) / "replays" / file
    return Path(file)
