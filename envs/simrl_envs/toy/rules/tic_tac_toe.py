"""Play tic-tac-toe: three in a row on 3 by 3; a draw under best play."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simrl_envs.toy.rules.boards import Board, BoardRules, TacticalPolicy


@dataclass(frozen=True)
class TicTacToeConfig:
    """Hold no options."""


class TicTacToeRules(BoardRules):
    """Put stones into free cells, numbered by rows from the upper left."""

    def __init__(self, config: TicTacToeConfig) -> None:
        self.config = config
        names = tuple(f"cell {cell}" for cell in range(9))
        super().__init__(Board("tic-tac-toe", 3, 3, 3, names, _chosen_cell, np.logical_not))


def make_tactical(config: TicTacToeConfig) -> TacticalPolicy:
    """Build the policy that looks one move ahead."""
    return TacticalPolicy(TicTacToeRules(config))


def _chosen_cell(taken: np.ndarray, choice: np.ndarray) -> np.ndarray:
    return choice
