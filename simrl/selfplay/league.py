"""Keep frozen opponents, decide who meets whom, and keep the score.

Rows of the environment are split once: in most of them the learner plays itself from every seat;
in the others it holds one team, and the other team is a past snapshot of it or a scripted policy.
The learner's side alternates from row to row, so both sides are trained and measured alike.  An
opponent is chosen when an episode starts and stays to its end.  Few distinct opponents are seated
at a time, since each costs one forward pass a step whatever the number of its games.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from simrl.core.policy import Policy
from simrl.core.seeding import numpy_generator
from simrl.core.spec import EnvSpec
from simrl.rollout.episodes import EpisodeTable
from simrl.rollout.observer import Observer
from simrl.rollout.seating import Seating
from simrl.selfplay.opponents import OpponentChoice, opponent_weights
from simrl.selfplay.payoff import Payoff
from simrl.selfplay.rating import SkillRatings, elo

LEARNER = "learner"
"""Name of the policy that trains."""


@dataclass(frozen=True)
class LeagueConfig:
    """Say against whom the learner plays."""

    self_share: float = 0.8
    """Share of the environments in which the learner plays itself."""
    scripted_share: float = 0.0
    """Share of the environments in which it meets scripted policies."""
    scripted: tuple[str, ...] = ()
    """Names of those scripted policies."""
    choice: OpponentChoice = "pfsp-hard"
    """How past opponents are chosen in the remaining environments."""
    scripted_choice: OpponentChoice = "pfsp-hard"
    """How scripted opponents are chosen."""
    snapshot_steps: int = 1_000_000
    """Agent-steps between two frozen snapshots of the learner."""
    max_snapshots: int = 24
    """Snapshots to keep; where there are more, the most crowded in time are dropped."""
    seated_snapshots: int = 2
    """Distinct past opponents that new episodes choose from at a time."""
    forget: float = 0.1
    """Fraction of the old results forgotten at each new snapshot, since the learner changes."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("self_share", "scripted_share", "forget"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must be from 0 to 1, got {value}")
        if self.self_share + self.scripted_share > 1.0 + 1e-9:
            raise ValueError(
                f"self_share {self.self_share} and scripted_share {self.scripted_share} "
                "add up to more than 1"
            )
        if self.scripted_share > 0 and not self.scripted:
            raise ValueError("scripted_share is positive, but no scripted policies are named")
        for name in ("choice", "scripted_choice"):
            if getattr(self, name) not in get_args(OpponentChoice):
                valid = ", ".join(get_args(OpponentChoice))
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; the choices are {valid}")
        for name in ("snapshot_steps", "max_snapshots", "seated_snapshots"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass
class Slot:
    """Hold one seated past opponent; its weights change only while nobody plays against it."""

    name: str
    """Name of the policy in the seating."""
    net: nn.Module
    """Network that takes a snapshot's weights."""
    policy: Policy
    """Policy that acts with `net`."""
    snapshot: str | None = None
    """Snapshot whose weights it holds."""
    open: bool = False
    """Whether new episodes may choose it."""


class League(Observer):
    """Seat opponents at episode starts (`Matchmaker`) and record how the games end (`Observer`).

    `make_frozen()` builds a network of the learner's kind and the policy that acts with it; the
    league builds a fixed number of them, so that a long run does not grow.
    """

    def __init__(
        self,
        spec: EnvSpec,
        num_envs: int,
        learner: Policy,
        make_frozen: Callable[[], tuple[nn.Module, Policy]],
        scripted: Mapping[str, Policy],
        config: LeagueConfig,
        *,
        seed: int,
    ) -> None:
        unknown = [name for name in config.scripted if name not in scripted]
        if unknown:
            raise ValueError(
                f"unknown scripted policy {unknown[0]!r}; the policies are {', '.join(scripted)}"
            )
        self.config = config
        self.payoff = Payoff([LEARNER])
        self.skill = SkillRatings()
        self.snapshots: dict[str, dict[str, Tensor]] = {}
        self._steps: dict[str, int] = {}
        self._scripted = {name: scripted[name] for name in config.scripted}
        self._rng = numpy_generator(seed, "league")
        self._next_snapshot = 0
        self.rows = split_rows(spec, num_envs, config)
        self.slots = (
            [Slot(f"past-{i}", *make_frozen()) for i in range(2 * config.seated_snapshots)]
            if bool((self.rows.kind == PAST).any())
            else []
        )
        policies = {LEARNER: learner, **self._scripted, **{s.name: s.policy for s in self.slots}}
        index = torch.zeros(num_envs, spec.num_agents, dtype=torch.int64)
        self.seating = Seating(policies, index, self.rows.trains(spec))

    def update(self, steps: int, weights: Mapping[str, Tensor]) -> bool:
        """Freeze a copy of the learner if it is time; return whether one was made."""
        due = steps >= self._next_snapshot
        if due:
            self._next_snapshot = steps + self.config.snapshot_steps
            self.freeze(steps, weights)
        self._fill_slots()
        return due

    def freeze(self, steps: int, weights: Mapping[str, Tensor]) -> str:
        """Add a copy of the learner as it is after `steps` agent-steps; return its name."""
        name = f"snapshot-{steps:012d}"
        self.snapshots[name] = {key: value.detach().cpu().clone() for key, value in weights.items()}
        self._steps[name] = steps
        self.payoff.forget(self.config.forget)
        self.payoff.add(name)
        self.skill.copy(LEARNER, name)
        self._drop_crowded()
        for slot in self.slots:
            slot.open = False
        return name

    def seat(self, rows: Tensor, seating: Seating) -> None:
        """Choose an opponent for each of these rows, whose episodes are about to start."""
        for row in rows.tolist():
            kind = int(self.rows.kind[row])
            if kind == SELF:
                continue
            if kind == SCRIPTED:
                name = self._draw(list(self._scripted), self.config.scripted_choice)
            else:
                seated = [slot.name for slot in self.slots if slot.open]
                # Where every slot is still busy with long games, its opponent takes one more.
                seated = seated or [slot.name for slot in self.slots if slot.snapshot]
                # Before the first snapshot the learner meets itself, on a seat that does not train.
                name = seated[int(self._rng.integers(len(seated)))] if seated else LEARNER
            seating.policy_index[row, ~seating.trains[row]] = seating.index_of(name)

    def opponent(self, row: int) -> str | None:
        """Name the player that the learner meets in `row` now; None where it meets itself."""
        if int(self.rows.kind[row]) == SELF:
            return None
        agent = int((~self.seating.trains[row]).nonzero()[0])
        name = self.seating.names[int(self.seating.policy_index[row, agent])]
        if name == LEARNER:
            return None
        return next((slot.snapshot for slot in self.slots if slot.name == name), name)

    def on_episodes(self, table: EpisodeTable) -> None:
        """Count the games that ended, except those that the learner played against itself."""
        outcomes = table.metric("outcome")
        for row, trains, outcome in zip(table.env_row, table.trains, outcomes, strict=True):
            opponent = self.opponent(int(row))
            # A snapshot that was dropped plays its last games out, but they no longer count.
            if opponent in self._scripted or opponent in self.snapshots:
                result = int(outcome[int(np.argmax(trains))])
                self.payoff.record(LEARNER, opponent, result)
                self.skill.record(LEARNER, opponent, result)

    def metrics(self) -> dict[str, float]:
        """Return the learner's rating and its win rates; a draw counts as half a win."""
        figures = {"league/snapshots": float(len(self.snapshots))}
        met = [name for name in self.payoff.names[1:] if self.payoff.games(LEARNER, name) > 0]
        for name in met:
            if name in self._scripted:
                figures[f"league/win_rate/{name}"] = self.payoff.win_rate(LEARNER, name)[0]
        past = [self.payoff.win_rate(LEARNER, name)[0] for name in met if name in self.snapshots]
        if past:
            figures["league/win_rate/past"] = float(np.mean(past))
        if met:
            figures["league/elo"] = elo(self.payoff)[LEARNER].mean
        return figures

    def state_dict(self) -> dict[str, Any]:
        """Return snapshots, results, ratings, the random stream and who is seated."""
        return {
            "snapshots": self.snapshots,
            "steps": self._steps,
            "payoff": self.payoff.state_dict(),
            "skill": self.skill.state_dict(),
            "rng": json.dumps(self._rng.bit_generator.state),
            "next_snapshot": self._next_snapshot,
            "slots": [[slot.snapshot, slot.open] for slot in self.slots],
            "slot_weights": [slot.net.state_dict() for slot in self.slots],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.snapshots = dict(state["snapshots"])
        self._steps = dict(state["steps"])
        self.payoff.load_state_dict(state["payoff"])
        self.skill.load_state_dict(state["skill"])
        self._rng.bit_generator.state = json.loads(state["rng"])
        self._next_snapshot = int(state["next_snapshot"])
        for slot, (snapshot, is_open), weights in zip(
            self.slots, state["slots"], state["slot_weights"], strict=True
        ):
            slot.snapshot, slot.open = snapshot, bool(is_open)
            slot.net.load_state_dict(weights)

    def _fill_slots(self) -> None:
        """Seat past opponents until enough slots are open; busy slots wait for their games."""
        distinct = 1 if self.config.choice == "latest" else self.config.seated_snapshots
        wanted = min(distinct, len(self.snapshots))
        for slot in self.slots:
            if sum(s.open for s in self.slots) >= wanted:
                return
            if slot.open or self._is_busy(slot):
                continue
            taken = {s.snapshot for s in self.slots if s.open}
            names = [name for name in self.snapshots if name not in taken]
            slot.snapshot = self._draw(names, self.config.choice)
            slot.net.load_state_dict(self.snapshots[slot.snapshot])
            slot.open = True

    def _is_busy(self, slot: Slot) -> bool:
        return bool((self.seating.policy_index == self.seating.index_of(slot.name)).any())

    def _draw(self, names: list[str], choice: OpponentChoice) -> str:
        """Choose one of `names`; win rates of players hardly met are drawn towards one half."""
        rates = []
        for name in names:
            known = name in self.payoff.names
            games = self.payoff.games(LEARNER, name) if known else 0.0
            score = self.payoff.win_rate(LEARNER, name)[0] * games if games > 0 else 0.0
            rates.append((score + 1.0) / (games + 2.0))
        weights = opponent_weights(choice, np.array(rates))
        return names[int(self._rng.choice(len(names), p=weights))]

    def _drop_crowded(self) -> None:
        """Keep the snapshots spread over the run: drop those whose neighbours are closest.

        Their results go with them, so that neither the payoffs nor the fit of ratings grow.
        """
        while len(self.snapshots) > self.config.max_snapshots:
            names = list(self.snapshots)
            # Always keep the first, the newest, and whatever lies far from its neighbours.
            gaps = [
                self._steps[names[i + 1]] - self._steps[names[i - 1]]
                for i in range(1, len(names) - 1)
            ]
            victim = names[1 + int(np.argmin(gaps))] if gaps else names[0]
            del self.snapshots[victim], self._steps[victim]
            self.payoff.remove(victim)
            self.skill.remove(victim)


SELF, PAST, SCRIPTED = 0, 1, 2


@dataclass(frozen=True)
class Rows:
    """Say of each environment row what it is for."""

    kind: Tensor
    """SELF, PAST or SCRIPTED `[N]` int64."""
    side: Tensor
    """Number of the learner's team `[N]` int64; meaningless where it plays itself."""

    def trains(self, spec: EnvSpec) -> Tensor:
        """Return the seats at which the learner trains `[N, A]` bool."""
        teams = sorted(set(spec.teams))
        team = torch.tensor([teams.index(name) for name in spec.teams])
        return (self.kind == SELF)[:, None] | (team[None, :] == self.side[:, None])


def split_rows(spec: EnvSpec, num_envs: int, config: LeagueConfig) -> Rows:
    """Split the rows by the configured shares; the learner's side alternates between rows."""
    num_teams = len(set(spec.teams))
    if num_teams != 2:
        raise ValueError(f"a league needs two teams, but {spec.id} has {num_teams}")
    num_scripted = round(config.scripted_share * num_envs)
    num_self = min(round(config.self_share * num_envs), num_envs - num_scripted)
    kind = torch.full((num_envs,), PAST)
    kind[:num_self] = SELF
    kind[num_envs - num_scripted :] = SCRIPTED
    return Rows(kind, torch.arange(num_envs) % 2)
