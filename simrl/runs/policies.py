"""Turn what a person types into a policy: a scripted name, "random", or a trained run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from simrl.adapters.sb3_files import load_policy
from simrl.core.plugins import (
    controller_names,
    controller_plugin,
    env_plugin,
    make_config,
    make_scripted,
)
from simrl.core.policy import Policy
from simrl.core.spec import EnvSpec
from simrl.learn.commanding import CommandedPolicy, command_spec
from simrl.learn.policy import NetworkPolicy
from simrl.learn.residual import ResidualPolicy, residual_spec
from simrl.nn.actor_critic import ActorCritic
from simrl.preferences.relabel import RelabelConfig, relabelled_spec
from simrl.rollout.random import RandomPolicy
from simrl.runs.config import PREFERENCES_FILE, TrainConfig, from_dict, is_run, run_config
from simrl.runs.options import parse_options
from simrl.runs.weights import run_weights as run_weights

SEARCHES = ("mcts", "search", "openspiel")
"""What the names of players that search begin with, before a colon."""


def named_policy(name: str, spec: EnvSpec, env_options: Mapping[str, Any]) -> Policy:
    """Build the policy called `name` for an environment.

    `name` is a scripted policy of the environment, a controller, "random", or a run: `RUN` takes
    the best checkpoint if there is one and else the newest, `RUN@best`, `RUN@newest`,
    `RUN@12000000` (the checkpoint after so many agent-steps) and `RUN@snapshot-000012000000` (a
    league opponent) say which.  `sac:FILE.zip` is what stable-baselines3 trained.  A controller's
    options may follow its name, such as `nmpc:solver=ipopt:horizon=30`, each value in YAML; a run
    may stand before them and guide it, as in `mppi:RUN@best:horizon=8`, see `simrl.runs.guides`.
    `mcts:1000` and `search:RUN` are players that search, see
    `simrl.runs.searchers.search_player`.  ValueError lists the valid names.
    """
    scripted = env_plugin(spec.id).policies
    if name in scripted:
        return make_scripted(spec.id, name, **env_options)
    if name == "random":
        return RandomPolicy(spec)
    if name.endswith(".zip"):
        return load_policy(name, spec)
    kind, _, rest = name.partition(":")
    if kind in controller_names():
        return _controller(kind, rest, spec, env_options)
    if kind in SEARCHES:
        from simrl.runs.searchers import search_player  # it imports compiled kernels

        return search_player(name, spec, env_options)
    folder, _, which = name.partition("@")
    if is_run(folder):
        trained = run_config(folder).env
        if trained != spec.id:
            raise ValueError(f"{folder} was trained in {trained}, it cannot play {spec.id}")
        return load_run_policy(folder, which, spec, env_options)
    searches = [f"{search}:..." for search in SEARCHES]
    valid = ", ".join([*scripted, "random", *controller_names(), *searches])
    raise ValueError(f"unknown policy {name!r}; give a run folder or one of: {valid}")


def split_words(text: str) -> list[str]:
    """Part `NAME:NAME=VALUE:1000` at its colons; a value may hold colons itself."""
    return re.split(r":(?=\w+=|\d+(?::|$))", text)


def controller_words(rest: str) -> tuple[str, list[str]]:
    """Part what follows a controller's name: the run that guides it, "" if none, and options."""
    words = re.split(r":(?=\w+=)", rest) if rest else []  # a value may hold colons itself
    if words and not re.match(r"\w+=", words[0]):
        return words[0], words[1:]
    return "", words


def named_run(name: str) -> tuple[str, str]:
    """Return folder and checkpoint of `RUN@WHICH`, `search:RUN...`, `mppi:RUN...`.

    Other names stay whole.
    """
    kind, _, rest = name.partition(":")
    run = name
    if kind == "search":
        run = split_words(rest)[0]
    elif rest and kind in controller_names():
        run = controller_words(rest)[0] or name
    folder, _, which = run.partition("@")
    return folder, which


def _controller(kind: str, rest: str, spec: EnvSpec, env_options: Mapping[str, Any]) -> Policy:
    """Build a controller by its name and what follows the colon."""
    run, options = controller_words(rest)
    controller = controller_plugin(kind)
    config = make_config(controller.config, parse_options(options), kind)
    if not run:
        return controller.make(spec, config)
    from simrl.runs.guides import guided_controller  # it builds on this module

    return guided_controller(kind, run, config, spec, env_options)


def load_run_policy(
    folder: Path | str,
    which: str = "",
    spec: EnvSpec | None = None,
    env_options: Mapping[str, Any] | None = None,
) -> Policy:
    """Load the trained policy of a run; see `named_policy` for `which`.

    It is a `NetworkPolicy`, or one that corrects or commands the run's base policy.  The base is
    built for `spec` and `env_options`, those of the environment that it is to act in; None: the
    one in which it was trained.
    """
    net = load_run_network(folder, which)
    config = run_config(folder)
    options = config.env_options if env_options is None else env_options
    return acting_policy(config, spec or _run_spec(config), NetworkPolicy(net), options)


def load_run_network(folder: Path | str, which: str = "") -> ActorCritic:
    """Load the trained network of a run, for acting; see `named_policy` for `which`."""
    config = run_config(folder)
    spec = _relabelled_spec(folder, _run_spec(config))
    net = ActorCritic(learned_spec(config, spec), config.net)
    try:
        net.load_state_dict(run_weights(folder, which))
    except RuntimeError as error:
        raise ValueError(f"the weights of {folder} do not fit its config: {error}") from error
    return net.eval()


def _run_spec(config: TrainConfig) -> EnvSpec:
    plugin = env_plugin(config.env)
    return plugin.make(make_config(plugin.config, config.env_options, config.env), 1).spec


def learned_spec(config: TrainConfig, spec: EnvSpec) -> EnvSpec:
    """Return the spec that a run's network is built from: it may correct or command a base."""
    if config.base_command:
        return command_spec(spec, config.base_command, config.base_every)
    return residual_spec(spec, config.base_limit) if config.base else spec


def acting_policy(
    config: TrainConfig, spec: EnvSpec, learned: NetworkPolicy, env_options: Mapping[str, Any]
) -> Policy:
    """Return the policy of a run: its network, or its base corrected or commanded by it.

    spec, env_options: those of the environment that it is to act in, for which the base is built.
    """
    if not config.base:
        return learned
    base = named_policy(config.base, spec, env_options)
    if config.base_command:
        return CommandedPolicy(spec, base, learned, config.base_every)
    return ResidualPolicy(spec, base, learned)


def _relabelled_spec(folder: Path | str, spec: EnvSpec) -> EnvSpec:
    """Return the spec that a run's network was built from: a learned reward has its own groups."""
    path = Path(folder) / PREFERENCES_FILE
    if not path.is_file():
        return spec
    try:
        relabel = yaml.safe_load(path.read_text())["relabel"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return relabelled_spec(spec, from_dict(RelabelConfig, relabel, str(path)))
