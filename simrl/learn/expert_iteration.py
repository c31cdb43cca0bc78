"""Expert iteration: a network guides a search, and learns from what the search made of its hints.

    turn after turn:  self-play with search → replay → reanalyse → minibatches → gate

Anthony et al. 2017, "Thinking Fast and Slow with Deep Learning and Tree Search"; Silver et al.
2018, "A general reinforcement learning algorithm that masters chess, shogi, and Go through
self-play".  Which search it is, is not known here: a policy that gives the extras "searched",
"search_policy" and "search_policy_value" plays, and a callable searches old positions anew.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from simrl.core.env import VecEnv
from simrl.core.policy import Policy
from simrl.core.seeding import child_seed, torch_generator
from simrl.learn.checkpoint import Checkpoints
from simrl.learn.loop import Hook, Loop, LoopConfig, Stateful
from simrl.learn.metrics import MetricsWriter
from simrl.learn.replay import Positions, SearchReplay
from simrl.learn.search_learner import SearchLearner
from simrl.learn.self_play import SelfPlayRecorder
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.evaluate import evaluate

Reanalyse = Callable[[Positions, torch.Generator], tuple[Tensor, Tensor]]
"""Searches positions anew: returns their policy `[R, K]` and value `[R]`."""


@dataclass(frozen=True)
class ExpertIterationConfig:
    """Choose how self-play and learning take turns."""

    draws: float = 4.0
    """How many times each position is drawn into a minibatch, in the mean."""
    warmup: int = 5_000
    """Positions in the replay before learning starts."""
    reanalyse: float = 0.0
    """Old positions searched anew with the newest network, as a share of those newly played."""
    gate: float | None = None
    """Score against the network that plays, from which the learner takes its place; a draw is half
    a win.  None: the newest network always plays."""
    gate_games: int = 64
    """Games that decide about it; even, since sides are swapped."""
    gate_updates: int = 10
    """Turns between two such matches."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("draws", "warmup", "gate_games", "gate_updates"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.reanalyse < 0:
            raise ValueError(f"reanalyse must not be negative, got {self.reanalyse}")
        if self.gate is not None and not 0.0 <= self.gate <= 1.0:
            raise ValueError(f"gate must be from 0 to 1, got {self.gate}")
        if self.gate_games % 2:
            raise ValueError(f"gate_games must be even, got {self.gate_games}")


class EvaluationGate:
    """Measure the learner's network, with its search, against the one that plays."""

    def __init__(
        self, env: VecEnv, candidate: Policy, best: Policy, *, games: int, seed: int
    ) -> None:
        """Play `games` in `env`, sides swapped; both policies search with their own network."""
        self.env, self.candidate, self.best = env, candidate, best
        self.games, self.seed = games, seed

    def score(self, match: int) -> float:
        """Play match number `match` and return the candidate's score, 0 to 1; a draw is a half."""
        seed = child_seed(self.seed, f"gate/{match}")
        result = evaluate(
            self.env, self.candidate, {"best": self.best}, games=self.games, seed=seed
        ).score("best")
        return (result.wins + 0.5 * result.draws) / result.games


