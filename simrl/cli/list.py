"""`simrl list`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from simrl.cli.arguments import parse
from simrl.core.plugins import controller_names, controller_plugin, env_names, env_plugin
from simrl.runs.presets import PRESETS


@dataclass(frozen=True)
class ListConfig:
    """Show environments, their scripted policies and heroes, controllers and presets."""


def run(arguments: Sequence[str]) -> int:
    """Print the tables."""
    parse(ListConfig, "simrl list", arguments)
    out = Console(highlight=False)
    environments = Table("environment", "what it is", "scripted policies", title="Environments")
    details: list[tuple[str, str, str]] = []
    for name in env_names():
        plugin = env_plugin(name)
        environments.add_row(name, plugin.summary, ", ".join(plugin.policies) or "-")
        for noun, values in (plugin.listing() if plugin.listing else {}).items():
            details.append((name, noun, ", ".join(values)))
    out.print(environments)
    if details:
        table = Table("environment", "kind", "names", title="In them")
        for row in details:
            table.add_row(*row)
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
    return 0
