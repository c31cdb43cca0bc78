"""Watch a rollout: what was seen, what was chosen, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from simrl.core import Obs, TimeStep
from simrl.rollout.episodes import EpisodeTable
from simrl.rollout.plan import Act


@dataclass(frozen=True, slots=True)
class StepRecord:
    """Hold one step of all environments; its tensors are valid until the next step."""

    step: int
    """Number of the step since the engine was made or loaded."""
    obs: Obs
    """What was acted on, each `[N, A, ...]`; after the environment stepped it may be overwritten,
    so `on_step` must not read it."""
    action: Tensor
    """The joint action `[N, A, ...]`."""
    acts: Sequence[Act]
    """The calls of the policies, in the order of their numbers."""


class Observer:
    """Do nothing at every event; an observer overrides what it wants to see.

    The engine calls only what is overridden, so the others cost nothing.
    """

    def on_act(self, record: StepRecord) -> None:
        """Look at a step after the policies acted and before the environment moves."""

    def on_step(self, record: StepRecord, timestep: TimeStep) -> None:
        """Look at a step after the environment moved."""

    def on_episodes(self, table: EpisodeTable) -> None:
        """Look at the episodes that ended in this step."""


class ObserverSet:
    """Sort observers by the events that they override."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        for observer in observers:
            if not isinstance(observer, Observer):
                raise ValueError(f"an observer must be a simrl.rollout.Observer, got {observer!r}")
        self.act = [o for o in observers if type(o).on_act is not Observer.on_act]
        self.step = [o for o in observers if type(o).on_step is not Observer.on_step]
        self.episodes = [o for o in observers if type(o).on_episodes is not Observer.on_episodes]