class ExpertIteration(Loop):
    """Let searches play themselves, and the network learn from them, turn after turn.

    Attributes:
        player: The network with which self-play searches; it follows the learner's.
    """

    def __init__(
        self,
        engine: RolloutEngine,
        recorder: SelfPlayRecorder,
        replay: SearchReplay,
        learner: SearchLearner,
        player: nn.Module,
        config: ExpertIterationConfig,
        loop: LoopConfig,
        *,
        seed: int = 0,
        reanalyse: Reanalyse | None = None,
        gate: EvaluationGate | None = None,
        parts: Mapping[str, Stateful] | None = None,
        hooks: Sequence[Hook] = (),
        writer: MetricsWriter | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Join the parts; `recorder` must observe `engine` and feed `replay`.

        `reanalyse` searches with the player's network.  ValueError if the config asks for it or for
        a gate, and there is none.
        """
        if config.reanalyse and reanalyse is None:
            raise ValueError("the config reanalyses old positions, but no search for it was given")
        if config.gate is not None and gate is None:
            raise ValueError("the config has a gate, but no match for it was given")
        self.engine, self.recorder, self.replay = engine, recorder, replay
        self.learner, self.player, self.settings = learner, player, config
        self.reanalyse, self.gate = reanalyse, gate
        self._turns = _Turns(seed)
        player.load_state_dict(learner.net.state_dict())
        every: dict[str, Stateful] = {
            "learner": learner,
            "player": _Weights(player),
            "replay": replay,
            "self_play": recorder,
            "turns": self._turns,
            **(parts or {}),
            "engine": engine,
        }
        super().__init__(loop, every, hooks=hooks, writer=writer, checkpoints=checkpoints)

    def turn(self) -> tuple[int, dict[str, float]]:
        """Play `unroll` steps of every game, and learn as much as the new positions allow."""
        clock = time.perf_counter
        started = clock()
        searched = self.recorder.searched
        before = self.engine.timing.env_s, self.engine.timing.act_s
        for _ in range(self.config.unroll):
            self.engine.step()
        num_steps = self.recorder.searched - searched
        played = clock()
        refreshed = self._reanalyse(num_steps)
        renewed = clock()
        metrics = self._learn(num_steps)
        learned = clock()
        metrics |= self._follow()
        total = clock() - started
        metrics |= {
            "replay/positions": float(len(self.replay)),
            "replay/added": float(self.replay.added),
            "time/env_share": (self.engine.timing.env_s - before[0]) / total,
            "time/act_share": (self.engine.timing.act_s - before[1]) / total,
            "time/learn_share": (learned - renewed) / total,
        }
        if refreshed:
            metrics["replay/reanalysed"] = float(refreshed)
            metrics["time/reanalyse_share"] = (renewed - played) / total
        return num_steps, metrics

    def _reanalyse(self, num_steps: int) -> int:
        """Search some old positions anew; return how many."""
        if self.reanalyse is None or not self.settings.reanalyse or not self._is_warm:
            return 0
        count = self._turns.owed("reanalyse", self.settings.reanalyse * num_steps)
        if count:
            rows = self.replay.draw(count, self._turns.generator).unique()
            policy, value = self.reanalyse(self.replay.rows(rows), self._turns.generator)
            self.replay.refresh(rows, policy, value)
        return count

    def _learn(self, num_steps: int) -> dict[str, float]:
        """Take the minibatches that are due for the new positions."""
        if not self._is_warm:
            return {}
        per_position = self.settings.draws / self.learner.config.minibatch_size
        minibatches = self._turns.owed("minibatches", per_position * num_steps)
        return self.learner.update(self.replay, minibatches, self.fraction_done)

    def _follow(self) -> dict[str, float]:
        """Let the learner's network play, if it may."""
        if self.settings.gate is None or self.gate is None:
            self.player.load_state_dict(self.learner.net.state_dict())
            return {}
        turn = self.progress.updates + 1
        if turn % self.settings.gate_updates or not self.learner.updates:
            return {}
        score = self.gate.score(turn)
        passed = score >= self.settings.gate
        if passed:
            self.player.load_state_dict(self.learner.net.state_dict())
        return {"gate/score": score, "gate/passed": float(passed)}

    @property
    def _is_warm(self) -> bool:
        return self.replay.added >= self.settings.warmup


class _Turns:
    """Remember fractions of work that are still due, and draw the positions to search anew."""

    def __init__(self, seed: int) -> None:
        self.generator = torch_generator(seed, "reanalyse")
        self._rest: dict[str, float] = {}

    def owed(self, name: str, amount: float) -> int:
        """Add to what is due of `name` and return the whole part, which is then done."""
        due = self._rest.get(name, 0.0) + amount
        whole = math.floor(due)
        self._rest[name] = due - whole
        return whole

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state(), "rest": dict(self._rest)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self._rest = {name: float(value) for name, value in state["rest"].items()}


class _Weights:
    """Put a network's weights into the checkpoint."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def state_dict(self) -> dict[str, Any]:
        return {"net": dict(self.net.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
