"""Videos, posters and replay pages of clips."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from simrl.preferences.web.guard import REPLAY_POLICY
from simrl.preferences.web.site import Site, site_of

router = APIRouter()
NAME: Final = re.compile(r"([0-9a-f]{16})\.(mp4|jpg|html)")
TYPES: Final = {"mp4": "video/mp4", "jpg": "image/jpeg", "html": "text/html; charset=utf-8"}
KEEP: Final = "private, max-age=31536000, immutable"
"""A clip's name is the hash of its content: what has been loaded never changes."""


@router.api_route("/clips/{name:path}", methods=["GET", "HEAD"])
async def clip_file(request: Request, name: str) -> Response:
    """Send a clip's file, or the part of it that Range asks for.

    404 if there is no such clip or it cannot be drawn, 503 while it is still to be drawn.
    """
    site = site_of(request)
    await site.access.session(request)
    found = NAME.fullmatch(name)
    if found is None:
        raise HTTPException(404, "there is no such clip")
    clip, kind = found[1], found[2]
    path = await site.calls(_path, site, clip, kind)
    headers = {"Cache-Control": KEEP}
    if kind == "html":
        headers |= {"Content-Security-Policy": REPLAY_POLICY}
    return FileResponse(path, headers=headers, media_type=TYPES[kind])


def _path(site: Site, clip: str, kind: str) -> Path:
    library = site.library
    getters = {"mp4": library.video, "jpg": library.poster, "html": library.replay}
    path = getters[kind](clip)
    if path is not None:
        return path
    if not library.has(clip) or kind == "html" or library.failure(clip) is not None:
        raise HTTPException(404, "there is no such clip, or it cannot be drawn")
    if site.render is not None:
        site.render([clip])
    raise HTTPException(503, "the clip is still being drawn", {"Retry-After": "2"})
