"""Cutting: every step in its place, ends known, episodes numbered as the split needs them."""

import numpy as np
import pytest
import torch

from simrl.preferences.pool import SegmentPool
from simrl.preferences.segment import SegmentBatch, cut_segments
from simrl.rollout.recorder import Trajectory


def trajectory(ends, *, seats=1, steps=10):
    """One row for each entry of `ends`: {step: "terminated" | "truncated"}.

    The observation of step t, row r, seat a is 100 r + 10 a + t.
    """
    rows = len(ends)
    t, r, a = np.meshgrid(np.arange(steps), np.arange(rows), np.arange(seats), indexing="ij")
    number = (100 * r + 10 * a + t).astype(np.float32)
    flags = {kind: np.zeros((steps, rows), bool) for kind in ("terminated", "truncated")}
    for row, by_step in enumerate(ends):
        for step, kind in by_step.items():
            flags[kind][step, row] = True
    return Trajectory(
        env="made-up",
        rows=np.arange(rows),
        snapshot=np.zeros((rows, 1), np.uint8),
        obs={"policy": number[..., None]},
        action=(number[..., None] % 7).astype(np.int64),
        reward=number / 2,
        reward_terms=np.stack([number, -number], -1),
        **flags,
    )


def test_steps_are_cut_in_order_and_an_early_end_is_kept():
    # Steps 0-3 and 4-5 (terminated at 5), then a new episode: 6-9.
    batch, origins = cut_segments(trajectory([{5: "terminated"}]), 4)
    assert batch.obs[..., 0].tolist() == [[0, 1, 2, 3], [4, 5, 0, 0], [6, 7, 8, 9]]
    assert batch.reward.tolist() == [[0, 0.5, 1, 1.5], [2, 2.5, 0, 0], [3, 3.5, 4, 4.5]]
    assert batch.reward_terms[1, 1].tolist() == [5.0, -5.0]
    assert batch.action[0, :, 0].tolist() == [0, 1, 2, 3]
    assert batch.length.tolist() == [4, 2, 4]
    assert batch.terminated.tolist() == [False, True, False]
    assert batch.absorbed.tolist() == [0, 2, 0]
    assert batch.mask[1].tolist() == [True, True, False, False]
    assert batch.episode.tolist() == [0, 0, 1]
    assert origins.t.tolist() == [0, 4, 6]
    assert (origins.next_episode, origins.open_episodes.tolist()) == (2, [1])


def test_an_end_exactly_at_a_segments_end_belongs_to_it():
    batch, origins = cut_segments(trajectory([{3: "terminated", 9: "truncated"}]), 4)
    assert batch.length.tolist() == [4, 4]  # the rest 8-9 was truncated: too short
    assert batch.terminated.tolist() == [True, False]
    assert batch.absorbed.tolist() == [0, 0]
    assert origins.open_episodes.tolist() == [-1]


def test_what_a_time_limit_cut_is_dropped_unless_it_is_long_enough():
    ends = [{5: "truncated"}]
    assert cut_segments(trajectory(ends), 4)[0].length.tolist() == [4, 4]
    kept, _ = cut_segments(trajectory(ends), 4, min_length=2)
    assert kept.length.tolist() == [4, 2, 4]
    assert not kept.terminated.any() and not kept.absorbed.any()


def test_seats_share_their_games_episode():
    batch, origins = cut_segments(trajectory([{}, {}], seats=3), 5, seats=[0, 2], first_episode=7)
    assert origins.seat.tolist() == [0, 2] * 4
    assert origins.row.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert batch.obs[:, 0, 0].tolist() == [0, 20, 5, 25, 100, 120, 105, 125]
    assert batch.episode.tolist() == [7] * 4 + [8] * 4


