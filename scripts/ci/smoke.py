"""Prove that the built wheel works alone: empty environment, empty folder, decoys beside it.

A user may well have folders called `envs` and `controllers` next to their script. This installs the
wheel (base dependencies only) into a new environment, goes to an empty folder that holds two such
decoys, and checks that nothing of ours shadows them, that nothing of theirs breaks us, and that
the data files and the `simrl` command came along. Standard library only, since it runs outside
the development environment.

    python scripts/ci/smoke.py dist/*.whl --constraints constraints.txt
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

OUR_PACKAGES = ("simrl", "simrl_envs", "simrl_controllers")
DECOYS = ("envs", "controllers")
DATA_SUFFIXES = (".toml", ".html", ".js", ".css", ".xml", ".typed")

# Runs inside the empty environment, in the folder with the decoys.
PROBE = """
import importlib.metadata
import pathlib
import sys

here, site = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
import simrl, simrl_controllers, simrl_envs
for package in (simrl, simrl_envs, simrl_controllers):
    assert pathlib.Path(package.__file__).is_relative_to(site), package.__file__
import controllers, envs
for decoy in (envs, controllers):
    assert pathlib.Path(decoy.__file__).is_relative_to(here), decoy.__file__
    assert decoy.WHOSE == "the user's", decoy.WHOSE
names = []
for group in ("simrl.envs", "simrl.controllers"):
    for point in importlib.metadata.entry_points(group=group):
        point.load()
        names.append(point.name)
assert names, "no plug-in is registered"
print("smoke: plug-ins load:", ", ".join(sorted(names)))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the smoke test and return the exit code: 0 when the wheel works alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="the wheel to test")
    parser.add_argument("--constraints", type=Path, required=True, help="the pinned versions")
    options = parser.parse_args(arguments)
    wheel, constraints = options.wheel.resolve(), options.constraints.resolve()
    try:
        check_contents(wheel, repository=constraints.parent)
        with tempfile.TemporaryDirectory(prefix="simrl-smoke-") as folder:
            python = install(wheel, constraints, Path(folder) / "venv")
            probe(python, Path(folder) / "empty")
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"smoke: FAILED: {error}", file=sys.stderr)
        return 1
    print("smoke: passed")
    return 0


def check_contents(wheel: Path, repository: Path) -> None:
    """Compare the wheel with the source: our three packages, every data file, and nothing else.

    Raises:
        RuntimeError: The wheel has a top-level name of its own or lacks a data file.
    """
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    tops = {name.split("/")[0] for name in inside if ".dist-info/" not in name}
    if tops != set(OUR_PACKAGES):
        raise RuntimeError(f"the wheel holds {sorted(tops)}; expected {sorted(OUR_PACKAGES)}")
    for folder in (repository, repository / "envs", repository / "controllers"):
        for package in OUR_PACKAGES:
            for path in (folder / package).rglob("*"):
                name = path.relative_to(folder).as_posix()
                if path.suffix in DATA_SUFFIXES and name not in inside:
                    raise RuntimeError(f"{name} is missing from the wheel")
    print(f"smoke: {wheel.name} holds {len(inside)} files, all data files among them")


def install(wheel: Path, constraints: Path, folder: Path) -> Path:
    """Install the wheel without extras into a new environment and return its Python."""
    print("smoke: installing the wheel into an empty environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-qq"]
    subprocess.run([*pip, "--constraint", str(constraints), str(wheel)], check=True, cwd=folder)
    return python


def probe(python: Path, folder: Path) -> None:
    """Import the packages and run `simrl list` in a folder that holds nothing but the decoys."""
    for decoy in DECOYS:
        (folder / decoy).mkdir(parents=True)
        (folder / decoy / "__init__.py").write_text('WHOSE = "the user\'s"\n', encoding="utf-8")
    # PYTHONPATH is dropped: only the new environment may supply packages.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["NUMBA_CACHE_DIR"] = str(folder.parent / "numba")
    site = next((python.parent.parent / "lib").glob("python3*/site-packages"))
    # As a script in the folder, so that the folder is first on sys.path, as a user's would be.
    script = folder / "probe.py"
    script.write_text(PROBE, encoding="utf-8")
    subprocess.run(
        [str(python), str(script), str(folder), str(site)],
        check=True,
        cwd=folder,
        env=environment,
    )
    listing = subprocess.run(
        [str(python.parent / "simrl"), "list"],
        check=True,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    if "moba-1v1" not in listing:
        raise RuntimeError(f"`simrl list` does not name moba-1v1:\n{listing}")
    print("smoke: `simrl list` works beside the decoys")


if __name__ == "__main__":
    sys.exit(main())
