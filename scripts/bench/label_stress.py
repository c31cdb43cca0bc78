"""Stress the labelling page: 16 people answer at once, and the server is killed meanwhile.

The page's own server runs in a process of its own on loopback, once over SQLite and once over
PostgreSQL (synchronous commits on both). Each person logs in, then asks for a pair and answers it,
over and over, on one connection, without a pause. After a measured stretch the server is killed
with SIGKILL under full load and started again; whoever got no reply sends the same answer again,
as the page does. At last every answer that was acknowledged is looked up in the store.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from report import add_json_flag, report

from simrl.preferences.clips import Clip, ClipLibrary
from simrl.preferences.store import LabelStore, NewQuestion
from simrl.preferences.store.local_postgres import find_postgres, local_postgres

PASSWORD = secrets.token_hex(8)
CLIPS = 40
QUESTIONS_PER_S = 900
"""Questions asked for each second of stress: more than can be answered."""
SERVER = """
import sys
from simrl.preferences.clips import ClipLibrary
from simrl.preferences.store import LabelStore
from simrl.preferences.web import create_app, serve
store, library = LabelStore.open(sys.argv[1]), ClipLibrary(sys.argv[2])
serve(create_app(store, library), "127.0.0.1", int(sys.argv[3]))
"""


@dataclass
class Person:
    """One annotator: a connection, what was shown and acknowledged, and how long replies took."""

    name: str
    port: int
    user: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    shown: set[int] = field(default_factory=set)
    acknowledged: dict[int, str] = field(default_factory=dict)
    """The clip that was chosen, by question, of answers that the server has confirmed."""
    waits: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    retries: int = 0

    def __post_init__(self) -> None:
        """Make the connection, which opens at the first request."""
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send one request and return status and JSON; the wait is noted."""
        headers = dict(self.headers)
        content = None
        if body is not None:
            content = json.dumps(body)
            headers["Content-Type"] = "application/json"
        start = time.perf_counter()
        self.connection.request(method, path, content, headers)
        reply = self.connection.getresponse()
        text = reply.read()
        self.waits.append(time.perf_counter() - start)
        return reply.status, json.loads(text) if text else None

    def log_in(self) -> None:
        """Fill in the login form, and keep the session's cookie and token."""
        self.connection.request("GET", "/login")
        page = self.connection.getresponse()
        cookies = _cookies(page)
        token = re.search(r'name="csrf" value="([^"]+)"', page.read().decode())
        if token is None:
            raise RuntimeError("the login page has no form")
        form = urlencode({"name": self.name, "password": PASSWORD, "csrf": token[1]})
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookies}
        self.connection.request("POST", "/login", form, headers)
        reply = self.connection.getresponse()
        reply.read()
        if reply.status != 303:
            raise RuntimeError(f"the login of {self.name} gave status {reply.status}")
        self.headers = {"Cookie": _cookies(reply)}
        _, me = self.request("GET", "/api/me")
        self.user, self.headers["X-CSRF-Token"] = me["user"], me["csrf"]
        self.waits.clear()

    def label(self, stop: threading.Event, slow: threading.Event) -> None:
        """Answer until `stop`; while the server is away (`slow`) wait and try again."""
        body: dict[str, Any] | None = None
        choice: tuple[int, str] | None = None
        while not stop.is_set() or body is not None:
            try:
                if body is None:
                    status, task = self.request("GET", "/api/next")
                    if status == 204:
                        return
                    if status != 200:
                        raise RuntimeError(f"/api/next gave {status}: {task}")
                    body, choice = self._decide(task)
                status, told = self.request("POST", "/api/answer", body)
            except (OSError, http.client.HTTPException):
                if not slow.is_set():
                    raise
                self.retries += 1
                self.connection.close()
                time.sleep(0.05)
                continue
            if status == 200 and choice is not None:
                self.acknowledged[choice[0]] = choice[1]
            else:
                self.refused.append(f"{status}: {told}")
            body = None

    def _decide(self, task: dict[str, Any]) -> tuple[dict[str, Any], tuple[int, str]]:
        """Choose the clip whose id is greater, on whichever side it is shown."""
        question = int(task["question"]["id"])
        self.shown.add(question)
        best = max(task["clips"], key=lambda clip: clip["id"])
        body = {
            "lease": task["lease"],
            "key": secrets.token_hex(8),
            "value": {"choice": best["side"]},
            "seconds": 1.0,
        }
        return body, (question, best["id"])


def _cookies(reply: http.client.HTTPResponse) -> str:
    jar: SimpleCookie = SimpleCookie()
    for line in reply.headers.get_all("Set-Cookie") or []:
        jar.load(line)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())


def stress(url: str, folder: Path, seconds: float, num_people: int) -> dict[str, float]:
    """Stress one store and return its figures."""
    library = folder / "library"
    fill(url, library, int(QUESTIONS_PER_S * seconds * 2), num_people)
    port = _free_port()
    people = [Person(f"person{i}", port) for i in range(num_people)]
    with server(url, library, port) as running:
        for person in people:
            person.log_in()
        elapsed = run(people, seconds)
        answered = sum(len(person.acknowledged) for person in people)
        waits = np.sort(np.concatenate([person.waits for person in people])) * 1e3
        run(people, seconds, kill=(running, url, library, port))
    figures = {
        "answers_per_s": answered / elapsed,
        "p50_ms": float(np.quantile(waits, 0.5)),
        "p95_ms": float(np.quantile(waits, 0.95)),
        "p99_ms": float(np.quantile(waits, 0.99)),
        **check(url, people),
    }
    refused = [line for person in people for line in person.refused]
    if refused:
        print(f"{len(refused)} answers were refused, e.g. {refused[0]}", file=sys.stderr)
    return {**figures, "refused": len(refused)}


