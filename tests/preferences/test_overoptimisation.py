"""The law of over-optimisation is recovered from points that follow it."""

import math

import numpy as np
import pytest

from simrl.preferences.overoptimisation import fit_overoptimisation


def test_known_coefficients_and_the_peak_are_found():
    # With alpha 2 and beta 0.5: R(1) = 2, R(e) = e (2 - 0.5) = 4.0774, and the peak is at
    # d = exp(2 / 0.5 - 1) = e^3 = 20.0855, where R = e^3 (2 - 0.5 * 3) = 10.0428.
    rng = np.random.default_rng(0)
    distance = np.linspace(0.0, 40.0, 60)
    noiseless = np.array([d * (2.0 - 0.5 * math.log(d)) if d > 0 else 0.0 for d in distance])
    fit = fit_overoptimisation(distance, noiseless)
    assert (fit.alpha, fit.beta) == pytest.approx((2.0, 0.5))
    assert fit.r_squared == pytest.approx(1.0)
    assert fit.peak == pytest.approx(20.0855, abs=1e-3)
    assert fit.gain(np.array([0.0, 1.0, math.e, fit.peak])) == pytest.approx(
        [0.0, 2.0, 4.0774, 10.0428], abs=1e-3
    )
    noisy = fit_overoptimisation(distance, noiseless + rng.normal(0, 0.3, 60))
    assert (noisy.alpha, noisy.beta) == pytest.approx((2.0, 0.5), abs=0.05)
    assert 0.95 < noisy.r_squared < 1.0


def test_a_reward_that_only_rises_has_no_peak():
    distance = np.linspace(0.5, 5.0, 20)
    fit = fit_overoptimisation(distance, distance**1.5)
    assert fit.beta < 0
    assert fit.peak is None


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="three points at different distances"):
        fit_overoptimisation(np.array([0.0, 0.01, 1.0, 2.0]), np.array([0.0, 1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="three points"):
        fit_overoptimisation(np.full(5, 2.0), np.arange(5.0))
