"""Record a live session's play, one clip for each episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simrl.core import TimeStep, VecEnv
from simrl.preferences.clips.clip import Clip, config_hash_of
from simrl.preferences.clips.cut import clip_metrics
from simrl.rollout.observer import Observer, StepRecord

MAX_STEPS = 200_000
"""Steps that a session keeps; a longer one goes on unrecorded."""


@dataclass
class Stretch:
    """Hold the steps of one episode, or of its part, as they come."""

    snapshot: np.ndarray
    """State of the simulator before the lead `[S]`."""
    lead: np.ndarray
    """Actions from the snapshot to the first step `[K, A, ...]`."""
    begin: float
    """Game seconds from the session's start to the first step [s]."""
    steps: list[dict[str, Any]] = field(default_factory=list)
    """What was seen, done and paid at each step."""
    person: bool = False
    """Whether a person acted at any step."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Figures of the episode, once it has ended."""


@dataclass(frozen=True)
class TapeFacts:
    """Say what is the same for all clips of a session."""

    env_options: Mapping[str, Any]
    """Fields of the environment's config that differ from their defaults."""
    seat: int
    """Seat that is watched or taken over."""
    policies: tuple[str, ...]
    """Who sits at each seat."""
    seed: int
    """Seed of the session."""
    episode: str
    """Name of the session, or of the clip's episode."""
    numbered: bool
    """Whether each episode has a name of its own."""


class Tape(Observer):
    """Keep every step of the watched seat; `clips` makes clips of what there is."""

    def __init__(self, env: VecEnv, facts: TapeFacts, step_seconds: float) -> None:
        """Record `env`'s row 0; a step takes `step_seconds` of game time [s]."""
        self.reads = frozenset({"policy"})
        self.facts = facts
        self.stretches: list[Stretch] = []
        self.recording = False
        self.person_acts = False
        self.num_steps = 0
        self._env, self._step_seconds = env, step_seconds
        self._fresh = True

    def begin(self, snapshot: np.ndarray | None = None, lead: np.ndarray | None = None) -> None:
        """Start recording with the next step: from a given snapshot and lead, or from here."""
        self.stretches, self.num_steps = [], 0
        self.recording = True
        self._fresh = snapshot is None
        if snapshot is not None and lead is not None:
            self.stretches.append(Stretch(snapshot, lead, 0.0))

    def on_act(self, record: StepRecord) -> None:
        """Keep what is seen and done."""
        if not self.recording or self.num_steps >= MAX_STEPS:
            return
        if self._fresh:
            begin = self.num_steps * self._step_seconds
            lead = record.action[0, None][:0].numpy().copy()
            snapshot = self._env.snapshot()[0].numpy().copy()
            self.stretches.append(Stretch(snapshot, lead, begin))
            self._fresh = False
        stretch = self.stretches[-1]
        stretch.person |= self.person_acts
        stretch.steps.append(
            {
                "obs": record.obs["policy"][0, self.facts.seat].float().numpy().copy(),
                "action": record.action[0].numpy().copy(),
            }
        )

    def on_step(self, record: StepRecord, timestep: TimeStep) -> None:
        """Keep what came of it."""
        if not self.recording or self.num_steps >= MAX_STEPS:
            return
        terms = timestep.reward_terms
        stretch = self.stretches[-1]
        stretch.steps[-1] |= {
            "reward": timestep.reward[0].numpy().copy(),
            "reward_terms": np.zeros((len(timestep.reward[0]), 0), np.float32)
            if terms is None
            else terms[0].numpy().copy(),
            "terminated": bool(timestep.terminated[0]),
            "truncated": bool(timestep.truncated[0]),
        }
        self.num_steps += 1
        if bool(timestep.done[0]):
            stretch.metrics = episode_metrics(timestep, self.facts.seat)
            self._fresh = True

    def clips(self) -> list[tuple[float, Clip]]:
        """Return the clips with the game seconds at which each begins."""
        return [
            (stretch.begin, self._clip(stretch, number))
            for number, stretch in enumerate(self.stretches)
            if stretch.steps
        ]

    def _clip(self, stretch: Stretch, number: int) -> Clip:
        facts, spec = self.facts, self._env.spec
        columns = {
            name: np.stack([step[name] for step in stretch.steps]) for name in stretch.steps[0]
        }
        names = list(facts.policies)
        if stretch.person:
            names[facts.seat] = "person"
        seat = facts.seat
        return Clip(
            env=spec.id,
            env_options=facts.env_options,
            seat=seat,
            policies=tuple(names),
            seed=facts.seed,
            config_hash=config_hash_of(spec.id, facts.env_options),
            step_seconds=spec.step_seconds,
            episode=f"{facts.episode}/{number}" if facts.numbered else facts.episode,
            snapshot=stretch.snapshot,
            lead=stretch.lead,
            metrics=clip_metrics(
                spec,
                columns["reward"][:, seat],
                columns["reward_terms"][:, seat],
                stretch.metrics,
            ),
            **columns,
        )


def episode_metrics(timestep: TimeStep, seat: int) -> dict[str, float]:
    """Return the figures of the episode that row 0 has ended, for one seat."""
    return {
        name: float(value[0, seat] if value.ndim > 1 else value[0])
        for name, value in timestep.metrics.items()
    }
