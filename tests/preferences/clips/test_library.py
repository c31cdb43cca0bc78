"""A library keeps whole files only, by ids only, and names what is damaged."""

import json
import os
import time

import numpy as np
import pytest
import torch

from simrl.preferences.clips import ClipLibrary
from simrl.preferences.clips.library import episode_number


def test_adding_twice_keeps_one(library, make_clip):
    first = library.add(make_clip())
    assert library.add(make_clip()) == first
    other = library.add(make_clip(seed=8))
    assert library.ids() == [first, other]
    assert library.has(first) and not library.has("0" * 16)
    assert library.get(other).seed == 8
    assert ClipLibrary(library.folder).ids() == [first, other]


def test_facts_are_read_without_arrays(library, make_clip):
    name = library.add(make_clip(step_seconds=0.5))
    meta = library.meta(name)
    assert meta["id"] == name
    assert meta["steps"] == 3
    assert meta["seconds"] == 1.5
    assert meta["terminated"] is True
    assert meta["truncated"] is False
    assert meta["policies"] == ["random"]
    assert meta["metrics"] == {"return": 6.0}
    assert not {"obs", "action", "snapshot"} & set(meta)


def test_another_clips_content_is_noticed(library, make_clip):
    first, second = library.add(make_clip()), library.add(make_clip(seed=8))
    folder = library.folder / "clips"
    (folder / f"{first}.npz").write_bytes((folder / f"{second}.npz").read_bytes())
    with pytest.raises(
        ValueError, match=rf"{first}\.npz is damaged: its content's hash is {second}"
    ):
        library.get(first)


def test_damaged_files_are_named(library, make_clip):
    name = library.add(make_clip())
    folder = library.folder / "clips"
    (folder / f"{name}.npz").write_bytes(b"half")
    with pytest.raises(ValueError, match=rf"{name}\.npz is not a whole clip"):
        library.get(name)
    for text in ("{", "[]", json.dumps({"id": "0" * 16})):
        (folder / f"{name}.json").write_text(text)
        with pytest.raises(ValueError, match=rf"{name}\.json is not"):
            library.meta(name)


@pytest.mark.parametrize("method", ["get", "meta", "has", "video", "poster", "replay", "failure"])
@pytest.mark.parametrize("name", ["../../../etc/passwd", "..", "", "0" * 15, "0" * 16 + "/../x"])
def test_no_path_is_made_of_anything_but_an_id(library, method, name):
    with pytest.raises(ValueError, match="16 hex digits"):
        getattr(library, method)(name)


def test_missing_clips_are_named(library, make_clip):
    library.add(make_clip())
    for method in (library.get, library.meta):
        with pytest.raises(ValueError, match=f"holds no clip {'f' * 16}"):
            method("f" * 16)


def test_foreign_and_temporary_files_are_no_clips(library, make_clip):
    name = library.add(make_clip())
    folder = library.folder / "clips"
    for other in (
        f".{name}.npz.abcd",
        "notes.txt",
        "short.npz",
        f"{'z' * 16}.npz",
        f"{name}.npz.bak",
    ):
        (folder / other).write_text("x")
    assert library.ids() == [name]


def test_sweeping_takes_only_what_was_left_long_ago(library, make_clip):
    library.add(make_clip())
    folder = library.folder / "videos"
    folder.mkdir()
    old, fresh = folder / ".aaaa.mp4.x1", folder / ".bbbb.mp4.x2"
    for path in (old, fresh):
        path.write_text("half")
    os.utime(old, (time.time() - 7200,) * 2)
    library.sweep()
    assert not old.exists() and fresh.exists()
    assert len(library.ids()) == 1


def test_segments_are_the_judged_seats_own(library, make_clip):
    action = np.arange(12).reshape(3, 2, 2)
    two = make_clip(
        seat=1,
        lead=np.zeros((0, 2, 2), np.int64),
        action=action,
        reward=np.array([[1, 2], [3, 4], [5, 6]], np.float32),
        reward_terms=np.arange(6, dtype=np.float32).reshape(3, 2, 1),
    )
    batch = library.segments([library.add(two)], 5)
    assert batch.action[0, :3].tolist() == [[2, 3], [6, 7], [10, 11]]
    assert batch.reward[0].tolist() == [2, 4, 6, 0, 0]
    assert batch.reward_terms[0, :, 0].tolist() == [1, 3, 5, 0, 0]
    assert batch.obs[0, :, 0].tolist() == [0, 1, 2, 0, 0]
    assert batch.length.tolist() == [3]
    assert batch.terminated.tolist() == [True]
    assert batch.episode.tolist() == [episode_number("play-7/0/0")]
    assert batch.action.dtype == torch.int64 and batch.obs.dtype == torch.float32


def test_a_cut_segment_has_not_terminated(library, make_clip):
    batch = library.segments([library.add(make_clip())], 2)
    assert batch.length.tolist() == [2]
    assert batch.terminated.tolist() == [False]


def test_segments_of_different_environments_are_refused(library, make_clip):
    wide = make_clip(obs=np.zeros((3, 4), np.float32))
    names = [library.add(make_clip()), library.add(wide)]
    with pytest.raises(ValueError, match=f"clip {names[1]} of counting has other shapes"):
        library.segments(names, 3)
    with pytest.raises(ValueError, match="no clips"):
        library.segments([], 3)
    with pytest.raises(ValueError, match="length must be at least 1"):
        library.segments(names, 0)
