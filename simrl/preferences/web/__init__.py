"""The labelling page: people compare, rate and correct clips in their browser.

    app = create_app(store, library, WebConfig(title="my project"))
    serve(app, "127.0.0.1", 8000)

Without accounts it serves one person on this machine; with accounts (`LabelStore.add_user`) people
log in.  Needs `pip install 'simrl[label]'`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simrl.preferences.web.app import create_app
    from simrl.preferences.web.config import WebConfig
    from simrl.preferences.web.server import make_server, serve

__all__ = ["WebConfig", "create_app", "make_server", "serve"]

_PLACES = {"WebConfig": "config", "create_app": "app", "make_server": "server", "serve": "server"}
_EXTRAS = ("fastapi", "starlette", "uvicorn", "websockets", "jinja2", "multipart", "pydantic")


def __getattr__(name: str) -> Any:
    """Import the page when it is first asked for; ValueError says what is not installed."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_PLACES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRAS:
            raise
        raise ValueError(
            f"the labelling page needs {error.name}: pip install 'simrl[label]'"
        ) from error
    return getattr(module, name)
