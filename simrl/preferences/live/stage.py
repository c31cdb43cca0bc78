"""What stands behind a live session: the environment, the engine, the recording, the pictures."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from simrl.core import Policy, TimeStep
from simrl.core.plugins import env_plugin, make_config, make_env
from simrl.preferences.clips.clip import Clip
from simrl.preferences.live.person import ForcedPolicy, PersonInputs, PersonPolicy, TakeOverPolicy
from simrl.preferences.live.protocol import LiveConfig, Mode
from simrl.preferences.live.tape import Tape, TapeFacts
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.observer import Observer, StepRecord
from simrl.rollout.seating import Seating


class LiveLearner(Protocol):
    """Learn from judgements while the agent plays."""

    kind: str
    """What it is called on the page: "tamer", "coach"."""

    @property
    def policy(self) -> Policy:
        """What sits at the watched seat; it sees the learning at once."""
        ...

    def observe(self, time: float, obs: Mapping[str, Tensor], action: Tensor, done: bool) -> None:
        """Take in a step `[1, ...]` that was shown from `time` [s] on; `done` ended its episode."""
        ...

    def feedback(self, time: float, value: float) -> Mapping[str, float]:
        """Learn from a judgement given at `time` [s]; return figures to show."""
        ...


@dataclass(frozen=True)
class LiveTask:
    """Say what is played, by whom, and what the person is asked for."""

    mode: Mode
    """"live": judge what is seen; "correct": take a clip over at some step."""
    env: str
    """Registered name of the environment."""
    policies: Sequence[Policy]
    """Who sits at each seat."""
    names: tuple[str, ...]
    """Their names."""
    seat: int = 0
    """Seat that is judged, or taken over."""
    env_options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the environment's config that differ from their defaults."""
    clip: Clip | None = None
    """What is corrected, in mode "correct"."""
    learner: LiveLearner | None = None
    """What learns from the judgements at once; it sits at the seat."""
    seed: int = 0
    """Seed of the play."""

    def __post_init__(self) -> None:
        """Check what can be told before anything is built."""
        if (self.mode == "correct") != (self.clip is not None):
            raise ValueError("a clip is what mode 'correct' needs, and only it")
        if not 0 <= self.seat < len(self.policies):
            raise ValueError(f"seat must be in 0..{len(self.policies) - 1}, got {self.seat}")


class Stopwatch:
    """Count the seconds in which it runs."""

    def __init__(self) -> None:
        self._total, self._since = 0.0, math.nan

    def now(self) -> float:
        """Return the seconds so far [s]."""
        running = 0.0 if math.isnan(self._since) else time.monotonic() - self._since
        return self._total + running

    def run(self, running: bool) -> None:
        """Run on, or stand still."""
        self._total = self.now()
        self._since = time.monotonic() if running else math.nan


class Watch(Observer):
    """Keep what the watched seat saw and did last, in tensors that may be learned from."""

    def __init__(self, name: str, learns: bool) -> None:
        self.name, self.learns = name, learns
        self.obs: dict[str, Tensor] = {}
        self.action = torch.zeros(0)
        self.predicted: float | None = None

    def on_act(self, record: StepRecord) -> None:
        """Look at the seat's policy."""
        act = next(act for act in record.acts if act.name == self.name)
        predicted = act.output.extras.get("predicted")
        self.predicted = None if predicted is None else float(predicted[0])
        if self.learns:
            with torch.inference_mode(False):  # outside it, a copy is an ordinary tensor
                self.obs = {name: value.clone() for name, value in act.obs.items()}
                self.action = act.action.clone()


class Stage:
    """Own one environment and everything that plays in it."""

    def __init__(
        self,
        task: LiveTask,
        config: LiveConfig,
        inputs: PersonInputs,
        wait: Callable[[], None],
        session: str,
    ) -> None:
        """Build; `wait` is called while the controls want more from the person.

        ValueError if the policies do not fit, or nobody can correct in this environment.
        """
        self.task, self.config = task, config
        self.env = make_env(task.env, 1, **task.env_options)
        spec = self.env.spec
        if len(task.policies) != spec.num_agents:
            raise ValueError(f"{spec.id} has {spec.num_agents} seats, got {len(task.policies)}")
        plugin = env_plugin(task.env)
        options = make_config(plugin.config, task.env_options, task.env)
        self.controls = None if plugin.controls is None else plugin.controls(options)
        if self.controls is None and task.mode == "correct":
            raise ValueError(f"{task.env} has no controls for people, so nobody can correct it")
        self._person = None if self.controls is None else PersonPolicy(self.controls, inputs, wait)
        self.step_seconds = spec.step_seconds or config.turn_seconds
        clip = task.clip
        facts = TapeFacts(
            env_options=task.env_options,
            seat=task.seat,
            policies=task.names,
            seed=task.seed if clip is None else clip.seed,
            episode=session if clip is None else clip.episode,
            numbered=clip is None,
        )
        self.tape = Tape(self.env, facts, self.step_seconds)
        self.watch = Watch(f"{task.seat}:{task.names[task.seat]}", task.learner is not None)
        self.start = 0
        self._frame_at = -math.inf
        self._seat_all(np.zeros(0))

    def seek(self, step: int) -> None:
        """Bring the clip to the moment before `step`, and record from there on."""
        clip = self.task.clip
        if clip is None:
            raise ValueError("there is no clip to seek in")
        lead = np.concatenate([clip.lead, clip.action[:step]])
        self.tape.recording = False
        self._seat_all(lead)
        self.engine.reset(torch.from_numpy(clip.snapshot)[None])
        for _ in range(len(lead)):
            self.engine.step()
        self.start = step
        self.tape.begin(clip.snapshot, lead)

    def step(self, person_acts: bool) -> TimeStep:
        """Play one step; row 0 is all there is."""
        self.seat.person_acts = self.tape.person_acts = person_acts
        return self.engine.step()

    def frame_is_due(self) -> bool:
        """Tell whether enough time has passed since the last picture."""
        return time.monotonic() - self._frame_at >= 0.95 / self.config.fps

    def image(self, person: bool = False) -> Image.Image:
        """Draw the environment as it is now, or as the person at the seat may see it."""
        if person and self.controls is not None:
            picture = self.controls.picture(self.env, self.task.seat)
        else:
            picture = self.env.render(0)
        image = Image.fromarray(picture)
        width = self.config.width
        if width and image.width > width:
            image = image.resize((width, max(1, round(image.height * width / image.width))))
        return image

    def jpeg(self, person: bool = False) -> bytes:
        """Return a picture of now as JPEG."""
        self._frame_at = time.monotonic()
        content = io.BytesIO()
        self.image(person).save(content, "JPEG", quality=self.config.jpeg_quality)
        return content.getvalue()

    def _seat_all(self, forced: np.ndarray) -> None:
        """Seat everybody anew; the first actions `[K, A, ...]` are given."""
        task = self.task
        policies: dict[str, Policy] = {}
        for seat, (name, policy) in enumerate(zip(task.names, task.policies, strict=True)):
            acting = policy
            if seat == task.seat and task.learner is not None:
                acting = task.learner.policy
            if len(forced):
                acting = ForcedPolicy(acting, torch.from_numpy(forced[:, seat]))
            if seat == task.seat:
                self.seat = acting = TakeOverPolicy(acting, self._person)
            policies[f"{seat}:{name}"] = acting
        index = torch.arange(len(policies))[None]
        self.engine = RolloutEngine(
            self.env,
            Seating(policies, index),
            seed=task.seed,
            observers=[self.tape, self.watch],
            threads=1,
        )
