"""`simrl train` stops cleanly at Ctrl-C, goes on where it stopped, and refuses mistakes early."""

import errno
import os
import signal

import pytest

from simrl.learn.checkpoint import Checkpoints
from simrl.learn.loop import TrainingLoop
from simrl.learn.metrics import read_metrics
from simrl.runs.evaluation import EvaluationHook

SMALL = ("--num-envs", "4", "--steps", "1024", "--evaluation.games", "2")


def interrupt_once(monkeypatch, kind, method, after):
    """Send Ctrl-C to this process in the call of `kind.method` that follows `after` others."""
    original = getattr(kind, method)
    calls = []

    def patched(self, *args, **options):
        calls.append(1)
        if len(calls) == after + 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *args, **options)

    monkeypatch.setattr(kind, method, patched)


def test_ctrl_c_saves_and_the_run_goes_on(simrl, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_once(patch, TrainingLoop, "update", 2)
        code, out, _ = simrl("train", "cart-pole", "--out", run, *SMALL)
    assert code == 2
    assert f"stopped and saved; continue with: simrl train cart-pole --resume {run}" in out
    # Three updates of 4 environments x 32 steps were done when it looked.
    assert Checkpoints(run / "checkpoints").steps() == [3 * 4 * 32]
    code, out, _ = simrl("train", "cart-pole", "--resume", run)
    assert code == 0
    assert "trained 1,024 agent-steps" in out
    # Every update is logged once, and the last evaluation behind them.
    steps = [line["step"] for line in read_metrics(run)]
    assert steps == [128, 256, 384, 512, 640, 768, 896, 1024, 1024]


def test_ctrl_c_in_a_checkpoint_and_in_the_last_evaluation(simrl, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_once(patch, Checkpoints, "save", 0)
        words = ("--loop.checkpoint-updates", "2", "--evaluation.every-minutes", "60")
        code, out, _ = simrl("train", "cart-pole", "--out", run, *SMALL, *words)
    assert (code, "stopped and saved" in out) == (2, True)
    assert Checkpoints(run / "checkpoints").load_newest()[0] == 256
    with monkeypatch.context() as patch:
        interrupt_once(patch, EvaluationHook, "evaluate", 0)
        code, out, _ = simrl("train", "cart-pole", "--resume", run)
    assert (code, "stopped; continue with:" in out) == (2, True)
    assert Checkpoints(run / "checkpoints").load_newest()[0] == 1024


def test_a_full_disk_in_a_checkpoint_keeps_the_one_before(simrl, tmp_path, monkeypatch):
    run = tmp_path / "run"
    original, calls = Checkpoints.save, []

    def full(self, step, state):
        calls.append(step)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(self, step, state)

    monkeypatch.setattr(Checkpoints, "save", full)
    words = ("--out", run, *SMALL, "--loop.checkpoint-updates", "2")
    code, _, err = simrl("train", "cart-pole", *words)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "No space left on device" in err
    assert Checkpoints(run / "checkpoints").load_newest()[0] == 256


@pytest.mark.parametrize(
    ("preset", "words", "part"),
    [
        ("cart-pole", ("--device", "gpu"), "unknown device 'gpu'"),
        ("cart-pole", ("--evaluation.games", "0"), "evaluation.games must be at least 1"),
        ("cart-pole", ("--evaluation.every-minutes", "0"), "every_minutes must be positive"),
        ("connect-four", ("--evaluation.games", "7"), "evaluation.games must be even"),
        ("connect-four", ("--evaluation.opponents", "nobody"), "unknown policy 'nobody'"),
        ("moba-1v1", ("--option", "seats=[nobody, nobody]"), "nobody"),
    ],
)
def test_a_mistake_is_told_before_training(simrl, tmp_path, preset, words, part):
    code, _, err = simrl("train", preset, "--out", tmp_path / "run", "--num-envs", "2", *words)
    assert (code, len(err.strip().splitlines())) == (2, 1), err
    assert part in err
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_not_there(simrl, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    words = ("--out", tmp_path / "run", "--device", "cuda")
    code, _, err = simrl("train", "cart-pole", *words)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "no CUDA device" in err
