import json

import pytest
import torch

from simrl.learn.checkpoint import Checkpoints, flatten, read_checkpoint, unflatten


def state(value: float) -> dict:
    return {
        "weights": {"a": torch.full((2, 3), value)},
        "optimiser": {"state": {0: {"step": torch.tensor(3.0)}}, "groups": [{"lr": 0.1}]},
        "name": "run",
        "none": None,
        "flag": True,
    }


def test_state_survives_the_round_trip(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(7, state(1.5))
    step, loaded = checkpoints.load_newest()
    assert step == 7
    assert torch.equal(loaded["weights"]["a"], torch.full((2, 3), 1.5))
    assert loaded["optimiser"]["state"][0]["step"] == 3.0  # integer keys stay integers
    assert loaded["optimiser"]["groups"] == [{"lr": 0.1}]
    assert (loaded["name"], loaded["none"], loaded["flag"]) == ("run", None, True)


def test_flatten_names_what_it_cannot_store():
    with pytest.raises(ValueError, match=r"cannot store a set at /learner/odd"):
        flatten({"learner": {"odd": {1, 2}}})


def test_views_of_one_tensor_are_stored_apart():
    base = torch.arange(6.0)
    data, tensors = flatten({"x": base[:3], "y": base[3:]})
    loaded = unflatten(data, tensors)
    assert loaded["y"].tolist() == [3.0, 4.0, 5.0]


def test_only_the_newest_are_kept_and_best_stays(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save_best(state(9.0))
    for step in (1, 2, 3):
        checkpoints.save(step, state(step))
    assert checkpoints.steps() == [2, 3]
    assert float(checkpoints.load_best()["weights"]["a"][0, 0]) == 9.0


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
def test_a_damaged_newest_gives_way_to_the_one_before(tmp_path, name, caplog):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state(1.0))
    newest = checkpoints.save(2, state(2.0))
    content = (newest / name).read_bytes()
    (newest / name).write_bytes(content[: len(content) // 2])
    step, loaded = checkpoints.load_newest()
    assert step == 1
    assert float(loaded["weights"]["a"][0, 0]) == 1.0
    assert "damaged" in caplog.text


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, state(1.0))

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("simrl.learn.checkpoint.write_atomic", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(5, state(2.0))
    assert float(checkpoints.load_newest()[1]["weights"]["a"][0, 0]) == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["000000000005"]


def test_killed_between_the_two_renames_the_old_one_is_found(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    path = checkpoints.save_best(state(1.0))
    path.rename(path.with_name(".best.old"))
    assert float(read_checkpoint(tmp_path / "best")["weights"]["a"][0, 0]) == 1.0


def test_killed_between_the_two_renames_the_step_is_still_listed(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state(1.0))
    newest = checkpoints.save(2, state(2.0))
    newest.rename(newest.with_name(f".{newest.name}.old"))
    assert checkpoints.steps() == [1, 2]
    assert float(checkpoints.load_newest()[1]["weights"]["a"][0, 0]) == 2.0
    best = checkpoints.save_best(state(3.0))
    best.rename(best.with_name(".best.old"))
    assert checkpoints.has_best()


@pytest.mark.parametrize("keep", [1, 2])
def test_a_damaged_newest_does_not_push_out_the_good_ones(tmp_path, keep):
    checkpoints = Checkpoints(tmp_path, keep=keep)
    checkpoints.save(50, state(5.0))
    damaged = checkpoints.save(100, state(10.0))
    if keep == 1:
        checkpoints.save_best(state(0.0))  # must survive what is dropped below
    (damaged / "state.json").write_bytes(b"half")
    # The run went on from step 50 and saves at 60, before the damaged 100.
    checkpoints.save(60, state(6.0))
    assert checkpoints.steps() == [50, 60][-keep:]
    step, loaded = checkpoints.load_newest()
    assert (step, float(loaded["weights"]["a"][0, 0])) == (60, 6.0)
    assert checkpoints.has_best() == (keep == 1)


def test_what_a_killed_writer_left_is_cleared_away(tmp_path):
    (tmp_path / ".000000000003.partial").mkdir()
    Checkpoints(tmp_path).save(4, state(1.0))
    assert [path.name for path in tmp_path.iterdir()] == ["000000000004"]


@pytest.mark.parametrize("manifest", ["{}", "[]", "null", "5", '{"x": "1"}'])
def test_a_manifest_that_is_no_manifest_is_named(tmp_path, manifest):
    path = Checkpoints(tmp_path).save(1, state(1.0))
    (path / "manifest.json").write_text(manifest)
    with pytest.raises(ValueError, match=r"000000000001 cannot be read: manifest.json"):
        read_checkpoint(path)


def test_no_checkpoint_is_an_error_that_names_the_folder(tmp_path):
    with pytest.raises(ValueError, match="holds no whole checkpoint"):
        Checkpoints(tmp_path / "checkpoints").load_newest()


def test_the_manifest_lists_every_file(tmp_path):
    path = Checkpoints(tmp_path).save(1, state(1.0))
    manifest = json.loads((path / "manifest.json").read_text())
    assert sorted(manifest) == ["state.json", "tensors.safetensors"]
