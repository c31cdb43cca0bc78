"""`simrl label add-user`, `users`, `set-password`, `deactivate`, `activate`: who may log in."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table

from simrl.cli.arguments import parse
from simrl.cli.label_place import open_store

DB_HELP = "Folder of a run or of clips (its labels.db), a database file, or a postgresql:// URL."
Db = Annotated[str, tyro.conf.arg(help=DB_HELP)]


@dataclass(frozen=True)
class AddUserArguments:
    """Add a person who may log in to the labelling page.

    The password is asked for twice; nothing of it but a hash is stored.
    """

    name: Annotated[str, tyro.conf.Positional]
    """What the person logs in with."""
    db: Db = "."
    role: Literal["annotator", "admin"] = "annotator"
    """An admin also sees the dashboard, everybody's figures and the export."""
    password_stdin: bool = False
    """Read the password from the first line of standard input instead."""


@dataclass(frozen=True)
class SetPasswordArguments:
    """Give a person a new password and end their sessions."""

    name: Annotated[str, tyro.conf.Positional]
    """Whose password."""
    db: Db = "."
    password_stdin: bool = False
    """Read the password from the first line of standard input instead of asking for it."""


@dataclass(frozen=True)
class PersonArguments:
    """Shut a person out, or let them in again; their answers stay."""

    name: Annotated[str, tyro.conf.Positional]
    """Who it is."""
    db: Db = "."


@dataclass(frozen=True)
class UsersArguments:
    """List the people who may log in, or could once."""

    db: Db = "."


def add_user(words: Sequence[str]) -> int:
    """Add a person; return the exit code."""
    args = parse(AddUserArguments, "simrl label add-user", words)
    with open_store(args.db, make=True) as store:
        if any(user.name == args.name for user in store.users()):
            raise ValueError(f"there is a user {args.name!r} already; see simrl label set-password")
        user = store.add_user(args.name, _password(args.name, args.password_stdin), args.role)
    _say(f"added {user.name} ({user.role}); in exports they are called {user.pseudonym}")
    return 0


def set_password(words: Sequence[str]) -> int:
    """Change a password; return the exit code."""
    args = parse(SetPasswordArguments, "simrl label set-password", words)
    with open_store(args.db) as store:
        store.set_password(args.name, _password(args.name, args.password_stdin))
    _say(f"{args.name} has a new password; their sessions have ended")
    return 0


def deactivate(words: Sequence[str]) -> int:
    """Shut a person out; return the exit code."""
    args = parse(PersonArguments, "simrl label deactivate", words)
    with open_store(args.db) as store:
        store.deactivate(args.name)
    _say(f"{args.name} may not log in any more")
    return 0


def activate(words: Sequence[str]) -> int:
    """Let a person in again; return the exit code."""
    args = parse(PersonArguments, "simrl label activate", words)
    with open_store(args.db) as store:
        store.activate(args.name)
    _say(f"{args.name} may log in again")
    return 0


def users(words: Sequence[str]) -> int:
    """List the people; return the exit code."""
    args = parse(UsersArguments, "simrl label users", words)
    with open_store(args.db) as store:
        people = store.users()
    if not people:
        _say("nobody has an account: the page is for one person at this machine")
        return 0
    table = Table()
    for column in ("name", "role", "may log in", "since", "pseudonym"):
        table.add_column(column)
    for user in people:
        since = time.strftime("%Y-%m-%d", time.localtime(user.created))
        active = "yes" if user.active else "no"
        table.add_row(user.name, user.role, active, since, user.pseudonym)
    Console(emoji=False, highlight=False, markup=False).print(table)
    return 0


def _password(name: str, from_stdin: bool) -> str:
    if from_stdin:
        line = sys.stdin.readline()
        if not line:
            raise ValueError("standard input is empty: there is no password on it")
        return line.rstrip("\r\n")
    if not sys.stdin.isatty():
        raise ValueError("there is no terminal to ask for a password; use --password-stdin")
    first = getpass.getpass(f"password of {name}: ")
    if first != getpass.getpass("once more: "):
        raise ValueError("the two passwords differ; nothing was changed")
    return first


def _say(text: str) -> None:
    Console(emoji=False, highlight=False, soft_wrap=True).print(text, markup=False)
