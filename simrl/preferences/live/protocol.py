"""What a live page and a `LiveSession` say to each other, whatever carries it (a WebSocket).

The page sends text, each a JSON object with any of these keys; several may come in one object:

    {"pause": false}                   run; every session starts paused, with its first frame shown
    {"pause": true}                    stand still; time does not count meanwhile
    {"speed": 0.5}                     play at half speed; `LiveConfig.speeds` says what is allowed
    {"feedback": 1, "t": 12.34}        a judgement of what was just seen, -1 to 1 (buttons send 1 or
                                       -1); t is when, see below; without t it is now
    {"keys": ["q", "mouse-right"],     what is held down now: KeyboardEvent.key in lower case, and
     "pointer": [0.4, 0.7],            mouse-left, mouse-middle, mouse-right; where the pointer is,
     "clicks": [[0.4, 0.7,             as fractions of the picture from its upper left, null outside
       "mouse-left"]]}                 it; clicks since the last message.  Send it at every change,
                                       pointer moves at most 30 a second; a key that is left out of
                                       "keys" is up.  On blur send {"keys": []}
    {"take_over": true}                the person acts for the seat from now on; false: the policy
    {"seek": 40}                       mode "correct": start at this step of the clip, or start
                                       again; what was played is forgotten, a new first frame comes
    {"submit": true}                   end, and keep the result
    {"cancel": true}                   end, and keep nothing

The session sends binary messages, each one frame, and text messages.  A frame is

    4 bytes: N, unsigned, big-endian · N bytes: a JSON object in UTF-8 · the rest: a JPEG image

and its object is {"type": "frame", "step": 17, "time": 2.35, "reward": 0.1, "return": 3.0}: the
steps so far, the session's time when the frame was made [s, pauses not counted], the last reward
and the episode's return so far of the seat, without discount; a learner's estimate of the shown
action is "predicted".  Where the reader is slower than the game, frames are dropped, never queued.
The page computes the t of feedback as the "time" of the newest frame that it has shown plus the
seconds since it was shown (times nothing: speed does not change it, pauses do); so t is the moment
that the person saw, whatever the network's delay.

Text messages are JSON objects with a "type":

    ready    first of all: mode, env, seat (number), seat_name, policies (names by seat), width,
             height, step_seconds, seconds (how long it may run), fps, speeds [low, high],
             controls (null, or [[key, what it does], ...]), learner (null, "tamer", "coach"),
             step and steps (mode "correct": where it starts, how long the clip is), person (whether
             the person holds the seat)
    state    after every change of it: paused, speed, person, waiting (a game by turns waits for the
             person); in mode "correct" also step (of the clip) and over (the episode has ended: the
             demonstration can be submitted, or started again by seek)
    feedback count, value, time: one for each judgement that was taken in; and "learner": figures of
             the learner, {name: number}, where one learns
    episode  an episode has ended: return, steps, metrics {name: number}
    error    message: one line for the person; the session goes on unless a "done" follows
    done     last of all: reason ("submitted", "time", "cancelled", "idle", "error"), value: the
             answer that was made, or null; only "submitted" and "time" leave one

`value` is of the store's kind.  Mode "live": {"events": [[seconds, value], ...], "speeds": [...],
"clip": ID, "clips": [[seconds, ID], ...]}: seconds of game time since the session's start, the
speed of play at each event, and a clip for each episode with the time at which it begins ("clip" is
the first).  An event's seconds are those of what was on the screen then; the person's own delay is
in real seconds, so game seconds divided by the speed.  Mode "correct": {"clip": ID, "step": K,
"demonstration": ID}.  Whoever carries the messages stores `LiveSession.result()` as the answer,
never what a page sends.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simrl.core.controls import MOUSE_BUTTONS, Click

Mode = Literal["live", "correct"]
Reason = Literal["submitted", "time", "cancelled", "idle", "error"]

MAX_MESSAGE = 4096
"""Longest message that is read [bytes]."""
MAX_KEYS = 16
"""Most keys held at once, and most clicks in one message."""


@dataclass(frozen=True)
class LiveConfig:
    """Bound a live session."""

    seconds: float = 180.0
    """How long it may run, pauses not counted [s]."""
    idle_seconds: float = 300.0
    """How long it may stand still, or wait for the person, before it is ended [s]."""
    fps: float = 15.0
    """Most frames a second, up to 20."""
    jpeg_quality: int = 80
    """Quality of the frames, 1 to 95."""
    width: int = 0
    """Width to which larger pictures are shrunk [pixels]; 0 leaves them as they are drawn."""
    speed: float = 1.0
    """Speed at which it starts; 1 is real time."""
    speeds: tuple[float, float] = (0.1, 4.0)
    """Least and greatest speed that the person may choose."""
    turn_seconds: float = 0.5
    """Seconds a step where the environment's time has no unit [s]."""
    max_events: int = 5000
    """Most judgements that are kept."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("seconds", "idle_seconds", "fps", "turn_seconds", "max_events"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.fps > 20:
            raise ValueError(f"fps must be at most 20, got {self.fps}")
        if not 1 <= self.jpeg_quality <= 95:
            raise ValueError(f"jpeg_quality must be from 1 to 95, got {self.jpeg_quality}")
        if not 0 < self.speeds[0] <= self.speed <= self.speeds[1]:
            raise ValueError(f"speed must be within speeds {self.speeds}, got {self.speed}")


@dataclass(frozen=True)
class Message:
    """Hold one checked message of a page; None stands for what it does not say."""

    pause: bool | None = None
    """Stand still, or run."""
    speed: float | None = None
    """Speed of play; 1 is real time."""
    feedback: float | None = None
    """A judgement, -1 to 1."""
    t: float | None = None
    """When the judgement was made, in the session's time [s]."""
    keys: frozenset[str] | None = None
    """Keys and mouse buttons that are down."""
    pointer: tuple[float, float] | None = None
    """Where the pointer is."""
    moved: bool = False
    """Whether the message says where the pointer is; if so and `pointer` is None, it has left."""
    clicks: tuple[Click, ...] = ()
    """New clicks."""
    take_over: bool | None = None
    """Let the person act, or the policy."""
    seek: int | None = None
    """Step of the clip to start at."""
    submit: bool = False
    """End, and keep the result."""
    cancel: bool = False
    """End, and keep nothing."""


