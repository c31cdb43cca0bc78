"""Asking and answering: the labelling page and what its script calls."""

from __future__ import annotations

import json
import math
from typing import Any, Final, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from simrl.preferences.store import Lease, RefusedError
from simrl.preferences.web.site import Site, site_of
from simrl.preferences.web.task import describe, read_lease, stored_value

router = APIRouter()
MOST_EXCLUDED: Final = 200
MOST_HELD: Final = 20
"""Questions that one person may hold at once; the page holds two, and one for each undo."""


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    lease: str = Field(max_length=40)


class _Answer(_Body):
    key: str = Field(min_length=8, max_length=100)
    value: dict[str, Any]
    seconds: float = Field(ge=0, allow_inf_nan=False)


B = TypeVar("B", bound=_Body)


@router.get("/", name="label")
async def label(request: Request) -> Response:
    """Show the labelling page; whoever has no session goes to the login."""
    site = site_of(request)
    session = await site.access.visitor(request)
    if session is None:
        return RedirectResponse("/login", 303)
    progress = await site.calls(site.progress, session.user.id, fresh=True)
    settings = {
        "csrf": session.csrf,
        "user": session.user.id,
        "title": site.config.title,
        "kinds": site.kinds,
        "metrics": site.config.metrics,
        "min_seconds": site.config.min_seconds,
        "renew_seconds": site.config.lease_seconds / 3,
        "progress": progress,
        "undoable": progress["answered"] > 0,
    }
    return site.page(
        "label.html",
        settings=json.dumps(settings),
        kinds=site.kinds,
        user=session.user,
        admin=session.user.role == "admin",
        local=site.access.local(),
        csrf=session.csrf,
    )


@router.get("/api/next")
async def next_task(request: Request) -> Response:
    """Hand out the next question, or 204 if there is none; 429 to who holds too many already."""
    site = site_of(request)
    session = await site.access.session(request)
    exclude = _excluded(request.query_params.get("exclude", ""))
    task = await site.calls(_next, site, session.user.id, exclude)
    if task is None:
        return Response(status_code=204)
    return JSONResponse(task)


@router.post("/api/answer")
async def answer(request: Request) -> Response:
    """Store an answer; the same key again gives the same reply and stores nothing."""
    site = site_of(request)
    session = await site.access.changing(request)
    body = await _read(request, _Answer)
    return JSONResponse(await site.calls(_answer, site, session.user.id, body))


@router.post("/api/skip")
async def skip(request: Request) -> Response:
    """Give a question back, not to be asked it again."""
    site = site_of(request)
    session = await site.access.changing(request)
    lease, _ = read_lease((await _read(request, _Body)).lease)
    await site.calls(site.store.skip, lease, session.user.id)
    return JSONResponse({"skipped": True})


@router.post("/api/renew")
async def renew(request: Request) -> Response:
    """Keep a question for its person a while longer."""
    site = site_of(request)
    session = await site.access.changing(request)
    lease, _ = read_lease((await _read(request, _Body)).lease)
    renewed = await site.calls(site.store.renew, lease, session.user.id)
    return JSONResponse({"expires": renewed.expires})


@router.post("/api/undo")
async def undo(request: Request) -> Response:
    """Take the person's newest answer back and ask its question again."""
    site = site_of(request)
    session = await site.access.changing(request)
    return JSONResponse(await site.calls(_undo, site, session.user.id))


@router.get("/api/progress")
async def progress(request: Request) -> Response:
    """Tell how far the person has come."""
    site = site_of(request)
    session = await site.access.session(request)
    return JSONResponse({"progress": await site.calls(site.progress, session.user.id)})


@router.get("/api/me")
async def me(request: Request) -> Response:
    """Tell who is logged in, with the session's CSRF token; 204 if nobody is."""
    session = await site_of(request).access.visitor(request)
    if session is None:
        return Response(status_code=204)
    user = session.user
    return JSONResponse(
        {"user": user.id, "name": user.name, "role": user.role, "csrf": session.csrf},
        headers={"Cache-Control": "no-store"},
    )


def _next(site: Site, user: int, exclude: tuple[int, ...]) -> dict[str, Any] | None:
    # A question that is new to a person excludes all that they hold.
    if len(exclude) >= MOST_HELD and site.progress(user, fresh=True)["leased"] >= MOST_HELD:
        headers = {"Retry-After": str(math.ceil(site.config.lease_seconds))}
        raise HTTPException(429, f"you hold {MOST_HELD} questions already", headers)
    lease = site.store.lease(
        user, seconds=site.config.lease_seconds, kinds=site.kinds, exclude=exclude
    )
    return None if lease is None else _task(site, user, lease)


def _task(site: Site, user: int, lease: Lease) -> dict[str, Any]:
    site.keep_lease(user, lease)
    if site.render is not None:
        missing = [c for c in lease.question.clips if site.library.video(c) is None]
        if missing:
            site.render(missing)
    task = describe(lease, site.library, metrics=site.config.metrics != "never")
    return {**task, "progress": site.progress(user)}


def _answer(site: Site, user: int, body: _Answer) -> dict[str, Any]:
    lease, swapped = read_lease(body.lease)
    value = stored_value(body.value, swapped)
    stored = site.store.answer(user, lease, body.key, value, seconds=body.seconds)
    return {
        "answer": {"id": stored.id, "question": stored.question, "created": stored.created},
        "progress": site.count_answer(user, stored),
    }


def _undo(site: Site, user: int) -> dict[str, Any]:
    undone = site.store.undo(user)
    if undone is None:
        raise RefusedError("unknown", "there is no answer of yours to take back")
    progress = site.progress(user, fresh=True)
    if undone.lease is None:
        return {"lease": None, "progress": progress}
    return {**_task(site, user, undone.lease), "progress": progress}


async def _read(request: Request, kind: type[B]) -> B:
    """Read a JSON body; HTTPException says in one line what is wrong with it."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != "application/json":
        raise HTTPException(415, "the body must be application/json")
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise HTTPException(422, f"{place}: {first['msg']}") from None


def _excluded(text: str) -> tuple[int, ...]:
    parts = text.split(",") if text else []
    if len(parts) > MOST_EXCLUDED or not all(
        part.isascii() and part.isdigit() and len(part) <= 18 for part in parts
    ):
        raise HTTPException(422, "exclude must be numbers of questions, separated by commas")
    return tuple(int(part) for part in parts)
