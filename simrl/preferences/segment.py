"""Cut recorded play into segments: short stretches of one seat, which can be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simrl.rollout.recorder import Trajectory


@dataclass(frozen=True)
class SegmentBatch:
    """Hold M segments of one seat each, padded with zeros to L steps."""

    obs: Tensor
    """Observations of the group "policy" `[M, L, D]` float32."""
    action: Tensor
    """Actions `[M, L, heads]` int64 or `[M, L, size]` float32."""
    reward: Tensor
    """The task's own reward `[M, L]`: for scripted teachers and for measuring only."""
    reward_terms: Tensor
    """Its unweighted terms `[M, L, R]`; R = 0 if rewards are not itemised."""
    length: Tensor
    """Steps that happened `[M]` int64, from 1 to L."""
    terminated: Tensor
    """Whether the task ended by its own rules at the last step `[M]` bool; the steps up to L are
    then spent in the absorbing state."""
    episode: Tensor
    """Number of the trajectory that the segment was cut from `[M]` int64; held-out data is split by
    it."""

    def __post_init__(self) -> None:
        """Check that the shapes agree; ValueError names the field that does not fit."""
        size, steps = self.obs.shape[0], self.obs.shape[1]
        for name, value in self.tensors().items():
            wanted = (size,) if name in _PER_SEGMENT else (size, steps)
            if tuple(value.shape[: len(wanted)]) != wanted:
                raise ValueError(
                    f"segments: {name} has shape {tuple(value.shape)}, but obs has "
                    f"{size} segments of {steps} steps"
                )

    def __len__(self) -> int:
        return len(self.length)

    @property
    def num_steps(self) -> int:
        """Padded length L of every segment."""
        return self.obs.shape[1]

    @property
    def mask(self) -> Tensor:
        """Which steps happened `[M, L]` bool."""
        return torch.arange(self.num_steps, device=self.length.device) < self.length[:, None]

    @property
    def absorbed(self) -> Tensor:
        """Steps up to L that followed a termination `[M]` int64; 0 where there was none."""
        return (self.num_steps - self.length) * self.terminated

    def tensors(self) -> dict[str, Tensor]:
        """Return every field by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def select(self, index: Tensor) -> SegmentBatch:
        """Return the segments that `index` (int64 `[K]` or bool `[M]`) picks, as a copy."""
        return SegmentBatch(**{name: value[index] for name, value in self.tensors().items()})

    def to(self, device: torch.device | str) -> SegmentBatch:
        """Return the same segments on `device`."""
        return SegmentBatch(**{name: value.to(device) for name, value in self.tensors().items()})

    @staticmethod
    def cat(batches: Sequence[SegmentBatch]) -> SegmentBatch:
        """Join batches of the same L; ValueError if there is none, or L differs."""
        if not batches:
            raise ValueError("segments: there is nothing to join")
        lengths = sorted({batch.num_steps for batch in batches})
        if len(lengths) > 1:
            raise ValueError(
                f"segments: cannot join segments of {lengths[0]} and {lengths[1]} steps"
            )
        parts = [batch.tensors() for batch in batches]
        return SegmentBatch(
            **{name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        )


_PER_SEGMENT = ("length", "terminated", "episode")


@dataclass(frozen=True)
class Origins:
    """Say where each of M segments starts in the `Trajectory` that it was cut from."""

    row: np.ndarray
    """Row within the trajectory `[M]` int64 (not the environment's row)."""
    t: np.ndarray
    """First step `[M]` int64."""
    seat: np.ndarray
    """Agent `[M]` int64."""
    open_episodes: np.ndarray
    """Number of the episode that is still under way at the end of each row `[R]` int64, -1 if none:
    hand it to the next `cut_segments` of the same rows."""
    next_episode: int
    """First number that no episode has yet: the next call's `first_episode`."""


def cut_segments(
    trajectory: Trajectory,
    length: int,
    *,
    seats: Sequence[int] | None = None,
    first_episode: int = 0,
    open_episodes: np.ndarray | None = None,
    min_length: int | None = None,
) -> tuple[SegmentBatch, Origins]:
    """Cut a recording into consecutive segments of `length` steps, each within one episode.

    What is left at the end of an episode becomes a segment of fewer steps where the task
    terminated, however short: how play ends is what a reward has to know.  Where a time limit or
    the recording's end cut it, it is kept only if it has `min_length` steps (default: `length`,
    so that such rests are dropped).

    All seats of a game carry the same episode number.  Numbers count up from `first_episode`;
    `open_episodes` `[R]` (of the last call's `Origins`) lets an episode that goes on from the last
    recording keep its number.

    Args:
        trajectory: Recording that holds the group "policy".
        length: Steps L of a segment.
        seats: Agents to cut segments of; default all.
        first_episode: Number of the first episode that starts here.
        open_episodes: Numbers of the episodes under way before the first step, -1 for none.
        min_length: Steps below which a segment that did not terminate is dropped.

    Raises:
        ValueError: `length` is below 1, a seat does not exist, or "policy" was not recorded.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    if "policy" not in trajectory.obs:
        recorded = ", ".join(sorted(trajectory.obs)) or "none"
        raise ValueError(f"segments need the group 'policy'; recorded were {recorded}")
    num_seats = trajectory.reward.shape[2]
    chosen = list(range(num_seats) if seats is None else seats)
    wrong = [seat for seat in chosen if not 0 <= seat < num_seats]
    if wrong:
        raise ValueError(f"there is no seat {wrong[0]}; the seats are 0 to {num_seats - 1}")
    pieces, still_open, next_episode = _pieces(
        trajectory,
        length,
        first_episode,
        open_episodes,
        length if min_length is None else min_length,
    )
    per_seat = {name: np.repeat(value, len(chosen)) for name, value in pieces.items()}
    seat = np.tile(np.array(chosen, np.int64), len(pieces["t"]))
    origins = Origins(per_seat["row"], per_seat["t"], seat, still_open, next_episode)
    return _gather(trajectory, length, origins, per_seat), origins


def _pieces(
    trajectory: Trajectory,
    length: int,
    first_episode: int,
    open_episodes: np.ndarray | None,
    min_length: int,
) -> tuple[dict[str, np.ndarray], np.ndarray, int]:
    """Return row, t, length, terminated, episode of every piece, and the numbers still open."""
    steps, rows = trajectory.terminated.shape
    still_open = np.full(rows, -1, np.int64)
    if open_episodes is not None:
        if len(open_episodes) != rows:
            raise ValueError(f"open_episodes needs {rows} entries, got {len(open_episodes)}")
        still_open[:] = open_episodes
    done = trajectory.terminated | trajectory.truncated
    found: list[tuple[int, int, int, bool, int]] = []
    for row in range(rows):
        start = 0
        ends = [*(np.flatnonzero(done[:, row]) + 1).tolist(), steps]
        for end in ends:
            if end == start:
                continue
            episode = int(still_open[row])
            if episode < 0:
                episode, first_episode = first_episode, first_episode + 1
            still_open[row] = -1 if done[end - 1, row] else episode
            ended = bool(trajectory.terminated[end - 1, row])
            for t in range(start, end, length):
                size = min(length, end - t)
                last = ended and t + size == end
                if size >= min_length or last:
                    found.append((row, t, size, last, episode))
            start = end
    table = np.array(found, np.int64).reshape(-1, 5).T
    names = ("row", "t", "length", "terminated", "episode")
    return dict(zip(names, table, strict=True)), still_open, first_episode


def _gather(
    trajectory: Trajectory, length: int, origins: Origins, pieces: Mapping[str, np.ndarray]
) -> SegmentBatch:
    """Copy the steps of every piece, zeros behind its end."""
    within = np.arange(length) < pieces["length"][:, None]
    steps = np.where(within, origins.t[:, None] + np.arange(length), 0)
    where = (steps, origins.row[:, None], origins.seat[:, None])

    def take(array: np.ndarray, dtype: torch.dtype) -> Tensor:
        values = array[where]
        values[~within] = 0
        return torch.from_numpy(values).to(dtype)

    discrete = np.issubdtype(trajectory.action.dtype, np.integer)
    return SegmentBatch(
        obs=take(trajectory.obs["policy"], torch.float32),
        action=take(trajectory.action, torch.int64 if discrete else torch.float32),
        reward=take(trajectory.reward, torch.float32),
        reward_terms=take(trajectory.reward_terms, torch.float32),
        length=torch.from_numpy(pieces["length"].copy()),
        terminated=torch.from_numpy(pieces["terminated"].astype(bool)),
        episode=torch.from_numpy(pieces["episode"].copy()),
    )
