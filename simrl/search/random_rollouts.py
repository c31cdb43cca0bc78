"""Judge positions of turn-based games by playing on at random, all in compiled code.

With this evaluator alone at the leaves, a whole search of UCT runs in one kernel call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from simrl.core.dynamics import TurnDynamics
from simrl.core.spec import EnvSpec
from simrl.search.model import Evaluation, Evaluator
from simrl.search.turn_view import TurnView, pointers

if TYPE_CHECKING:
    from simrl.search.kernels.play_out import RolloutNumbers
    from simrl.search.task import Task

CHUNK = 64
"""Simulations of a position between two looks at the clock."""


@dataclass(frozen=True)
class RolloutConfig:
    """Say how many random rollouts judge a position, and how long they are."""

    rollouts: int = 1
    """Rollouts of each position; its value is their mean return."""
    max_plies: int = 0
    """Actions after which a rollout stops; 0: at the end of the game."""
    gamma: float = 1.0
    """Discount of one action."""
    look_ahead: int = 0
    """Plies that a new position is looked ahead (Teytaud and Teytaud 2010): 1: where a move wins
    at once, it alone keeps a prior; 2: moves after which the other wins at once keep none, too.
    Such a position is worth what is known, and searches with `solve` take it as proven."""
    best_value: float = 1.0
    """Reward that counts as a win."""

    def __post_init__(self) -> None:
        if self.rollouts < 1:
            raise ValueError(f"rollouts must be at least 1, got {self.rollouts}")
        if self.max_plies < 0:
            raise ValueError(f"max_plies must be at least 0, got {self.max_plies}")
        if self.look_ahead not in (0, 1, 2):
            raise ValueError(f"look_ahead must be 0, 1 or 2, got {self.look_ahead}")
        if not 0.0 < self.gamma <= 1.0:
            raise ValueError(f"gamma must be in 0..1, got {self.gamma}")


class RolloutEvaluator:
    """Give every legal action the same prior, and a position the mean return of random play.

    A rollout that `max_plies` stops counts what was paid so far, and if there is a `leaf` evaluator
    its discounted value of where the rollout stopped.
    """

    def __init__(
        self,
        dynamics: TurnDynamics,
        spec: EnvSpec,
        config: RolloutConfig | None = None,
        *,
        leaf: Evaluator | None = None,
    ) -> None:
        """Play by the compiled rules of `dynamics`.

        Raises ValueError where it has none, where there are more than two agents, or where a `leaf`
        would never be asked.
        """
        config = config or RolloutConfig()
        rules = TurnView(dynamics, spec).rules
        if rules is None:
            raise ValueError(f"{spec.id}: random rollouts need compiled rules (turn_rules)")
        if rules.num_agents > 2:
            raise ValueError(f"{spec.id}: random rollouts are for one or two agents")
        if leaf is not None and config.max_plies == 0:
            raise ValueError("a leaf evaluator judges rollouts that max_plies stops, but it is 0")
        self.rules, self.config, self.leaf = rules, config, leaf
        self.num_slots = rules.num_actions

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Judge `state` uint8 `[B, S]`; positions that have ended are worth 0."""
        from simrl.search.kernels.rollout import judge_rows

        num_rows, rules, count = len(state), self.rules, self.config.rollouts
        kept = num_rows if self.leaf is not None else 0
        logits = np.empty((num_rows, self.num_slots), np.float32)
        value = np.empty(num_rows, np.float32)
        cut = np.zeros(num_rows * count, np.bool_)
        last = np.empty((kept, count, rules.state_size), np.uint8)
        judge_rows(
            *pointers(rules)[:3],
            rules.num_agents,
            self._numbers(),
            state.contiguous().numpy(),
            _streams(num_rows, rng),
            logits,
            value,
            cut,
            last,
        )
        judged = torch.from_numpy(value)
        if self.leaf is not None and cut.any():
            judged = judged + self._beyond(state, torch.from_numpy(cut), last, rng)
        return Evaluation(torch.from_numpy(logits), judged)

    def simulate(self, task: Task, first: int, last: int) -> None:
        """Spend the budget of the rows from `first` to `last` - 1 of a task, or its time.

        However short the time, each row gets a few simulations.
        """
        from simrl.search.kernels.rollout import simulate

        rules = self.rules
        streams = _streams(task.num_rows, task.rng)
        quota = CHUNK if task.config.seconds > 0.0 else task.config.simulations
        going = True
        while going:
            simulate(
                *pointers(rules)[:3],
                rules.num_agents,
                task.state_size,
                self._numbers(),
                task.arrays,
                task.root,
                task.rule,
                streams,
                first,
                last,
                quota,
            )
            going = bool(task.root.left[first:last].any()) and not task.out_of_time()

    def _beyond(self, state: Tensor, cut: Tensor, last: np.ndarray, rng: torch.Generator) -> Tensor:
        """Return what the stopped rollouts' ends add to each position's value, `[B]`."""
        from simrl.search.kernels.pointers import game_pointers
        from simrl.search.kernels.turn import mover_rows

        assert self.leaf is not None
        count = self.config.rollouts
        ends = torch.from_numpy(last).flatten(0, 1)[cut]
        rows = torch.arange(len(state)).repeat_interleave(count)[cut]
        movers = []
        for positions in (state, ends):
            agent = np.empty(len(positions), np.int64)
            mover_rows(game_pointers(self.rules), positions.contiguous().numpy(), agent)
            movers.append(torch.from_numpy(agent))
        sign = torch.where(movers[0][rows] == movers[1], 1.0, -1.0)
        value = self.leaf(ends, rng).value.float() * sign
        total = torch.zeros(len(state)).index_add_(0, rows, value)
        return total * (self.config.gamma**self.config.max_plies / count)

    def _numbers(self) -> RolloutNumbers:
        from simrl.search.kernels.play_out import RolloutNumbers as Numbers

        config = self.config
        return Numbers(
            config.rollouts,
            config.max_plies,
            float(config.gamma),
            config.look_ahead,
            float(config.best_value),
        )


def _streams(num_rows: int, rng: torch.Generator) -> np.ndarray:
    """Draw where each row's random numbers begin, uint64 `[B]`."""
    return torch.randint(2**63 - 1, (num_rows,), generator=rng).numpy().view(np.uint64)
