"""`simrl label ...`: record clips, serve the page that asks people about them, and keep the labels.

Each action has its own function; records and pages are in modules of their own.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from rich.console import Console

from simrl.cli.arguments import chosen_action

ACTIONS = {
    "record": ("label_record", "let policies play and keep clips of their play"),
    "serve": ("label_serve", "serve the labelling page of a run or of clips"),
    "add-user": ("label_people", "add a person who may log in"),
    "users": ("label_people", "list the people"),
    "set-password": ("label_people", "give a person a new password and end their sessions"),
    "deactivate": ("label_people", "shut a person out; their answers stay"),
    "activate": ("label_people", "let a person in again"),
    "stats": ("label_data", "print how far labelling has come and how good the labels are"),
    "export": ("label_data", "write the answers to JSON lines or Parquet"),
    "import": ("label_data", "read such a file in"),
}
"""What `simrl label` can do, and the module that does it."""


def run(arguments: Sequence[str]) -> int:
    """Do what the first word says and return the exit code."""
    words = list(arguments)
    action = chosen_action(words, ACTIONS, _print_help)
    if isinstance(action, int):
        return action
    module = importlib.import_module(f"simrl.cli.{ACTIONS[action][0]}")
    act = getattr(module, action.replace("-", "_").replace("import", "import_"))
    return int(act(words[1:]) or 0)


def _print_help() -> None:
    out = Console(emoji=False, highlight=False)
    out.print("usage: simrl label ACTION ...   (simrl label ACTION --help says more)\n")
    for name, (_, summary) in ACTIONS.items():
        out.print(f"  [bold]{name:<13}[/] {summary}")
    out.print("\nFrom nothing to labels, by one person at this machine:\n")
    out.print("  simrl label record cart-pole --policies random,balance --clips 40 --out clips")
    out.print("  simrl label serve clips")
    out.print("  simrl label export labels.jsonl --db clips")
