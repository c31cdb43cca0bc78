"""Serve the labelling page with uvicorn, where that is safe."""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING, Final

from simrl.preferences.web.guard import LOOPBACK_HOSTS

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

log = logging.getLogger(__name__)
LARGEST_MESSAGE: Final = 16_384
"""Largest message that a page may send over a WebSocket [bytes]."""


def make_server(app: FastAPI, host: str = "127.0.0.1", port: int = 8000) -> uvicorn.Server:
    """Return a uvicorn server of the page; `serve` runs it.

    Raises:
        ValueError: If `host` reaches beyond this machine and nobody has an account, or the port is
            no port.
    """
    import uvicorn

    site = app.state.site
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be from 0 to 65535, got {port}")
    if not is_loopback(host) and site.access.local():
        raise ValueError(
            f"nobody has an account yet, so the page is served on 127.0.0.1 only, not on {host}: "
            "add people with simrl label add-user first"
        )
    proxy = site.config.proxy
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            # Its own configuration would close the log handlers of everybody in this process.
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=bool(proxy),
            forwarded_allow_ips=proxy or None,
            ws_max_size=LARGEST_MESSAGE,
            timeout_keep_alive=30,
            h11_max_incomplete_event_size=32_768,
            limit_concurrency=1000,
            timeout_graceful_shutdown=5,
        )
    )


def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the page until it is interrupted; ValueError as `make_server` says."""
    make_server(app, host, port).run()


def is_loopback(host: str) -> bool:
    """Whether a host to bind to is reached from this machine only."""
    if host in LOOPBACK_HOSTS:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
