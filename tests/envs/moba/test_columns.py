"""Packed columns give back what went in."""

import numpy as np

from simrl_envs.moba.columns import column, runs, spans, values_of


def test_column_by_hand():
    # 1.00, 1.05, 1.05, 0.90 m in twentieths: 20, 21, 21, 18, so the changes are 20, 1, 0, -3.
    assert column(np.array([1.0, 1.05, 1.05, 0.9]), 20) == [20, 1, 0, -3]
    assert column(np.array([7.0, 7.0, 7.0])) == 7
    assert column(np.array([])) == 0


def test_column_round_trip():
    values = np.random.default_rng(0).integers(-500, 500, 300)
    assert np.array_equal(values_of(column(values), 300), values)
    assert np.array_equal(values_of(column(np.full(9, -4)), 9), np.full(9, -4))


def test_runs():
    assert runs(np.array([0, 0, 3, 3, 3, 0])) == [0, 2, 3, 3, 0, 1]
    assert runs(np.array([True])) == [1, 1]
    assert runs(np.array([], int)) == []


def test_spans_split_where_a_slot_is_taken_over():
    alive = np.array([0, 1, 1, 1, 0, 1], bool)
    assert spans(alive) == [(1, 4), (5, 6)]
    # At frame 3 something else stands in the slot, which was never seen empty.
    assert spans(alive, np.array([0, 0, 0, 1, 0, 0], bool)) == [(1, 3), (3, 4), (5, 6)]
