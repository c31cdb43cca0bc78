"""Run one environment at the pace of life, show it, and take in what a person says and does."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from bisect import bisect_right
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from simrl.core import TimeStep
from simrl.core.plugins import env_plugin
from simrl.preferences.clips.library import ClipLibrary
from simrl.preferences.live.outbox import Outbox, plain
from simrl.preferences.live.person import PersonInputs, PersonLeftError
from simrl.preferences.live.protocol import (
    LiveConfig,
    Message,
    Reason,
    frame_message,
    read_message,
)
from simrl.preferences.live.stage import LiveTask, Stage, Stopwatch
from simrl.preferences.live.tape import episode_metrics

logger = logging.getLogger(__name__)

LAG = 0.25
"""How far play may fall behind before the lost time is given up instead of made up [s]."""


@dataclass(frozen=True)
class Judgement:
    """Hold one judgement."""

    time: float
    """Session time at which it was made [s]."""
    value: float
    """How good, -1 to 1."""
    speed: float
    """Speed of play then."""


class BrokenOffError(Exception):
    """Say that a step was broken off, since the session ends or starts anew elsewhere."""


class LiveSession:
    """Play one environment in a thread of its own, as `protocol` describes.

    `start` (or iterating `messages`) begins, `receive` takes the page's messages from any thread,
    `messages` or `next` give what is to be sent, `result` is the answer after "done".

    Attributes:
        task: What is played.
        outbox: What waits to be sent.
    """

    def __init__(
        self,
        task: LiveTask,
        library: ClipLibrary | None = None,
        config: LiveConfig | None = None,
    ) -> None:
        """Prepare; nothing is built yet.  Recorded clips go into `library`, if there is one."""
        self.task, self.config = task, config or LiveConfig()
        self.outbox = Outbox()
        self._inputs = PersonInputs()
        self._library = library
        self._name = f"live-{task.env}-{secrets.token_hex(6)}"
        self._thread = threading.Thread(target=self._run, name="live-session", daemon=True)
        # Guarded by `_changed`, which the session's thread waits on:
        self._changed = self._inputs.changed
        self._paused, self._speed = True, self.config.speed
        self._person = task.mode == "correct"
        self._seek: int | None = 0 if task.mode == "correct" else None
        self._over = self._waiting = False
        self._end: Reason | None = None
        self._judgements: list[Judgement] = []
        self._new: list[Judgement] = []
        self._clock = Stopwatch()
        # The session's thread's own:
        self._value: dict[str, Any] | None = None
        self._position = self._length = 0
        self._returned = self._reward = 0.0
        self._times, self._game_times = [0.0], [0.0]

    def start(self) -> None:
        """Begin in a thread of its own; calling it again does nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def receive(self, raw: str | bytes) -> None:
        """Take a page's message in; a bad one is answered with an error of one line."""
        try:
            message = read_message(raw)
            with self._changed:
                self._check(message)
                self._apply(message)
                self._changed.notify_all()
        except ValueError as error:
            self.outbox.tell("error", message=str(error))

    def next(self, timeout: float | None = None) -> str | bytes | None:
        """Wait for the next message to send; None after the last, or when `timeout` [s] is over."""
        return self.outbox.next(timeout)

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Start, and yield every message to send until the last."""
        self.start()
        async for message in self.outbox.messages():
            yield message

    def result(self) -> dict[str, Any] | None:
        """Return the answer's value once the session is over; None if there is nothing to keep."""
        return self._value

    def close(self, timeout: float = 10.0) -> None:
        """End now, keeping nothing more, and wait for the thread."""
        self._finish("cancelled")
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _check(self, message: Message) -> None:
        low, high = self.config.speeds
        clip, live = self.task.clip, self.task.mode == "live"
        if message.speed is not None and not low <= message.speed <= high:
            raise ValueError(f"speed must be from {low:g} to {high:g}, got {message.speed:g}")
        if message.take_over and env_plugin(self.task.env).controls is None:
            raise ValueError(f"{self.task.env} has no controls for people")
        if message.seek is not None and clip is None:
            raise ValueError("only a clip that is corrected can be sought in")
        if message.seek is not None and clip is not None and message.seek >= clip.num_steps:
            raise ValueError(f"seek must be below {clip.num_steps}, got {message.seek}")
        if message.feedback is not None and not live:
            raise ValueError("a correction takes no judgements")
        if message.feedback is not None and len(self._judgements) >= self.config.max_events:
            raise ValueError(f"no more than {self.config.max_events} judgements are kept")

    def _apply(self, message: Message) -> None:
        if message.moved:
            self._inputs.point(message.pointer)
        if message.clicks:
            self._inputs.click(message.clicks)
        if message.keys is not None:
            self._inputs.press(message.keys)
        if message.feedback is not None:
            now = self._clock.now()
            when = now if message.t is None else min(max(message.t, 0.0), now)
            judgement = Judgement(when, message.feedback, self._speed)
            self._judgements.append(judgement)
            self._new.append(judgement)
        self._steer(message)
        if message.cancel:
            self._end = self._end or "cancelled"
        elif message.submit:
            self._end = self._end or "submitted"

    def _steer(self, message: Message) -> None:
        """Change pause, speed, place and who acts; tell the page if any of them was named."""
        if message.speed is not None:
            self._speed = message.speed
        if message.take_over is not None:
            self._person = message.take_over
        if message.seek is not None:
            self._seek, self._paused, self._over = message.seek, True, False
        if message.pause is not None:
            self._paused = message.pause or self._over
        named = (message.pause, message.speed, message.take_over, message.seek)
        if any(value is not None for value in named):
            self._clock.run(not self._paused and not self._waiting)
            self._tell_state()

    def _tell_state(self) -> None:
        state: dict[str, Any] = {
            "paused": self._paused,
            "speed": self._speed,
            "person": self._person,
            "waiting": self._waiting,
        }
        if self.task.mode == "correct":
            state["step"] = self._position if self._seek is None else self._seek
            state["over"] = self._over
        self.outbox.tell("state", **state)

    def _finish(self, reason: Reason) -> None:
        with self._changed:
            self._end = self._end or reason
            self._changed.notify_all()

    # From here on everything runs in the session's own thread.

    def _run(self) -> None:
        try:
            stage = Stage(self.task, self.config, self._inputs, self._wait_for_person, self._name)
            self._tell_ready(stage)
            try:
                self._loop(stage)
            finally:
                self._learn()
            self._keep(stage)
        except Exception as error:
            logger.exception("a live session of %s failed", self.task.env)
            lines = str(error).splitlines() or [type(error).__name__]
            self.outbox.tell("error", message=lines[0])
            self._end = "error"
        finally:
            self.outbox.tell("done", reason=self._end, value=self._value)
            self.outbox.close()

    def _loop(self, stage: Stage) -> None:
        due, active = 0.0, time.monotonic()
        while self._end is None:
            with self._changed:
                seek, self._seek = self._seek, None
                paused, speed = self._paused, self._speed
            self._learn()
            now = time.monotonic()
            if seek is not None:
                self._reposition(stage, seek)
            elif paused:
                due = 0.0
                if now - active > self.config.idle_seconds:
                    self._finish("idle")
                self._sleep(1.0)
            elif now < due:
                self._sleep(due - now)
            else:
                active = now
                due = max(due, now - LAG) + stage.step_seconds / speed
                try:
                    self._step(stage)
                except BrokenOffError:
                    continue

    def _step(self, stage: Stage) -> None:
        timestep = stage.step(self._person)
        if self._waiting:
            with self._changed:
                self._waiting = False
                self._clock.run(not self._paused)
                self._tell_state()
        now = self._clock.now()
        self._reward = float(timestep.reward[0, self.task.seat])
        self._returned += self._reward
        self._position += 1
        self._length += 1
        self._times.append(now)
        self._game_times.append(self._game_times[-1] + stage.step_seconds)
        done = bool(timestep.done[0])
        if self.task.learner is not None:
            self.task.learner.observe(now, stage.watch.obs, stage.watch.action, done)
        if stage.frame_is_due() and not (done and self.task.mode == "correct"):
            self._show(stage)
        if done:
            self._end_episode(timestep)
        if now >= self.config.seconds:
            self._finish("time")
        if self.outbox.overfull:
            self._finish("idle")

    def _end_episode(self, timestep: TimeStep) -> None:
        figures = plain(episode_metrics(timestep, self.task.seat))
        told = {"steps": self._length, "return": self._returned, "metrics": figures}
        self.outbox.tell("episode", **told)
        self._returned, self._length = 0.0, 0
        if self.task.mode == "correct":  # the demonstration is whole; seek starts another
            with self._changed:
                self._over = self._paused = True
                self._clock.run(False)
                self._tell_state()

    def _learn(self) -> None:
        """Hand new judgements to the learner, and tell the page."""
        with self._changed:
            new, self._new = self._new, []
            count = len(self._judgements) - len(new)
        for number, judgement in enumerate(new, count + 1):
            told: dict[str, Any] = {"count": number, "value": judgement.value}
            if self.task.learner is not None:
                figures = self.task.learner.feedback(judgement.time, judgement.value)
                told["learner"] = plain(figures)
            self.outbox.tell("feedback", time=judgement.time, **told)

    def _reposition(self, stage: Stage, step: int) -> None:
        """Bring everything to one step of the clip, and show it."""
        stage.seek(step)
        self._inputs.clear()
        self._returned, self._reward, self._length = 0.0, 0.0, 0
        with self._changed:
            self._position, self._waiting = step, False
            self._tell_state()
        self._show(stage)

    def _show(self, stage: Stage) -> None:
        header: dict[str, Any] = {
            "step": self._position,
            "time": round(self._clock.now(), 4),
            **plain({"reward": self._reward, "return": self._returned}),
        }
        if stage.watch.predicted is not None:
            header |= plain({"predicted": stage.watch.predicted})
        self.outbox.show(frame_message(header, stage.jpeg(self._person)))

    def _tell_ready(self, stage: Stage) -> None:
        spec, task, config = stage.env.spec, self.task, self.config
        stage.engine.reset()
        picture, controls = stage.image(self._person), stage.controls
        self.outbox.tell(
            "ready",
            mode=task.mode,
            env=task.env,
            seat=task.seat,
            seat_name=spec.agent_names[task.seat],
            policies=list(task.names),
            width=picture.width,
            height=picture.height,
            step_seconds=stage.step_seconds,
            seconds=config.seconds,
            fps=config.fps,
            speeds=list(config.speeds),
            controls=None if controls is None else [list(key) for key in controls.keys],
            learner=None if task.learner is None else task.learner.kind,
            step=0,
            steps=0 if task.clip is None else task.clip.num_steps,
            person=self._person,
        )
        if task.mode == "live":
            stage.tape.begin()
            self._show(stage)
            with self._changed:
                self._tell_state()

    def _sleep(self, seconds: float) -> None:
        """Wait, but not while there is something to do."""
        with self._changed:
            if self._end is None and self._seek is None and not self._new:
                self._changed.wait(seconds)

    def _wait_for_person(self) -> None:
        """Stand still until the person does something; called while the person is to act.

        Raises PersonLeftError if the policy is to act instead, BrokenOffError if nobody is.
        """
        with self._changed:
            if not self._waiting:
                self._waiting = True
                self._clock.run(False)
                self._tell_state()
            heard = self._changed.wait_for(self._stirs, self.config.idle_seconds)
            if not heard:
                self._end = self._end or "idle"
            if self._end is not None or self._seek is not None:
                raise BrokenOffError
            if not self._person:
                raise PersonLeftError

    def _stirs(self) -> bool:
        left = not self._person or self._end is not None or self._seek is not None
        return left or self._inputs.new

    def _keep(self, stage: Stage) -> None:
        """Store what was recorded, and make the answer of it."""
        if self._end not in ("submitted", "time") or self._library is None:
            return
        clips = stage.tape.clips()
        if not clips:
            return
        if self.task.clip is not None:
            if stage.tape.stretches[0].person:
                name = self._library.add(clips[0][1])
                self._value = {"clip": self.task.clip.id, "step": stage.start}
                self._value["demonstration"] = name
            return
        stored = [[begin, self._library.add(clip)] for begin, clip in clips]
        self._value = {
            "events": [[self._game_time(j.time), j.value] for j in self._judgements],
            "speeds": [judgement.speed for judgement in self._judgements],
            "clip": stored[0][1],
            "clips": stored,
        }

    def _game_time(self, when: float) -> float:
        """Turn session time into the game time of what was on the screen then [s]."""
        return self._game_times[max(0, bisect_right(self._times, when) - 1)]
