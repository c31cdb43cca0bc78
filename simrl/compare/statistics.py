"""Say how sure a comparison is: interquartile means, profiles, probabilities, paired tests.

The scores of one controller are a matrix `[K, M]`: K training seeds (1 where nothing was trained)
by M scenarios, the same M for every controller.  The two levels are resampled apart: scenarios
within their strata, the same draw for every controller, so that differences are paired; and
training seeds of each controller by themselves.  A controller of one training seed has no spread
between seeds to show, so its interval speaks of scenarios alone.

Interquartile mean, profile, probability of improvement: Agarwal et al. 2021, "Deep Reinforcement
Learning at the Edge of the Statistical Precipice".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from simrl.core.seeding import numpy_generator

CONFIDENCE = 0.95
CHUNK = 4_000_000
"""Numbers that are resampled at a time."""


@dataclass(frozen=True)
class Estimate:
    """Hold a figure with its 95 % interval; NaN bounds where one cannot be given."""

    value: float
    low: float
    high: float

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0.0

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0.0


class Resampling:
    """Hold the draws of a stratified bootstrap over two levels.

    Args:
        strata: Number of the stratum of each scenario `[M]`.
        seed: Makes the draws.
        num_draws: How many, B.
    """

    def __init__(self, strata: np.ndarray, *, seed: int, num_draws: int = 2000) -> None:
        strata = np.asarray(strata)
        if strata.ndim != 1 or not len(strata):
            raise ValueError(f"expected at least one scenario, got strata {strata.shape}")
        if num_draws < 1:
            raise ValueError(f"num_draws must be at least 1, got {num_draws}")
        self.num_draws, self.num_scenarios = num_draws, len(strata)
        self._seed = seed
        rng = numpy_generator(seed, "bootstrap/scenarios")
        self.scenarios = np.empty((num_draws, len(strata)), np.int64)
        """Which scenarios stand in each draw `[B, M]`."""
        for stratum in np.unique(strata):
            members = np.flatnonzero(strata == stratum)
            chosen = rng.integers(len(members), size=(num_draws, len(members)))
            self.scenarios[:, members] = members[chosen]

    def seeds(self, name: str, count: int) -> np.ndarray:
        """Return which of `count` training seeds of a controller are drawn `[B, count]`."""
        rng = numpy_generator(self._seed, f"bootstrap/seeds/{name}")
        return rng.integers(count, size=(self.num_draws, count))

    def scenario_weights(self) -> np.ndarray:
        """Return the share of each scenario in each draw `[B, M]`."""
        return _shares(self.scenarios, self.num_scenarios)


def iqm(scores: np.ndarray) -> float:
    """Return the mean of the middle half of all scores."""
    return float(stats.trim_mean(_checked(scores), 0.25, axis=None))


def iqm_draws(scores: np.ndarray, draws: Resampling, name: str) -> np.ndarray:
    """Return the interquartile mean of each bootstrap draw `[B]`."""
    scores = _checked(scores, draws)
    count = len(scores)
    seeds = draws.seeds(name, count)
    size = count * draws.num_scenarios
    cut = int(0.25 * size)
    step = max(1, CHUNK // size)
    parts = []
    for begin in range(0, draws.num_draws, step):
        which = slice(begin, begin + step)
        drawn = scores[seeds[which][:, :, None], draws.scenarios[which][:, None, :]]
        ordered = np.sort(drawn.reshape(len(drawn), size), axis=1)
        parts.append(ordered[:, cut : size - cut].mean(axis=1))
    return np.concatenate(parts)


def estimate(value: float, draws: np.ndarray, confidence: float = CONFIDENCE) -> Estimate:
    """Return a figure with the percentile interval of its bootstrap draws `[B]`."""
    tail = 50.0 * (1.0 - confidence)
    if np.isfinite(draws).all():
        low, high = np.percentile(draws, (tail, 100.0 - tail))
    else:  # there is nothing between two infinities
        low, high = np.percentile(draws, (tail, 100.0 - tail), method="nearest")
    return Estimate(float(value), float(low), float(high))


def aggregate(scores: np.ndarray, draws: Resampling, name: str) -> Estimate:
    """Return the interquartile mean with its stratified bootstrap interval."""
    return estimate(iqm(scores), iqm_draws(scores, draws, name))


def mean_of_known(scores: np.ndarray, draws: Resampling, name: str) -> Estimate | None:
    """Return the mean of the scores that are numbers, with its interval; None if none is."""
    scores = np.asarray(scores, np.float64)
    known = ~np.isnan(scores)
    if not known.any():
        return None
    shares = _shares(draws.seeds(name, len(scores)), len(scores))
    weights = draws.scenario_weights()
    total = ((weights @ np.where(known, scores, 0.0).T) * shares).sum(axis=1)
    count = ((weights @ known.T) * shares).sum(axis=1)
    drawn = total[count > 0] / count[count > 0]
    return estimate(float(scores[known].mean()), drawn)


def difference(
    first: np.ndarray, second: np.ndarray, draws: Resampling, names: tuple[str, str]
) -> Estimate:
    """Return how far the interquartile mean of `first` lies above that of `second`, paired."""
    spread = iqm_draws(first, draws, names[0]) - iqm_draws(second, draws, names[1])
    return estimate(iqm(first) - iqm(second), spread)


def mean_difference(
    first: np.ndarray, second: np.ndarray, draws: Resampling, names: tuple[str, str]
) -> Estimate:
    """Return how far the plain mean of `first` lies above that of `second`, paired."""
    spread = _mean_draws(first, draws, names[0]) - _mean_draws(second, draws, names[1])
    return estimate(float(np.mean(first) - np.mean(second)), spread)


def probability_of_improvement(
    first: np.ndarray, second: np.ndarray, draws: Resampling, names: tuple[str, str]
) -> Estimate:
    """Return how likely `first` scores above `second` in a scenario; ties count half."""
    first, second = _checked(first, draws), _checked(second, draws)
    better = np.sign(first[:, None, :] - second[None, :, :]) * 0.5 + 0.5
    by_scenario = np.einsum("ijm,bm->bij", better, draws.scenario_weights())
    drawn = np.einsum(
        "bij,bi,bj->b",
        by_scenario,
        _shares(draws.seeds(names[0], len(first)), len(first)),
        _shares(draws.seeds(names[1], len(second)), len(second)),
    )
    return estimate(float(better.mean()), drawn)


def profile(
    scores: np.ndarray, levels: np.ndarray, draws: Resampling, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the share of episodes that score above each level `[T]`, and its pointwise band."""
    scores = _checked(scores, draws)
    above = (scores[:, :, None] > np.asarray(levels)).astype(np.float64)
    by_seed = np.einsum("kmt,bm->bkt", above, draws.scenario_weights())
    shares = _shares(draws.seeds(name, len(scores)), len(scores))
    drawn = np.einsum("bkt,bk->bt", by_seed, shares)
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(drawn, (tail, 100.0 - tail), axis=0)
    return above.mean(axis=(0, 1)), low, high


