"""Serving leaves the logging of the process as it was."""

import logging

import pytest

pytest.importorskip("uvicorn")

from simrl.preferences.clips import ClipLibrary
from simrl.preferences.store import LabelStore
from simrl.preferences.web import WebConfig, create_app, make_server


def test_handlers_of_others_stay_open(tmp_path):
    closed = []

    class Handler(logging.Handler):
        def close(self):
            closed.append(self)
            super().close()

    handler = Handler()
    with LabelStore.open(tmp_path / "labels.db") as store:
        app = create_app(store, ClipLibrary(tmp_path), WebConfig())
        make_server(app, port=0)
    assert closed == []
    handler.close()
