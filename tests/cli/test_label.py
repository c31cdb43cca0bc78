"""`simrl label`: from nothing to exported labels, and mistakes in one line."""

import contextlib
import getpass
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from simrl.cli import label_people
from simrl.cli.label import ACTIONS
from simrl.preferences.clips import ClipLibrary
from simrl.preferences.clips.pool import RenderPool
from simrl.preferences.store import LabelStore


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """A folder with six clips of cart-pole; do not write into it."""
    from simrl.cli import main

    folder = tmp_path_factory.mktemp("clips")
    words = ["label", "record", "cart-pole", "--policies", "random,balance", "--clips", "6"]
    assert main([*words, "--seconds", "0.4", "--play-steps", "60", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def clips(recorded, tmp_path):
    """A copy of it that may be written into."""
    library = ClipLibrary(tmp_path / "clips")
    for name in ClipLibrary(recorded).ids():
        library.add(ClipLibrary(recorded).get(name))
    return library.folder


def assert_one_line(result, *parts):
    code, _, err = result
    assert code == 2
    assert len(err.strip().splitlines()) == 1, err
    for part in parts:
        assert part in err


@pytest.mark.parametrize("action", ACTIONS)
def test_help(simrl, action):
    code, out, _ = simrl("label", action, "--help")
    assert code == 0
    assert "usage" in out and f"simrl label {action}" in out


def test_recording_judges_each_policy_equally(recorded):
    library = ClipLibrary(recorded)
    metas = [library.meta(name) for name in library.ids()]
    assert sorted(meta["policies"][0] for meta in metas) == ["balance"] * 3 + ["random"] * 3
    assert all(meta["steps"] <= 20 for meta in metas)


def test_recording_a_run(simrl, trained, tmp_path):
    words = ("label", "record", trained, "--opponents", "tactical", "--clips", 4, "--steps", 3)
    code, out, _ = simrl(*words, "--out", tmp_path / "out", "--draw")
    assert code == 0
    assert "4 clips of up to 3 steps" in out
    library = ClipLibrary(tmp_path / "out")
    for name in library.ids():
        meta = library.meta(name)
        assert meta["env"] == "tic-tac-toe"
        assert meta["policies"][meta["seat"]] == str(trained)
        assert meta["policies"][1 - meta["seat"]] == "tactical"
        assert library.video(name) is not None


def test_recording_says_what_is_wrong(simrl, tmp_path):
    out = ("--out", tmp_path)
    wrong = simrl("label", "record", "chess", *out)
    assert_one_line(wrong, "chess is neither a run nor an environment", "cart-pole")
    wrong = simrl("label", "record", "cart-pole", "--policies", "alphago", *out)
    assert_one_line(wrong, "unknown policy 'alphago'")
    assert_one_line(simrl("label", "record", "cart-pole", "--clips", 0, *out), "at least 1")
    assert_one_line(
        simrl("label", "record", "cart-pole", "--opponents", "random", *out), "one team"
    )
    assert_one_line(simrl("label", "record", "cart-pole", "--seconds", 0, *out), "positive")
    assert ClipLibrary(tmp_path).ids() == []


def test_unknown_actions_are_named(simrl):
    assert_one_line(simrl("label", "draw"), "unknown action 'draw'", *ACTIONS)


def add(simrl, folder, name, monkeypatch, password="a long password", *more):
    monkeypatch.setattr(sys, "stdin", _Lines(password + "\n"))
    return simrl("label", "add-user", name, "--db", folder, "--password-stdin", *more)


class _Lines:
    def __init__(self, text, tty=False):
        self._text, self._tty = text, tty

    def readline(self):
        return self._text

    def isatty(self):
        return self._tty


def test_people_are_added_listed_and_shut_out(simrl, clips, monkeypatch):
    code, out, _ = simrl("label", "users", "--db", clips)
    assert code == 2  # there is no store yet
    code, out, _ = add(simrl, clips, "ada", monkeypatch, "correct horse", "--role", "admin")
    assert code == 0 and "added ada (admin)" in out
    assert "correct horse" not in out
    code, out, _ = simrl("label", "users", "--db", clips / "labels.db")
    assert code == 0 and re.search(r"ada.*admin.*yes", out)
    with LabelStore.open(clips / "labels.db") as store:
        assert store.authenticate("ada", "correct horse", "here").role == "admin"
    assert simrl("label", "deactivate", "ada", "--db", clips)[0] == 0
    assert re.search(r"ada.*no", simrl("label", "users", "--db", clips)[1])
    assert simrl("label", "activate", "ada", "--db", clips)[0] == 0
    monkeypatch.setattr(sys, "stdin", _Lines("another password\n"))
    assert simrl("label", "set-password", "ada", "--db", clips, "--password-stdin")[0] == 0
    with LabelStore.open(clips / "labels.db") as store:
        assert store.authenticate("ada", "another password", "here") is not None
        assert store.authenticate("ada", "correct horse", "here") is None
    assert_one_line(add(simrl, clips, "ada", monkeypatch), "there is a user 'ada' already")
    assert_one_line(add(simrl, clips, "bob", monkeypatch, ""), "password")


def test_a_password_is_asked_for_twice(simrl, clips, monkeypatch):
    said = ["one password", "another password", "same password", "same password"]
    monkeypatch.setattr(sys, "stdin", _Lines("", tty=True))
    monkeypatch.setattr(getpass, "getpass", lambda prompt: said.pop(0))
    assert label_people.getpass is getpass
    assert_one_line(simrl("label", "add-user", "eve", "--db", clips), "the two passwords differ")
    assert simrl("label", "add-user", "eve", "--db", clips)[0] == 0
    assert said == []
    monkeypatch.setattr(sys, "stdin", _Lines("", tty=False))
    assert_one_line(simrl("label", "add-user", "kim", "--db", clips), "use --password-stdin")


def test_labels_that_are_not_there_are_named(simrl, tmp_path):
    for action in ("stats", "users"):
        assert_one_line(simrl("label", action, "--db", tmp_path), "there are no labels in", "--db")
    wrong = simrl("label", "export", tmp_path / "x.jsonl", "--db", tmp_path / "none")
    assert_one_line(wrong, "there are no labels in")
    assert_one_line(simrl("label", "import", tmp_path / "x.jsonl"), "does not exist")
    (tmp_path / "labels.db").write_text("this is no database, but it is long enough to be one")
    assert_one_line(simrl("label", "stats", "--db", tmp_path), "labels.db")


def test_serving_says_what_is_wrong(simrl, clips, tmp_path):
    assert_one_line(simrl("label", "serve", tmp_path / "none"), "is no folder", "label record")
    (tmp_path / "empty").mkdir()
    assert_one_line(simrl("label", "serve", tmp_path / "empty"), "holds no clips")
    open_to_all = simrl("label", "serve", clips, "--host", "0.0.0.0")
    assert_one_line(open_to_all, "nobody has an account", "simrl label add-user")
    assert_one_line(simrl("label", "serve", clips, "--select", "entropy"), "needs a reward model")
    assert_one_line(simrl("label", "serve", clips, "--overlap", 0), "overlap")
    assert_one_line(simrl("label", "serve", clips, "--port", 70000), "port")
    assert_one_line(simrl("label", "serve", clips, "--db", "postgresql://x@127.0.0.1:1/n"), "1")


class Visitor:
    """A browser without a face, at a page that another process serves."""

    def __init__(self, port):
        self.port, self.headers = port, {}
        self.get("/login")  # nobody has an account: the visit itself starts a session
        self.headers["X-CSRF-Token"] = json.loads(self.get("/api/me")[1])["csrf"]

    def get(self, path):
        return self._send("GET", path)

    def post(self, path, content):
        self.headers["Content-Type"] = "application/json"
        status, body = self._send("POST", path, json.dumps(content))
        return status, json.loads(body)

    def _send(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, self.headers)
        reply = connection.getresponse()
        content = reply.read()
        if "Set-Cookie" in reply.headers:
            self.headers["Cookie"] = reply.headers["Set-Cookie"].partition(";")[0]
        connection.close()
        return reply.status, content


@contextlib.contextmanager
def served(folder, *more):
    """Serve a folder in a process of its own; yield it and a visitor, and kill what is left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "simrl.cli", "label", "serve", str(folder), "--no-browser"]
    words += ["--port", str(port), *more]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield child, _visitor(child, port)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def _visitor(child, port):
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if child.poll() is not None:
            raise AssertionError(child.stdout.read())
        try:
            return Visitor(port)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the page did not answer")


def until_found(visitor, path, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status, content = visitor.get(path)
        if status == 200:
            return content
        assert status == 503, content
        time.sleep(0.2)
    raise AssertionError(f"{path} was not drawn")


def test_from_clips_to_labels_and_back(simrl, clips, tmp_path):
    with served(clips, "--pairs", "6", "--attention", "0", "--repeat", "0") as (child, visitor):
        status, content = visitor.get("/api/next")
        question = json.loads(content)
        assert status == 200 and question["question"]["kind"] == "compare"
        for clip in question["clips"]:
            assert until_found(visitor, clip["video"])[4:8] == b"ftyp"
        answer = {"lease": question["lease"], "key": "0123456789", "seconds": 2.0}
        status, _ = visitor.post("/api/answer", {**answer, "value": {"choice": "left"}})
        assert status == 200
        child.send_signal(signal.SIGINT)
        said, _ = child.communicate(timeout=60)
        assert child.returncode == 0, said
        assert "6 new questions of kind compare" in said
        assert "1 answer, 5 questions open" in said
        assert "Traceback" not in said
    left = next(clip["id"] for clip in question["clips"] if clip["side"] == "left")

    code, out, _ = simrl("label", "stats", "--db", clips, "--json")
    stats = json.loads(out)
    assert code == 0
    assert stats["questions"]["compare"]["open"] == 5 and stats["progress"]["answered"] == 1
    assert "reli-" in simrl("label", "stats", "--db", clips)[1]

    assert simrl("label", "export", tmp_path / "out.jsonl", "--db", clips)[0] == 0
    (row,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert row["clips"][("first", "second").index(row["choice"])] == left
    assert row["env"] == "cart-pole"

    # Served again, there are questions already: no more are made.
    with served(clips, "--attention", "0") as (_, visitor):
        assert json.loads(visitor.get("/api/next")[1])["progress"]["open"] == 5
    code, out, _ = simrl("label", "import", tmp_path / "out.jsonl", "--db", tmp_path / "other.db")
    assert code == 0 and "1 questions and 1 answers added" in out
    again = simrl("label", "import", tmp_path / "out.jsonl", "--db", tmp_path / "other.db")
    assert "0 questions and 0 answers added, 1 known already" in again[1]
    back = tmp_path / "back.parquet"
    assert simrl("label", "export", back, "--db", tmp_path / "other.db")[0] == 0
    assert_one_line(
        simrl("label", "export", tmp_path / "x.csv", "--db", clips), "files end in .jsonl"
    )


def test_killing_the_server_loses_no_answer(clips):
    with served(clips, "--pairs", "4") as (child, visitor):
        question = json.loads(visitor.get("/api/next")[1])
        answer = {"lease": question["lease"], "key": "0123456789", "seconds": 2.0}
        assert visitor.post("/api/answer", {**answer, "value": {"choice": "tie"}})[0] == 200
        child.kill()
        child.wait()
    with LabelStore.open(clips / "labels.db") as store:
        (kept,) = store.answers(include_gold=True)
        assert kept.value == {"choice": "tie"}


def test_without_the_extra_one_line_says_what_to_install(simrl, clips, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    for name in [name for name in sys.modules if name.startswith("simrl.preferences.web.")]:
        monkeypatch.delitem(sys.modules, name)
    assert_one_line(simrl("label", "serve", clips), "pip install 'simrl[label]'")


def test_a_taken_port_is_named(simrl, clips):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = simrl("label", "serve", clips, "--port", port, "--no-browser")
    assert code == 2
    assert f"cannot serve on 127.0.0.1:{port}" in err


def test_drawing_shows_what_failed(tmp_path, capsys):
    from rich.console import Console

    from simrl.cli.label_drawing import show_drawing

    library = ClipLibrary(tmp_path)
    with RenderPool(library, 1) as pool:
        pool.submit([f"{number:016x}" for number in range(7)])
        show_drawing(pool, Console(stderr=True, soft_wrap=True))
    said = capsys.readouterr().err
    assert said.count("cannot be drawn: ValueError") == 5
    assert "and 2 more" in said
