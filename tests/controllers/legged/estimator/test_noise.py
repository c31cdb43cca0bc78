"""Numbers drawn from counters."""

import numpy as np
import pytest

from simrl_controllers.legged.estimator.noise import normals, seed_of


def _draw(seed, count, size=7, scale=1.0):
    out = np.empty(size)
    normals(float(seed), float(count), scale, out)
    return out


def test_numbers_are_normal_and_independent():
    drawn = np.array([_draw(3, count, 8) for count in range(20000)])
    assert drawn.mean(axis=0) == pytest.approx(np.zeros(8), abs=0.03)  # 4 deviations of a mean
    assert drawn.std(axis=0) == pytest.approx(np.ones(8), rel=0.02)
    assert (np.abs(drawn) > 1.96).mean() == pytest.approx(0.05, abs=0.003)
    beside = np.corrcoef(drawn.T) - np.eye(8)
    after = np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]
    assert np.abs(beside).max() < 0.03 and abs(after) < 0.03


def test_numbers_follow_from_seed_and_counter_alone():
    assert np.array_equal(_draw(5, 9), _draw(5, 9))
    assert np.array_equal(_draw(5, 9, 4), _draw(5, 9, 8)[:4])
    assert not np.isin(_draw(5, 9), _draw(5, 10)).any()
    assert not np.isin(_draw(5, 9), _draw(6, 9)).any()
    assert np.array_equal(_draw(5, 9, scale=2.0), 2.0 * _draw(5, 9))


def test_seeds_tell_rows_apart():
    rows = np.random.default_rng(0).random((50, 30))
    near = rows[0].copy()
    near[7] = np.nextafter(near[7], 1.0)
    seeds = [seed_of(row, 0) for row in (*rows, near)] + [seed_of(rows[0], 1)]
    assert len(set(seeds)) == 52
    assert all(seed == int(seed) and 0 <= seed < 2**53 for seed in seeds)
