"""Say whether what a run learned fits an environment: its task, its observations, its actions."""

from __future__ import annotations

from collections.abc import Sequence

from simrl.core.plugins import env_plugin, make_config
from simrl.core.spec import EnvSpec
from simrl.runs.config import run_config


def check_fits(folder: str, spec: EnvSpec) -> EnvSpec:
    """Return the spec that a run was trained on.

    ValueError if it was trained in another task, on another layout of observations or with other
    actions than those of `spec`.
    """
    config = run_config(folder)
    if config.env != spec.id:
        raise ValueError(f"{folder} was trained in {config.env}, it cannot act in {spec.id}")
    plugin = env_plugin(config.env)
    trained = plugin.make(make_config(plugin.config, config.env_options, config.env), 1).spec
    for group in ("policy", "critic"):
        old, new = trained.observations.get(group), spec.observations.get(group)
        if group == "critic" and old is None:
            continue
        if old is None or new is None or old.names() != new.names():
            sizes = [layout.size if layout else 0 for layout in (old, new)]
            missing = _difference(old.names() if old else [], new.names() if new else [])
            raise ValueError(
                f"{folder} was trained on another layout of the observations {group!r}: "
                f"{sizes[0]} numbers, here there are {sizes[1]}{missing}"
            )
    if trained.actions != spec.actions:
        raise ValueError(f"{folder} was trained with other actions than these scenarios have")
    return trained


def _difference(old: Sequence[str], new: Sequence[str]) -> str:
    gone = [name for name in old if name not in set(new)]
    more = [name for name in new if name not in set(old)]
    parts = [
        f"{word} {', '.join(names[:3])}"
        for word, names in (("without", gone), ("with", more))
        if names
    ]
    return f" ({' and '.join(parts)})" if parts else " in another order"
