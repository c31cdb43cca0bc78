"""Let any policies play, and keep clips of their play: spread over policies, episodes and time."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch

from simrl.core.env import VecEnv
from simrl.core.plugins import make_env
from simrl.core.policy import Policy
from simrl.core.seeding import child_seed
from simrl.core.spec import EnvSpec
from simrl.core.timestep import TimeStep
from simrl.preferences.clips.clip import Clip
from simrl.preferences.clips.cut import ClipSource, cut_clip
from simrl.preferences.clips.library import ClipLibrary
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.observer import Observer, StepRecord
from simrl.rollout.recorder import Trajectory, TrajectoryRecorder
from simrl.rollout.seating import Seating

STEPS_PER_SECOND: Final = 2.0
"""Pace at which people are shown steps that have no unit of time, such as moves of a board game."""
MAX_ENVS: Final = 32
"""Games played side by side."""
MAX_PLAY: Final = 8192
"""Steps after which a game is not followed any further, unless it is asked for."""
PATIENCE: Final = 4
"""Times that the play is prolonged where too few clips were found."""
END_SHARE: Final = 0.5
"""Share of clips that end where the episode ends, among those that could: ends tell most."""

Say = Callable[[int, int], None]


def record_clips(
    library: ClipLibrary,
    env: str,
    options: Mapping[str, Any],
    policies: Mapping[str, Policy],
    *,
    count: int,
    seed: int,
    seconds: float | None = None,
    steps: int | None = None,
    opponents: Mapping[str, Policy] | None = None,
    play_steps: int | None = None,
    deterministic: bool = False,
    say: Say | None = None,
) -> list[str]:
    """Play, cut `count` clips, add them to the library and return their ids.

    Every policy is judged in an equal share of the clips; in a game of two sides it sits at either
    side in turn, against each opponent in turn.  A clip is a random stretch of an episode, or the
    whole of an episode that is shorter; half of those that could end with the episode do.

    Args:
        library: Where the clips go.
        env: Registered name of the environment.
        options: Fields of its config.
        policies: Whom to judge, by name.
        count: How many clips.
        seed: Makes the episodes and the choice; the same seed gives the same clips.
        seconds: Length of a clip [s]; steps without a unit of time count half a second each.
        steps: Length of a clip in steps, instead of `seconds`.
        opponents: Who plays the other side, by name; default: the policies themselves.
        play_steps: Steps that every game is followed for; default: one episode, at most 8192.
        deterministic: Whether policies take their mode instead of a sample.
        say: Told the steps that were played and how many there will be at most.

    Raises:
        ValueError: A number is out of range, there are opponents but one team only, or the play
            gives fewer clips than asked for.
    """
    if count < 1 or not policies:
        raise ValueError(
            f"clips need a count and a policy, at least 1 each, got {count} and {len(policies)}"
        )
    made = make_env(env, min(count, MAX_ENVS), **options)
    length = clip_steps(made.spec, seconds=seconds, steps=steps)
    table = _seat(made.spec, made.num_envs, list(policies), list(opponents or {}))
    everybody = {**(opponents or {}), **policies}
    seating = Seating(everybody, _numbers(table, list(everybody)))
    source = ClipSource(made.spec, options, seed)
    name = _recording_name(source, table, length, deterministic)
    gatherer = _Gatherer(source, table, length, math.ceil(count / made.num_envs), seed, name)
    _play(made, seating, gatherer, count, play_steps, deterministic, say)
    clips = gatherer.clips()[:count]
    if len(clips) < count:
        raise ValueError(
            f"the play gave {len(clips)} clips of {length} steps, {count} were asked for; ask for "
            "fewer or shorter ones, or let them play longer"
        )
    return [library.add(clip) for clip in clips]


def clip_steps(spec: EnvSpec, *, seconds: float | None = None, steps: int | None = None) -> int:
    """Return a clip's length in steps, at least 1; exactly one of the two must be given."""
    if (seconds is None) == (steps is None):
        raise ValueError("say how long a clip is by either seconds or steps")
    if steps is not None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        return steps
    if seconds is None or not 0 < seconds < math.inf:
        raise ValueError(f"seconds must be positive, got {seconds}")
    pace = 1.0 / spec.step_seconds if spec.step_seconds > 0 else STEPS_PER_SECOND
    return max(1, round(seconds * pace))


@dataclass(frozen=True)
class _Table:
    """Say who sits where in every row."""

    names: list[tuple[str, ...]]
    """Name of the policy at each seat, for each row."""
    judged: list[int]
    """Seat that is judged in each row."""


