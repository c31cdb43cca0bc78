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


def test_no_checkpoint_is_an_error_that_names_the_folder(tmp_path):
    with pytest.raises(ValueError, match="holds no whole checkpoint"):
        Checkpoints(tmp_path / "checkpoints").load_newest()


def test_the_manifest_lists_every_file(tmp_path):
    path = Checkpoints(tmp_path).save(1, state(1.0))
    manifest = json.loads((path / "manifest.json").read_text())
    assert sorted(manifest) == ["state.json", "tensors.safetensors"]
