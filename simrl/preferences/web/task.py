"""What the page is told of a question, and what its answers mean to the store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from simrl.preferences.clips import ClipLibrary
from simrl.preferences.store import Lease

SETTINGS: Final = ("low", "high", "labels")
"""Settings of a question that the page needs; others could tell what the right answer is."""
LEASE: Final = re.compile(r"(\d{1,16})\.([01])")
"""A lease as the page knows it: its number, and whether the first clip is shown on the right."""
SIDES: Final = {"left": 0, "right": 1}


def describe(lease: Lease, library: ClipLibrary, *, metrics: bool) -> dict[str, Any]:
    """Return what the page needs to ask a question; the clips from left to right."""
    question = lease.question
    clips = list(question.clips)
    if lease.swapped:
        clips.reverse()
    sides = ("left", "right") if len(clips) == 2 else ("only",)
    return {
        "lease": lease_name(lease),
        "question": {
            "id": question.id,
            "kind": question.kind,
            "prompt": question.prompt,
            "settings": {k: v for k, v in question.settings.items() if k in SETTINGS},
        },
        "clips": [
            describe_clip(clip, side, library, metrics=metrics)
            for clip, side in zip(clips, sides, strict=False)
        ],
        "expires": lease.expires,
    }


def describe_clip(clip: str, side: str, library: ClipLibrary, *, metrics: bool) -> dict[str, Any]:
    """Return what the page needs to show a clip; never who played it."""
    try:
        meta = library.meta(clip)
    except ValueError:
        meta = {}  # the page says that the clip cannot be shown, and offers to skip it
    return {
        "id": clip,
        "side": side,
        "video": f"/clips/{clip}.mp4",
        "poster": f"/clips/{clip}.jpg",
        "replay": f"/clips/{clip}.html" if library.replay(clip) is not None else None,
        "metrics": dict(meta.get("metrics", {})) if metrics else {},
        "steps": meta.get("steps", 1),
        "step_seconds": meta.get("step_seconds", 0.0),
    }


def lease_name(lease: Lease) -> str:
    """Return a lease as the page knows it: with its sides, so that no memory of it is needed."""
    return f"{lease.id}.{int(lease.swapped)}"


def read_lease(name: str) -> tuple[int, bool]:
    """Return a lease's number and whether its sides are swapped; ValueError if it is no lease."""
    found = LEASE.fullmatch(name)
    if found is None:
        raise ValueError("lease must be one that the page was given")
    return int(found[1]), found[2] == "1"


def stored_value(value: Mapping[str, Any], swapped: bool) -> dict[str, Any]:
    """Turn sides of the screen into the question's own order; other answers stay as they are.

    ValueError for the store's own words: whoever sends "first" has not understood the sides.
    """
    result = dict(value)
    choice = result.get("choice")
    if isinstance(choice, str):
        if choice in ("first", "second"):
            raise ValueError("choice must be left, right, tie or incomparable")
        if choice in SIDES:
            result["choice"] = ("first", "second")[SIDES[choice] ^ int(swapped)]
    return result
