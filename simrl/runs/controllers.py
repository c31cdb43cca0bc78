"""Turn what a person types into the controllers of a comparison, training seeds included.

nmpc:horizon=20            a controller, a scripted policy or a search, as `simrl evaluate` takes
ppo:runs/a+runs/b+runs/c   runs of one recipe, its training seeds; ppo: may be left out
mppi:runs/a:horizon=8      a controller guided by a run: policy begins plans, critic ends them
residual:runs/x            any run; what stands before the colon is a word for people
runs/quadruped-*           the same by a pattern
sac:best.zip               what stable-baselines3 trained: sac, td3, ddpg, ppo
my_package:make            a function of Python, `make(spec)` -> Policy
fast=nmpc:horizon=10       any of them with a name of its own
"""

from __future__ import annotations

import glob
import hashlib
import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simrl.adapters.sb3_files import LEARNERS as ZIPPED
from simrl.adapters.sb3_files import read_facts, split_name
from simrl.compare.grid_file import GridFile
from simrl.compare.plan import Entrant
from simrl.core.plugins import controller_names, env_plugin
from simrl.core.policy import Policy
from simrl.core.spec import EnvSpec
from simrl.learn.checkpoint import Checkpoints
from simrl.runs.config import is_run, run_config
from simrl.runs.fit import check_fits
from simrl.runs.policies import SEARCHES, named_policy, named_run, run_weights, split_words

OWN_NAME = re.compile(r"^(?P<label>[\w .+/-]+)=(?P<name>.+)$")
LEARNED = ("ppo", "residual", "bc", "dagger", "run")
"""Words that may stand before a run and a colon."""


def split_controllers(text: str) -> list[str]:
    """Split names at commas outside of brackets, since options may hold lists."""
    names, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0:
            names.append(text[start:index])
            start = index + 1
    names.append(text[start:])
    return [name.strip() for name in names if name.strip()]


def entrants(
    names: Sequence[str], grids: GridFile, interfaces: Mapping[str, Mapping[str, Any]]
) -> tuple[Entrant, ...]:
    """Return the controllers called `names`; ValueError says what is wrong with a name.

    Args:
        names: As people type them.
        grids: The scenarios; its `interface` says which options a controller may choose.
        interfaces: Options of the environment by a controller's name, its label or its kind (what
            stands before the first colon).  A run brings those that it was trained with.
    """
    if not names:
        raise ValueError("name at least one controller: --controllers lqr,nmpc")
    found = tuple(_entrant(name, grids, interfaces) for name in names)
    known = {
        key for entrant, name in zip(found, names, strict=True) for key in _keys(entrant, name)
    }
    for key in interfaces:
        if key not in known:
            raise ValueError(
                f"--interface {key}: no controller is called so; "
                f"they are {', '.join(entrant.label for entrant in found)}"
            )
    return found


def make_member(name: str, spec: EnvSpec, env_options: Mapping[str, Any]) -> Policy:
    """Build one policy of a comparison by its name.

    ValueError if a run was trained in another task or on another observation layout.
    """
    folder, which = _run_of(name)
    if folder is not None:
        check_fits(folder, spec)
        return named_policy(f"{folder}@{which}" if which else folder, spec, env_options)
    factory = None if name.endswith(".zip") else _factory(name)
    if factory is not None:
        policy = factory(spec)
        if not isinstance(policy, Policy):
            raise ValueError(f"{name}(spec) must return a Policy, got {type(policy).__name__}")
        return policy
    return named_policy(name, spec, env_options)


def _entrant(typed: str, grids: GridFile, interfaces: Mapping[str, Mapping[str, Any]]) -> Entrant:
    match = OWN_NAME.match(typed)
    label, name = (match["label"], match["name"]) if match else ("", typed)
    members = _members(name)
    known_name(members[0], grids.task)
    run, _ = _learned_by(members[0])
    kind = name.partition(":")[0]
    options: dict[str, Any] = dict(grids.interfaces.get(kind, {}))
    facts: dict[str, Any] = {}
    learned = run is not None or members[0].endswith(".zip")
    if learned:
        options = _interface(members[0], grids)
        for member in members[1:]:
            if _interface(member, grids) != options:
                raise ValueError(f"{name}: {member} acts through another interface than the first")
        facts = {
            "weights": [_fingerprint(member) for member in members],
            "agent_steps": [_trained_for(member) for member in members],
        }
    for key in (kind, name, label):
        options |= interfaces.get(key, {})
    return Entrant(label or _short(name, members), members, options, learned, facts)


def _interface(name: str, grids: GridFile) -> dict[str, Any]:
    """Return what a learned policy was trained with of the options that a controller chooses."""
    if name.endswith(".zip"):
        trained = read_facts(split_name(name)[1]).get("env_options", {})
    else:
        trained = run_config(str(_learned_by(name)[0])).env_options
    return {key: trained[key] for key in grids.interface if key in trained}


