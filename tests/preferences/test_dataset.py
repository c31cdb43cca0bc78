"""Labelled pairs: what enters, what is taken back, and the split by trajectory."""

import numpy as np
import pytest
import torch

from simrl.preferences.dataset import PreferenceData, hashed_uniform, is_held_out
from simrl.preferences.segment import SegmentBatch


def segments(episodes, steps=2):
    size = len(episodes)
    return SegmentBatch(
        obs=torch.tensor(episodes, dtype=torch.float32)[:, None, None].repeat(1, steps, 1),
        action=torch.zeros(size, steps, 1, dtype=torch.int64),
        reward=torch.zeros(size, steps),
        reward_terms=torch.zeros(size, steps, 0),
        length=torch.full((size,), steps),
        terminated=torch.zeros(size, dtype=torch.bool),
        episode=torch.tensor(episodes),
    )


def data(first, second, label=None, **options):
    result = PreferenceData()
    label = [1.0] * len(first) if label is None else label
    result.add(segments(first), segments(second), torch.tensor(label), **options)
    return result


def test_pairs_pile_up_in_order():
    pairs = data([0, 1], [2, 3], [1.0, 0.5])
    pairs.add(segments([4]), segments([5]), torch.tensor([0.0]), weight=torch.tensor([2.0]))
    assert len(pairs) == 3
    assert pairs.first.episode.tolist() == [0, 1, 4] and pairs.second.episode.tolist() == [2, 3, 5]
    assert pairs.label.tolist() == [1.0, 0.5, 0.0] and pairs.weight.tolist() == [1.0, 1.0, 2.0]
    assert pairs.serial.tolist() == [0, 1, 2] and pairs.key.tolist() == [-1, -1, -1]


def test_an_answer_that_is_taken_back_goes_and_its_serial_is_not_reused():
    pairs = data([0, 1], [2, 3], key=torch.tensor([11, 12]))
    assert pairs.remove(torch.tensor([12, 99])) == 1
    pairs.add(segments([4]), segments([5]), torch.tensor([0.0]), key=torch.tensor([13]))
    assert pairs.key.tolist() == [11, 13] and pairs.serial.tolist() == [0, 2]
    assert pairs.remove(torch.tensor([11, 13])) == 2 and len(pairs) == 0
    pairs.add(segments([4]), segments([5]), torch.tensor([0.0]))
    assert pairs.serial.tolist() == [3]


def test_empty_data_says_so():
    pairs = PreferenceData()
    assert len(pairs) == 0 and len(pairs.label) == 0 and pairs.remove(torch.tensor([1])) == 0
    with pytest.raises(ValueError, match="there are no preferences yet"):
        _ = pairs.first


@pytest.mark.parametrize(
    ("first", "second", "label", "message"),
    [
        ([0], [1], [1.5], "labels are probabilities"),
        ([0], [1], [float("nan")], "labels are probabilities"),
        ([0], [1, 2], [1.0], "1 labels for 1 first and 2 second segments"),
    ],
)
def test_wrong_pairs_are_refused(first, second, label, message):
    with pytest.raises(ValueError, match=message):
        data(first, second, label)


def test_segments_of_another_length_are_refused():
    pairs = data([0], [1])
    with pytest.raises(
        ValueError, match=r"the second segments have .* \(3, 1\), expected \(2, 1\)"
    ):
        pairs.add(segments([0]), segments([1], steps=3), torch.tensor([1.0]))


def test_no_trajectory_is_on_both_sides_of_the_split():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 60, (2, 500)).tolist()
    learn, held = data(first, second).split(0.3, seed=1)
    seen = set(learn.first.episode.tolist()) | set(learn.second.episode.tolist())
    judged = set(held.first.episode.tolist()) | set(held.second.episode.tolist())
    assert not seen & judged
    assert len(learn) > 150 and len(held) > 20
    assert len(learn) + len(held) < 500  # pairs of one trajectory of each side are in neither


def test_a_trajectory_stays_on_its_side_while_data_grows():
    small = is_held_out(torch.arange(50), 0.3, seed=1)
    large = is_held_out(torch.arange(20_000), 0.3, seed=1)
    assert torch.equal(large[:50], small)
    # the share of 20,000 draws: within four standard errors, 4 sqrt(0.3 0.7 / 20000) = 0.013
    assert float(large.float().mean()) == pytest.approx(0.3, abs=0.013)
    assert not torch.equal(is_held_out(torch.arange(50), 0.3, seed=2), small)
    assert not is_held_out(torch.arange(50), 0.0, seed=1).any()
    with pytest.raises(ValueError, match="held-out share"):
        is_held_out(torch.arange(5), 1.0, seed=1)


def test_hashed_numbers_are_uniform_and_uncorrelated():
    first, second = (hashed_uniform(np.arange(40_000), seed) for seed in (1, 2))
    counts = np.histogram(first, 20, (0.0, 1.0))[0]
    # chi-squared with 19 degrees of freedom: above 43.8 once in 1,000
    assert ((counts - 2000) ** 2 / 2000).sum() < 43.8
    for other in (second, np.roll(first, 1)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 4 / np.sqrt(40_000)


def test_a_file_brings_everything_back(tmp_path):
    pairs = data([0, 1], [2, 3], [1.0, 0.5], key=torch.tensor([4, 5]))
    pairs.remove(torch.tensor([4]))
    pairs.save(tmp_path / "pairs.npz")
    copy = PreferenceData.load(tmp_path / "pairs.npz")
    assert torch.equal(copy.first.obs, pairs.first.obs) and copy.label.tolist() == [0.5]
    copy.add(segments([6]), segments([7]), torch.tensor([0.0]))
    assert copy.serial.tolist() == [1, 2]
    PreferenceData().save(tmp_path / "none.npz")
    assert len(PreferenceData.load(tmp_path / "none.npz")) == 0
    (tmp_path / "pairs.npz").write_bytes((tmp_path / "pairs.npz").read_bytes()[:200])
    with pytest.raises(ValueError, match="not a whole set of preferences"):
        PreferenceData.load(tmp_path / "pairs.npz")
