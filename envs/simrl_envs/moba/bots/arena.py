"""Play whole games between levels of the ladder, kernels alone: for balance figures and tests.

The rollout engine plays the same policies in the environment; here no observation is computed, so
that thousands of games take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from simrl_envs.moba.bots.policy import make_bot
from simrl_envs.moba.mask import action_spec, mask_templates, write_mask
from simrl_envs.moba.records import NUM_HEADS, TERMINATED
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.step import reset_game, step_games
from simrl_envs.moba.tables import Tables

_COMPACT: Final = 0.5  # running games are moved together when fewer than this share still run


@dataclass(frozen=True)
class GameResults:
    """How G games ended; `games` holds the last record of each."""

    games: np.ndarray
    """Final game records `[G]`."""
    hero_ids: np.ndarray
    """Hero of each agent, int64 `[G, A]`."""
    winner: np.ndarray
    """Winning team, int64 `[G]`; -1 if nobody won."""
    minutes: np.ndarray
    """Length in game time `[G]` [min]."""

    @property
    def by_crystal(self) -> np.ndarray:
        """Whether a crystal fell, bool `[G]`; else the time ran out."""
        return self.games["done"] == TERMINATED


def play_games(
    tables: Tables, levels: Sequence[str], hero_ids: np.ndarray, seed: int
) -> GameResults:
    """Play one game for each row of `hero_ids` to its end.

    Args:
        tables: Data of the map.
        levels: Which bot plays blue and which red, of `LEVELS`.
        hero_ids: Hero of each agent, int64 `[G, A]`.
        seed: The same seed plays the same games.

    Raises:
        ValueError: If a level is unknown.
    """
    policies = [make_bot(tables, level) for level in levels]
    count, size = len(hero_ids), tables.shape.team_size
    draws = torch.Generator().manual_seed(seed)
    rng = np.random.Generator(np.random.PCG64(seed))
    finals = tables.new_games(count)
    games = tables.new_games(count)
    for row in range(count):
        reset_game(games, tables.record, row, int(rng.integers(2**40)), hero_ids[row])
    index = np.arange(count)
    while len(games):
        actions = np.empty((len(games), 2 * size, NUM_HEADS), np.int64)
        for agent in range(2 * size):
            obs = observe(tables, games, agent, policies[agent // size].reads)
            memory = policies[agent // size].initial_state(len(games))
            actions[:, agent] = policies[agent // size].act(obs, memory, draws).action
        step_games(games, tables.record, actions, 0, len(games))
        done = games["done"] != 0
        if done.mean() >= _COMPACT or done.all():
            finals[index[done]] = games[done]
            games, index = games[~done].copy(), index[~done]
    ticks = tables.record["ticks_per_minute"][0]
    winner = finals["winner"].astype(np.int64)
    return GameResults(finals, hero_ids, winner, finals["tick"] / ticks)


def observe(
    tables: Tables, games: np.ndarray, agent: int, groups: frozenset[str]
) -> dict[str, Tensor]:
    """Return what a scripted policy in one seat of each game reads: "seat" and `groups`."""
    count = len(games)
    obs = {"seat": torch.full((count,), agent, dtype=torch.int64)}
    if "state" in groups:
        obs["state"] = torch.from_numpy(games.view(np.uint8).reshape(count, -1))
    if "action_mask" in groups:
        masks = np.zeros((count, action_spec(tables).mask_size), np.bool_)
        _write_masks(
            games, tables.record, agent, mask_templates(tables), tables.shape.num_targets, masks
        )
        obs["action_mask"] = torch.from_numpy(masks)
    return obs


@kernel
def _write_masks(
    games: Any, tables: Any, agent: int, templates: Any, num_targets: int, masks: Any
) -> None:
    for row in range(games.shape[0]):
        write_mask(games[row], tables[0], agent, templates, num_targets, masks[row])


def draw_heroes(tables: Tables, num_games: int, seed: int) -> np.ndarray:
    """Draw heroes for a side-swapped series, int64 `[num_games, A]`.

    Game `2k + 1` has the line-ups of game `2k` with the sides exchanged.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    size = tables.shape.team_size
    pairs = rng.integers(len(tables.heroes), size=((num_games + 1) // 2, 2 * size))
    swapped = np.concatenate([pairs[:, size:], pairs[:, :size]], axis=1)
    return np.stack([pairs, swapped], axis=1).reshape(-1, 2 * size)[:num_games]
