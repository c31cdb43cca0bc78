"""The ring of positions: what it keeps, forgets, draws and refreshes, and its file."""

import pytest
import torch

from simrl.learn.replay import Positions, SearchReplay


def positions(first: int, count: int, slots: int = 3) -> Positions:
    """Make positions that carry their number in every tensor."""
    number = torch.arange(first, first + count)
    return Positions(
        obs={
            "policy": number.float()[:, None].expand(-1, 4).clone(),
            "action_mask": (number[:, None] % 2 == 0).expand(-1, slots).clone(),
        },
        policy=number.float()[:, None].expand(-1, slots).clone(),
        value=number.float(),
        outcome=-number.float(),
        state=(number % 256).to(torch.uint8)[:, None].clone(),
        seat=number % 2,
    )


def held(replay: SearchReplay) -> list[int]:
    return replay.rows(torch.arange(len(replay))).value.int().tolist()


def test_the_oldest_are_forgotten():
    replay = SearchReplay(5)
    replay.add(positions(0, 3))
    assert held(replay) == [0, 1, 2]
    replay.add(positions(3, 4))  # rows 3, 4, then 0, 1
    assert held(replay) == [5, 6, 2, 3, 4]
    replay.add(positions(7, 12))  # more than it holds: 14 to 18 stay
    assert sorted(held(replay)) == [14, 15, 16, 17, 18]
    assert (len(replay), replay.added) == (5, 19)
    rows = replay.rows(torch.arange(5))
    assert torch.equal(rows.outcome, -rows.value)
    assert torch.equal(rows.obs["policy"][:, 2], rows.value)
    assert torch.equal(rows.seat, rows.value.long() % 2)


def test_every_position_is_as_likely():
    replay = SearchReplay(10)
    replay.add(positions(0, 4))  # six rows are empty yet
    rng = torch.Generator().manual_seed(1)
    counts = torch.bincount(replay.draw(40_000, rng), minlength=10)
    assert counts[4:].sum() == 0
    # 10 000 each, deviation 87.
    assert (counts[:4] - 10_000).abs().max() < 400


def test_refreshing_changes_targets_and_nothing_else():
    replay = SearchReplay(6)
    replay.add(positions(0, 6))
    before = replay.rows(torch.arange(6))
    replay.refresh(torch.tensor([1, 4]), torch.full((2, 3), 0.5), torch.tensor([9.0, 8.0]))
    after = replay.rows(torch.arange(6))
    assert after.value.tolist() == [0.0, 9.0, 2.0, 3.0, 8.0, 5.0]
    assert after.policy[:, 0].tolist() == [0.0, 0.5, 2.0, 3.0, 0.5, 5.0]
    for name, value in before.flat().items():
        if name not in ("policy", "value"):
            assert torch.equal(value, after.flat()[name]), name


def test_the_file_holds_everything(tmp_path):
    replay = SearchReplay(4)
    replay.add(positions(0, 6))
    replay.save(tmp_path / "replay.npz")
    again = SearchReplay.load(tmp_path / "replay.npz")
    assert (again.capacity, again.added) == (4, 6)
    for name, value in replay.rows(torch.arange(4)).flat().items():
        other = again.rows(torch.arange(4)).flat()[name]
        assert other.dtype == value.dtype
        assert torch.equal(other, value)
    again.add(positions(6, 1))
    assert held(again) == [4, 5, 6, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["replay.npz"]


def test_an_empty_one_is_saved_and_not_drawn_from(tmp_path):
    replay = SearchReplay(4)
    replay.save(tmp_path / "replay.npz")
    assert len(SearchReplay.load(tmp_path / "replay.npz")) == 0
    with pytest.raises(ValueError, match="holds no positions yet"):
        replay.sample(2, torch.Generator())


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "replay.npz"
    path.write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match=r"replay\.npz cannot be read"):
        SearchReplay.load(path)
    with pytest.raises(ValueError, match=r"missing\.npz cannot be read"):
        SearchReplay.load(tmp_path / "missing.npz")


def test_mistakes():
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        SearchReplay(0)
    replay = SearchReplay(4)
    replay.add(positions(0, 2))
    with pytest.raises(ValueError, match=r"action_mask of a position is torch.bool \[3\]"):
        replay.add(positions(2, 2, slots=5))
    flat = positions(2, 2).flat()
    del flat["obs/action_mask"]
    with pytest.raises(ValueError, match="with and without obs/action_mask"):
        replay.add(Positions.from_flat(flat))
    del flat["seat"]
    with pytest.raises(ValueError, match="positions lack seat"):
        Positions.from_flat(flat)
    with pytest.raises(ValueError, match="another capacity"):
        SearchReplay(3).load_state_dict({**replay.state_dict(), "added": 7})
