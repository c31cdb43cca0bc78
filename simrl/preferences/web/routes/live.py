"""Live sessions over a WebSocket: feedback while an agent plays, and corrections by a person."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from simrl.preferences.store import Lease, RefusedError, Session
from simrl.preferences.web.guard import same_origin
from simrl.preferences.web.site import Site, site_of
from simrl.preferences.web.task import read_lease

if TYPE_CHECKING:
    from simrl.preferences.live.session import LiveSession

log = logging.getLogger(__name__)
router = APIRouter()
HELLO_SECONDS: Final = 10.0
REFUSED: Final = 4403
"""Close code of a session that was refused; the reason says why."""
LIVE_KINDS: Final = ("live", "correct")


@router.websocket("/ws/live/{lease}")
async def live(socket: WebSocket, lease: str) -> None:
    """Run one live session for the holder of a lease and store its result as the answer.

    The first message is {"csrf": TOKEN, "key": KEY}; from then on they are those of
    `simrl.preferences.live`.  Once the answer is stored, {"type": "stored", "progress"} ends it.
    """
    site = site_of(socket)
    try:
        session, held = await _allowed(socket, site, lease)
    except HTTPException as refusal:
        await _refuse(socket, site, refusal)
        return
    await socket.accept()
    try:
        key = await _hello(socket, session)
    except HTTPException as refusal:
        await _refuse(socket, site, refusal)
        return
    except WebSocketDisconnect:
        return
    with site.live_room() as room:
        if room:
            await _play(socket, site, session, held, key)
        else:
            await _close(socket, "too many people play just now; try again in a minute")


async def _allowed(socket: WebSocket, site: Site, name: str) -> tuple[Session, Lease]:
    """Return the session and its lease; HTTPException if either will not do."""
    session = await site.access.session(socket)
    if not same_origin(socket.headers) or "origin" not in socket.headers:
        raise HTTPException(403, "the connection comes from another site")
    try:
        number, _ = read_lease(name)
    except ValueError as error:
        raise HTTPException(404, str(error)) from None
    held = site.leases.get((session.user.id, number))
    if held is None or held.question.kind not in LIVE_KINDS or site.make_policy is None:
        raise HTTPException(404, "there is no such lease of yours; load the page again")
    try:
        await site.calls(site.store.renew, number, session.user.id)
    except RefusedError as error:
        raise HTTPException(409, str(error)) from None
    return session, held


async def _hello(socket: WebSocket, session: Session) -> str:
    """Read the first message; return the key under which the answer will be stored."""
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            hello = json.loads(await socket.receive_text())
    except (TimeoutError, ValueError, KeyError, RecursionError):
        raise HTTPException(422, "the first message must be JSON with csrf and key") from None
    if not isinstance(hello, dict) or set(hello) != {"csrf", "key"}:
        raise HTTPException(422, "the first message must hold csrf and key")
    token, key = hello["csrf"], hello["key"]
    if not isinstance(token, str) or not secrets.compare_digest(
        token.encode(errors="replace"), session.csrf.encode()
    ):
        raise HTTPException(403, "the CSRF token is missing or wrong; load the page again")
    if not isinstance(key, str) or not 8 <= len(key) <= 100:
        raise HTTPException(422, "key must have 8 to 100 characters")
    return key


async def _play(socket: WebSocket, site: Site, session: Session, held: Lease, key: str) -> None:
    """Carry messages both ways until either side ends, then store what was made."""
    started = time.monotonic()
    try:
        game = await site.calls.slow(_open, site, held)
    except ValueError as error:
        log.warning("live session of question %d: %s", held.question.id, error)
        await _close(socket, f"this cannot be played: {error}"[:120])
        return
    try:
        listening = asyncio.create_task(_listen(socket, game))
        try:
            async for message in game.messages():
                if isinstance(message, bytes):
                    await socket.send_bytes(message)
                else:
                    await socket.send_text(message)
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
        value = game.result()
        if value is not None:
            seconds = time.monotonic() - started
            await _store(socket, site, session, held, key, value, seconds)
        await _close(socket, "", 1000)
    except (WebSocketDisconnect, RuntimeError) as error:
        # Starlette raises RuntimeError for a send after the page has gone.
        log.info("a live page went away: %s", error)
    finally:
        await site.calls.slow(game.close)


def _open(site: Site, held: Lease) -> LiveSession:
    # Only here: a simulator and its policies take a second to import.
    from simrl.preferences.live import open_session

    question, make_policy = held.question, site.make_policy
    if make_policy is None:
        raise ValueError("nobody here builds policies")
    return open_session(
        question.kind,
        question.clips,
        question.settings,
        site.library,
        make_policy,
        seed=secrets.randbits(31),
        config=site.config.live,
    )


async def _listen(socket: WebSocket, game: LiveSession) -> None:
    """Hand in what the page sends; a page that goes away cancels the session."""
    try:
        while True:
            game.receive(await socket.receive_text())
    except (WebSocketDisconnect, RuntimeError, KeyError):
        game.receive('{"cancel": true}')


async def _store(
    socket: WebSocket,
    site: Site,
    session: Session,
    held: Lease,
    key: str,
    value: Mapping[str, Any],
    seconds: float,
) -> None:
    user = session.user.id
    try:
        stored = await site.calls(site.store.answer, user, held.id, key, value, seconds=seconds)
    except ValueError as error:
        await site.access.audit_refusal(socket, 409, str(error))
        await _close(socket, str(error)[:120])
        return
    progress = await site.calls(site.count_answer, user, stored)
    await socket.send_text(json.dumps({"type": "stored", "progress": progress}))


async def _refuse(socket: WebSocket, site: Site, refusal: HTTPException) -> None:
    """Log a refusal and tell it, by an HTTP status as long as the connection does not stand."""
    why = str(refusal.detail)
    await site.access.audit_refusal(socket, refusal.status_code, why)
    if socket.application_state != WebSocketState.CONNECTING:
        await _close(socket, why)
    elif "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(JSONResponse({"error": why}, refusal.status_code))
    else:
        await socket.close(1008, why)


async def _close(socket: WebSocket, reason: str, code: int = REFUSED) -> None:
    if socket.application_state != WebSocketState.DISCONNECTED:
        with suppress(RuntimeError):
            await socket.close(code, reason[:120])
