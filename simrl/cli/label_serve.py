"""`simrl label serve`: draw the clips, ask about them, and serve the page where people answer."""

from __future__ import annotations

import dataclasses
import socket
import threading
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console

from simrl.cli.arguments import parse
from simrl.cli.label_drawing import DrawingDisplay
from simrl.preferences.clips import ClipLibrary
from simrl.preferences.clips.pool import RenderPool
from simrl.runs.labelling import URL_START, QuestionConfig, make_questions, store_place
from simrl.runs.policies import named_policy

if TYPE_CHECKING:
    from uvicorn import Server

    from simrl.preferences.store import LabelStore


@dataclass(frozen=True)
class ServeArguments:
    """Serve the labelling page of a run or of recorded clips.

    Without accounts it is for one person at this machine; with accounts (simrl label add-user)
    people log in, from elsewhere too. The page asks whatever is open; with a --kind other than
    compare it asks that kind alone. Answers are kept in the folder's labels.db, or in the
    PostgreSQL database of --db. Clips that have no video yet are drawn meanwhile.
    """

    what: Annotated[Path, tyro.conf.Positional]
    """Folder with clips: of a run that asks people, or of simrl label record."""
    questions: Annotated[QuestionConfig, tyro.conf.arg(name="")] = field(
        default_factory=QuestionConfig
    )
    pairs: int | None = None
    """Ask about so many pairs (or clips, in kinds that ask about one); short for --count. Without
    it 100 questions are made where there are none."""
    db: str = ""
    """File or postgresql:// URL of the labels. Default: labels.db in the folder."""
    host: str = "127.0.0.1"
    """Address to serve on; beyond this machine only if people have accounts."""
    port: int = 8642
    """Port to serve on."""
    metrics: Literal["shown", "hidden", "never"] = "hidden"
    """Figures of the clips: shown, hidden until the person asks for them, or never sent."""
    title: str = ""
    """Name of the project, shown at the top. Default: the folder's name."""
    hosts: tuple[str, ...] = ()
    """Host names under which the page may be asked for. Default: any."""
    proxy: str = ""
    """Address of the reverse proxy in front, whose X-Forwarded headers are believed."""
    https: bool = False
    """Whether browsers come over https alone, through that proxy."""
    browser: bool = True
    """Open the page in the browser, where it is for one person at this machine."""
    workers: int | None = None
    """Processes that draw clips. Default: one less than the cores."""
    seed: int = 0
    """Seed of the choice of pairs."""


def serve(words: Sequence[str]) -> int:
    """Serve until Ctrl-C; return the exit code."""
    args = parse(ServeArguments, "simrl label serve", words)
    folder = args.what
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; record clips with simrl label record")
    library = ClipLibrary(folder)
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    from simrl.preferences.store import LabelStore

    with LabelStore.open(store_place(folder, args.db)) as store:
        if not library.ids() and not store.questions():
            raise ValueError(f"{folder} holds no clips; record some with simrl label record")
        with RenderPool(library, args.workers) as pool:
            server = _server(store, library, pool, args)
            _ask(store, library, args, console)
            pool.submit(_asked_first(store, library))
            _say_where(store, args, console)
            with DrawingDisplay(
                pool, Console(emoji=False, stderr=True, highlight=False, soft_wrap=True)
            ):
                _run(server)
        progress = store.progress()
    # A URL may hold a password, which does not belong on the screen.
    where = "URL" if args.db.startswith(URL_START) else args.db or folder
    console.print(
        f"{_count(progress.answered, 'answer')}, {_count(progress.open, 'question')} open; "
        f"export them with simrl label export labels.jsonl --db {where}",
        markup=False,
    )
    return 0


def _server(
    store: LabelStore, library: ClipLibrary, pool: RenderPool, args: ServeArguments
) -> Server:
    """Build the page's server; ValueError if it may not be served there."""
    from simrl.preferences.store import KINDS
    from simrl.preferences.web import WebConfig, create_app, make_server

    kind = args.questions.kind
    config = WebConfig(
        kinds=KINDS if kind == QuestionConfig().kind else (kind,),
        title=args.title or args.what.resolve().name,
        metrics=args.metrics,
        hosts=args.hosts,
        proxy=args.proxy,
        https=args.https,
    )

    def render(ids: Sequence[str]) -> None:
        pool.submit(ids, first=True)

    app = create_app(store, library, config, make_policy=_make_policy, render=render)
    return make_server(app, args.host, args.port)


def _make_policy(name: str, spec: Any, env_options: Any) -> Any:
    return named_policy(name, spec, env_options)


def _ask(store: LabelStore, library: ClipLibrary, args: ServeArguments, console: Console) -> None:
    """Make questions if there are none of the kind, or fewer than were asked for."""
    config = args.questions
    if args.pairs is not None:
        config = dataclasses.replace(config, count=args.pairs)
    wanted = args.pairs is not None or config.count != QuestionConfig().count
    there_are = any(not question.for_quality for question in store.questions(config.kind))
    if not library.ids() or (there_are and not wanted):
        return
    added = make_questions(store, library, config, seed=args.seed)
    if added:
        console.print(f"{added} new questions of kind {config.kind}")


def _asked_first(store: LabelStore, library: ClipLibrary) -> list[str]:
    """List the clips to draw: those of open questions as they are asked, then the rest."""
    asked = sorted(store.questions(state="open"), key=lambda q: (-q.priority, q.id))
    clips = dict.fromkeys(clip for question in asked for clip in question.clips)
    known = library.ids()
    return [*(clip for clip in clips if clip in set(known)), *(c for c in known if c not in clips)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _say_where(store: LabelStore, args: ServeArguments, console: Console) -> None:
    # A page for everybody is found under this machine's name; nobody can open 0.0.0.0.
    host = socket.gethostname() if args.host in ("0.0.0.0", "::") else args.host
    address = f"http://{host}:{args.port}/"
    alone = not store.users()
    who = "for one person at this machine" if alone else f"{len(store.users())} accounts"
    console.print(f"labelling page: {address} ({who}; Ctrl-C ends)", markup=False)
    if alone and args.browser:
        # Later, and not in this thread: a browser for the terminal would block.
        timer = threading.Timer(1.0, webbrowser.open, args=(address,))
        timer.daemon = True
        timer.start()


def _run(server: Server) -> None:
    """Serve until it is interrupted; ValueError if the port is taken."""
    try:
        server.run()
    except KeyboardInterrupt:
        return
    except SystemExit as end:  # uvicorn has logged why
        if end.code:
            config = server.config
            raise ValueError(f"cannot serve on {config.host}:{config.port}") from end
