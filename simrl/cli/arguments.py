"""Parse a command's words; a mistyped option is one line of error, like any other mistake."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from typing import TypeVar

import tyro

T = TypeVar("T")


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
