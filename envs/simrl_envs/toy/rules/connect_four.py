"""Play connect four: four in a row on 6 by 7, stones fall down; the first player can win."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl_envs.toy.rules.boards import Board, BoardRules, TacticalPolicy

HEIGHT, WIDTH = 6, 7


@dataclass(frozen=True)
class ConnectFourConfig:
    """Hold no options."""


class ConnectFourRules(BoardRules):
    """Drop stones into columns that are not full; row 0 is the top."""

    def __init__(self, config: ConnectFourConfig) -> None:
        self.config = config
        names = tuple(f"column {column}" for column in range(WIDTH))
        board = Board("connect-four", HEIGHT, WIDTH, 4, names, _lowest_free, _top_free)
        super().__init__(board)


def make_tactical(config: ConnectFourConfig) -> TacticalPolicy:
    """Build the policy that looks one move ahead."""
    return TacticalPolicy(ConnectFourRules(config))


def _lowest_free(taken: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Fall onto the stones of the column; a full column gives its top cell."""
    columns = taken.reshape(-1, HEIGHT, WIDTH)[np.arange(len(taken)), :, choice]
    free = HEIGHT - columns.sum(-1)
    return np.maximum(free - 1, 0) * WIDTH + choice


def _top_free(taken: np.ndarray) -> np.ndarray:
    return ~taken[:, :WIDTH]