def read_message(raw: str | bytes) -> Message:
    """Check what a page sent; ValueError says in one line what is wrong with it."""
    if len(raw) > MAX_MESSAGE:
        raise ValueError(f"a message may have {MAX_MESSAGE} bytes, got {len(raw)}")
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError("a message must be JSON") from error
    if not isinstance(data, dict):
        raise ValueError("a message must be a JSON object")
    unknown = sorted(set(data) - _KEYS)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; the keys are {', '.join(sorted(_KEYS))}")
    pointer = data.get("pointer")
    return Message(
        pause=_flag(data, "pause"),
        speed=_number(data, "speed", 0.0, math.inf),
        feedback=_number(data, "feedback", -1.0, 1.0),
        t=_number(data, "t", -math.inf, math.inf),
        keys=None if "keys" not in data else _held(data["keys"]),
        pointer=None if pointer is None else _place(pointer, "pointer"),
        moved="pointer" in data,
        clicks=_clicks(data.get("clicks", [])),
        take_over=_flag(data, "take_over"),
        seek=_step(data),
        submit=bool(_flag(data, "submit")),
        cancel=bool(_flag(data, "cancel")),
    )


def frame_message(header: Mapping[str, Any], jpeg: bytes) -> bytes:
    """Join a frame's header and its image into one binary message."""
    head = json.dumps({"type": "frame", **header}, allow_nan=False).encode()
    return len(head).to_bytes(4, "big") + head + jpeg


def read_frame(message: bytes) -> tuple[dict[str, Any], bytes]:
    """Take a binary message apart into its header and its image; ValueError if it is cut short."""
    size = int.from_bytes(message[:4], "big")
    if len(message) < 4 + size:
        raise ValueError(f"a frame's header has {size} bytes, but the message only {len(message)}")
    header: dict[str, Any] = json.loads(message[4 : 4 + size])
    return header, message[4 + size :]


_KEYS = frozenset(
    {"pause", "speed", "feedback", "t", "keys", "pointer", "clicks", "take_over", "seek"}
    | {"submit", "cancel"}
)


def _flag(data: Mapping[str, Any], name: str) -> bool | None:
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(data: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    value = data.get(name)
    if value is None:
        return None
    if not _is_number(value) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}")
    return float(value)


def _step(data: Mapping[str, Any]) -> int | None:
    value = data.get("seek")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("seek must be a step, 0 or more")
    return value


def _held(keys: Any) -> frozenset[str]:
    short = isinstance(keys, list) and len(keys) <= MAX_KEYS
    if not short or not all(isinstance(key, str) and 0 < len(key) <= 32 for key in keys):
        raise ValueError(f"keys must be a list of at most {MAX_KEYS} names")
    return frozenset(key.lower() for key in keys)


def _place(value: Any, name: str) -> tuple[float, float]:
    if (
        not isinstance(value, list)
        or len(value) < 2
        or not all(_is_number(part) and 0.0 <= part <= 1.0 for part in value[:2])
    ):
        raise ValueError(f"{name} must hold fractions of the picture, x and y from 0 to 1")
    return float(value[0]), float(value[1])


def _clicks(value: Any) -> tuple[Click, ...]:
    if not isinstance(value, list) or len(value) > MAX_KEYS:
        raise ValueError(f"clicks must be a list of at most {MAX_KEYS}")
    clicks = []
    for click in value:
        x, y = _place(click, "a click")
        button = click[2] if len(click) > 2 else MOUSE_BUTTONS[0]
        if button not in MOUSE_BUTTONS:
            raise ValueError(f"unknown mouse button; the buttons are {', '.join(MOUSE_BUTTONS)}")
        clicks.append(Click(x, y, button))
    return tuple(clicks)
