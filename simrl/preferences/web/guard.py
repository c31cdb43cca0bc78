"""What stands before every request: host names, sizes of bodies, and headers on every reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "::1")
"""Names of this machine to itself."""
PAGE_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""What the pages may do: run our own files and nothing else, never stand in a foreign frame."""
REPLAY_POLICY: Final = "; ".join(
    (
        "sandbox allow-scripts",
        "default-src 'none'",
        "script-src 'unsafe-inline'",
        "style-src 'unsafe-inline'",
        "img-src data: blob:",
        "frame-ancestors 'self'",
    )
)
"""A replay's page carries its own script: it runs in a box without origin, cookies or network."""
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Headers of every reply, beside the content security policy."""

Hosts = Callable[[], tuple[str, ...]]
"""Return the host names that are answered now; none: any."""
Refuse = Callable[[Scope, Receive, Send, HTTPException], Awaitable[None]]
"""Answer a request with a refusal, and log it."""


class Guard:
    """Refuse foreign host names and bodies that are too large; put security headers on replies.

    A body is counted while it comes, so that one without a Content-Length is stopped, too.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Hosts, max_body: int, https: bool, refuse: Refuse
    ) -> None:
        self.app = app
        self.hosts = hosts
        self.max_body = max_body
        self.https = https
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._dress(MutableHeaders(scope=message))
            await send(message)

        try:
            self._check_host(headers)
            if scope["type"] == "http":
                receive = self._counted(headers, receive)
            await self.app(scope, receive, sending)
        except HTTPException as refusal:
            if started:
                raise
            await self.refuse(scope, receive, sending, refusal)

    def _check_host(self, headers: Headers) -> None:
        hosts = self.hosts()
        name = host_name(headers.get("host", ""))
        if hosts and name not in hosts:
            raise HTTPException(421, f"this page is not served under the name {name[:80]!r}")

    def _counted(self, headers: Headers, receive: Receive) -> Receive:
        too_large = HTTPException(413, f"the body may have {self.max_body} bytes")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > self.max_body:
            raise too_large
        got = 0

        async def counting() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > self.max_body:
                raise too_large
            return message

        return counting

    def _dress(self, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers[name] = value
        headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        if self.https:
            headers["Strict-Transport-Security"] = "max-age=31536000"


def host_name(host: str) -> str:
    """Return a Host header's name in lower case, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def same_origin(headers: Headers) -> bool:
    """Tell whether a browser's request comes from our own page, as far as its Origin says so."""
    origin = headers.get("origin")
    if origin is None:
        return True
    return origin.partition("://")[2].lower() == headers.get("host", "").lower()