def _seat(spec: EnvSpec, rows: int, policies: list[str], opponents: list[str]) -> _Table:
    home = [team == spec.teams[0] for team in spec.teams]
    if all(home):
        if opponents:
            raise ValueError(f"{spec.id} has one team: there are no opponents")
        names = [(policies[row % len(policies)],) * spec.num_agents for row in range(rows)]
        return _Table(names, [row // len(policies) % spec.num_agents for row in range(rows)])
    others = opponents or policies
    table = _Table([], [])
    for row in range(rows):
        me, turn = policies[row % len(policies)], row // len(policies)
        mine = [at == (turn % 2 == 0) for at in home]
        other = others[turn // 2 % len(others)]
        table.names.append(tuple(me if own else other for own in mine))
        seats = [seat for seat, own in enumerate(mine) if own]
        table.judged.append(seats[turn // 2 % len(seats)])
    return table


def _numbers(table: _Table, everybody: list[str]) -> torch.Tensor:
    return torch.tensor([[everybody.index(name) for name in row] for row in table.names])


def _recording_name(source: ClipSource, table: _Table, length: int, deterministic: bool) -> str:
    """Name a recording after all that makes it, so that other recordings' episodes differ."""
    text = repr((source.config_hash, source.seed, table.names, length, deterministic))
    return f"{source.spec.id}-{source.seed}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _play(
    env: VecEnv,
    seating: Seating,
    gatherer: _Gatherer,
    count: int,
    play_steps: int | None,
    deterministic: bool,
    say: Say | None,
) -> None:
    """Play chunk by chunk until every row has played long enough and there are enough clips."""
    recorder = TrajectoryRecorder(env, gatherer.chunk, gatherer.take)
    engine = RolloutEngine(
        env,
        seating,
        seed=child_seed(gatherer.source.seed, "clips/play"),
        observers=[gatherer, recorder],
    )
    goal = play_steps or min(env.spec.max_steps or MAX_PLAY, MAX_PLAY)
    played = 0
    while True:
        for _ in range(gatherer.chunk):
            engine.step(deterministic=deterministic)
        played += gatherer.chunk
        if say is not None:
            say(min(played, goal), goal)
        over = played >= goal or (play_steps is None and gatherer.every_row_ended())
        if (over and gatherer.found() >= count) or played >= PATIENCE * goal:
            return


@dataclass(order=True)
class _Kept:
    """Hold a clip by its lot; the highest lots of a row stay."""

    lot: float
    clip: Clip = field(compare=False)


class _Gatherer(Observer):
    """Draw one clip out of each row of each chunk, and keep a random choice of them per row."""

    def __init__(
        self, source: ClipSource, table: _Table, length: int, keep: int, seed: int, name: str
    ) -> None:
        rows = len(table.names)
        self.source, self.chunk = source, 2 * length
        self._table, self._length, self._keep, self._name = table, length, keep, name
        self._rng = np.random.default_rng(child_seed(seed, "clips/choice"))
        self._kept: list[list[_Kept]] = [[] for _ in range(rows)]
        self._episode = np.zeros(rows, np.int64)
        self._fresh = np.ones(rows, bool)
        self._ended = np.zeros(rows, bool)
        self._figures: dict[tuple[int, int], dict[str, float]] = {}
        self._t = 0

    def on_step(self, record: StepRecord, timestep: TimeStep) -> None:
        """Keep the figures of the episodes that ended."""
        for row in timestep.done.nonzero().flatten().tolist():
            seat = self._table.judged[row]
            self._figures[self._t, row] = {
                name: float(value[row, seat] if value.ndim > 1 else value[row])
                for name, value in timestep.metrics.items()
            }
        self._t += 1

    def take(self, trajectory: Trajectory) -> None:
        """Look through a chunk."""
        done = trajectory.terminated | trajectory.truncated
        for row in range(done.shape[1]):
            self._take_row(trajectory, row, np.flatnonzero(done[:, row]) + 1)
        self._figures.clear()
        self._t = 0

    def clips(self) -> list[Clip]:
        """Return what was kept: the first of every row, then the second of every row, ..."""
        ranked = [sorted(kept, reverse=True) for kept in self._kept]
        return [row[n].clip for n in range(self._keep) for row in ranked if n < len(row)]

    def found(self) -> int:
        """Count the clips that are kept."""
        return sum(len(kept) for kept in self._kept)

    def every_row_ended(self) -> bool:
        """Tell whether every row has ended an episode."""
        return bool(self._ended.all())

    def _take_row(self, trajectory: Trajectory, row: int, ends: np.ndarray) -> None:
        total = len(trajectory.action)
        bounds = [0, *ends.tolist()] + ([total] if not len(ends) or ends[-1] < total else [])
        first, windows = int(self._episode[row]), []
        for n, (start, end) in enumerate(itertools.pairwise(bounds)):
            ended = n < len(ends)
            whole = ended and (n > 0 or bool(self._fresh[row]))
            if end - start >= self._length or whole:
                windows.append((first + n, *self._window(start, end, ended)))
        self._episode[row] += len(ends)
        self._ended[row] |= len(ends) > 0
        self._fresh[row] = len(ends) > 0 and ends[-1] == total
        if windows:
            self._offer(trajectory, row, *windows[self._rng.integers(len(windows))])

    def _window(self, start: int, end: int, ended: bool) -> tuple[int, int]:
        """Return the first step and the length of a clip within `[start, end)`."""
        spare = end - start - self._length
        if spare <= 0:
            return start, end - start
        if ended and self._rng.random() < END_SHARE:
            return start + spare, self._length
        return start + int(self._rng.integers(spare + 1)), self._length

    def _offer(self, trajectory: Trajectory, row: int, episode: int, t: int, steps: int) -> None:
        kept, lot = self._kept[row], float(self._rng.random())
        if len(kept) == self._keep and lot < kept[0].lot:
            return
        clip = cut_clip(
            trajectory,
            row,
            t,
            steps,
            self._table.judged[row],
            source=self.source,
            policies=self._table.names[row],
            episode=f"{self._name}/{row}/{episode}",
            metrics=self._figures.get((t + steps - 1, row)),
        )
        if len(kept) == self._keep:
            heapq.heapreplace(kept, _Kept(lot, clip))
        else:
            heapq.heappush(kept, _Kept(lot, clip))
