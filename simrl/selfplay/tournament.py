"""Let everybody play everybody, sides swapped, and rate them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from simrl.core.env import VecEnv
from simrl.core.policy import Policy
from simrl.core.seeding import child_seed
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.evaluate import results
from simrl.rollout.seating import Seating
from simrl.selfplay.payoff import Payoff
from simrl.selfplay.rating import Rating, SkillRatings, elo


@dataclass(frozen=True)
class Standings:
    """Hold the results of a tournament."""

    payoff: Payoff
    """Who beat whom."""
    skill: SkillRatings
    """Openskill ratings, updated game by game in the order of the rounds."""

    def elo(self) -> dict[str, Rating]:
        """Fit Elo ratings with intervals to all games at once."""
        return elo(self.payoff)


def round_robin(
    env: VecEnv,
    policies: Mapping[str, Policy],
    *,
    games: int,
    seed: int,
    deterministic: bool = False,
) -> Standings:
    """Play `games` episodes between each two of `policies`, half of them on either side.

    All games of a pair run side by side in the N environments of `env`.  Every pair meets the same
    episodes, so that luck of the draw weighs on all alike.

    Raises:
        ValueError: There are fewer than two policies, or the number of games or of environments is
            odd, so that sides cannot be swapped.
    """
    if len(policies) < 2:
        raise ValueError(f"a tournament needs at least two policies, got {', '.join(policies)}")
    if games < 2 or games % 2 or env.num_envs % 2:
        raise ValueError(
            "a tournament swaps sides, so it needs an even number of games and of environments, "
            f"got {games} games in {env.num_envs} environments"
        )
    pairs = list(combinations(policies, 2))
    outcomes = {
        pair: play_pair(env, policies, pair, games=games, seed=seed, deterministic=deterministic)
        for pair in pairs
    }
    payoff, skill = Payoff(policies), SkillRatings()
    # Round by round, since openskill weighs newer games more than older ones.
    for game in range(games):
        for first, second in pairs:
            outcome = int(outcomes[first, second][game])
            payoff.record(first, second, outcome)
            skill.record(first, second, outcome)
    return Standings(payoff, skill)


def play_pair(
    env: VecEnv,
    policies: Mapping[str, Policy],
    pair: tuple[str, str],
    *,
    games: int,
    seed: int,
    deterministic: bool = False,
) -> np.ndarray:
    """Play the games of one pair; return 1, 0 or -1 for each `[games]` as the first won or lost."""
    first, second = pair
    seating = Seating.versus(env, policies[first], policies[second], names=pair)
    engine = RolloutEngine(env, seating, seed=child_seed(seed, "tournament"))
    table = engine.run_episodes(games, deterministic=deterministic)
    return np.sign(results(table, table.seats_of(first)))
