"""What all routes share: the store, the clips, who asks, and the pages' templates."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from simrl.preferences.clips import ClipLibrary
from simrl.preferences.store import Answer, LabelStore, Lease, Progress
from simrl.preferences.web.access import Access
from simrl.preferences.web.calls import Calls
from simrl.preferences.web.config import WebConfig

FOLDER: Final = Path(__file__).parent
PROGRESS_SECONDS: Final = 1.0
"""How long figures of progress are shown before they are counted anew [s]."""
LEASES_KEPT: Final = 4096

MakePolicy = Callable[..., Any]
"""Build a policy by name for live sessions: `make_policy(name, spec, env_options)`."""
Render = Callable[[Sequence[str]], None]
"""Ask for clips to be drawn soon."""


@dataclass
class Site:
    """Hold what the routes need."""

    store: LabelStore
    library: ClipLibrary
    config: WebConfig
    calls: Calls
    access: Access
    make_policy: MakePolicy | None
    render: Render | None

    def __post_init__(self) -> None:
        """Load the templates."""
        self.templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.leases: OrderedDict[tuple[int, int], Lease] = OrderedDict()
        self._progress: dict[int, dict[str, Any]] = {}
        self._last_counted: dict[int, int] = {}
        self._counting = threading.Lock()
        self._playing = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of question that can be asked here: live ones need someone to build policies."""
        live = () if self.make_policy is not None else ("live", "correct")
        return tuple(kind for kind in self.config.kinds if kind not in live)

    def page(self, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Render a template; nobody may keep it."""
        text = self.templates.get_template(template).render(title=self.config.title, **values)
        return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})

    def progress(self, annotator: int, *, fresh: bool = False) -> dict[str, Any]:
        """Return how far a person has come, counted at most once a second unless `fresh`."""
        known = self._progress.get(annotator)
        if known is None or fresh or time.time() >= known["at"] + PROGRESS_SECONDS:
            found: Progress = self.store.progress(annotator)
            # After counting: what comes meanwhile may be missed for a second, never doubled.
            known = {**asdict(found), "at": time.time()}
            self._progress[annotator] = known
        return known

    def count_answer(self, annotator: int, answer: Answer) -> dict[str, Any]:
        """Return the progress after an answer, without counting all others again.

        An answer that came twice at once, or that the last count saw, is not counted again.
        """
        with self._counting:
            known = self._progress.get(annotator)
            last = self._last_counted.get(annotator)
            if known is not None and answer.created > known["at"] and answer.id != last:
                self._last_counted[annotator] = answer.id
                self._progress[annotator] = {
                    **known,
                    "answered": known["answered"] + 1,
                    "open": max(0, known["open"] - 1),
                }
        return self.progress(annotator)

    @contextmanager
    def live_room(self) -> Iterator[bool]:
        """Take a place for a live session while the block runs; False if there is none."""
        room = self._playing < self.config.live_sessions
        self._playing += room
        try:
            yield room
        finally:
            self._playing -= room

    def keep_lease(self, annotator: int, lease: Lease) -> None:
        """Remember a lease, for the live session that may follow."""
        self.leases[annotator, lease.id] = lease
        while len(self.leases) > LEASES_KEPT:
            self.leases.popitem(last=False)


def site_of(request: Any) -> Site:
    """Return the site that a request or WebSocket belongs to."""
    site: Site = request.app.state.site
    return site


def wants_page(request: Request) -> bool:
    """Whether a refusal should be a page for people rather than JSON for the script."""
    path = request.url.path
    return not path.startswith(("/api/", "/clips/", "/static/", "/ws/"))
