"""Check what goes into the store: questions, and answers by their kind."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simrl.preferences.store.types import CHOICES, KINDS, NewQuestion

Value = Mapping[str, Any]
CLIP_ID = re.compile(r"[0-9a-f]{16}")
NUM_CLIPS = {
    "compare": (2, 2),
    "rate": (1, 1),
    "thumbs": (1, 1),
    "live": (0, 1),
    "moment": (1, 1),
    "correct": (1, 1),
    "text": (0, 2),
}
"""Least and most clips of a question of each kind."""

MAX_TEXT = 20_000  # characters that a person may write
MAX_EVENTS = 20_000  # judgements in one live answer
MAX_DOCUMENT = 200_000  # characters of JSON in a question's settings or provenance
MAX_OVERLAP = 1_000
DEFAULT_SCALE = (1, 5)


def check_question(question: NewQuestion) -> None:
    """Raise ValueError, naming what is wrong, unless the question can be asked."""
    if question.kind not in KINDS:
        raise ValueError(f"unknown kind {question.kind!r}; the kinds are {', '.join(KINDS)}")
    low, high = NUM_CLIPS[question.kind]
    if not low <= len(question.clips) <= high:
        wanted = str(low) if low == high else f"{low} to {high}"
        raise ValueError(
            f"a question of kind {question.kind} has {wanted} clips, got {len(question.clips)}"
        )
    for clip in question.clips:
        _clip(clip, "a clip's id")
    if not 1 <= question.overlap <= MAX_OVERLAP:
        raise ValueError(f"overlap must be from 1 to {MAX_OVERLAP}, got {question.overlap}")
    if not math.isfinite(question.priority):
        raise ValueError(f"priority must be finite, got {question.priority}")
    check_text(question.prompt, "prompt", MAX_TEXT)
    check_text(question.batch, "batch", 200)
    _document(question.settings, "settings")
    _document(question.provenance, "provenance")
    if question.kind == "rate":
        rating_scale(question.settings)
    if question.settings.get("sides", "other") not in ("same", "other"):
        raise ValueError(f"sides must be 'same' or 'other', got {question.settings['sides']!r}")
    if question.gold is not None:
        check_value(question.kind, question.gold, question.clips, question.settings)
    if question.attention and question.gold is None:
        raise ValueError("an attention check needs its right answer as gold")


def check_value(
    kind: str, value: Mapping[str, Any], clips: Sequence[str], settings: Mapping[str, Any]
) -> None:
    """Raise ValueError, naming what is wrong, unless `value` answers a question.

    Args:
        kind: The question's kind.
        value: The answer.
        clips: The question's clips.
        settings: The question's settings.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"an answer is a mapping, got {type(value).__name__}")
    _CHECKS[kind](value, clips, settings)


def check_text(text: object, name: str, limit: int) -> None:
    """Raise ValueError unless `text` is a string of at most `limit` characters for any database."""
    if not isinstance(text, str):
        raise ValueError(f"{name} must be a text, got {type(text).__name__}")
    if len(text) > limit:
        raise ValueError(f"{name} may have {limit} characters, got {len(text)}")
    if "\0" in text:
        raise ValueError(f"{name} has a zero character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} is not valid Unicode") from None


