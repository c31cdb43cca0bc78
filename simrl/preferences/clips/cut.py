"""Cut clips out of recorded trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simrl.core.spec import EnvSpec
from simrl.preferences.clips.clip import Clip, config_hash_of
from simrl.rollout.recorder import Trajectory


@dataclass(frozen=True)
class ClipSource:
    """Say what is the same for all clips of one recording."""

    spec: EnvSpec
    """What was played."""
    env_options: Mapping[str, Any]
    """Fields of the environment's config that differ from their defaults."""
    seed: int
    """Seed of the play."""
    config_hash: str = field(default="")
    """Hash of the resolved config; by default it is worked out."""

    def __post_init__(self) -> None:
        """Work out the hash."""
        if not self.config_hash:
            made = config_hash_of(self.spec.id, self.env_options)
            object.__setattr__(self, "config_hash", made)


def cut_clip(
    trajectory: Trajectory,
    row: int,
    t: int,
    steps: int,
    seat: int,
    *,
    source: ClipSource,
    policies: tuple[str, ...],
    episode: str,
    metrics: Mapping[str, float] | None = None,
) -> Clip:
    """Cut `steps` steps from step `t` on out of one row of a recording, as `seat` saw them.

    Args:
        trajectory: Recording with the group "policy"; its chunk may hold several episodes, the
            clip must not.
        row: Row within the trajectory.
        t: First step of the clip.
        steps: Its length; fewer are taken where the recording ends.
        seat: Agent that is judged.
        source: Environment, options and seed of the recording.
        policies: Who sat at each seat.
        episode: Name of the episode; data are split by it.
        metrics: Figures of the whole episode, added as `episode/NAME`.

    Raises:
        ValueError: The clip would cross the end of an episode, or lies outside the recording.
    """
    total, rows = trajectory.terminated.shape
    if not (0 <= row < rows and 0 <= t < total):
        raise ValueError(f"row must be below {rows} and t below {total}, got row {row} and t {t}")
    if "policy" not in trajectory.obs:
        raise ValueError("clips need the group 'policy', which was not recorded")
    part = slice(t, t + steps)
    terms = trajectory.reward_terms[part, row]
    reward = trajectory.reward[part, row]
    return Clip(
        env=source.spec.id,
        env_options=source.env_options,
        seat=seat,
        policies=policies,
        seed=source.seed,
        config_hash=source.config_hash,
        step_seconds=source.spec.step_seconds,
        episode=episode,
        snapshot=trajectory.snapshot[row].copy(),
        lead=trajectory.action[:t, row].copy(),
        obs=trajectory.obs["policy"][part, row, seat].astype(np.float32),
        action=trajectory.action[part, row].copy(),
        reward=reward.astype(np.float32),
        reward_terms=terms.astype(np.float32),
        terminated=trajectory.terminated[part, row].copy(),
        truncated=trajectory.truncated[part, row].copy(),
        metrics=clip_metrics(source.spec, reward[:, seat], terms[:, seat], metrics or {}),
    )


def clip_metrics(
    spec: EnvSpec, reward: np.ndarray, terms: np.ndarray, episode: Mapping[str, float]
) -> dict[str, float]:
    """Return the clip's "return", the sum of each unweighted term, and `episode/NAME`.

    Figures that are not finite are left out.

    Args:
        spec: Names of the terms.
        reward: Rewards of the judged agent `[T]`.
        terms: Its terms `[T, R]`.
        episode: Figures of the whole episode.
    """
    figures = {"return": float(np.sum(reward, dtype=np.float64))}
    sums = np.asarray(np.sum(terms, axis=0, dtype=np.float64))
    figures |= {name: float(value) for name, value in zip(spec.reward_terms, sums, strict=True)}
    figures |= {f"episode/{name}": float(value) for name, value in episode.items()}
    return {name: value for name, value in figures.items() if np.isfinite(value)}
