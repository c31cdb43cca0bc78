"""Show a replay: serve its page on this machine, or write it as a file."""

from __future__ import annotations

import logging
import math
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated

import tyro

from simrl.cli.arguments import parse
from simrl.core.files import write_atomic
from simrl.core.plugins import env_plugin, make_config
from simrl.core.replay import Replay, load_replay
from simrl.rollout.video import drawn, write_gif, write_mp4

REPLAY_SUFFIX = ".jsonl"
HOST = "127.0.0.1"
MAX_FPS = 30.0
"""Frames a second above which steps are left out of a video, unless `fps` is given."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WatchConfig:
    """Choose what to watch and how."""

    what: Annotated[Path, tyro.conf.Positional]
    """A replay file, or a run folder, whose newest replay is taken."""
    port: int = 0
    """Port of the local page; 0 lets the system choose a free one."""
    browser: bool = True
    """Open the page in the browser."""
    html: Path | None = None
    """Write the page to this file and stop; it needs nothing beside it, not even a network."""
    mp4: Path | None = None
    """Write a video to this file and stop."""
    gif: Path | None = None
    """Write an animated picture to this file and stop; best for short replays."""
    speed: float = 1.0
    """Pace of the video: 2 shows two seconds of play in one."""
    fps: float = 0.0
    """Frames a second of the video, one a step; 0 shows the environment's steps in real time, times
    `speed`, and leaves some out where there would be more than 30 a second."""


def run(arguments: Sequence[str]) -> int:
    """Show what the command line asks for; return the exit code."""
    watch(parse(WatchConfig, "simrl watch", arguments))
    return 0


def watch(config: WatchConfig, say: Callable[[str], None] = print) -> None:
    """Show a replay as asked; serving ends at Ctrl-C.

    Args:
        config: What to watch and how.
        say: Takes the lines meant for the person at the terminal.

    Raises:
        ValueError: If there is no such replay, it is damaged, its environment draws nothing, or
            the port is taken.
    """
    path = find_replay(config.what)
    replay = load_replay(path)
    if config.mp4 or config.gif:
        for target in (config.mp4, config.gif):
            if target:
                say(f"{target}: {write_video(replay, target, config)} frames")
    if config.html:
        write_atomic(config.html, page_of(replay))
        say(f"{config.html}: open it in a browser")
    if not (config.mp4 or config.gif or config.html):
        serve(page_of(replay), path.name, config, say)


def find_replay(what: Path) -> Path:
    """Return the replay file that `what` names: itself, or the newest one of a run folder.

    Raises:
        ValueError: If there is none.
    """
    if what.is_file():
        return what
    if not what.exists():
        raise ValueError(f"{what} does not exist; give a replay file or a run folder")
    folder = what / "replays" if (what / "replays").is_dir() else what
    replays = [path for path in folder.glob(f"*{REPLAY_SUFFIX}") if path.is_file()]
    if not replays:
        raise ValueError(f"{folder} holds no replay (*{REPLAY_SUFFIX})")
    return max(replays, key=lambda path: (path.stat().st_mtime_ns, path.name))


def page_of(replay: Replay) -> str:
    """Build the replay's page; ValueError if its environment has none."""
    build = env_plugin(replay.env).replay_page
    if build is None:
        raise ValueError(f"{replay.env} has no replay page; its replays cannot be watched")
    return build(replay)


def write_video(replay: Replay, target: Path, config: WatchConfig) -> int:
    """Draw a replay into a video or GIF and return the number of frames.

    Raises:
        ValueError: If the environment draws no frames, PyAV is missing or a number is not positive.
    """
    plugin = env_plugin(replay.env)
    if plugin.frames is None:
        raise ValueError(f"{replay.env} draws no frames, so there is no video of it")
    if not config.speed > 0:
        raise ValueError(f"speed must be above 0, got {config.speed}")
    fps, every = config.fps, 1
    if not fps:
        spec = plugin.make(make_config(plugin.config, replay.config, replay.env), 1).spec
        fps = config.speed / spec.step_seconds if spec.step_seconds else 10.0 * config.speed
        every = math.ceil(fps / MAX_FPS - 1e-9)
    write = write_gif if target == config.gif else write_mp4
    return write(drawn(plugin.frames, replay, every), target, fps / every)


def serve(page: str, title: str, config: WatchConfig, say: Callable[[str], None]) -> None:
    """Serve one page on this machine alone until Ctrl-C.

    Raises:
        ValueError: If the port is taken or out of range.
    """
    with make_server(page, config.port) as server:
        address = f"http://{HOST}:{server.server_port}/"
        say(f"{title}: {address} (Ctrl-C ends)")
        if config.browser:
            # A browser for the terminal would block: the page must be served meanwhile.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("")


def make_server(page: str, port: int) -> ThreadingHTTPServer:
    """Bind a server that answers `/` with the page; the caller runs and closes it.

    Raises:
        ValueError: If the port is taken or out of range.
    """
    body = page.encode()

    class Handler(BaseHTTPRequestHandler):
        """Answer the one page."""

        def do_GET(self) -> None:
            """Send the page for `/`, 404 for all else."""
            found = self.path.split("?")[0] in ("/", "/index.html")
            content = body if found else b"not found"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8" if found else "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            # The page holds names that people chose; nothing in it may reach outside.
            policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
            self.send_header("Content-Security-Policy", f"{policy}; img-src data:")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Log requests quietly."""
            logger.debug(format, *args)

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise ValueError(f"cannot serve on {HOST}:{port}: {error}") from error
