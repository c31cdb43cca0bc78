"""The contract of an observer: what a rollout shows of each step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from simrl.core import Obs, TimeStep
from simrl.rollout.episodes import EpisodeTable
from simrl.rollout.plan import Act

_EVENTS = ("on_act", "on_step", "on_episodes")


@dataclass(frozen=True, slots=True)
class StepRecord:
    """Hold one step of all environments; its tensors are valid until the next step."""

    step: int
    """Number of the step since the engine was made, resumed runs included."""
    obs: Obs
    """What was acted on, each `[N, A, ...]`; the environment may overwrite it when it steps, so
    `on_step` must not read it."""
    action: Tensor
    """The joint action `[N, A, ...]`."""
    acts: Sequence[Act]
    """The calls of the policies, in the order of their numbers."""


class Observer:
    """Do nothing at every event; an observer overrides what it wants to see.

    The engine calls only what is overridden, so the others cost nothing.
    """

    reads: frozenset[str] = frozenset()
    """Observation groups that the observer needs, beside those that the policies read."""

    def on_act(self, record: StepRecord) -> None:
        """Look at a step after the policies acted and before the environment moves."""

    def on_step(self, record: StepRecord, timestep: TimeStep) -> None:
        """Look at a step after the environment moved."""

    def on_episodes(self, table: EpisodeTable) -> None:
        """Look at the episodes that ended in this step, before new opponents are seated."""


class ObserverSet:
    """Sort observers by the events that they see."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        observers = list(observers)
        for observer in observers:
            if not any(_sees(observer, event) for event in _EVENTS):
                raise ValueError(
                    f"{observer!r} observes nothing: it has none of {', '.join(_EVENTS)}"
                )
        self.act = [o for o in observers if _sees(o, "on_act")]
        self.step = [o for o in observers if _sees(o, "on_step")]
        self.episodes = [o for o in observers if _sees(o, "on_episodes")]
        self.reads = frozenset[str]().union(*(getattr(o, "reads", ()) for o in observers))


def _sees(observer: object, event: str) -> bool:
    own = getattr(type(observer), event, None)
    return own is not None and own is not getattr(Observer, event)