def test_an_episode_keeps_its_number_in_the_next_recording():
    _, before = cut_segments(trajectory([{9: "terminated"}, {}]), 5)
    after, origins = cut_segments(
        trajectory([{}, {4: "terminated"}]),
        5,
        first_episode=before.next_episode,
        open_episodes=before.open_episodes,
    )
    assert after.episode.tolist() == [2, 2, 1, 3]
    assert origins.next_episode == 4


def test_nothing_long_enough_gives_an_empty_batch():
    batch, _ = cut_segments(trajectory([{}]), 11)
    assert len(batch) == 0 and batch.obs.shape == (0, 11, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"length": 2, "seats": [1]}, "there is no seat 1; the seats are 0 to 0"),
        ({"length": 2, "open_episodes": np.zeros(3)}, "open_episodes needs 1 entries, got 3"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        cut_segments(trajectory([{}]), **options)


def test_select_and_cat_keep_segments_whole():
    batch, _ = cut_segments(trajectory([{5: "terminated"}]), 4)
    turned = SegmentBatch.cat([batch.select(torch.tensor([2])), batch.select(batch.terminated)])
    assert turned.episode.tolist() == [1, 0] and turned.length.tolist() == [4, 2]
    other, _ = cut_segments(trajectory([{}]), 5)
    with pytest.raises(ValueError, match="segments of 4 and 5 steps"):
        SegmentBatch.cat([batch, other])
    with pytest.raises(ValueError, match="nothing to join"):
        SegmentBatch.cat([])


def test_the_pool_keeps_the_newest_under_their_ids():
    batch, _ = cut_segments(trajectory([{}], steps=12), 2)  # first observations 0, 2, 4, 6, 8, 10
    pool = SegmentPool(4)
    assert pool.add(batch.select(torch.arange(3))).tolist() == [0, 1, 2]
    assert pool.add(batch.select(torch.arange(3, 6))).tolist() == [3, 4, 5]
    assert (len(pool), pool.oldest) == (4, 2)
    assert pool.get(torch.tensor([5, 2, 2])).obs[:, 0, 0].tolist() == [10, 4, 4]
    assert pool.recent(2).tolist() == [4, 5] and pool.recent(9).tolist() == [2, 3, 4, 5]
    with pytest.raises(ValueError, match=r"no segment \[1\] in the pool; it holds 2 to 5"):
        pool.get(torch.tensor([3, 1]))
    with pytest.raises(ValueError, match=r"no segment \[6\]"):
        pool.get(torch.tensor([6]))


def test_a_batch_larger_than_the_pool_leaves_its_end():
    batch, _ = cut_segments(trajectory([{}], steps=12), 2)
    pool = SegmentPool(4)
    assert pool.add(batch).tolist() == [0, 1, 2, 3, 4, 5]
    assert pool.get(pool.recent(4)).obs[:, 0, 0].tolist() == [4, 6, 8, 10]


def test_the_pool_draws_different_segments_and_resumes():
    batch, _ = cut_segments(trajectory([{}], steps=12), 2)
    pool = SegmentPool(4)
    pool.add(batch)
    drawn = pool.sample(3, torch.Generator().manual_seed(0))
    assert len(set(drawn.tolist())) == 3 and all(2 <= n < 6 for n in drawn.tolist())
    assert sorted(pool.sample(9, torch.Generator()).tolist()) == [2, 3, 4, 5]
    copy = SegmentPool(4)
    copy.load_state_dict(pool.state_dict())
    assert torch.equal(copy.get(drawn).obs, pool.get(drawn).obs)
    assert copy.add(batch.select(torch.arange(1))).tolist() == [6]
    with pytest.raises(ValueError, match="holds 4 segments, this one 5"):
        SegmentPool(5).load_state_dict(pool.state_dict())


def test_the_pool_refuses_segments_of_another_length():
    pool = SegmentPool(4)
    pool.add(cut_segments(trajectory([{}]), 2)[0])
    with pytest.raises(
        ValueError, match=r"obs has shape \(5, 1\), those in the pool have \(2, 1\)"
    ):
        pool.add(cut_segments(trajectory([{}]), 5)[0])
