"""Logging in and out."""

from __future__ import annotations

import math
import secrets
import time

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from simrl.preferences.store import Session, TooManyAttemptsError
from simrl.preferences.web.access import LOGIN_COOKIE, SESSION_COOKIE, address
from simrl.preferences.web.guard import LOOPBACK_HOSTS
from simrl.preferences.web.site import Site, site_of

router = APIRouter()
STALE = "That page was too old. Please log in once more."
WRONG = "Name or password is wrong."


@router.get("/login", name="login")
async def login_page(request: Request) -> Response:
    """Show the login; in one-person mode, open a session at once."""
    site = site_of(request)
    if await site.access.visitor(request) is not None:
        return RedirectResponse("/", 303)
    if site.access.local() and address(request) in LOOPBACK_HOSTS:
        user = await site.calls(site.store.local_user)
        session = await site.calls(site.store.new_session, user.id)
        return _welcome(request, site, session)
    return _form(request, site)


@router.post("/login")
async def login(request: Request) -> Response:
    """Check name and password; the store logs the outcome and counts what failed."""
    site = site_of(request)
    form = await request.form(max_files=0, max_fields=10)
    name, password, token = (str(form.get(key, "")) for key in ("name", "password", "csrf"))
    if not site.access.login_allowed(request.cookies.get(LOGIN_COOKIE, ""), token):
        await site.access.audit_refusal(request, 403, "the login form's CSRF token is wrong")
        return _form(request, site, name, STALE, 403)
    try:
        user = await site.calls.slow(site.store.authenticate, name, password, address(request))
    except TooManyAttemptsError as error:
        wait = math.ceil(max(1.0, error.retry_after))
        reply = _form(request, site, name, f"Too many attempts. Try again in {wait} s.", 429)
        reply.headers["Retry-After"] = str(wait)
        return reply
    if user is None:
        return _form(request, site, name, WRONG, 401)
    session = await site.calls(site.store.new_session, user.id)
    return _welcome(request, site, session)


@router.post("/logout")
async def logout(request: Request) -> Response:
    """End the session, here and in the store."""
    site = site_of(request)
    form = await request.form(max_files=0, max_fields=10)
    await site.access.changing(request, str(form.get("csrf", "")))
    token = request.cookies[SESSION_COOKIE]
    await site.calls(site.store.end_session, token)
    site.access.forget(token)
    reply = RedirectResponse("/login", 303)
    reply.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
    return reply


def _form(
    request: Request, site: Site, name: str = "", problem: str = "", status: int = 200
) -> Response:
    nonce = request.cookies.get(LOGIN_COOKIE, "")
    if not 16 <= len(nonce) <= 100:
        nonce = secrets.token_urlsafe(24)
    reply = site.page(
        "login.html",
        status=status,
        csrf=site.access.login_token(nonce),
        name=name[:100],
        problem=problem,
    )
    _set_cookie(request, site, reply, LOGIN_COOKIE, nonce, 3600)
    return reply


def _welcome(request: Request, site: Site, session: Session) -> Response:
    if not session.user.active:
        raise HTTPException(403, "this account is not active")
    reply = RedirectResponse("/", 303)
    lifetime = max(60, int(session.expires - time.time()))
    _set_cookie(request, site, reply, SESSION_COOKIE, session.token, lifetime)
    return reply


def _set_cookie(
    request: Request, site: Site, reply: Response, name: str, value: str, seconds: int
) -> None:
    reply.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="strict",
        secure=site.config.https or request.url.scheme == "https",
    )
