"""Read scenario grids from YAML, ours or a user's, and say what is wrong with a file.

    task: quadrotor-track
    options: {seconds: 8.0}            # of every scenario
    interface: [control, control_step] # options that belong to a controller, not to the scenario
    interfaces:                        # what some controllers choose unless told otherwise
      osc: {control: torque}
    judge: {worst: 0.34, settle: 2.0}  # see `simrl.compare.judge.Judge`
    grids:
      nominal: {seeds: 20}
      payload:
        seeds: 5                       # starts at each point
        axes: {payload: [0.1, 0.2]}    # a product, if there are several
        beyond: {payload: [0.4]}       # further values, marked out of distribution
      speed:
        axes: {command.period: [6, 5]} # "command." sets a number of the task's command

An option that is a range of the environment's config may be one number, which fixes it.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from simrl.compare.judge import Judge
from simrl.compare.scenarios import COMMAND, Grid, Scenario, unfold
from simrl.core.option_types import check_types
from simrl.core.plugins import EnvPlugin, env_names, env_plugin, make_config

KEYS = ("task", "summary", "options", "interface", "interfaces", "judge", "grids")
GRID_KEYS = ("axes", "beyond", "options", "seeds", "out_of_distribution")


@dataclass(frozen=True)
class GridFile:
    """Hold what a file of grids says."""

    task: str
    """Registered name of the environment."""
    options: Mapping[str, Any]
    """Options of every scenario."""
    interface: tuple[str, ...]
    """Options of the environment that a controller chooses for itself: what its actions mean and
    how often it acts."""
    judge: Judge
    """How episodes are judged."""
    grids: tuple[Grid, ...]
    """The grids, in the file's order."""
    source: str
    """Where it came from, for errors and the report."""
    interfaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What controllers choose of it unless told otherwise, by their name before the first colon."""

    def chosen(self, names: Sequence[str]) -> GridFile:
        """Return the file with the grids called `names` alone; ValueError lists the valid names."""
        known = {grid.name: grid for grid in self.grids}
        for name in names:
            if name not in known:
                raise ValueError(
                    f"unknown scenarios {name!r}; those of {self.source} are {', '.join(known)}"
                )
        kept = tuple(grid for grid in self.grids if grid.name in names or not names)
        return dataclasses.replace(self, grids=kept)

    def with_seeds(self, seeds: int) -> GridFile:
        """Return the file with so many starts at each point of every grid."""
        if seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {seeds}")
        grids = tuple(dataclasses.replace(grid, seeds=seeds) for grid in self.grids)
        return dataclasses.replace(self, grids=grids)

    def scenarios(self, seed: int) -> list[Scenario]:
        """Return all scenarios; ValueError names an option that the environment refuses."""
        found = [s for grid in self.grids for s in unfold(grid, self.options, seed)]
        plugin = env_plugin(self.task)
        checked: set[str] = set()
        for scenario in found:
            key = repr(sorted(scenario.options.items()))
            if key in checked:
                continue
            checked.add(key)
            try:
                make_config(plugin.config, scenario.options, self.task)
            except ValueError as error:
                raise ValueError(f"{self.source}: scenario {scenario.name}: {error}") from error
        return found


def shipped() -> list[str]:
    """List the tasks that have grids in this package."""
    folder = files("simrl.compare") / "grids"
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name[0] != "_")


def find_grids(task: str, scenarios: str) -> GridFile:
    """Return the grids that `scenarios` names for a task.

    `scenarios` is "all" or grids of the task's shipped file by name, separated by commas, or a file
    and, after a colon, grids in it: `mine.yaml`, `mine.yaml:push,payload`.
    """
    if task not in env_names():
        raise ValueError(f"unknown task {task!r}; the tasks are {', '.join(env_names())}")
    path, _, picked = scenarios.partition(":")
    if not path.endswith((".yaml", ".yml")):
        picked = "" if scenarios in ("all", "") else scenarios
        if task not in shipped():
            raise ValueError(
                f"no scenarios are shipped for {task}, give a file (--scenarios mine.yaml); "
                f"there are some for {', '.join(shipped())}"
            )
        text = (files("simrl.compare") / "grids" / f"{task}.yaml").read_text(encoding="utf-8")
        found = parse_grids(text, f"{task}.yaml")
    else:
        found = read_grids(path)
    if found.task != task:
        raise ValueError(f"{found.source} has scenarios of {found.task}, not of {task}")
    return found.chosen([name.strip() for name in picked.split(",") if name.strip()])


def read_grids(path: Path | str) -> GridFile:
    """Read a file of grids; ValueError says in one line what is wrong with it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    return parse_grids(text, str(path))


