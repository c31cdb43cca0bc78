"""Feedback-based tree search: searches teach the network that judges the next searches' leaves.

    turn after turn:  sample positions → search each to a finite horizon → classify, regress

Jiang, Ekwedike and Liu 2018, "Feedback-based tree search for reinforcement learning": a batch of
searches of small depth, from positions of games that the policy plays, whose leaves the network
judges; its policy then learns their choices by classification and its value the returns of these
games by regression, and with both the next batch looks further than the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from simrl.core.seeding import torch_generator
from simrl.learn.batch import Batch
from simrl.learn.distillation import DistillationConfig, DistillationLearner, SearchedRows
from simrl.nn.actor_critic import ActorCritic


@dataclass(frozen=True)
class Findings:
    """Hold what one batch of searches found."""

    rows: SearchedRows
    """The searched positions."""
    played: tuple[Batch, ...] = ()
    """The games between them, for the value; without them it learns from the searches' values."""


Searcher = Callable[[ActorCritic, torch.Generator], Findings]
"""Samples positions and searches them, with a network as prior and leaf evaluator."""
Report = Callable[[int, Mapping[str, float]], None]
"""Is told an iteration's number, from 1 on, and its metrics."""


@dataclass(frozen=True)
class FeedbackSearchConfig:
    """Choose how often search and network take turns."""

    iterations: int = 20
    """Batches of searches."""
    keep: int = 2
    """Newest batches that are learned from together."""
    learner: DistillationConfig = field(default_factory=DistillationConfig)
    """How the network learns from them."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("iterations", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


class FeedbackSearch:
    """Alternate between searching with a network and teaching it.

    Attributes:
        net: The network; its weights change.
        iteration: Batches so far.
        history: The weights at the start and after each iteration.
    """

    def __init__(
        self,
        net: ActorCritic,
        searcher: Searcher,
        config: FeedbackSearchConfig | None = None,
        *,
        seed: int = 0,
    ) -> None:
        """Improve `net` by what `searcher` finds."""
        self.net, self.searcher = net, searcher
        self.config = config or FeedbackSearchConfig()
        self.learner = DistillationLearner(net, self.config.learner, seed=seed)
        self.iteration = 0
        self.history: list[dict[str, Tensor]] = [_copy(net)]
        self._generator = torch_generator(seed, "feedback_search")
        self._batches: list[Findings] = []

    def run(self, report: Report | None = None) -> list[dict[str, float]]:
        """Run the iterations that are left and return each one's metrics."""
        metrics = []
        while self.iteration < self.config.iterations:
            metrics.append(self.turn())
            if report is not None:
                report(self.iteration, metrics[-1])
        return metrics

    def turn(self) -> dict[str, float]:
        """Search one batch and learn from it.

        Metrics: those of `DistillationLearner.fit`; `search/rows`, `search/value` (mean), and
        `search/changed` (share of rows in which another action than the policy's own draw is best).
        """
        self.net.eval()
        found = self.searcher(self.net, self._generator)
        rows = found.rows
        if not len(rows):
            raise ValueError("the searcher found no position in which there was a choice")
        self._batches = [*self._batches, found][-self.config.keep :]
        self.net.train()
        metrics = self.learner.fit(
            SearchedRows.join([batch.rows for batch in self._batches]),
            [game for batch in self._batches for game in batch.played],
        )
        self.net.eval()
        self.iteration += 1
        self.history.append(_copy(self.net))
        changed = (rows.policy.argmax(1) != 0).float().mean()
        return {
            **metrics,
            "search/rows": float(len(rows)),
            "search/value": float(rows.value.mean()),
            "search/changed": float(changed),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the learner's state and the count; the batches are searched anew."""
        return {
            "learner": self.learner.state_dict(),
            "iteration": self.iteration,
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, without the batches and the history."""
        self.learner.load_state_dict(state["learner"])
        self.iteration = int(state["iteration"])
        self._generator.set_state(state["generator"].cpu())


def _copy(net: ActorCritic) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}
