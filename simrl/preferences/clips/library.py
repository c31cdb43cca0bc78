"""A folder of clips, their videos and pages; every file appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from simrl.core.files import write_atomic
from simrl.preferences.clips.clip import CLIP_ID, Clip, check_clip_id, read_clip

if TYPE_CHECKING:
    from simrl.preferences.segment import SegmentBatch

CLIPS: Final = "clips"
VIDEOS: Final = "videos"
REPLAYS: Final = "replays"
STALE_SECONDS: Final = 3600.0
"""Age after which a temporary file has no writer any more [s]."""


class ClipLibrary:
    """Keep clips by the hash of their content.

    `clips/ID.npz` and `clips/ID.json` (its facts), `videos/ID.mp4` and `ID.jpg` (poster),
    `replays/ID.html` where the environment has a player, `videos/ID.error` where drawing failed.
    Several processes may add and read at once.  Every method that takes an id raises ValueError
    for anything but 16 hex digits.

    Attributes:
        folder: Where it lies.
    """

    def __init__(self, folder: Path | str) -> None:
        """Open `folder`, which need not exist yet."""
        self.folder = Path(folder)

    def add(self, clip: Clip) -> str:
        """Store a clip, if it is not there yet, and return its id."""
        name = clip.id
        if not self.has(name):
            facts = clip.facts() | {
                "id": name,
                "steps": clip.num_steps,
                "seconds": clip.seconds,
                "terminated": bool(clip.terminated[-1]),
                "truncated": bool(clip.truncated[-1]),
            }
            # The facts first: a clip that is listed always has them.
            write_atomic(self._path(CLIPS, name, "json"), json.dumps(facts, indent=1) + "\n")
            write_atomic(self._path(CLIPS, name, "npz"), clip.to_bytes())
        return name

    def get(self, clip: str) -> Clip:
        """Read a clip; ValueError if there is none, or its file is damaged or another's content."""
        path = self._known(clip)
        found = read_clip(path)
        if found.id != clip:
            raise ValueError(f"{path} is damaged: its content's hash is {found.id}")
        return found

    def meta(self, clip: str) -> dict[str, Any]:
        """Read a clip's facts, without arrays: those of `Clip`, and id, steps, seconds, ending.

        ValueError if there is no such clip or the file is damaged.
        """
        self._known(clip)
        path = self._path(CLIPS, clip, "json")
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} is not a clip's facts: {error}") from error
        if not isinstance(facts, dict) or facts.get("id") != clip:
            raise ValueError(f"{path} is not the facts of clip {clip}")
        return facts

    def ids(self) -> list[str]:
        """List all clips, oldest first; clips of the same moment by id."""
        folder = self.folder / CLIPS
        if not folder.is_dir():
            return []
        found = []
        with os.scandir(folder) as entries:
            for entry in entries:
                stem, dot, suffix = entry.name.partition(".")
                if dot and suffix == "npz" and CLIP_ID.fullmatch(stem):
                    found.append((entry.stat().st_mtime_ns, stem))
        return [stem for _, stem in sorted(found)]

    def has(self, clip: str) -> bool:
        """Tell whether there is such a clip."""
        return self._path(CLIPS, clip, "npz").is_file()

    def video(self, clip: str) -> Path | None:
        """Return the clip's video, or None if it is not rendered yet."""
        return self._existing(VIDEOS, clip, "mp4")

    def poster(self, clip: str) -> Path | None:
        """Return the picture of the clip's beginning, or None if it is not rendered yet."""
        return self._existing(VIDEOS, clip, "jpg")

    def replay(self, clip: str) -> Path | None:
        """Return the clip's page for the canvas player, or None if there is none (yet)."""
        return self._existing(REPLAYS, clip, "html")

    def failure(self, clip: str) -> str | None:
        """Say why the clip could not be drawn the last time, or None if it could."""
        path = self._existing(VIDEOS, clip, "error")
        return path.read_text(encoding="utf-8") if path is not None else None

    def path(self, clip: str, kind: str) -> Path:
        """Return where a clip's "mp4", "jpg", "html" or "error" belongs, there or not."""
        folders = {"mp4": VIDEOS, "jpg": VIDEOS, "error": VIDEOS, "html": REPLAYS}
        if kind not in folders:
            raise ValueError(f"unknown kind of file {kind!r}; the kinds are {', '.join(folders)}")
        return self._path(folders[kind], clip, kind)

    def sweep(self) -> None:
        """Delete temporary files that killed programs left an hour ago or earlier."""
        limit = time.time() - STALE_SECONDS
        for folder in (CLIPS, VIDEOS, REPLAYS):
            for path in (self.folder / folder).glob(".*.*"):
                try:
                    if path.stat().st_mtime < limit:
                        path.unlink()
                except FileNotFoundError:
                    continue

    def segments(self, clips: Sequence[str], length: int) -> SegmentBatch:
        """Read clips as segments of their judged agents, each cut or padded to `length` steps.

        ValueError if they are of different environments' shapes, or one is missing or damaged.
        """
        return segments_of([self.get(clip) for clip in clips], length)

    def _path(self, folder: str, clip: str, suffix: str) -> Path:
        return self.folder / folder / f"{check_clip_id(clip)}.{suffix}"

    def _existing(self, folder: str, clip: str, suffix: str) -> Path | None:
        path = self._path(folder, clip, suffix)
        return path if path.is_file() else None

    def _known(self, clip: str) -> Path:
        path = self._path(CLIPS, clip, "npz")
        if not path.is_file():
            raise ValueError(f"{self.folder} holds no clip {clip}")
        return path


def segments_of(clips: Sequence[Clip], length: int) -> SegmentBatch:
    """Lay clips out as segments of `length` steps, zeros where a clip is shorter.

    Their episode numbers are hashes of the episodes' names: the same in every call.

    Raises:
        ValueError: If there are none, `length` is not positive, or shapes differ between clips.
    """
    from simrl.preferences.segment import SegmentBatch

    if not clips:
        raise ValueError("there are no clips to read segments from")
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    parts = [_columns(clip, length) for clip in clips]
    shapes = [{name: (part[name].shape, part[name].dtype) for name in part} for part in parts]
    for clip, shape in zip(clips, shapes, strict=True):
        if shape != shapes[0]:
            raise ValueError(
                f"clip {clip.id} of {clip.env} has other shapes than {clips[0].id} of "
                f"{clips[0].env}: a batch holds clips of one environment"
            )
    stacked = {name: torch.from_numpy(np.stack([p[name] for p in parts])) for name in parts[0]}
    return SegmentBatch(
        **stacked,
        length=torch.tensor([min(clip.num_steps, length) for clip in clips]),
        terminated=torch.tensor(
            [bool(clip.terminated[-1]) and clip.num_steps <= length for clip in clips]
        ),
        episode=torch.tensor([episode_number(clip.episode) for clip in clips]),
    )


def episode_number(name: str) -> int:
    """Return a number of 62 bits for an episode's name, the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") >> 2


def _columns(clip: Clip, length: int) -> dict[str, np.ndarray]:
    seat = clip.seat
    columns = {
        "obs": clip.obs,
        "action": clip.action[:, seat],
        "reward": clip.reward[:, seat],
        "reward_terms": clip.reward_terms[:, seat],
    }
    return {name: _padded(value[:length], length) for name, value in columns.items()}


def _padded(value: np.ndarray, length: int) -> np.ndarray:
    result = np.zeros((length, *value.shape[1:]), value.dtype)
    result[: len(value)] = value
    return result
