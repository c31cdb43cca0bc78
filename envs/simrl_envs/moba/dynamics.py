"""The same rules as a pure function over snapshots, for planners."""

import numpy as np
import torch
from torch import Tensor

from simrl.core import Obs
from simrl_envs.moba import advance as kernels
from simrl_envs.moba.config import MobaConfig, config_static, config_tables
from simrl_envs.moba.env import make_scores, make_view, moba_spec, view_obs
from simrl_envs.moba.mask import zero_unused
from simrl_envs.moba.records import game_dtype
from simrl_envs.moba.slices import SlicePool


class MobaDynamics:
    """Step independent games given as bytes; satisfies `simrl.core.Dynamics`.

    A command that is against the rules does nothing, so that a planner may guess. Unlike an
    environment, a game that has ended stays as it is and pays nothing.

    Raises:
        ValueError: If an option of the config is wrong.
    """

    def __init__(self, config: MobaConfig) -> None:
        self.tables = config_tables(config)
        self.spec = moba_spec(config, self.tables)
        self._config = config
        self._static = config_static(config, self.tables)
        self._dtype = game_dtype(self.tables.shape)
        self._pool = SlicePool(config.threads)

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Play one decision of each game.

        Args:
            state: uint8 `[B, S]`, rows as `MobaEnv.snapshot` gives them; not changed.
            action: int64 `[B, A, 5]`.

        Returns:
            The next states uint8 `[B, S]`, rewards float32 `[B, A]`, and the discount float32
            `[B]`: 0 where the crystal has fallen, else 1.

        Raises:
            ValueError: If a shape or dtype is wrong, or a head has a value outside its range.
        """
        games = self._games(state)
        count, agents = len(games), self.spec.num_agents
        expected = (count, agents, 5)
        if tuple(action.shape) != expected or action.dtype != torch.int64:
            raise ValueError(
                f"{self.spec.id}: expected int64 actions {expected}, "
                f"got {action.dtype} {tuple(action.shape)}"
            )
        clean = np.zeros(expected, np.int64)
        given = action.cpu().contiguous().numpy()
        bad = zero_unused(
            games, self._static.templates, self.tables.shape.num_targets, given, clean
        )
        if bad >= 0:
            row, agent = divmod(bad, agents)
            sizes = self.tables.shape.action_sizes
            raise ValueError(
                f"{self.spec.id}: row {row}, agent {agent}: action {given[row, agent].tolist()} is "
                f"out of range; the heads have {sizes} values"
            )
        scores = make_scores(self._config, count, agents)
        record = self.tables.record

        def play(first: int, last: int) -> None:
            kernels.play_rows(games, record, clean, scores, first, last)

        self._pool.run(play, count)
        discount = torch.from_numpy(1.0 - scores.terminated.astype(np.float32))
        following = games.view(np.uint8).reshape(count, -1)
        return torch.from_numpy(following), torch.from_numpy(scores.reward), discount

    def observe(self, state: Tensor) -> Obs:
        """Return what the agents of each game observe: the environment's groups, `[B, A, ...]`.

        Args:
            state: uint8 `[B, S]`.
        """
        games = self._games(state)
        view = make_view(self.spec, len(games), with_critic=True)
        record, static = self.tables.record, self._static

        def look(first: int, last: int) -> None:
            kernels.look_rows(games, record, static, view, first, last)

        self._pool.run(look, len(games))
        return {**view_obs(view), "state": state}

    def reseed(self, state: Tensor, rng: torch.Generator) -> Tensor:
        """Return the states uint8 `[B, S]` with other random streams, so that nobody foresees them.

        They decide where creeps stand when they appear, and nothing else.
        """
        games = self._games(state)
        games["rng"] = torch.randint(0, 2**32, (len(games),), generator=rng).numpy()
        return torch.from_numpy(games.view(np.uint8).reshape(len(games), -1))

    def _games(self, state: Tensor) -> np.ndarray:
        """Return a copy of the states as game records `[B]`."""
        if state.dtype != torch.uint8 or state.ndim != 2 or state.shape[1] != self.spec.state_size:
            raise ValueError(
                f"{self.spec.id}: expected uint8 states [B, {self.spec.state_size}], "
                f"got {state.dtype} {tuple(state.shape)}"
            )
        # np.array copies; the reshape below keeps the copy aligned for the record's fields.
        return np.array(state.cpu().numpy()).reshape(-1).view(self._dtype)
