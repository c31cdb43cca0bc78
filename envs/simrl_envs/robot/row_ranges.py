"""The randomisation of each row: all rows follow one config, or row i follows `configs[i]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TypeVar

import numpy as np

from simrl_envs.robot.config import RobotConfig

ROW_OPTIONS = (
    "mass",
    "friction",
    "motor_gain",
    "payload",
    "latency",
    "observation_noise",
    "push",
    "push_angle",
    "push_start",
    "push_interval",
    "push_seconds",
)
"""Options that may differ from row to row of one environment."""

C = TypeVar("C", bound=RobotConfig)


class RowRanges:
    """Hold the low and high end of every range for each row.

    Args:
        configs: One config for all rows, or one for each.
        num_rows: Number of rows N.
    """

    def __init__(self, configs: Sequence[RobotConfig], num_rows: int) -> None:
        self.push_frame = configs[0].push_frame
        self.randomised = any(config.randomised for config in configs)
        self._ranges: dict[str, np.ndarray] = {}
        for name in ("mass", "motor_gain", "payload", "latency", "push", "push_angle"):
            self._ranges[name] = _rows([getattr(config, name) for config in configs], num_rows)
        unset = (np.nan, np.nan)
        friction = [unset if config.friction is None else config.friction for config in configs]
        self._ranges["friction"] = _rows(friction, num_rows)
        self.noise = _rows([config.observation_noise for config in configs], num_rows)
        """Factor on the observations' noise `[N]`."""
        self.push_interval = _rows([config.push_interval for config in configs], num_rows)
        """Seconds between two pushes `[N]`."""
        self.push_seconds = _rows([config.push_seconds for config in configs], num_rows)
        """Length of a push `[N]` [s]."""
        starts = [np.nan if config.push_start is None else config.push_start for config in configs]
        self.push_start = _rows(starts, num_rows)
        """When the first push starts `[N]` [s]; NaN where that is drawn."""

    def bounds(
        self, name: str, rows: np.ndarray | slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return low and high of a range in `rows`, each `[M, 1]`; NaN where there is none."""
        chosen = self._ranges[name][rows]
        return chosen[:, :1], chosen[:, 1:]

    def differs(self, name: str, nominal: float) -> bool:
        """Tell whether any row's range holds anything but `nominal`; friction: any at all."""
        given = self._ranges[name]
        return bool((~np.isnan(given) if name == "friction" else given != nominal).any())


def joint_config(configs: Sequence[C]) -> C:
    """Return the config that rows of different configs share: the longest latency of all.

    ValueError names an option that differs and may not.
    """
    first = configs[0]
    for index, config in enumerate(configs):
        for field in fields(first):
            own, other = getattr(first, field.name), getattr(config, field.name)
            if field.name not in ROW_OPTIONS and own != other:
                raise ValueError(
                    f"rows of one environment must share {field.name}, got {own} in row 0 and "
                    f"{other} in row {index}; {', '.join(ROW_OPTIONS)} may differ"
                )
    return replace(first, latency=(0.0, max(config.latency[1] for config in configs)))


def _rows(values: Sequence[float] | Sequence[tuple[float, float]], num_rows: int) -> np.ndarray:
    given = np.asarray(values, np.float64)
    if len(given) not in (1, num_rows):
        raise ValueError(f"give one config or {num_rows}, one for each row, got {len(given)}")
    return np.broadcast_to(given, (num_rows, *given.shape[1:]))
