"""Read options that people type as NAME=VALUE."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
"""Numbers such as 1e3, which YAML takes for words unless they have a point and a sign."""


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
        if isinstance(parsed, str) and _EXPONENT.fullmatch(parsed):
            parsed = float(parsed)
        options[name] = tuple(parsed) if isinstance(parsed, list) else parsed
    return options