def rating_scale(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Return the lowest and highest rating of a question of kind `rate`."""
    low, high = (
        settings.get(name, value) for name, value in zip(_ENDS, DEFAULT_SCALE, strict=True)
    )
    if not (_is_int(low) and _is_int(high) and low < high):
        raise ValueError(f"the scale needs whole numbers low < high, got low={low!r} high={high!r}")
    return low, high


def _compare(value: Value, clips: Sequence[str], settings: Mapping[str, Any]) -> None:
    _keys(value, "choice")
    if value["choice"] not in CHOICES:
        raise ValueError(
            f"unknown choice {value['choice']!r}; the choices are {', '.join(CHOICES)}"
        )


def _rate(value: Value, clips: Sequence[str], settings: Mapping[str, Any]) -> None:
    _keys(value, "rating")
    low, high = rating_scale(settings)
    if not (_is_int(value["rating"]) and low <= value["rating"] <= high):
        raise ValueError(f"rating must be a whole number {low} to {high}, got {value['rating']!r}")


def _thumbs(value: Value, clips: Sequence[str], settings: Mapping[str, Any]) -> None:
    _keys(value, "up")
    if not isinstance(value["up"], bool):
        raise ValueError(f"up must be true or false, got {value['up']!r}")


def _moment(value: Value, clips: Sequence[str], settings: Mapping[str, Any]) -> None:
    _keys(value, "step", "clip", "?note")
    _step(value["step"])
    _clip(value["clip"], "clip", clips)
    check_text(value.get("note", ""), "note", MAX_TEXT)


def _correct(value: Value, clips: Sequence[str], settings: Mapping[str, Any]) -> None:
    _keys(value, "clip", "step", "demonstration")
    _step(value["step"])
    _clip(value["clip"], "clip", clips)
    _clip(value["demonstration"], "demonstration")


def _text(value: Value, clips: Sequence[str], settings: Mapping[str, Any]) -> None:
    _keys(value, "text")
    check_text(value["text"], "text", MAX_TEXT)
    if not value["text"].strip():
        raise ValueError("text is empty")


def _live(value: Value, clips: Sequence[str], settings: Mapping[str, Any]) -> None:
    _keys(value, "events", "clip", "?speeds", "?clips")
    _clip(value["clip"], "clip")
    events = value["events"]
    if not isinstance(events, list | tuple) or len(events) > MAX_EVENTS:
        raise ValueError(f"events must be a list of at most {MAX_EVENTS} [seconds, value]")
    for event in events:
        if not (isinstance(event, list | tuple) and len(event) == 2 and all(map(_finite, event))):
            raise ValueError(f"an event is [seconds, value], two finite numbers, got {event!r}")
    speeds = value.get("speeds", [1.0] * len(events))
    if not (isinstance(speeds, list | tuple) and len(speeds) == len(events)):
        raise ValueError(f"speeds must be a list of {len(events)} numbers, one an event")
    if not all(_finite(speed) for speed in speeds):
        raise ValueError("speeds must be finite numbers")
    clips = value.get("clips", [])
    if not isinstance(clips, list | tuple) or len(clips) > MAX_EVENTS:
        raise ValueError(f"clips must be a list of at most {MAX_EVENTS} [seconds, clip]")
    for part in clips:
        if not (isinstance(part, list | tuple) and len(part) == 2 and _finite(part[0])):
            raise ValueError(f"clips must hold [seconds, clip], got {part!r}")
        _clip(part[1], "a clip of clips")


_ENDS = ("low", "high")
_CHECKS: dict[str, Callable[[Value, Sequence[str], Mapping[str, Any]], None]] = {
    "compare": _compare,
    "rate": _rate,
    "thumbs": _thumbs,
    "live": _live,
    "moment": _moment,
    "correct": _correct,
    "text": _text,
}


def _keys(value: Mapping[str, Any], *names: str) -> None:
    """Check that the keys are `names`; one that begins with ? may be absent."""
    wanted = {name for name in names if not name.startswith("?")}
    allowed = {name.lstrip("?") for name in names}
    if not wanted <= set(value) <= allowed:
        raise ValueError(
            f"the answer has the keys {sorted(map(str, value))}, not {sorted(allowed)}"
        )


def _clip(value: object, name: str, among: Sequence[str] = ()) -> None:
    if not (isinstance(value, str) and CLIP_ID.fullmatch(value)):
        raise ValueError(f"{name} must be 16 hexadecimal digits, got {value!r:.60}")
    if among and value not in among:
        raise ValueError(
            f"{name} must be one of the question's clips {tuple(among)}, got {value!r}"
        )


def _step(value: object) -> None:
    if not (_is_int(value) and isinstance(value, int) and 0 <= value < 2**31):
        raise ValueError(f"step must be a whole number from 0, got {value!r}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _document(value: Mapping[str, Any], name: str) -> None:
    """Check that a mapping is plain JSON of a bounded size."""
    try:
        text = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be plain JSON: {error}") from None
    check_text(text.replace("\\u0000", "\0"), name, MAX_DOCUMENT)
