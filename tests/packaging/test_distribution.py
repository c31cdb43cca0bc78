"""The distribution keeps its word: plug-ins load, pins are exact, the README's commands exist."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from simrl.core.plugins import CONTROLLER_GROUP, ENV_GROUP, controller_plugin, env_plugin

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def declared(group):
    return sorted(PROJECT["entry-points"].get(group, {}))


def constraints():
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


LOADERS = {ENV_GROUP: env_plugin, CONTROLLER_GROUP: controller_plugin}


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group in LOADERS for name in declared(group)]
)
def test_entry_point_loads(group, name):
    plugin = LOADERS[group](name)
    assert plugin.summary
    plugin.config()  # every field has a default


@pytest.mark.parametrize("group", list(LOADERS))
def test_installed_entry_points_are_the_declared_ones(group):
    # A stale installation would otherwise hide a plug-in that was added or renamed.
    ours = importlib.metadata.distribution("simrl").entry_points.select(group=group)
    assert sorted(point.name for point in ours) == declared(group)


def test_every_constraint_is_an_exact_pin():
    for line in constraints():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line), line
    assert "torch==2.13.0" in constraints()


def test_every_declared_dependency_is_pinned_within_its_range():
    pins = {
        canonicalize_name(name): version
        for name, version in (line.split("==") for line in constraints())
    }
    wanted = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        wanted += extra
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        if name != "simrl":
            assert name in pins, f"{name} has no pin in constraints.txt"
            assert requirement.specifier.contains(pins[name], prereleases=True), requirement


def test_everything_that_our_dependencies_pull_in_is_pinned():
    # Walk the installed distributions from simrl[all,dev] down: each one reached has a pin.
    pins = {canonicalize_name(line.split("==")[0]) for line in constraints()}
    waiting, seen = [("simrl", "all"), ("simrl", "dev")], set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": extra}):
                child = canonicalize_name(requirement.name)
                waiting += [(child, asked) for asked in (requirement.extras or {""})]
    reached = {name for name, _ in seen} - {"simrl"}
    assert len(reached) > 50
    # Some torch builds bring GPU libraries along; they follow torch's own exact pins.
    unpinned = {name for name in reached - pins if not name.startswith(("nvidia-", "cuda-"))}
    assert unpinned - {"triton", "setuptools"} == set()


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_readme_names_the_command_and_the_makefile_has_it(command):
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^{command}\b", readme, flags=re.MULTILINE)
    target = command.removeprefix("make ")
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_ci_runs_the_readme_test_command():
    script = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^make test$", script, flags=re.MULTILINE)


@pytest.mark.parametrize("folder", ["envs", "controllers", "tests", "scripts"])
def test_folders_that_are_no_packages_have_no_init(folder):
    # With an __init__.py, `import envs` would find our folder and hide the user's.
    assert not (REPOSITORY / folder / "__init__.py").exists()


@pytest.mark.parametrize("package", ["simrl", "envs/simrl_envs", "controllers/simrl_controllers"])
def test_folders_with_modules_are_packages(package):
    # Without an __init__.py the folder works by accident, and mypy and the wheel's readers miss it.
    # Alembic runs its migrations by their path: they are scripts, no modules.
    found = (REPOSITORY / package).rglob("*.py")
    modules = [path for path in found if "migrations" not in path.parts]
    bare = {str(path.parent) for path in modules if not (path.parent / "__init__.py").exists()}
    assert bare == set()


@pytest.mark.parametrize("name", ["envs", "controllers"])
def test_linter_bans_the_colliding_import_names(name, tmp_path):
    script = tmp_path / "user.py"
    script.write_text(f'"""A script."""\n\nimport {name}\n\nprint({name})\n', encoding="utf-8")
    config = f"--config={REPOSITORY / 'pyproject.toml'}"
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select=TID251", config]
    found = subprocess.run([*ruff, str(script)], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert f"`{name}` is banned" in found.stdout
