"""What a study of searches returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measured:
    """Hold what one study measured."""

    figures: dict[str, float]
    """Numbers by name, as the benchmark prints them."""
    notes: dict[str, str] = field(default_factory=dict)
    """For some figures, the interval, what it means or which bar it is held to."""
    curves: dict[str, Any] = field(default_factory=dict)
    """What `--curves FILE` keeps as JSON."""
