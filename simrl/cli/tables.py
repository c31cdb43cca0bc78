"""Tables that several commands print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def evaluation_table(figures: Mapping[str, Any]) -> Table:
    """Lay out one line of `evaluation.jsonl`."""
    if "opponents" not in figures:
        table = Table("mean return", "95 % interval", "mean length", title="Evaluation")
        interval = f"{figures['low']:.1f} to {figures['high']:.1f}"
        table.add_row(f"{figures['return']:.1f}", interval, f"{figures['length']:.0f}")
        return table
    table = Table("opponent", "wins", "draws", "losses", "win rate", "95 % interval")
    table.title = "Evaluation"
    for name, row in figures["opponents"].items():
        counts = [str(row[key]) for key in ("wins", "draws", "losses")]
        interval = f"{row['low']:.1%} to {row['high']:.1%}"
        table.add_row(name, *counts, f"{row['win_rate']:.1%}", interval)
    return table
