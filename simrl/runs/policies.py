"""Turn what a person types into a policy: a scripted name, "random", or a trained run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from simrl.core.plugins import (
    controller_names,
    controller_plugin,
    env_plugin,
    make_config,
    make_scripted,
)
from simrl.core.policy import Policy
from simrl.core.spec import EnvSpec
from simrl.learn.checkpoint import Checkpoints
from simrl.learn.policy import NetworkPolicy
from simrl.nn.actor_critic import ActorCritic
from simrl.preferences.relabel import RelabelConfig, relabelled_spec
from simrl.rollout.random import RandomPolicy
from simrl.runs.config import PREFERENCES_FILE, from_dict, is_run, run_config
from simrl.runs.options import parse_options

SEARCHES = ("mcts", "search", "openspiel")
"""What the names of players that search begin with, before a colon."""


def named_policy(name: str, spec: EnvSpec, env_options: Mapping[str, Any]) -> Policy:
    """Build the policy called `name` for an environment.

    `name` is a scripted policy of the environment, a controller, "random", or a run: `RUN` takes
    the best checkpoint if there is one and else the newest, `RUN@best`, `RUN@newest`,
    `RUN@12000000` (the checkpoint after so many agent-steps) and `RUN@snapshot-000012000000` (a
    league opponent) say which.  A controller's options may follow its name, such as
    `nmpc:solver=ipopt:horizon=30`, each value in YAML.  `mcts:1000` and `search:RUN` are players
    that search, see `simrl.runs.searchers.search_player`.  ValueError lists the valid names.
    """
    scripted = env_plugin(spec.id).policies
    if name in scripted:
        return make_scripted(spec.id, name, **env_options)
    if name == "random":
        return RandomPolicy(spec)
    kind, colon, rest = name.partition(":")
    if kind in controller_names():
        options = re.split(r":(?=\w+=)", rest) if colon else []  # a value may hold colons itself
        controller = controller_plugin(kind)
        return controller.make(spec, make_config(controller.config, parse_options(options), kind))
    if kind in SEARCHES:
        from simrl.runs.searchers import search_player  # it imports compiled kernels

        return search_player(name, spec, env_options)
    folder, _, which = name.partition("@")
    if is_run(folder):
        trained = run_config(folder).env
        if trained != spec.id:
            raise ValueError(f"{folder} was trained in {trained}, it cannot play {spec.id}")
        return load_run_policy(folder, which)
    searches = [f"{search}:..." for search in SEARCHES]
    valid = ", ".join([*scripted, "random", *controller_names(), *searches])
    raise ValueError(f"unknown policy {name!r}; give a run folder or one of: {valid}")


def split_words(text: str) -> list[str]:
    """Part `NAME:NAME=VALUE:1000` at its colons; a value may hold colons itself."""
    return re.split(r":(?=\w+=|\d+(?::|$))", text)


def named_run(name: str) -> tuple[str, str]:
    """Return folder and checkpoint of `RUN`, `RUN@WHICH`, `search:RUN...`; others stay whole."""
    kind, _, rest = name.partition(":")
    run = split_words(rest)[0] if kind == "search" else name
    folder, _, which = run.partition("@")
    return folder, which


def load_run_policy(folder: Path | str, which: str = "") -> NetworkPolicy:
    """Load the trained network of a run as a policy; see `named_policy` for `which`."""
    config = run_config(folder)
    plugin = env_plugin(config.env)
    spec = plugin.make(make_config(plugin.config, config.env_options, config.env), 1).spec
    net = ActorCritic(_learned_spec(folder, spec), config.net)
    try:
        net.load_state_dict(run_weights(folder, which))
    except RuntimeError as error:
        raise ValueError(f"the weights of {folder} do not fit its config: {error}") from error
    net.eval()
    return NetworkPolicy(net)


def _learned_spec(folder: Path | str, spec: EnvSpec) -> EnvSpec:
    """Return the spec that a run's network was built from: a learned reward has its own groups."""
    path = Path(folder) / PREFERENCES_FILE
    if not path.is_file():
        return spec
    try:
        relabel = yaml.safe_load(path.read_text())["relabel"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return relabelled_spec(spec, from_dict(RelabelConfig, relabel, str(path)))


def run_weights(folder: Path | str, which: str = "") -> Mapping[str, Tensor]:
    """Read the network's tensors from a run's checkpoint."""
    checkpoints = Checkpoints(Path(folder) / "checkpoints")
    if which == "best" or (which == "" and checkpoints.has_best()):
        state = checkpoints.load_best()
    elif which.isdigit():
        state = checkpoints.load(int(which))
    elif which in ("", "newest") or which.startswith("snapshot-"):
        _, state = checkpoints.load_newest()
    else:
        raise ValueError(
            f"{folder}@{which}: after @ comes best, newest, a number of agent-steps or a snapshot"
        )
    if which.startswith("snapshot-"):
        parts = state["parts"]
        keeper = parts.get("league") or parts.get("snapshots") or {}
        snapshots = keeper.get("snapshots", {})
        if which not in snapshots:
            raise ValueError(
                f"{folder} has no {which}; its snapshots are {', '.join(snapshots) or 'none'}"
            )
        return dict(snapshots[which])
    return dict(state["parts"]["learner"]["net"])
