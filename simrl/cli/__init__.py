"""The `simrl` command: one word says what to do, the rest is parsed by that word's own module."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.logging import RichHandler

COMMANDS = {
    "list": "environments, their policies and heroes, controllers and presets",
    "train": "train an agent from a preset, or resume a run",
    "expert": "train by expert iteration: a network guides searches and learns from them",
    "prefs": "train on a reward that is learned from people's or scripted comparisons",
    "label": "record clips of play and let people judge them on a web page",
    "evaluate": "play a run against scripted opponents and print win rates with intervals",
    "compare": "put controllers through the same scenarios; statistics and one HTML report",
    "play": "let policies or runs play one game or task and write its replay or video",
    "watch": "show a replay in the browser, or write it as a video",
    "view": "look at a robot task live in MuJoCo's own viewer while a policy drives it",
    "report": "write one HTML page about a run",
}
"""Every command and what it does, in the order of `simrl --help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 is done, 2 a mistake or a full disk, 130 Ctrl-C.  A mistake prints one
    line that names it; the full traceback is shown with `--debug` first.
    """
    # Not list(...): once imported, the command's module simrl.cli.list hides the built-in here.
    words = [*(sys.argv[1:] if arguments is None else arguments)]
    debug = bool(words) and words[0] == "--debug"
    words = words[1:] if debug else words
    errors = Console(emoji=False, stderr=True, soft_wrap=True, highlight=False)
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=errors, show_time=False, show_path=debug)],
    )
    if not words or words[0] in ("-h", "--help"):
        _print_help()
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"simrl {version('simrl')}\n")
        return 0
    if words[0] not in COMMANDS:
        errors.print(
            f"[red]simrl:[/] unknown command '{words[0]}'; the commands are {', '.join(COMMANDS)}"
        )
        return 2
    module = importlib.import_module(f"simrl.cli.{words[0]}")
    try:
        return int(module.run(words[1:]) or 0)
    except (ValueError, ArithmeticError, OSError) as error:
        if debug:
            raise
        errors.print(f"[red]simrl {words[0]}:[/] {_one_line(error)}", markup=True)
        return 2
    except KeyboardInterrupt:
        errors.print("stopped")
        return 130


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace("[", "\\[")


def _print_help() -> None:
    out = Console(emoji=False, highlight=False)
    out.print("[bold]simrl[/]: train, search, control, compare and listen\n")
    out.print("usage: simrl COMMAND ...   (simrl COMMAND --help says more)\n")
    for name, summary in COMMANDS.items():
        out.print(f"  [bold]{name:<9}[/] {summary}")
    out.print("\n  --version  print the version")
    out.print("  --debug    before COMMAND: show full tracebacks and debug messages")
