"""The ring that replays and pools keep their rows in."""

import pytest
import torch

from simrl.rollout.ring import TensorRing


def rows(*values):
    return {"x": torch.tensor(values), "y": torch.tensor(values).float()[:, None].expand(-1, 2)}


def test_the_oldest_make_room():
    ring = TensorRing(3)
    assert len(ring) == 0 and ring.held() == {}
    assert ring.add(rows(10, 11)).tolist() == [0, 1]
    assert len(ring) == 2 and ring.held()["x"].tolist() == [10, 11]
    assert ring.add(rows(12, 13)).tolist() == [2, 3]
    assert ring.held()["x"].tolist() == [13, 11, 12]  # number 3 lies at 3 % 3
    assert ring.tensors["y"].shape == (3, 2)


def test_of_too_many_rows_the_newest_stay():
    ring = TensorRing(3)
    assert ring.add(rows(*range(7))).tolist() == list(range(7))
    assert sorted(ring.held()["x"].tolist()) == [4, 5, 6] and ring.added == 7


def test_a_restored_ring_goes_on_alike():
    ring, other = TensorRing(3), TensorRing(3)
    ring.add(rows(1, 2, 3, 4))
    other.restore(ring.added, ring.held())
    for one in (ring, other):
        one.add(rows(5))
    assert torch.equal(ring.tensors["x"], other.tensors["x"]) and ring.added == other.added


def test_an_empty_ring_has_no_room():
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        TensorRing(0)