def parse_grids(text: str, source: str) -> GridFile:
    """Read grids from YAML; `source` is what errors call it."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is not YAML: {error}") from error
    data = _mapping(data, source)
    _known(data, KEYS, source)
    if "task" not in data or not data.get("grids"):
        raise ValueError(f"{source}: 'task' and 'grids' must be given")
    plugin = env_plugin(str(data["task"]))
    interface = tuple(data.get("interface") or ())
    options = _options(plugin, data.get("options"), f"{source}: options")
    for name in interface:
        _option(plugin, name, f"{source}: interface")
    grids = tuple(
        _grid(plugin, str(name), body, source)
        for name, body in _mapping(data["grids"], f"{source}: grids").items()
    )
    for where, given in [("options", options), *((g.name, {**g.options, **g.axes}) for g in grids)]:
        for name in given:
            if name in interface:
                raise ValueError(
                    f"{source}: {where}: {name!r} is in 'interface', so controllers choose it"
                )
    interfaces = {
        name: _options(plugin, given, f"{source}: interfaces: {name}")
        for name, given in _mapping(data.get("interfaces") or {}, f"{source}: interfaces").items()
    }
    for name, given in interfaces.items():
        for option in given:
            if option not in interface:
                raise ValueError(f"{source}: interfaces: {name}: {option!r} is not in 'interface'")
    return GridFile(
        task=str(data["task"]),
        options=options,
        interface=interface,
        judge=_judge(data.get("judge"), f"{source}: judge"),
        grids=grids,
        source=source,
        interfaces=interfaces,
    )


def _grid(plugin: EnvPlugin, name: str, body: Any, source: str) -> Grid:
    where = f"{source}: {name}"
    body = _mapping(body if body is not None else {}, where)
    _known(body, GRID_KEYS, where)
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"{where}: the name of a grid has letters, digits, - and _ alone")
    axes = _axes(plugin, body.get("axes"), f"{where}: axes")
    beyond = _axes(plugin, body.get("beyond"), f"{where}: beyond")
    for axis in beyond:
        if axis not in axes:
            raise ValueError(f"{where}: beyond: {axis!r} is not among its axes {', '.join(axes)}")
    seeds = body.get("seeds", 1)
    if not isinstance(seeds, int) or isinstance(seeds, bool) or seeds < 1:
        raise ValueError(f"{where}: seeds must be a whole number from 1, got {seeds!r}")
    far = body.get("out_of_distribution", False)
    if not isinstance(far, bool):
        raise ValueError(f"{where}: out_of_distribution must be true or false, got {far!r}")
    options = _options(plugin, body.get("options"), f"{where}: options")
    return Grid(name, axes, beyond, options, seeds, far)


def _axes(plugin: EnvPlugin, given: Any, where: str) -> dict[str, tuple[Any, ...]]:
    axes = {}
    for name, values in _mapping(given if given is not None else {}, where).items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"{where}: {name} must be a list of values, got {values!r}")
        if len({repr(value) for value in values}) < len(values):
            raise ValueError(f"{where}: {name} has a value twice: {values}")
        axes[name] = tuple(_options(plugin, {name: value}, where)[name] for value in values)
    return axes


def _options(plugin: EnvPlugin, given: Any, where: str) -> dict[str, Any]:
    found = {}
    for name, value in _mapping(given if given is not None else {}, where).items():
        if name.startswith(COMMAND):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{where}: {name} must be a number, got {value!r}")
            found[name] = float(value)
            continue
        hint = _option(plugin, name, where)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and _is_range(hint):
            value = (float(value), float(value))
        elif isinstance(value, list):
            value = tuple(value)
        check_types(plugin.config, {name: value}, where)
        found[name] = value
    return found


def _option(plugin: EnvPlugin, name: str, where: str) -> Any:
    """Return the type of an option; ValueError lists the valid names."""
    names = [field.name for field in dataclasses.fields(plugin.config)]
    if name not in names:
        raise ValueError(f"{where}: unknown option {name!r}; the options are {', '.join(names)}")
    return typing.get_type_hints(plugin.config)[name]


def _is_range(hint: Any) -> bool:
    inside = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return inside == (float, float)
    return any(_is_range(one) for one in inside)


def _judge(given: Any, where: str) -> Judge:
    given = _mapping(given if given is not None else {}, where)
    try:
        judge: Judge = make_config(Judge, given, where)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return judge


def _mapping(given: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{where}: expected names with values, got {given!r}")
    for key in given:
        if not isinstance(key, str):
            raise ValueError(f"{where}: expected a name, got {key!r}")
    return given


def _known(given: Mapping[str, Any], valid: Sequence[str], where: str) -> None:
    for name in given:
        if name not in valid:
            raise ValueError(f"{where}: unknown key {name!r}; the keys are {', '.join(valid)}")
