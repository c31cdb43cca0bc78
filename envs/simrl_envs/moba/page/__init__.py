"""Build the replay page: one HTML file that needs nothing beside it."""

from __future__ import annotations

import html
import json
import re
from importlib.resources import files
from typing import Final

from simrl.core.replay import Replay
from simrl_envs.moba.frames import play_back
from simrl_envs.moba.page.data import page_data

SCRIPTS: Final = ("data.js", "field.js", "cards.js", "charts.js", "player.js")
"""Parts of the page's program, in order."""


def replay_page(replay: Replay) -> str:
    """Return one self-contained HTML page that plays a replay.

    Raises:
        ValueError: If the replay does not fit the game.
    """
    data = page_data(replay, play_back(replay))
    names = [hero["name"] for hero in data["heroes"]]
    half = len(names) // 2
    title = f"{', '.join(names[:half])} against {', '.join(names[half:])}"
    folder = files(__name__)
    read = lambda name: (folder / name).read_text(encoding="utf-8")  # noqa: E731
    # "</" inside the data would end the script element; JSON may write it as "<\/".
    packed = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    parts = {
        "title": html.escape(title),
        "style": read("style.css"),
        "data": packed,
        "script": "\n".join(read(name) for name in SCRIPTS),
    }
    # One pass: a place-holder that a policy's name happens to spell stays as it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], read("page.html"))
