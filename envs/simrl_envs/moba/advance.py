"""One step of a slice of games as one kernel: play, reward, finish, reset, observe, mask.

Games are worked on in chunks: a chunk's records fit the second-level cache, and each part of the
work runs over the whole chunk, since the machine code of all parts together does not fit the
instruction cache. Slices of rows may run in several threads: games share nothing.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from simrl_envs.moba import records as rec
from simrl_envs.moba import rewards
from simrl_envs.moba.mask import mix, num_targets, write_mask
from simrl_envs.moba.observe import observe_agent
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.step import reset_game, step_game

AGENT_METRICS: Final = (
    "outcome",
    "kills",
    "deaths",
    "assists",
    "last_hits",
    "gold",
    "level",
    "damage_to_heroes",
    "towers_taken",
    "crystals_taken",
    "hero",
)
"""Figures of an episode for each agent; "hero" is the index of the hero that it played."""
GAME_METRICS: Final = ("minutes", "ended_by_crystal")
"""Figures of an episode for the whole game."""

CHUNK: Final = 32
"""Games that pass through one part of a step after another together."""

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


class View(NamedTuple):
    """Hold the buffers that one moment of N games with A agents is written to."""

    policy: np.ndarray
    """float32 `[N, A, D]`."""
    critic: np.ndarray
    """float32 `[N, A, D]`, or `[0, A, D]` if nobody asked for it."""
    mask: np.ndarray
    """bool `[N, A, M]`."""
    alive: np.ndarray
    """bool `[N, A]`."""


class Static(NamedTuple):
    """Hold what stays the same over all steps."""

    offsets: np.ndarray
    """Start of each observation block, int64 `[9]`."""
    templates: np.ndarray
    """Constant part of the masks, bool `[heroes, M]`."""
    pool: np.ndarray
    """Hero ids to draw from, int64 `[P]`."""
    seats: np.ndarray
    """Hero id of each agent, int64 `[A]`; negative: drawn from the pool."""
    mirror: np.ndarray
    """bool `[1]`: whether both teams get the same heroes."""


class Scores(NamedTuple):
    """Hold what a step pays and reports, and how it is weighed."""

    weights: np.ndarray
    """float32 `[R]`."""
    options: np.ndarray
    """float32 `[3]`: zero-sum (0 or 1), team spirit, time scaling."""
    terms: np.ndarray
    """float32 `[N, A, R]`."""
    reward: np.ndarray
    """float32 `[N, A]`."""
    terminated: np.ndarray
    """bool `[N]`."""
    truncated: np.ndarray
    """bool `[N]`."""
    agent_metrics: np.ndarray
    """float32 `[len(AGENT_METRICS), N, A]`."""
    game_metrics: np.ndarray
    """float32 `[len(GAME_METRICS), N]`."""


@kernel
def row_seed(seed: Any, row: int) -> int:
    """Derive the seed of a row's first episode, below 2**62, so that no row depends on another."""
    return int(mix(mix(np.uint64(seed)) + np.uint64(row + 1) * _GOLDEN) >> np.uint64(2))


@kernel
def begin_episode(games: Any, tables: Any, static: Static, row: int, seed: int) -> None:
    """Draw the heroes of an episode from its seed and reset the game of a row."""
    agents = games[row].heroes.shape[0]
    size = agents // 2
    hero_ids = np.empty(agents, np.int64)
    pool = static.pool.copy()
    state = mix(np.uint64(seed) ^ _GOLDEN)
    for team in range(2):
        for k in range(size):
            agent = team * size + k
            # One step of a shuffle: no hero twice in a team as long as the pool lasts.
            at = k % len(pool)
            state = mix(state + _GOLDEN)
            pick = at + np.int64((state >> np.uint64(33)) % np.uint64(len(pool) - at))
            pool[at], pool[pick] = pool[pick], pool[at]
            hero_ids[agent] = pool[at]
            if team == 1 and static.mirror[0]:
                hero_ids[agent] = hero_ids[k]
            if static.seats[agent] >= 0:
                hero_ids[agent] = static.seats[agent]
    reset_game(games, tables, row, seed, hero_ids)


@kernel
def reset_rows(games: Any, tables: Any, static: Static, seed: int) -> None:
    """Begin a first episode in every row."""
    for row in range(games.shape[0]):
        begin_episode(games, tables, static, row, row_seed(seed, row))


@kernel
def observe_rows(
    games: Any, tables: Any, static: Static, view: View, first: int, last: int
) -> None:
    """Write the observations of rows `first .. last - 1`."""
    table = tables[0]
    agents = games[first].heroes.shape[0]
    for row in range(first, last):
        for agent in range(agents):
            out = view.policy[row, agent]
            observe_agent(games[row], table, agent, False, static.offsets, out)
    if view.critic.shape[0] > 0:
        for row in range(first, last):
            for agent in range(agents):
                out = view.critic[row, agent]
                observe_agent(games[row], table, agent, True, static.offsets, out)


