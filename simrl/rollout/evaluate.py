"""Measure a policy: games against opponents with intervals, or mean returns when it is alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simrl.core import Policy, VecEnv
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.episodes import EpisodeTable
from simrl.rollout.intervals import mean_interval, wilson
from simrl.rollout.observers import ActTimer, ActTimes
from simrl.rollout.seating import Seating

POLICY = "policy"
"""Name of the measured policy's seats in the episode tables."""


@dataclass(frozen=True)
class Score:
    """Hold how a policy fared against one opponent, or alone; intervals are 95 %."""

    opponent: str | None
    """Name of the opponent; None if the policy was alone."""
    games: int
    """Number of episodes."""
    wins: int
    """Episodes won; 0 if alone."""
    draws: int
    """Episodes drawn; 0 if alone."""
    losses: int
    """Episodes lost; 0 if alone."""
    win_rate: float
    """wins / games; NaN if alone."""
    win_low: float
    """Lower end of the win rate's Wilson interval; NaN if alone."""
    win_high: float
    """Upper end of the win rate's Wilson interval; NaN if alone."""
    mean_return: float
    """Mean over episodes of the mean return of the policy's seats."""
    return_low: float
    """Lower end of the mean return's Student-t interval; NaN with one episode."""
    return_high: float
    """Upper end of the mean return's Student-t interval; NaN with one episode."""
    mean_length: float
    """Mean number of steps of an episode."""
    act_times: ActTimes
    """Wall times of the policy's calls."""
    opponent_act_times: ActTimes | None
    """Wall times of the opponent's calls; None if alone."""
    metrics: Mapping[str, float]
    """Mean of each of the environment's metrics over the policy's seats."""
    episodes: EpisodeTable
    """Every episode; the measured policy is called "policy" there."""


@dataclass(frozen=True)
class Evaluation:
    """Hold one score for each opponent, in the order in which they were given."""

    scores: tuple[Score, ...]

    def score(self, opponent: str | None = None) -> Score:
        """Return the score against `opponent`; ValueError lists the valid names."""
        for score in self.scores:
            if score.opponent == opponent:
                return score
        names = ", ".join(str(score.opponent) for score in self.scores)
        raise ValueError(f"unknown opponent {opponent!r}; the opponents are {names}")

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one flat dictionary of plain values per opponent."""
        return [_flat(score) for score in self.scores]


def evaluate(
    env: VecEnv,
    policy: Policy,
    opponents: Mapping[str, Policy] | None = None,
    *,
    games: int,
    seed: int,
    swap_sides: bool = True,
    deterministic: bool = False,
) -> Evaluation:
    """Play `games` episodes against each of `opponents`, from the same seeds.

    Without opponents the policy takes every seat of an environment that has one team.  With
    `swap_sides` it changes sides in every second row, which needs an even number of games and of
    environments.  An episode is won if the policy's mean "outcome" is positive; where the
    environment reports no outcome, if its mean return is above the opponent's.

    Raises:
        ValueError: The numbers are odd, or the opponents do not fit the number of teams.
    """
    if opponents:
        _check_sides(env, games, swap_sides)
        seatings = {
            name: Seating.versus(
                env, policy, other, names=(POLICY, _other(name)), swap_sides=swap_sides
            )
            for name, other in opponents.items()
        }
        return Evaluation(
            tuple(
                _play(env, seating, name, games, seed, deterministic)
                for name, seating in seatings.items()
            )
        )
    if len(set(env.spec.teams)) > 1:
        raise ValueError(f"{env.spec.id} has teams {env.spec.teams}: give opponents")
    seating = Seating.self_play(env, policy, name=POLICY, train=False)
    return Evaluation((_play(env, seating, None, games, seed, deterministic),))


def _play(
    env: VecEnv, seating: Seating, opponent: str | None, games: int, seed: int, deterministic: bool
) -> Score:
    timer = ActTimer()
    engine = RolloutEngine(env, seating, seed=seed, observers=[timer])
    table = engine.run_episodes(games, deterministic=deterministic)
    own = table.seats_of(POLICY)
    result = np.zeros(0) if opponent is None else results(table, own)
    wins, losses = int((result > 0).sum()), int((result < 0).sum())
    rate, low, high = (np.nan, np.nan, np.nan) if opponent is None else wilson(wins, len(table))
    mean_return, return_low, return_high = mean_interval(table.mean_over_seats("returns", own))
    times = timer.summary()
    return Score(
        opponent=opponent,
        games=len(table),
        wins=wins,
        draws=len(result) - wins - losses,
        losses=losses,
        win_rate=rate,
        win_low=low,
        win_high=high,
        mean_return=mean_return,
        return_low=return_low,
        return_high=return_high,
        mean_length=float(table.length.mean()),
        act_times=times[POLICY],
        opponent_act_times=None if opponent is None else times[_other(opponent)],
        metrics={name: float(table.mean_over_seats(name, own).mean()) for name in table.metrics},
        episodes=table,
    )


def results(table: EpisodeTable, own: np.ndarray) -> np.ndarray:
    """Return who won each episode `[E]`: positive if the seats `own` `[E, A]` did, 0 if drawn."""
    if "outcome" in table.metrics:
        return table.mean_over_seats("outcome", own)
    return table.mean_over_seats("returns", own) - table.mean_over_seats("returns", ~own)


def _other(name: str) -> str:
    """Name the opponent's seats; it may be called "policy" too."""
    return f"opponent:{name}"


def _check_sides(env: VecEnv, games: int, swap_sides: bool) -> None:
    if swap_sides and (games % 2 or env.num_envs % 2):
        raise ValueError(
            "swapping sides needs an even number of games and of environments, got "
            f"{games} games in {env.num_envs} environments"
        )


def _flat(score: Score) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in dataclasses.fields(score):
        value = getattr(score, field.name)
        if isinstance(value, ActTimes):
            prefix = "act" if field.name == "act_times" else "opponent_act"
            row |= {f"{prefix}_{name}": figure for name, figure in vars(value).items()}
        elif isinstance(value, Mapping):
            row |= value
        elif field.name not in ("episodes", "opponent_act_times"):
            row[field.name] = value
    return row


__all__ = ["POLICY", "Evaluation", "Score", "evaluate", "results"]
