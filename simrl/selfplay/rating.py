"""Turn game results into ratings with intervals: Elo by maximum likelihood, and openskill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from openskill.models import PlackettLuce
from scipy.optimize import minimize
from scipy.special import expit

from simrl.selfplay.payoff import Payoff

ELO_SCALE = 400.0 / np.log(10.0)
"""Elo points per unit of log-odds: 400 points are odds of ten to one."""

PRIOR_SD = 1000.0 / ELO_SCALE
"""Standard deviation of the weak normal prior that keeps an unbeaten player's rating finite."""


@dataclass(frozen=True)
class Rating:
    """Hold a rating and its 95 % interval."""

    mean: float
    low: float
    high: float


def elo(payoff: Payoff) -> dict[str, Rating]:
    """Fit Elo ratings to all games at once (Bradley-Terry, a draw is half a win and half a loss).

    Ratings are relative: their mean is 0.  Intervals come from the curvature of the posterior.
    """
    count = len(payoff.names)
    if count == 0:
        return {}
    wins = payoff.wins + 0.5 * payoff.draws
    np.fill_diagonal(wins, 0.0)
    games = wins + wins.T

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        gap = theta[:, None] - theta[None, :]
        value = float(np.sum(wins * np.logaddexp(0.0, -gap)) + 0.5 * np.sum(theta**2) / PRIOR_SD**2)
        expected = expit(gap)
        slope = -np.sum(wins - games * expected, axis=1) + theta / PRIOR_SD**2
        return value, slope

    theta = minimize(loss, np.zeros(count), jac=True, method="BFGS").x
    chance = expit(theta[:, None] - theta[None, :])
    information = -games * chance * (1.0 - chance)
    np.fill_diagonal(information, 0.0)
    np.fill_diagonal(information, -information.sum(axis=1) + 1.0 / PRIOR_SD**2)
    # Only differences matter: project the covariance onto ratings of mean zero.
    centre = np.eye(count) - 1.0 / count
    covariance = centre @ np.linalg.inv(information) @ centre
    theta = (theta - theta.mean()) * ELO_SCALE
    half = 1.959964 * np.sqrt(np.clip(np.diag(covariance), 0.0, None)) * ELO_SCALE
    return {
        name: Rating(float(t), float(t - h), float(t + h))
        for name, t, h in zip(payoff.names, theta, half, strict=True)
    }


class SkillRatings:
    """Keep an openskill (Plackett-Luce) rating for each player, updated game by game."""

    def __init__(self) -> None:
        self._model = PlackettLuce()
        self._players: dict[str, tuple[float, float]] = {}

    def record(self, first: str, second: str, outcome: float) -> None:
        """Update both players: outcome 1 the first won, 0 drawn, -1 the second won."""
        if first == second:
            return
        teams = [[self._rating(first)], [self._rating(second)]]
        ranks = [0.0, 0.0] if outcome == 0 else ([0.0, 1.0] if outcome > 0 else [1.0, 0.0])
        for name, (rating,) in zip((first, second), self._model.rate(teams, ranks), strict=True):
            self._players[name] = (float(rating.mu), float(rating.sigma))

    def copy(self, source: str, target: str) -> None:
        """Give a new player the mean of another, with the doubt of a newcomer."""
        fresh = self._model.rating()
        mean = self._players.get(source, (float(fresh.mu), 0.0))[0]
        self._players[target] = (mean, float(fresh.sigma))

    def remove(self, name: str) -> None:
        """Forget a player, if it is known."""
        self._players.pop(name, None)

    def ratings(self) -> dict[str, Rating]:
        """Return every player's mean and its interval of two standard deviations."""
        return {
            name: Rating(mu, mu - 2.0 * sigma, mu + 2.0 * sigma)
            for name, (mu, sigma) in self._players.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return every player's mean and standard deviation."""
        return {name: list(pair) for name, pair in self._players.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self._players = {name: (float(mu), float(sigma)) for name, (mu, sigma) in state.items()}

    def _rating(self, name: str) -> Any:
        if name not in self._players:
            return self._model.rating()
        mu, sigma = self._players[name]
        return self._model.rating(mu=mu, sigma=sigma)