@kernel
def mask_rows(games: Any, tables: Any, static: Static, view: View, first: int, last: int) -> None:
    """Write the masks and the flags of life of rows `first .. last - 1`."""
    table = tables[0]
    width = num_targets(games[first], table)
    for row in range(first, last):
        for agent in range(games[row].heroes.shape[0]):
            write_mask(games[row], table, agent, static.templates, width, view.mask[row, agent])
            view.alive[row, agent] = games[row].units[agent].alive != 0


@kernel
def look_rows(games: Any, tables: Any, static: Static, view: View, first: int, last: int) -> None:
    """Write all that agents are shown of rows `first .. last - 1`."""
    observe_rows(games, tables, static, view, first, last)
    mask_rows(games, tables, static, view, first, last)


@kernel
def play_row(
    games: Any, tables: Any, actions: Any, scores: Scores, measures: Any, row: int
) -> None:
    """Play one decision of a row and write its terms, rewards and flags.

    Args:
        games: Game records `[N]`.
        tables: `Tables.record`.
        actions: Cleaned legal actions, int64 `[N, A, 5]`.
        scores: Where to write.
        measures: Scratch space, float32 `[2, A, R]`.
        row: The row to play.
    """
    game = games[row]
    table = tables[0]
    agents = game.heroes.shape[0]
    for agent in range(agents):
        rewards.measure(game, agent, measures[0, agent])
    if game.done == rec.RUNNING:
        step_game(game, table, actions[row])
    for agent in range(agents):
        rewards.measure(game, agent, measures[1, agent])
    options = scores.options
    rewards.itemise(
        measures[0],
        measures[1],
        game.tick / table.ticks_per_minute,
        options[0] != 0,
        options[1],
        options[2],
        scores.terms[row],
    )
    for agent in range(agents):
        reward = np.float32(0.0)
        for term in range(rewards.NUM_TERMS):
            reward += scores.weights[term] * scores.terms[row, agent, term]
        scores.reward[row, agent] = reward
    scores.terminated[row] = game.done == rec.TERMINATED
    scores.truncated[row] = game.done == rec.TRUNCATED


@kernel
def play_rows(games: Any, tables: Any, actions: Any, scores: Scores, first: int, last: int) -> None:
    """Play one decision of rows `first .. last - 1` without resetting those that end."""
    measures = np.empty((2, games[first].heroes.shape[0], rewards.NUM_TERMS), np.float32)
    for row in range(first, last):
        play_row(games, tables, actions, scores, measures, row)


@kernel
def advance(
    games: Any,
    tables: Any,
    static: Static,
    actions: Any,
    scores: Scores,
    view: View,
    final: View,
    state: Any,
    final_state: Any,
    first: int,
    last: int,
) -> None:
    """Step rows `first .. last - 1`; finished ones leave their last view in `final` and restart.

    `state` is the bytes of `games`, uint8 `[N, S]`; `final_state` has the same shape, or `[0, S]`
    if nobody asked for it.
    """
    for start in range(first, last, CHUNK):
        stop = min(last, start + CHUNK)
        play_rows(games, tables, actions, scores, start, stop)
        for row in range(start, stop):
            if not (scores.terminated[row] or scores.truncated[row]):
                continue
            look_rows(games, tables, static, final, row, row + 1)
            if final_state.shape[0] > 0:
                final_state[row] = state[row]
            write_metrics(games[row], tables[0], scores, row)
            seed = int(mix(np.uint64(games[row].seed) + _GOLDEN) >> np.uint64(2))
            begin_episode(games, tables, static, row, seed)
        look_rows(games, tables, static, view, start, stop)


@kernel
def write_metrics(game: Any, table: Any, scores: Scores, row: int) -> None:
    """Write the figures of an episode that has ended."""
    agents = game.heroes.shape[0]
    for agent in range(agents):
        team = int(game.units[agent].team)
        hero = game.heroes[agent]
        out = scores.agent_metrics[:, row, agent]
        out[0] = 0.0
        if game.winner >= 0:
            out[0] = 1.0 if game.winner == team else -1.0
        out[1] = hero.kills
        out[2] = hero.deaths
        out[3] = hero.assists
        out[4] = hero.last_hits
        out[5] = hero.gold_earned
        out[6] = hero.level
        out[7] = hero.damage_to_heroes
        crystal = rec.structure_begin(game, 1 - team) + rec.structures_per_team(game) - 1
        taken = 0 if game.units[crystal].alive != 0 else 1
        out[8] = game.fallen[1 - team] - taken
        out[9] = taken
        out[10] = hero.hero
    scores.game_metrics[0, row] = game.tick / table.ticks_per_minute
    scores.game_metrics[1, row] = game.done == rec.TERMINATED
