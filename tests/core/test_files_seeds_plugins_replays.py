"""Atomic files, random streams, plug-ins and replays."""

import os

import numpy as np
import pytest
import torch

from simrl.core.files import write_atomic
from simrl.core.plugins import controller_plugin, env_plugin, make_env, make_scripted
from simrl.core.replay import Replay, load_replay
from simrl.core.seeding import child_seed, numpy_generator, torch_generator


def test_write_atomic_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    assert path.read_text() == "two"
    assert os.listdir(path.parent) == ["file.txt"]


def test_failed_write_keeps_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_atomic(path, "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_streams_are_named_and_repeatable():
    assert child_seed(1, "env") == child_seed(1, "env")
    assert len({child_seed(seed, name) for seed in range(10) for name in "abc"}) == 30
    assert 0 <= child_seed(1, "env") < 2**63
    first, again = (torch.rand(3, generator=torch_generator(1, "env")) for _ in range(2))
    assert torch.equal(first, again)
    assert numpy_generator(1, "env").random() == numpy_generator(1, "env").random()
    assert numpy_generator(1, "env").random() != numpy_generator(1, "policy").random()


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(ValueError, match=r"unknown environment 'chess'; .*cart-pole"):
        env_plugin("chess")
    with pytest.raises(ValueError, match="unknown controller 'magic'"):
        controller_plugin("magic")
    with pytest.raises(ValueError, match="counting has no option 'size'; its options are term"):
        make_env("counting", 1, size=3)
    with pytest.raises(ValueError, match="its policies are tactical"):
        make_scripted("tic-tac-toe", "perfect")
    with pytest.raises(ValueError, match="num_envs must be at least 1, got 0"):
        make_env("counting", 0)


def _replay():
    return Replay(
        env="counting",
        config={"truncate_at": 3},
        snapshot=bytes(range(20)),
        actions=np.array([[[0]], [[1]]]),
        policies=("random",),
        extras={"value": np.array([[0.123456789], [np.nan]], np.float32)},
        metrics={"count": 3},
        seat=0,
    )


def test_replay_survives_a_round_trip(tmp_path):
    path = tmp_path / "game.jsonl"
    _replay().save(path)
    back = load_replay(path)
    assert back.snapshot == bytes(range(20)) and back.actions.dtype == np.int64
    assert back.actions.tolist() == [[[0]], [[1]]]
    assert (back.env, back.config, back.policies) == ("counting", {"truncate_at": 3}, ("random",))
    # Figures keep five significant digits; a figure that a seat did not have is NaN again.
    assert back.extras["value"][0, 0] == np.float32(0.12346)
    assert np.isnan(back.extras["value"][1, 0])
    assert back.metrics == {"count": 3} and back.seat == 0
    path.write_text(path.read_text().replace(', "seat": 0', ""))  # as older versions wrote it
    assert load_replay(path).seat == -1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "", "not a whole replay"),
        (lambda text: text.rsplit("\n", 2)[0], "it has 1 of 2 steps"),
        (lambda text: text.replace("simrl-replay-1", "zip"), "its format is 'zip'"),
        (lambda text: text[:50], "not a whole replay"),
        (lambda text: text.replace('"action"', '"act"'), "not a whole replay"),
    ],
)
def test_damaged_replay_is_named(tmp_path, damage, message):
    path = tmp_path / "game.jsonl"
    _replay().save(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=message) as caught:
        load_replay(path)
    assert str(path) in str(caught.value)
