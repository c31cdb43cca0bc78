"""Clips name themselves by their content, survive a file, and refuse what contradicts itself."""

import numpy as np
import pytest

from simrl.preferences.clips import (
    check_clip_id,
    clip_from_bytes,
    config_hash_of,
    read_clip,
)


def test_the_id_is_the_same_for_ever(make_clip):
    # Written down once: a change of the hash would orphan every stored answer.
    assert make_clip().id == "553391790fdc2ed1"


def test_the_same_content_has_the_same_id_however_it_is_held(make_clip):
    plain = make_clip(env_options={"a": [1, 2], "b": 0.5})
    wide = np.zeros((4, 2, 1), np.int64)[::2, ::2]
    other = make_clip(env_options={"b": np.float64(0.5), "a": (1, 2)}, lead=wide, seed=np.int64(7))
    big_endian = make_clip(env_options={"a": [1, 2], "b": 0.5}, reward=np.full((3, 1), 2.0, ">f4"))
    assert plain.id == other.id == big_endian.id


@pytest.mark.parametrize(
    "change",
    [
        {"seat": 0, "seed": 8},
        {"env": "memory"},
        {"episode": "play-7/0/1"},
        {"metrics": {"return": 6.5}},
        {"policies": ("other",)},
        {"lead": np.zeros((1, 1, 1), np.int64)},
        {"action": np.zeros((3, 1, 1), np.int64)},
        {"snapshot": np.arange(20, dtype=np.uint8)[::-1]},
        {"truncated": np.array([False, False, True])},
    ],
)
def test_any_other_content_has_another_id(make_clip, change):
    assert make_clip(**change).id != make_clip().id


def test_a_file_gives_back_every_number(make_clip):
    clip = make_clip(env_options={"names": ("a", "b"), "size": 3})
    again = clip_from_bytes(clip.to_bytes())
    assert again.id == clip.id
    assert again.facts() == clip.facts()
    assert again.env_options == {"names": ("a", "b"), "size": 3}
    for name in ("snapshot", "lead", "obs", "action", "reward", "terminated", "truncated"):
        before, after = getattr(clip, name), getattr(again, name)
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"seat": 1}, "seat must be in 0..0"),
        ({"obs": np.zeros((2, 1), np.float32)}, "has obs"),
        ({"reward": np.zeros((3, 2), np.float32)}, "has reward"),
        ({"lead": np.zeros((2, 2, 1), np.int64)}, "has lead"),
        ({"terminated": np.array([True, False, False])}, "within one episode"),
        ({"obs": np.full((3, 1), np.nan, np.float32)}, "obs must be finite"),
        ({"metrics": {"speed": float("inf")}}, "metric 'speed'"),
        ({"action": np.zeros((0, 1, 1), np.int64)}, "T >= 1"),
    ],
)
def test_contradictions_are_refused(make_clip, change, match):
    with pytest.raises(ValueError, match=match):
        make_clip(**change)


def test_damaged_files_are_named(tmp_path, make_clip):
    whole = make_clip().to_bytes()
    path = tmp_path / "clip.npz"
    middle = len(whole) // 2
    for content in (b"", b"not a zip", whole[:-30], whole[:middle] + b"\0" * 40 + whole[middle:]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"clip\.npz is not a whole clip"):
            read_clip(path)
    with pytest.raises(ValueError, match=r"none\.npz cannot be read"):
        read_clip(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "text", ["", "../../etc/passwd", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdef\n",
             "0123456789abcdef/..", "0123456789abcdefa", None],
)  # fmt: skip
def test_only_sixteen_hex_digits_are_an_id(text):
    with pytest.raises(ValueError, match="16 hex digits"):
        check_clip_id(text)


def test_the_config_hash_fills_defaults_in():
    plain = config_hash_of("cart-pole", {})
    from simrl.core.plugins import env_plugin

    limit = env_plugin("cart-pole").config().max_steps
    assert config_hash_of("cart-pole", {"max_steps": limit}) == plain
    assert config_hash_of("cart-pole", {"max_steps": limit + 1}) != plain
    assert config_hash_of("pendulum", {}) != plain
