"""Itemised rewards: each term is the change of one measure of the game over one decision.

Measures are counters and potentials of the record, so a term needs no memory: it is the measure
after the decision minus the measure before. Deaths and damage count whoever caused them.

The terms that an environment reports are already mixed within the team (team spirit), made zero-sum
and scaled by time, so that `reward = sum over terms of weight * term`, and a critic with one value
for each group learns from terms that sum to the reward.
"""

from typing import Any, Final

import numpy as np

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.kernel import kernel

TERM_GOLD: Final = 0
TERM_XP: Final = 1
TERM_LAST_HIT: Final = 2
TERM_MANA: Final = 3
TERM_KILL: Final = 4
TERM_DEATH: Final = 5
TERM_ASSIST: Final = 6
TERM_HP: Final = 7
TERM_HURT_HERO: Final = 8
TERM_TOWER: Final = 9
TERM_CRYSTAL: Final = 10
TERM_WIN: Final = 11
NUM_TERMS: Final = 12

TERMS: Final[dict[str, str]] = {
    "gold": "farming",
    "xp": "farming",
    "last_hit": "farming",
    "mana": "farming",
    "kill": "kda",
    "death": "kda",
    "assist": "kda",
    "hp": "damage",
    "hurt_hero": "damage",
    "tower": "pushing",
    "crystal": "pushing",
    "win": "win",
}
"""Group of each term, in the order of the columns of `reward_terms`."""


@kernel
def measure(game: Any, agent: int, out: Any) -> None:
    """Write the measures of one agent into `out`, float32 `[NUM_TERMS]`.

    - gold, xp: earned so far [gold], [experience];
    - last_hit, kill, death, assist: counts;
    - mana: fraction left; hp: square root of the fraction left (0 while dead), so that the last hit
      points are worth more than the first;
    - hurt_hero: damage dealt to enemy heroes [1000 hp];
    - tower, crystal: hit-point fraction that the enemy's have lost minus that of the own;
    - win: 1 won, -1 lost, 0 neither.
    """
    unit = game.units[agent]
    hero = game.heroes[agent]
    out[TERM_GOLD] = hero.gold_earned
    out[TERM_XP] = hero.xp_earned
    out[TERM_LAST_HIT] = hero.last_hits
    out[TERM_MANA] = hero.mana / max(np.float32(1.0), hero.max_mana)
    out[TERM_KILL] = hero.kills
    out[TERM_DEATH] = hero.deaths
    out[TERM_ASSIST] = hero.assists
    out[TERM_HP] = 0.0
    if unit.alive:
        out[TERM_HP] = np.sqrt(max(np.float32(0.0), unit.hp / unit.max_hp))
    out[TERM_HURT_HERO] = hero.damage_to_heroes * np.float32(0.001)
    tower, crystal = np.float32(0.0), np.float32(0.0)
    for team in range(2):
        start = rec.structure_begin(game, team)
        sign = np.float32(1.0) if team == unit.team else np.float32(-1.0)
        for index in range(start, start + rec.structures_per_team(game)):
            building = game.units[index]
            if not building.alive:
                continue
            part = sign * building.hp / building.max_hp
            if building.kind == rec.KIND_CRYSTAL:
                crystal += part
            else:
                tower += part
    out[TERM_TOWER] = tower
    out[TERM_CRYSTAL] = crystal
    out[TERM_WIN] = 0.0
    if game.winner >= 0:
        out[TERM_WIN] = 1.0 if game.winner == unit.team else -1.0


@kernel
def itemise(
    before: Any,
    after: Any,
    minutes: Any,
    zero_sum: bool,
    team_spirit: Any,
    time_scaling: Any,
    terms: Any,
) -> None:
    """Write the terms of one decision into `terms`, float32 `[A, NUM_TERMS]`.

    Args:
        before: Measures before the decision, float32 `[A, NUM_TERMS]`.
        after: Measures after it.
        minutes: Game time [min].
        zero_sum: Whether to subtract the mean of the enemy team from each agent's term.
        team_spirit: Share of each term that is the team's mean instead of the agent's own.
        time_scaling: Factor by which every term but "win" has shrunk after ten minutes.
        terms: Where to write.
    """
    agents = before.shape[0]
    size = agents // 2
    spirit = np.float32(team_spirit)
    scale = np.float32(time_scaling ** (minutes / 10.0))
    for term in range(NUM_TERMS):
        factor = np.float32(1.0) if term == TERM_WIN else scale
        blue, red = np.float32(0.0), np.float32(0.0)
        for agent in range(agents):
            change = after[agent, term] - before[agent, term]
            terms[agent, term] = change
            if agent < size:
                blue += change
            else:
                red += change
        blue /= np.float32(size)
        red /= np.float32(size)
        for agent in range(agents):
            own, other = (blue, red) if agent < size else (red, blue)
            value = terms[agent, term]
            if size > 1:
                value += spirit * (own - value)
            if zero_sum:
                value -= other
            terms[agent, term] = value * factor
