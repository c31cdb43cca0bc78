"""`simrl list`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from simrl.cli.arguments import parse
from simrl.core.plugins import controller_names, controller_plugin, env_names, env_plugin
from simrl.runs.expert_presets import PRESETS as EXPERT_PRESETS
from simrl.runs.preference_presets import PRESETS as PREFERENCE_PRESETS
from simrl.runs.presets import PRESETS


@dataclass(frozen=True)
class ListConfig:
    """Show environments, their scripted policies and heroes, controllers and presets."""


def run(arguments: Sequence[str]) -> int:
    """Print the tables."""
    parse(ListConfig, "simrl list", arguments)
    out = Console(emoji=False, highlight=False)
    environments = Table(title="Environments")
    environments.add_column("environment", no_wrap=True)
    environments.add_column("what it is")
    environments.add_column("scripted policies")
    details: dict[tuple[str, str], list[str]] = {}
    families: dict[str, list[str]] = {}
    for name in env_names():
        plugin = env_plugin(name)
        for noun, values in (plugin.listing() if plugin.listing else {}).items():
            details.setdefault((noun, ", ".join(values)), []).append(name)
        family, slash, member = name.partition("/")
        if slash:
            families.setdefault(family, []).append(member)
        else:
            environments.add_row(name, plugin.summary, ", ".join(plugin.policies) or "-")
    for family, names in families.items():
        environments.add_row(f"{family}/NAME", f"NAME is one of {', '.join(names)}", "-")
    out.print(environments)
    if details:
        table = Table("kind", "names", "in", title="In them")
        for (noun, listed), owners in details.items():
            table.add_row(noun, listed, ", ".join(owners))
        out.print(table)
    controllers = Table("controller", "what it is", title="Controllers")
    for name in controller_names():
        controllers.add_row(name, controller_plugin(name).summary)
    if controller_names():
        out.print(controllers)
    presets = Table("preset", "what it trains", title="Presets (simrl train PRESET)")
    for name, preset in PRESETS.items():
        presets.add_row(name, (preset.__doc__ or "").splitlines()[0])
    out.print(presets)
    learned = Table(
        "preset", "what it trains", title="On a learned reward (simrl prefs train PRESET)"
    )
    for name, made in PREFERENCE_PRESETS.items():
        learned.add_row(name, (made.__doc__ or "").splitlines()[0])
    out.print(learned)
    searched = Table("preset", "what it trains", title="By search (simrl expert train PRESET)")
    for name, built in EXPERT_PRESETS.items():
        searched.add_row(name, (built.__doc__ or "").splitlines()[0])
    out.print(searched)
    return 0
