"""`simrl prefs`: train by scripted and by human teachers, resume, report, refuse mistakes."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from simrl.learn.checkpoint import Checkpoints
from simrl.learn.metrics import read_metrics

SMALL = (
    *("--num-envs", "8", "--steps", "4096", "--evaluation.games", "4", "--labels", "60"),
    *("--queries.first", "20", "--fit.epochs", "2", "--model.hidden", "16"),
)


def test_a_scripted_teacher_from_start_to_report(simrl, tmp_path):
    run = tmp_path / "run"
    code, out, _ = simrl("prefs", "train", "pendulum", "--teacher", "equal", *SMALL, "--out", run)
    assert code == 0
    assert "trained 4,096 agent-steps" in out and f"report:   simrl prefs report {run}" in out
    assert (run / "reward_model" / "reward_model.safetensors").is_file()
    asked = [line["prefs/asked"] for line in read_metrics(run) if "prefs/asked" in line]
    assert asked == sorted(asked) and asked[-1] == 60
    code, out, _ = simrl("prefs", "report", run, "--json")
    figures = json.loads(out)
    assert code == 0 and figures["teacher"] == "equal"
    assert figures["prefs/asked"] == 60 and figures["prefs/answered"] == 60
    assert {"reward/accuracy", "prefs/correlation", "eval/return"} <= figures.keys()
    code, out, _ = simrl("prefs", "report", run, "--no-page")
    assert code == 0 and "prefs/answered" in out and not (run / "reward_model.html").exists()
    code, out, _ = simrl("evaluate", run, "--games", "2", "--json")
    assert code == 0


def test_the_page_about_the_reward_is_written(simrl, tmp_path):
    run = tmp_path / "run"
    simrl("prefs", "train", "pendulum", *SMALL, "--no-evaluate", "--out", run)
    code, out, _ = simrl("prefs", "report", run)
    assert code == 0 and f"page: {run / 'reward_model.html'}" in out
    page = (run / "reward_model.html").read_text()
    assert "pendulum: the reward of run" in page


def start(*words):
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "simrl.cli", *(str(word) for word in words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(found, process, seconds=120.0):
    """Wait until `found()` is true; fail if the process ends before."""
    until = time.monotonic() + seconds
    while not found():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)


@pytest.mark.slow
def test_kill_and_resume(simrl, tmp_path):
    run = tmp_path / "run"
    words = ("prefs", "train", "pendulum", *SMALL, "--loop.checkpoint-updates", "1")
    process = start(*words, "--out", run)
    wait_for(lambda: len(Checkpoints(run / "checkpoints").steps()) > 1, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    code, out, _ = simrl("prefs", "train", "pendulum", "--resume", run)
    assert code == 0 and "trained 4,096 agent-steps" in out
    assert read_metrics(run)[-2]["prefs/asked"] == 60


@pytest.mark.slow
def test_a_human_teacher_answers_at_the_page_beside_training(tmp_path):
    pytest.importorskip("uvicorn")
    from simrl.preferences.store import LabelStore

    run, port = tmp_path / "run", 18642 + os.getpid() % 1000
    words = ("--teacher", "human", "--wait", "5", "--page.port", port, "--out", run)
    process = start("prefs", "train", "pendulum", *SMALL, *words)
    try:
        store = None

        def questions():
            nonlocal store
            if store is None and (run / "labels.db").is_file():
                store = LabelStore.open(run / "labels.db")
            return store is not None and len(store.questions("compare", "open")) >= 20

        wait_for(questions, process)

        def served():
            try:
                page = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                page.request("GET", "/")
                return page.getresponse().status < 400
            except OSError:
                return False

        wait_for(served, process)
        # It has saved once, after asking, and waits for five answers.
        assert len(Checkpoints(run / "checkpoints").steps()) <= 1
        user = store.local_user()
        for _ in range(6):
            lease = store.lease(user.id)
            store.answer(user.id, lease.id, f"k{lease.id}", {"choice": "first"}, seconds=1.0)
        process.wait(120)
        assert process.returncode == 0, process.stdout.read()
        assert read_metrics(run)[-2]["prefs/answered"] == 6
        assert not served()  # the page ends with the run
        store.close()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("rain",), ("unknown action 'rain'", "train", "report")),
        (("train", "pend"), ("unknown preset 'pend'", "pendulum, cart-pole")),
        (("train", "--labels", "3"), ("name a preset first", "pendulum")),
        (("train", "pendulum", "--teacher", "god"), ("unknown teacher 'god'", "oracle", "human")),
        (("train", "pendulum", "--queries.selection", "best"), ("best", "disagreement")),
        (("train", "pendulum", "--labels", "0"), ("labels must be at least 1",)),
        (("train", "half-cheetah", "--term", "jump=1"), ("no reward term 'jump'", "forward")),
        (("train", "half-cheetah", "--term", "forward=x"), ("the weight of forward", "'x'")),
        (
            ("train", "pendulum", "--teacher", "human", "--page.host", "0.0.0.0", "--out", "new"),
            ("nobody has an account yet", "mkdir -p new", "add-user NAME --db new"),
        ),
        (("report", "nowhere"), ("nowhere is not a run",)),
    ],
)
def test_mistakes_are_one_line(simrl, tmp_path, monkeypatch, words, parts):
    monkeypatch.chdir(tmp_path)
    code, _, err = simrl("prefs", *words)
    assert code == 2 and len(err.strip().splitlines()) == 1, err
    assert all(part in err for part in parts), err
    assert not list(tmp_path.iterdir())  # nothing is left behind


@pytest.mark.parametrize("words", [("--help",), ("train", "-h"), ("rlhf", "--help"), ("rlhf",)])
def test_help_lists_what_there_is(simrl, words):
    code, out, _ = simrl("prefs", *words)
    assert code == (2 if words == ("rlhf",) else 0)
    for part in (
        "[any field of the config]",
        "half-cheetah",
        "presets of rlhf",
        "teachers: oracle",
    ):
        assert part in out


def test_a_resumed_run_keeps_its_config(simrl, tmp_path):
    words = ("prefs", "train", "pendulum", "--resume", tmp_path, "--labels", "9")
    code, _, err = simrl(*words)
    assert code == 2 and "a resumed run keeps its config" in err
