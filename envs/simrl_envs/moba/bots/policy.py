"""The scripted ladder as policies: batched kernels that read the game's own record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl_envs.moba.bots.lane_pusher import act_lane_pusher
from simrl_envs.moba.bots.macro import act_macro
from simrl_envs.moba.bots.orders import OWN_SEED
from simrl_envs.moba.bots.random_legal import act_random_legal
from simrl_envs.moba.bots.skill_user import act_skill_user
from simrl_envs.moba.records import NUM_HEADS, game_dtype
from simrl_envs.moba.tables import Tables

Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray, int, np.ndarray], None]

KERNELS: Final[dict[str, Kernel]] = {
    "lane-pusher": act_lane_pusher,
    "skill-user": act_skill_user,
    "macro": act_macro,
}
LEVELS: Final = ("random-legal", *KERNELS)


class ScriptedBot:
    """Play one level of the ladder from the game record, as far as the own team sees it."""

    reads: frozenset[str] = frozenset({"state"})

    def __init__(self, tables: Tables, level: str) -> None:
        """Build the policy.

        Args:
            tables: Data of the map that is played.
            level: One of `KERNELS`.

        Raises:
            ValueError: If there is no such level.
        """
        if level not in KERNELS:
            raise ValueError(f"unknown bot {level!r}; the bots are {', '.join(KERNELS)}")
        self.level = level
        self._tables = tables.record
        self._dtype = game_dtype(tables.shape)
        self._kernel = KERNELS[level]

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return {}: what the bot needs to remember is in the game."""
        return {}

    def act(
        self,
        obs: Obs,
        state: PolicyState,
        rng: torch.Generator,
        *,
        deterministic: bool = False,
    ) -> PolicyOutput:
        """Choose int64 actions `[rows, 5]` from the records in `obs["state"]` `[rows, S]`.

        One number is drawn from `rng` a call; with `deterministic` none, and a row's action depends
        on its game alone.
        """
        games = records_of(obs["state"], self._dtype)
        seats = obs["seat"].numpy()
        actions = np.empty((len(seats), NUM_HEADS), np.int64)
        seed = OWN_SEED if deterministic else draw_seed(rng)
        self._kernel(games, self._tables, seats, seed, actions)
        return PolicyOutput(torch.from_numpy(actions), state)


class RandomLegal:
    """Draw legal actions at random: the button first, then each head that counts for it."""

    reads: frozenset[str] = frozenset({"action_mask"})

    def __init__(self, tables: Tables) -> None:
        """Build the policy for the map of `tables`."""
        self._sizes = np.array(tables.shape.action_sizes, np.int64)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the count of decisions, int64 `[num_rows]`: it numbers deterministic draws."""
        return {"decisions": torch.zeros(num_rows, dtype=torch.int64)}

    def act(
        self,
        obs: Obs,
        state: PolicyState,
        rng: torch.Generator,
        *,
        deterministic: bool = False,
    ) -> PolicyOutput:
        """Draw int64 actions `[rows, 5]` from `obs["action_mask"]` `[rows, M]`.

        A uniform choice has no mode: with `deterministic` the draws are numbered by the decision
        and the seat, so that they are the same each time.
        """
        masks = obs["action_mask"].numpy()
        decisions = state["decisions"]
        if deterministic:
            seed = 0
            offsets = (decisions * 16 + obs["seat"]).numpy()
        else:
            seed = draw_seed(rng)
            offsets = np.arange(len(masks))
        actions = np.empty((len(masks), NUM_HEADS), np.int64)
        act_random_legal(masks, self._sizes, seed, offsets, actions)
        return PolicyOutput(torch.from_numpy(actions), {"decisions": decisions + 1})


def records_of(state: Tensor, dtype: np.dtype[Any]) -> np.ndarray:
    """View states uint8 `[rows, S]` as game records `[rows]`, without a copy where contiguous.

    Raises:
        ValueError: If a state has another size than a game record of this map.
    """
    if state.ndim != 2 or state.shape[1] != dtype.itemsize:
        raise ValueError(
            f"expected states of shape [rows, {dtype.itemsize}], one game record of this map each, "
            f"got {tuple(state.shape)}"
        )
    return np.ascontiguousarray(state.numpy()).view(dtype)[:, 0]


def draw_seed(rng: torch.Generator) -> int:
    """Draw the seed of one call, at least 0."""
    return int(torch.randint(0, 2**62, (), generator=rng, dtype=torch.int64))


def make_bot(tables: Tables, level: str) -> ScriptedBot | RandomLegal:
    """Build one level of the ladder; `LEVELS` lists them, weakest first.

    Raises:
        ValueError: If there is no such level.
    """
    if level not in LEVELS:
        raise ValueError(f"unknown bot {level!r}; the bots are {', '.join(LEVELS)}")
    return RandomLegal(tables) if level == "random-legal" else ScriptedBot(tables, level)
