"""Read and validate a task file: a TOML file that puts a model and named terms together.

Errors name the file, the key and what is valid there.  `simrl_envs.robot` shows the format.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simrl.core.spec import Column

STAGES = ("none", "pos", "vel", "acc")
REDUCTIONS = ("mean", "rms", "max", "last", "any", "sum")
CONES = ("pyramidal", "elliptic")
INTEGRATORS = ("Euler", "RK4", "implicit", "implicitfast")


@dataclass(frozen=True)
class TermUse:
    """Name a registered term and its arguments at one place of a task file."""

    term: str
    arguments: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class ObservationUse(TermUse):
    """Put a term's columns into an observation group as one block."""

    name: str = ""
    noise: float = 0.0
    """Standard deviation of the noise in the columns' unit, where noise is switched on."""


@dataclass(frozen=True)
class RewardUse(TermUse):
    """Pay `weight` times a term each step."""

    name: str = ""
    weight: float = 1.0
    group: str = "task"


@dataclass(frozen=True)
class MetricUse(TermUse):
    """Gather a measure over an episode into one figure."""

    name: str = ""
    reduce: str = "mean"
    after: float = 0.0
    """Steps before this time [s] do not count."""


@dataclass(frozen=True)
class PlanningOptions:
    """Change the model for planners, to make it cheaper than the simulator."""

    timestep: float = 0.0
    """Physics step [s]; 0 keeps the simulator's."""
    integrator: str = ""
    """Integrator: Euler, RK4, implicit or implicitfast; "" keeps the simulator's."""
    cone: str = ""
    """Friction cones, pyramidal or elliptic; "" keeps the simulator's."""
    iterations: int = 0
    """Most iterations of the constraint solver; 0 keeps the simulator's."""
    ls_iterations: int = 0
    """Most iterations of the solver's line search; 0 keeps the simulator's."""
    joint_friction: bool = True
    """Keep the dry friction of joints, which costs the solver a constraint each."""
    refresh: bool = True
    """Recompute derived fields (site positions, sensors) after each step, as the simulator does,
    for reward terms that read them; False takes them one physics step old, which costs nothing."""
    metrics: bool = True
    """Keep the metrics in predicted states; planners need not."""

    def __post_init__(self) -> None:
        if self.cone and self.cone not in CONES:
            raise ValueError(f"unknown cone {self.cone!r}; the cones are {', '.join(CONES)}")
        if self.integrator and self.integrator not in INTEGRATORS:
            raise ValueError(
                f"unknown integrator {self.integrator!r}; "
                f"the integrators are {', '.join(INTEGRATORS)}"
            )
        for name in ("timestep", "iterations", "ls_iterations"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class TaskFile:
    """Hold one validated task file."""

    path: Path
    step_seconds: float
    seconds: float
    start: TermUse
    observations: Mapping[str, tuple[ObservationUse, ...]]
    rewards: tuple[RewardUse, ...]
    model: str = ""
    system: str = ""
    fresh: str = "none"
    terms: tuple[str, ...] = ()
    payload_body: str = ""
    push_body: str = ""
    contact_forces: bool = False
    """Keep `cfrc_ext` as it stands after `mj_step` (see `contact_stage`)."""
    command: tuple[Column, ...] = ()
    memory: Mapping[str, int] = field(default_factory=dict)
    carry: TermUse | None = None
    update: TermUse | None = None
    reference: TermUse | None = None
    facts: TermUse | None = None
    shape: TermUse | None = None
    terminations: tuple[TermUse, ...] = ()
    metrics: tuple[MetricUse, ...] = ()
    success: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Least and most value of each metric ("terminated" too) in an episode that succeeded."""
    planning: PlanningOptions = field(default_factory=PlanningOptions)


def read_task(path: Path | str, variables: Mapping[str, Any] | None = None) -> TaskFile:
    """Read a task file; ValueError names the file and the key that is wrong.

    variables: a value "$feet" anywhere in the file is replaced by `variables["feet"]`, so that one
    task serves robots whose parts are named differently.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise ValueError(f"cannot read the task file {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from error
    content = _fill(content, variables or {}, path.name)
    table = _Table(content, path.name)
    observations = table.tables_of("observations")
    task = TaskFile(
        path=path.resolve(),
        model=table.text("model", ""),
        system=table.text("system", ""),
        step_seconds=table.number("step_seconds", least=1e-6),
        seconds=table.number("seconds", least=1e-6),
        fresh=table.choice("fresh", STAGES, "none"),
        terms=tuple(table.texts("terms")),
        payload_body=table.text("payload_body", ""),
        push_body=table.text("push_body", ""),
        contact_forces=table.flag("contact_forces", False),
        command=tuple(_column(text, path.name) for text in table.texts("command")),
        memory={str(k): int(v) for k, v in table.mapping("memory").items()},
        start=_use(table.table("start")),
        carry=_optional(table, "carry"),
        update=_optional(table, "update"),
        reference=_optional(table, "reference"),
        facts=_optional(table, "facts"),
        shape=_optional(table, "shape"),
        observations={
            group: tuple(_observation(item) for item in items)
            for group, items in observations.items()
        },
        rewards=tuple(_reward(item) for item in table.tables("rewards")),
        terminations=tuple(_use(item) for item in table.tables("terminations")),
        metrics=tuple(_metric(item) for item in table.tables("metrics")),
        success=_success(table.table("success", {})),
        planning=_planning(table.table("planning", {})),
    )
    table.finish()
    if "policy" not in task.observations:
        raise ValueError(f"{path.name}: observations need a group 'policy'")
    _check_success(task)
    return task


class _Table:
    """Take typed values out of one TOML table, and refuse what is left over."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values = dict(values)
        self.where = where
        self.valid: list[str] = []

    def take(self, key: str, default: Any, kinds: tuple[type, ...], noun: str) -> Any:
        self.valid.append(key)
        if key not in self.values:
            if default is None:
                raise ValueError(f"{self.where}: the key {key!r} is missing; it must be {noun}")
            return default
        value = self.values.pop(key)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{self.where}: {key} must be {noun}, got {value!r}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        return str(self.take(key, default, (str,), "a string"))

    def number(self, key: str, default: float | None = None, least: float = -1e300) -> float:
        value = float(self.take(key, default, (int, float), "a number"))
        if not value >= least:
            raise ValueError(f"{self.where}: {key} must be at least {least}, got {value}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        return bool(self.take(key, default, (bool,), "true or false"))

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(key, default)
        if value not in choices:
            raise ValueError(
                f"{self.where}: {key} is {value!r}; its values are {', '.join(choices)}"
            )
        return value

    def texts(self, key: str) -> list[str]:
        values = self.take(key, [], (list, tuple), "a list of strings")
        if not all(isinstance(value, str) for value in values):
            raise ValueError(f"{self.where}: {key} must be a list of strings, got {values}")
        return list(values)

    def mapping(self, key: str) -> dict[str, Any]:
        return dict(self.take(key, {}, (dict,), "a table"))

    def table(self, key: str, default: dict[str, Any] | None = None) -> _Table:
        return _Table(self.take(key, default, (dict,), "a table"), f"{self.where}: [{key}]")

    def tables(self, key: str) -> list[_Table]:
        items = self.take(key, [], (list,), "an array of tables")
        found = [_Table(item, f"{self.where}: {key}[{i}]") for i, item in enumerate(items)]
        return [table for table in found if table.wanted()]

    def wanted(self) -> bool:
        """Tell whether a table counts: its key `when`, mostly a variable, may leave it out."""
        return self.flag("when", True)

    def tables_of(self, key: str) -> dict[str, list[_Table]]:
        groups = self.take(key, None, (dict,), "a table of groups, such as [[observations.policy]]")
        inner = _Table(groups, f"{self.where}: {key}")
        return {group: inner.tables(group) for group in groups}

    def finish(self) -> None:
        """Refuse keys that nobody took."""
        for key in self.values:
            raise ValueError(
                f"{self.where}: unknown key {key!r}; the keys are {', '.join(self.valid)}"
            )


def _use(table: _Table) -> TermUse:
    """Whatever stands beside `term` is an argument, checked against the term's own."""
    return TermUse(table.text("term"), table.values, table.where)


def _optional(table: _Table, key: str) -> TermUse | None:
    if key in table.values:
        found = table.table(key)
        return _use(found) if found.wanted() else None
    table.valid.append(key)
    return None


def _observation(table: _Table) -> ObservationUse:
    term = table.text("term")
    name, noise = table.text("name", term), table.number("noise", 0.0, least=0.0)
    return ObservationUse(term, table.values, table.where, name=name, noise=noise)


def _reward(table: _Table) -> RewardUse:
    term = table.text("term")
    name, group = table.text("name", term), table.text("group", "task")
    weight = table.number("weight")
    return RewardUse(term, table.values, table.where, name=name, weight=weight, group=group)


def _metric(table: _Table) -> MetricUse:
    term = table.text("term")
    name, after = table.text("name", term), table.number("after", 0.0, least=0.0)
    reduce = table.choice("reduce", REDUCTIONS, "mean")
    return MetricUse(term, table.values, table.where, name=name, reduce=reduce, after=after)


def _success(table: _Table) -> dict[str, tuple[float, float]]:
    """Read `name = {max = 0.1}`, `{min = ...}`, both, or `terminated = false`."""
    bounds = {}
    for name, value in table.values.items():
        if isinstance(value, bool):
            bounds[name] = (float(value), float(value))
            continue
        if not isinstance(value, dict) or not value or set(value) - {"min", "max"}:
            raise ValueError(
                f"{table.where}: {name} must be true, false or a table of min and max, got {value}"
            )
        bounds[name] = (
            float(value.get("min", float("-inf"))),
            float(value.get("max", float("inf"))),
        )
    return bounds


def _check_success(task: TaskFile) -> None:
    valid = ["terminated", *(metric.name for metric in task.metrics)]
    for name in task.success:
        if name not in valid:
            raise ValueError(
                f"{task.path.name}: [success]: unknown metric {name!r}; "
                f"the metrics are {', '.join(valid)}"
            )


def _planning(table: _Table) -> PlanningOptions:
    try:
        options = PlanningOptions(
            timestep=table.number("timestep", 0.0),
            integrator=table.text("integrator", ""),
            cone=table.text("cone", ""),
            iterations=int(table.number("iterations", 0)),
            ls_iterations=int(table.number("ls_iterations", 0)),
            joint_friction=table.flag("joint_friction", True),
            refresh=table.flag("refresh", True),
            metrics=table.flag("metrics", True),
        )
    except ValueError as error:
        raise ValueError(f"{table.where}: {error}") from error
    table.finish()
    return options


def _column(text: str, where: str) -> Column:
    """Read "name [unit]"; the square brackets may be left out."""
    found = re.fullmatch(r"\s*(\w+)\s*(?:\[(.*)\])?\s*", text)
    if found is None:
        raise ValueError(f"{where}: a command column is written 'name [unit]', got {text!r}")
    return Column(found[1], float("-inf"), float("inf"), found[2] or "")


def _fill(value: Any, variables: Mapping[str, Any], where: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item, variables, where) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, variables, where) for item in value]
    if isinstance(value, str) and value.startswith("$"):
        if value[1:] not in variables:
            valid = ", ".join(f"${name}" for name in variables) or "none"
            raise ValueError(f"{where}: unknown variable {value!r}; the variables are {valid}")
        given = variables[value[1:]]
        return list(given) if isinstance(given, tuple) else given
    return value
