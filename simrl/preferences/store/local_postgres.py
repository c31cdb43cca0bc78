"""Start a PostgreSQL of one's own on loopback, for tests and benchmarks."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEBIAN = Path("/usr/lib/postgresql")
START_SECONDS = 60.0


def find_postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs: Debian's newest, or that on the PATH; or None."""
    found = sorted(
        (
            path.parent
            for path in DEBIAN.glob("*/bin/initdb")
            if (path.parent / "postgres").exists()
        ),
        key=lambda path: [int(part) for part in path.parent.name.split(".") if part.isdigit()],
    )
    if found:
        return found[-1]
    program = shutil.which("initdb")
    folder = None if program is None else Path(program).resolve().parent
    return folder if folder is not None and (folder / "postgres").exists() else None


@contextmanager
def local_postgres(*, durable: bool = True) -> Iterator[str]:
    """Run a fresh server while the block lasts and yield the URL of its empty database.

    As root, it runs as the user postgres, or else nobody, since the server refuses root.

    Args:
        durable: Wait for the disk at each commit, as servers do; tests go faster without.

    Raises:
        ValueError: PostgreSQL is not installed, or does not start; the message holds its words.
    """
    programs = find_postgres()
    if programs is None:
        raise ValueError("there is no PostgreSQL here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="simrl-postgres-"))
    identity = _identity(folder)
    server = None
    try:
        password = secrets.token_hex(16)
        _initialise(programs, folder, password, identity)
        port = _free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(folder),
            "max_connections": "60",
            "fsync": "on" if durable else "off",
            "synchronous_commit": "on" if durable else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with open(folder / "log", "wb") as log:
            server = subprocess.Popen(
                [str(programs / "postgres"), "-D", str(folder / "data"), *options],
                stdout=log,
                stderr=log,
                cwd="/",
                **identity,
            )
        _wait(server, port, folder / "log")
        yield f"postgresql://simrl:{password}@127.0.0.1:{port}/postgres"
    finally:
        if server is not None:
            server.send_signal(3)  # SIGQUIT: at once
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _identity(folder: Path) -> dict[str, Any]:
    """Choose whom the server runs as, and give that user the folder."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _initialise(programs: Path, folder: Path, password: str, identity: dict[str, Any]) -> None:
    secret = folder / "password"
    secret.write_text(password)
    secret.chmod(0o644)  # the folder itself is closed to others
    made = subprocess.run(
        [
            *(str(programs / "initdb"), "-D", str(folder / "data"), "-U", "simrl"),
            *("-A", "scram-sha-256", "--pwfile", str(secret)),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        ],
        capture_output=True,
        text=True,
        cwd="/",
        **identity,
    )
    secret.unlink()
    if made.returncode != 0:
        raise ValueError(f"initdb failed: {made.stderr.strip() or made.stdout.strip()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the server takes connections."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        if "ready to accept connections" in log.read_text(errors="replace"):
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        time.sleep(0.02)
    raise ValueError(f"PostgreSQL does not start: {log.read_text(errors='replace')[-500:]}")
