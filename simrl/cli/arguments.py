"""Parse a command's words; a mistyped option is one line of error, like any other mistake."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import tyro

if TYPE_CHECKING:
    from simrl.learn.loop import LoopConfig


class LengthArguments(Protocol):
    """What people may say of how long a run is."""

    @property
    def minutes(self) -> float | None:
        """Train for so many minutes in all [min]."""
        ...

    @property
    def steps(self) -> int | None:
        """Train for so many steps in all."""
        ...


T = TypeVar("T")
L = TypeVar("L", bound=LengthArguments)


def parse_preset(
    command: str, words: Sequence[str], presets: Iterable[str], defaults: Callable[[str], L]
) -> tuple[str, L]:
    """Return the preset that `words` begin with, and the arguments that follow it.

    `defaults` builds the arguments of a preset that are not given.  ValueError where no preset is
    named, or where minutes and steps are both given.
    """
    if not words or words[0].startswith("-"):
        raise ValueError(f"name a preset first; the presets are {', '.join(presets)}")
    default = defaults(words[0])
    args = parse(type(default), f"{command} {words[0]}", words[1:], default=default)
    if args.minutes is not None and args.steps is not None:
        raise ValueError("give --minutes or --steps, not both")
    return words[0], args


def with_length(config: LoopConfig, args: LengthArguments) -> LoopConfig:
    """Return `config` with the length that was asked for, if one was."""
    if args.minutes is None and args.steps is None:
        return config
    return dataclasses.replace(config, minutes=args.minutes, steps=args.steps)


def chosen_action(
    words: Sequence[str], actions: Iterable[str], print_help: Callable[[], None]
) -> str | int:
    """Return the action that a command's words begin with, or the exit code if there is only help.

    ValueError lists the actions if it is none of them.
    """
    if not words or words[0] in ("-h", "--help"):
        print_help()
        return 0 if words else 2
    if words[0] not in actions:
        raise ValueError(f"unknown action {words[0]!r}; the actions are {', '.join(actions)}")
    return words[0]


def parse(kind: type[T], prog: str, arguments: Sequence[str], default: T | None = None) -> T:
    """Build the dataclass `kind` from a command's `arguments`; `default` fills what is not given.

    `--help` leaves through SystemExit.  ValueError says in one line what could not be parsed.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            if default is None:
                return tyro.cli(kind, prog=prog, args=arguments)
            return tyro.cli(
                kind,
                prog=prog,
                args=arguments,
                default=default,
                config=(tyro.conf.AvoidSubcommands,),
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise ValueError(f"{condense(said.getvalue())} ({prog} --help shows all)") from end


def condense(box: str) -> str:
    """Return the text of the parser's error box in one line: what is wrong, and what was meant."""
    lines = [line.strip("│ ") for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines()]
    sections: list[list[str]] = [[]]
    for line in lines:
        if line and (line[0] == "╭" or not line.strip("─-")):
            sections.append([])
        elif line and line[0] != "╰":
            sections[-1].append(line)
    del sections[0]  # before the frame, or the title above the line where there are no frames
    wrong = " ".join(sections[0])
    meant = [
        " or ".join(line.split()[0].rstrip(",") for line in section if line.startswith("--"))
        for section in sections[1:]
        if section and section[0].startswith("Perhaps you meant")
    ]
    return f"{wrong}; perhaps you meant {meant[0]}" if meant and meant[0] else wrong
