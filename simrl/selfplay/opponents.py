"""Weigh past opponents: uniform, latest, or prioritised by how the learner fares against them."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

OpponentChoice = Literal["latest", "uniform", "pfsp-hard", "pfsp-variance"]


def opponent_weights(
    choice: OpponentChoice, win_rates: np.ndarray, power: float = 2.0
) -> np.ndarray:
    """Return the probability of meeting each past opponent, oldest first `[P]`.

    `win_rates` `[P]` are the learner's chances to beat each.  "pfsp-hard" weighs by
    (1 - x)^power and "pfsp-variance" by x(1 - x): prioritised fictitious self-play (Vinyals et al.
    2019).  Where all weights vanish the choice is uniform.
    """
    rates = np.asarray(win_rates, float)
    if rates.ndim != 1 or rates.size == 0:
        raise ValueError(f"win_rates must be a non-empty vector, got shape {rates.shape}")
    if choice == "latest":
        weights = np.zeros_like(rates)
        weights[-1] = 1.0
    elif choice == "uniform":
        weights = np.ones_like(rates)
    elif choice == "pfsp-hard":
        weights = (1.0 - rates) ** power
    elif choice == "pfsp-variance":
        weights = rates * (1.0 - rates)
    else:
        valid = ", ".join(get_args(OpponentChoice))
        raise ValueError(f"unknown opponent choice {choice!r}; the choices are {valid}")
    total = weights.sum()
    return weights / total if total > 0 else np.full_like(rates, 1.0 / rates.size)
