"""Put the labelling page together: one ASGI application over a store and a library of clips."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from simrl.preferences.clips import ClipLibrary
from simrl.preferences.store import LabelStore, RefusedError
from simrl.preferences.web.access import Access
from simrl.preferences.web.calls import Calls
from simrl.preferences.web.config import WebConfig
from simrl.preferences.web.guard import LOOPBACK_HOSTS, Guard, Refuse
from simrl.preferences.web.routes import admin, clips, label, live, login
from simrl.preferences.web.site import FOLDER, MakePolicy, Render, Site, site_of, wants_page

log = logging.getLogger(__name__)

STATUS: Final = {"unknown": 404, "lost": 409, "answered": 409, "closed": 409, "key": 422}
"""HTTP status of the store's refusals by their reason."""
HEADINGS: Final = {
    401: "Please log in",
    403: "Not allowed",
    404: "Not found",
    413: "Too large",
    421: "Wrong address",
    429: "Too many attempts",
}


def create_app(
    store: LabelStore,
    library: ClipLibrary,
    config: WebConfig | None = None,
    *,
    make_policy: MakePolicy | None = None,
    render: Render | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        store: Questions, answers, people.  It stays open when the application ends.
        library: Clips and their videos.
        config: What can be set; None: the defaults.
        make_policy: Builds policies by name for live sessions and corrections,
            `make_policy(name, spec, env_options)`; without it those kinds are not asked.
        render: Called with clips that have no video yet, to have them drawn; must return at once.
    """
    config = config or WebConfig()
    calls = Calls(config.store_threads)
    access = Access(store, calls, config)
    site = Site(store, library, config, calls, access, make_policy, render)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        calls.close()

    app = FastAPI(title=config.title, openapi_url=None, lifespan=lifespan)
    app.state.site = site
    for part in (login, label, clips, admin, live):
        app.include_router(part.router)
    app.mount("/static", _Static(directory=FOLDER / "static"))
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(ValueError, _refused)
    app.add_exception_handler(500, _failed)
    app.add_middleware(
        Guard,
        hosts=lambda: LOOPBACK_HOSTS if access.local() else config.hosts,
        max_body=config.max_body,
        https=config.https,
        refuse=_refuser(app),
    )
    return app


class _Static(StaticFiles):
    """Files of the page: browsers keep them, but ask each time whether they have changed."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        reply = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        reply.headers["Cache-Control"] = "no-cache"
        return reply


async def _refused(request: Request, error: Exception) -> Response:
    """Answer what is refused with its status and one clear line, and log it."""
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        status, why = error.status_code, str(error.detail)
        headers = dict(error.headers or {})
    else:
        status = STATUS[error.reason] if isinstance(error, RefusedError) else 422
        why = str(error)
    site = site_of(request)
    if status != 503:  # a clip that is still being drawn is nothing to worry about
        await site.access.audit_refusal(request, status, why)
    if wants_page(request):
        heading = HEADINGS.get(status, "That did not work")
        reply: Response = site.page("error.html", status=status, heading=heading, detail=why)
    else:
        reply = JSONResponse({"error": why}, status)
    reply.headers.update(headers)
    return reply


async def _failed(request: Request, error: Exception) -> Response:
    """Answer a fault of ours without telling what is inside."""
    why = "something went wrong in the server; its log says what"
    if wants_page(request):
        heading = "That did not work"
        return site_of(request).page("error.html", status=500, heading=heading, detail=why)
    return JSONResponse({"error": why}, 500)


def _refuser(app: FastAPI) -> Refuse:
    async def refuse(scope: Scope, receive: Receive, send: Send, error: HTTPException) -> None:
        scope["app"] = app
        if scope["type"] == "websocket":
            site: Site = app.state.site
            connection = HTTPConnection(scope)
            await site.access.audit_refusal(connection, error.status_code, str(error.detail))
            await send({"type": "websocket.close", "code": 1008, "reason": str(error.detail)})
            return
        reply = await _refused(Request(scope), error)
        reply.headers["Connection"] = "close"  # what is left of the body is not read
        await reply(scope, receive, send)

    return refuse