def fill(url: str, folder: Path, num_questions: int, num_people: int) -> None:
    """Add people, clips and questions."""
    library, rng = ClipLibrary(folder), np.random.default_rng(0)
    ids = [library.add(_clip(number)) for number in range(CLIPS)]
    pairs = rng.integers(0, CLIPS - 1, (num_questions, 2))
    pairs[:, 1] += pairs[:, 1] >= pairs[:, 0]
    with LabelStore.open(url) as store:
        for number in range(num_people):
            store.add_user(f"person{number}", PASSWORD)
        store.add_questions([NewQuestion(kind="compare", clips=(ids[a], ids[b])) for a, b in pairs])


def run(
    people: list[Person],
    seconds: float,
    kill: tuple[Server, str, Path, int] | None = None,
) -> float:
    """Let everybody label for a while, and kill and restart the server meanwhile where asked."""
    stop, slow = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def work(person: Person) -> None:
        try:
            person.label(stop, slow)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(person,)) for person in people]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    if kill is None:
        time.sleep(seconds)
    else:
        running, url, library, port = kill
        time.sleep(seconds / 3)
        slow.set()
        running.kill()
        running.start(url, library, port)
        time.sleep(seconds / 3)
    stop.set()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"{len(failures)} people failed: {failures[0]!r}") from failures[0]
    return time.perf_counter() - start


def check(url: str, people: list[Person]) -> dict[str, float]:
    """Compare what was acknowledged with what is stored.

    A duplicate is a question shown to two people, or answered by two. Lost is an answer that was
    acknowledged and is not stored with the clip that the person chose.
    """
    shown = Counter(question for person in people for question in person.shown)
    with LabelStore.open(url) as store:
        answers = store.answers()
    asked_twice = sum(count - 1 for count in shown.values())
    answered = Counter(answer.question for answer in answers)
    answered_twice = sum(count - 1 for count in answered.values())
    stored = {
        (answer.annotator, answer.question): dict(
            zip(("first", "second"), answer.clips, strict=True)
        ).get((answer.value or {}).get("choice", ""))
        for answer in answers
    }
    lost = sum(
        stored.get((person.user, question)) != clip
        for person in people
        for question, clip in person.acknowledged.items()
    )
    return {
        "duplicates": asked_twice + answered_twice,
        "lost": lost,
        "acknowledged": sum(len(person.acknowledged) for person in people),
        "retries": sum(person.retries for person in people),
    }


class Server:
    """The page's server in a process of its own."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, url: str, library: Path, port: int) -> None:
        """Start it and wait until it takes connections."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVER, url, str(library), str(port)],
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the server does not start:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill it as a power cut would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


@contextmanager
def server(url: str, library: Path, port: int) -> Iterator[Server]:
    """Run a server while the block lasts."""
    running = Server(library.parent / "server.log")
    try:
        running.start(url, library, port)
        yield running
    finally:
        running.kill()


def _clip(number: int, steps: int = 30) -> Clip:
    rng = np.random.default_rng(number)
    return Clip(
        env="cart-pole",
        env_options={},
        seat=0,
        policies=("nobody",),
        seed=number,
        config_hash="0" * 16,
        step_seconds=0.02,
        episode=f"episode {number}",
        snapshot=np.zeros(4, np.float32),
        lead=np.zeros((0, 1, 1), np.int64),
        obs=rng.normal(size=(steps, 4)).astype(np.float32),
        action=rng.integers(0, 2, (steps, 1, 1)),
        reward=np.ones((steps, 1), np.float32),
        reward_terms=np.zeros((steps, 1, 0), np.float32),
        terminated=np.zeros(steps, bool),
        truncated=np.zeros(steps, bool),
        metrics={"return": float(steps)},
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="length of each stretch [s]")
    parser.add_argument("--annotators", type=int, default=16, help="people at once")
    parser.add_argument(
        "--store", choices=("sqlite", "postgres", "both"), default="both", help="which databases"
    )
    add_json_flag(parser)
    arguments = parser.parse_args()
    if not 1 <= arguments.seconds <= 120 or not 1 <= arguments.annotators <= 64:
        parser.error("seconds must be from 1 to 120 and annotators from 1 to 64")
    figures: dict[str, float] = {}
    if arguments.store != "postgres":
        with tempfile.TemporaryDirectory(prefix="simrl-stress-") as name:
            folder = Path(name)
            figures |= stress(
                str(folder / "labels.db"), folder, arguments.seconds, arguments.annotators
            )
    if arguments.store != "sqlite":
        if find_postgres() is None:
            print("no PostgreSQL here: apt-get install postgresql", file=sys.stderr)
        else:
            with (
                tempfile.TemporaryDirectory(prefix="simrl-stress-") as name,
                local_postgres() as url,
            ):
                found = stress(url, Path(name), arguments.seconds, arguments.annotators)
            figures |= {f"{key}_postgres": value for key, value in found.items()}
    notes = {
        "answers_per_s": "bar: at least 150",
        "p95_ms": "of all requests; bar: at most 150",
        "duplicates": "bar: 0",
        "lost": "after SIGKILL; bar: 0",
    }
    report(
        figures,
        json_flag=arguments.json,
        title=f"{arguments.annotators} people answer at once",
        notes={
            key: notes[key.removesuffix("_postgres")]
            for key in figures
            if key.removesuffix("_postgres") in notes
        },
        packages=("sqlalchemy", "fastapi", "uvicorn", "psycopg"),
    )


if __name__ == "__main__":
    main()
