"""Read options that people type as NAME=VALUE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml


def parse_options(texts: Sequence[str]) -> dict[str, Any]:
    """Read NAME=VALUE texts, the value in YAML; a list becomes a tuple."""
    options = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"an option is NAME=VALUE, got {text!r}")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"option {name}: {value!r} is not YAML") from error
        options[name] = tuple(parsed) if isinstance(parsed, list) else parsed
    return options
