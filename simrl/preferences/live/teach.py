"""Teach a learner from judgements that were stored: the play is simulated and judged once more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from simrl.core import Obs
from simrl.core.plugins import make_env
from simrl.preferences.clips.clip import Clip
from simrl.preferences.clips.library import ClipLibrary
from simrl.preferences.live.protocol import LiveConfig
from simrl.preferences.live.stage import LiveLearner


def teach(
    learner: LiveLearner,
    value: Mapping[str, Any],
    library: ClipLibrary,
    *,
    turn_seconds: float = LiveConfig.turn_seconds,
) -> dict[str, float]:
    """Show a learner the play of one answer of kind "live", with its judgements; return figures.

    The person's delay is in real seconds, so game seconds are divided by the speed of play at the
    judgement that follows.  `turn_seconds` is what a step took where time has no unit.  COACH was
    made for judgements of its own play: on that of another policy its steps are biased.  ValueError
    if a clip is missing.
    """
    events = sorted(zip(value["events"], _speeds(value), strict=True), key=lambda e: e[0][0])
    clock = _PersonTime([event[0] for event, _ in events], [speed for _, speed in events])
    waiting, figures = [(clock(when), worth) for (when, worth), _ in events], dict[str, float]()
    for begin, name in value.get("clips") or [[0.0, value["clip"]]]:
        clip = library.get(name)
        seconds = clip.step_seconds or turn_seconds
        for number, (obs, action, done) in enumerate(_steps(clip, learner.policy.reads), 1):
            shown = clock(begin + number * seconds)
            while waiting and waiting[0][0] < shown:
                figures = dict(learner.feedback(*waiting.pop(0)))
            learner.observe(shown, obs, action, done)
    for when, worth in waiting:
        figures = dict(learner.feedback(when, worth))
    return figures


class _PersonTime:
    """Turn game seconds into the seconds that passed for the person."""

    def __init__(self, times: Sequence[float], speeds: Sequence[float]) -> None:
        self._times = np.array([0.0, *times])
        self._speeds = np.array([*speeds, speeds[-1] if len(speeds) else 1.0])
        self._passed = np.concatenate([[0.0], np.cumsum(np.diff(self._times) / self._speeds[:-1])])

    def __call__(self, game: float) -> float:
        index = max(0, int(np.searchsorted(self._times, game, "right")) - 1)
        return float(self._passed[index] + (game - self._times[index]) / self._speeds[index])


def _steps(
    clip: Clip, reads: frozenset[str]
) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor, bool]]:
    """Simulate a clip; yield what its seat saw and did `[1, ...]`, and whether that ended it."""
    env = make_env(clip.env, 1, **clip.env_options)
    groups = sorted(reads - {"seat"})
    env.request(groups)
    env.reset(0)
    obs: Obs = env.restore(torch.from_numpy(clip.snapshot)[None])
    for joint in clip.lead:
        obs = env.step(torch.from_numpy(joint)[None]).obs
    for joint in clip.action:
        seen = {
            name: (obs[name] if name == "state" else obs[name][:, clip.seat]).clone()
            for name in groups
        }
        action = torch.from_numpy(joint)[None]
        step = env.step(action)
        obs = step.obs
        yield seen, action[:, clip.seat].clone(), bool(step.done[0])


def _speeds(value: Mapping[str, Any]) -> Sequence[float]:
    speeds: Sequence[float] = value.get("speeds") or [1.0] * len(value["events"])
    return speeds