def paired_test(first: np.ndarray, second: np.ndarray) -> float:
    """Return the p-value of Wilcoxon's signed-rank test over scenarios, two-sided.

    A scenario's score is the mean over training seeds, so the test speaks of these seeds alone.
    Equal scores are kept among the ranks (Pratt 1959).
    """
    change = _checked(first).mean(axis=0) - _checked(second).mean(axis=0)
    if not change.any():
        return 1.0
    return float(stats.wilcoxon(change, zero_method="pratt", method="asymptotic").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979): none is to be below its own size by luck."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    result = np.empty(len(p))
    result[order] = np.minimum(raised, 1.0)
    return [float(value) for value in result]


def cvar(values: np.ndarray, share: float = 0.05) -> float:
    """Return the mean of the largest `share` of the values, at least of one."""
    values = np.asarray(values, np.float64).ravel()
    if not len(values):
        raise ValueError("expected at least one value")
    count = max(1, round(share * len(values)))
    return float(np.sort(values)[-count:].mean())


def _mean_draws(scores: np.ndarray, draws: Resampling, name: str) -> np.ndarray:
    scores = _checked(scores, draws)
    by_seed = draws.scenario_weights() @ scores.T
    return (by_seed * _shares(draws.seeds(name, len(scores)), len(scores))).sum(axis=1)


def _shares(chosen: np.ndarray, size: int) -> np.ndarray:
    """Return how large a share of each draw `[B, n]` each of `size` members is `[B, size]`."""
    flat = chosen + size * np.arange(len(chosen))[:, None]
    counts = np.bincount(flat.ravel(), minlength=size * len(chosen)).reshape(len(chosen), size)
    return counts / chosen.shape[1]


def _checked(scores: np.ndarray, draws: Resampling | None = None) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or not scores.size:
        raise ValueError(f"scores are [seeds, scenarios], got {scores.shape}")
    if draws is not None and scores.shape[1] != draws.num_scenarios:
        raise ValueError(f"{scores.shape[1]} scenarios, but the draws are of {draws.num_scenarios}")
    if np.isnan(scores).any():
        seed, scenario = (int(i) for i in np.argwhere(np.isnan(scores))[0])
        raise ValueError(f"the score of seed {seed} in scenario {scenario} is not a number")
    return scores