def _keys(entrant: Entrant, typed: str) -> set[str]:
    match = OWN_NAME.match(typed)
    name = match["name"] if match else typed
    return {entrant.label, name, name.partition(":")[0]}


def _members(name: str) -> tuple[str, ...]:
    """Return the policies that a name stands for: several where it names several runs."""
    prefix, colon, rest = name.partition(":")
    if not (colon and prefix in (*LEARNED, *ZIPPED)):
        prefix, colon, rest = "", "", name
    parts = rest.split("+") if colon or ("+" in rest and _run_of(rest.split("+")[0])[0]) else [rest]
    members = []
    for part in parts:
        matches = sorted(glob.glob(part)) if any(mark in part for mark in "*?") else []
        matches = [path for path in matches if is_run(path) or path.endswith(".zip")]
        if any(mark in part for mark in "*?") and (colon or "/" in part) and not matches:
            raise ValueError(f"{part} matches no run")
        members += [f"{prefix}{colon}{match}" for match in matches or [part]]
    return tuple(members)


def _run_of(name: str) -> tuple[str | None, str]:
    """Return folder and checkpoint if `name` is a run, a word before it allowed."""
    prefix, colon, rest = name.partition(":")
    run = rest if colon and prefix in LEARNED else name
    folder, _, which = run.partition("@")
    if is_run(folder):
        return folder, which
    if colon and prefix in LEARNED and not run.endswith(".zip"):
        run_config(folder)  # says what is wrong with that folder
    return None, ""


def _learned_by(name: str) -> tuple[str | None, str]:
    """Return folder and checkpoint of the run that `name` is or is guided by."""
    folder, which = _run_of(name)
    if folder is None:
        guide, which = named_run(name)  # of a search or a controller
        folder = guide if is_run(guide) else None
    return folder, which


def known_name(name: str, task: str) -> None:
    """Raise ValueError with the valid names if nothing is called `name`."""
    if _run_of(name)[0] is not None:
        return
    if name.endswith(".zip"):
        split_name(name)
        return
    kind = split_words(name)[0].partition(":")[0]
    scripted = env_plugin(task).policies
    if kind in (*scripted, "random", *controller_names(), *SEARCHES) or is_run(name.split("@")[0]):
        return
    if _factory(name) is None:
        valid = [*scripted, "random", *controller_names(), *(f"{s}:..." for s in SEARCHES)]
        raise ValueError(
            f"unknown controller {name!r}; give a run's folder, sac:FILE.zip, module:function, "
            f"or one of: {', '.join(valid)}"
        )


def _fingerprint(name: str) -> str:
    """Return a short hash of a run's weights, which tells one training from another."""
    digest = hashlib.sha256()
    if name.endswith(".zip"):
        digest.update(split_name(name)[1].read_bytes())
        return digest.hexdigest()[:16]
    folder, which = _learned_by(name)
    for key, value in sorted(run_weights(str(folder), which).items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _trained_for(name: str) -> int:
    """Return the agent-steps of a run's newest checkpoint; 0 for a file that does not say."""
    if name.endswith(".zip"):
        return int(read_facts(split_name(name)[1]).get("steps", 0))
    folder, _ = _learned_by(name)
    return max(Checkpoints(Path(str(folder)) / "checkpoints").steps(), default=0)


def _factory(name: str) -> Any:
    """Return the function `module:function`, or None if there is no such module."""
    module, colon, function = name.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), function)):
        return None
    if "" not in sys.path and "." not in sys.path:
        sys.path.insert(0, "")  # a module beside the user, as `python -m` finds it
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and module.startswith(error.name):
            return None
        raise ValueError(f"{module} cannot be imported: {error}") from error
    if not callable(getattr(found, function, None)):
        raise ValueError(f"the module {module} has no function {function!r}")
    return getattr(found, function)


def _short(name: str, members: Sequence[str]) -> str:
    """Shorten a run's path to the names of its folder; other names stay."""
    folder, which = _run_of(members[0])
    guide, _ = _learned_by(members[0])
    if folder is None and guide is not None:
        return name.replace(guide, Path(guide).resolve().name, 1)
    if folder is None and not members[0].endswith(".zip"):
        return name
    prefix, colon, _ = name.partition(":")
    kind = f"{prefix}:" if colon and prefix in (*LEARNED, *ZIPPED) else ""
    first = Path(folder).resolve().name if folder else Path(members[0].partition(":")[2]).stem
    more = f" +{len(members) - 1}" if len(members) > 1 else ""
    return f"{kind}{first}{'@' + which if which else ''}{more}"
