"""Find environments and controllers through entry points, ours and anybody's alike.

A package plugs in by declaring, in its `pyproject.toml`,

    [project.entry-points."simrl.envs"]
    my-game = "my_package:my_game"          # an EnvPlugin

    [project.entry-points."simrl.controllers"]
    my-controller = "my_package:my_mpc"     # a ControllerPlugin
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np

from simrl.core.controls import Controls
from simrl.core.dynamics import Dynamics
from simrl.core.env import VecEnv
from simrl.core.guide import Guide
from simrl.core.option_types import check_types
from simrl.core.policy import Policy
from simrl.core.replay import Replay
from simrl.core.spec import EnvSpec

ENV_GROUP = "simrl.envs"
CONTROLLER_GROUP = "simrl.controllers"


@dataclass(frozen=True)
class EnvPlugin:
    """Register one environment."""

    summary: str
    """One line for `simrl list`."""
    config: type
    """Frozen dataclass of the environment's options; every field has a default."""
    make: Callable[[Any, int], VecEnv]
    """Build `num_envs` environments: `make(config, num_envs)`."""
    dynamics: Callable[[Any], Dynamics] | None = None
    """Build the same rules as a pure function for planners: `dynamics(config)`."""
    policies: Mapping[str, Callable[[Any], Policy]] = field(default_factory=dict)
    """Scripted policies by name: `policies[name](config)`, weakest first."""
    replay_page: Callable[[Replay], str] | None = None
    """Make one self-contained HTML page that plays a replay."""
    frames: Callable[..., Iterable[np.ndarray]] | None = None
    """Draw a replay, one `(height, width, 3)` uint8 image a step; a generator saves memory.
    `frames(replay)` draws the start and every step; if it also takes `every=n`, only each n-th of
    those is drawn then, which videos of tasks with many steps a second ask for.  Where
    `replay.seat` names an agent, it is marked or followed if the task has others."""
    listing: Callable[[], Mapping[str, list[str]]] | None = None
    """Name what else there is to choose from, such as {"heroes": [...]}."""
    controls: Callable[[Any], Controls] | None = None
    """Let a person play with keyboard and mouse on the pictures of `VecEnv.render`:
    `controls(config)` makes the controls of one seat; None if nobody can."""
    row_options: tuple[str, ...] = ()
    """Options that may differ from row to row of one environment that `make_rows` builds."""
    make_rows: Callable[[Sequence[Any]], VecEnv] | None = None
    """Build one environment whose row i follows `configs[i]`: `make_rows(configs)`; they may differ
    in `row_options` alone.  So scenarios of different options are stepped side by side."""


@dataclass(frozen=True)
class ControllerPlugin:
    """Register one controller: a policy built for an environment's spec."""

    summary: str
    """One line for `simrl list`."""
    config: type
    """Frozen dataclass of the controller's options; every field has a default."""
    make: Callable[[EnvSpec, Any], Policy]
    """Build the policy: `make(spec, config)`."""
    guided: Callable[[EnvSpec, Any, Guide], Policy] | None = None
    """Build it guided by a trained run: `guided(spec, config, guide)`; None if it cannot be."""


def env_names() -> list[str]:
    """List the registered environments."""
    return sorted(_points(ENV_GROUP))


def controller_names() -> list[str]:
    """List the registered controllers."""
    return sorted(_points(CONTROLLER_GROUP))


def env_plugin(name: str) -> EnvPlugin:
    """Load an environment's plug-in; ValueError lists the valid names."""
    plugin = _load(ENV_GROUP, name, "environment")
    if not isinstance(plugin, EnvPlugin):
        raise ValueError(f"entry point {name!r} of {ENV_GROUP} is not an EnvPlugin: {plugin!r}")
    return plugin


def controller_plugin(name: str) -> ControllerPlugin:
    """Load a controller's plug-in; ValueError lists the valid names."""
    plugin = _load(CONTROLLER_GROUP, name, "controller")
    if not isinstance(plugin, ControllerPlugin):
        raise ValueError(
            f"entry point {name!r} of {CONTROLLER_GROUP} is not a ControllerPlugin: {plugin!r}"
        )
    return plugin


def make_config(kind: type, options: Mapping[str, Any], owner: str) -> Any:
    """Build the config dataclass `kind`; ValueError names an unknown field or a wrong value."""
    names = [f.name for f in dataclasses.fields(kind)]
    for name in options:
        if name not in names:
            raise ValueError(
                f"{owner} has no option {name!r}; its options are {', '.join(names) or 'none'}"
            )
    check_types(kind, options, owner)
    return kind(**options)


def make_env(name: str, num_envs: int, **options: Any) -> VecEnv:
    """Build `num_envs` environments of a registered kind, its config's fields as options."""
    if num_envs < 1:
        raise ValueError(f"num_envs must be at least 1, got {num_envs}")
    plugin = env_plugin(name)
    return plugin.make(make_config(plugin.config, options, name), num_envs)


def make_dynamics(name: str, **options: Any) -> Dynamics:
    """Build the model of the environment called `name` for planners.

    ValueError for unknown names or options, and where the environment has none.
    """
    plugin = env_plugin(name)
    if plugin.dynamics is None:
        raise ValueError(f"{name} has no dynamics, so nothing can be searched or planned in it")
    return plugin.dynamics(make_config(plugin.config, options, name))


def make_scripted(env: str, policy: str, **options: Any) -> Policy:
    """Build an environment's scripted policy; `options` are the environment's config fields."""
    plugin = env_plugin(env)
    if policy not in plugin.policies:
        valid = ", ".join(plugin.policies) or "none"
        raise ValueError(f"{env} has no scripted policy {policy!r}; its policies are {valid}")
    return plugin.policies[policy](make_config(plugin.config, options, env))


def make_controls(name: str, **options: Any) -> Controls:
    """Make one seat's controls for a person; ValueError if the environment has none."""
    plugin = env_plugin(name)
    if plugin.controls is None:
        raise ValueError(f"{name} has no controls for people")
    return plugin.controls(make_config(plugin.config, options, name))


def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def _load(group: str, name: str, noun: str) -> Any:
    points = _points(group)
    if name not in points:
        raise ValueError(f"unknown {noun} {name!r}; the {noun}s are {', '.join(sorted(points))}")
    return points[name].load()
