"""Let a person play the toys: arrow keys for what moves, clicks for boards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simrl.core.controls import Controls, PersonInput
from simrl.core.env import VecEnv
from simrl.core.timestep import Obs
from simrl_envs.toy.rules.boards import BoardRules

LEFT = frozenset({"arrowleft", "a"})
RIGHT = frozenset({"arrowright", "d"})


class PushControls:
    """Push left (0) or right (1) by the arrows; without a key the last push goes on.

    A cart-pole has no action that does nothing.
    """

    reads = frozenset({"policy"})
    keys: tuple[tuple[str, str], ...] = (
        ("arrowleft a", "push left"),
        ("arrowright d", "push right"),
    )

    def __init__(self) -> None:
        self._last = 0

    def reset(self) -> None:
        """Push left until told otherwise."""
        self._last = 0

    def picture(self, env: VecEnv, seat: int) -> np.ndarray:
        """Draw all there is."""
        return env.render(0)

    def action(self, obs: Obs, seat: int, given: PersonInput) -> Tensor | None:
        """Return the push `[1]`; of two keys held, or tapped since, the newest tap counts."""
        taps = [key for key in given.pressed if key in LEFT | RIGHT]
        if taps:
            self._last = int(taps[-1] in RIGHT)
        elif bool(given.held & LEFT) != bool(given.held & RIGHT):
            self._last = int(bool(given.held & RIGHT))
        return torch.tensor([self._last])


class AxisControls:
    """Push one number to its least by the left arrow and to its greatest by the right one."""

    reads = frozenset({"policy"})

    def __init__(self, low: float, high: float, left: str, right: str) -> None:
        """Control a number within `low` and `high`; `left` and `right` say what the keys do.

        With `low` above `high` the directions are exchanged.
        """
        self._ends = (low, high)
        self.keys: tuple[tuple[str, str], ...] = (
            ("arrowleft a", left),
            ("arrowright d", right),
            ("shift", "half as strong"),
        )

    def reset(self) -> None:
        """Forget nothing."""

    def picture(self, env: VecEnv, seat: int) -> np.ndarray:
        """Draw all there is."""
        return env.render(0)

    def action(self, obs: Obs, seat: int, given: PersonInput) -> Tensor | None:
        """Return the number `[1]`; 0 without a key, or with both."""
        left, right = bool(given.held & LEFT), bool(given.held & RIGHT)
        value = 0.0 if left == right else self._ends[int(right)]
        return torch.tensor([0.5 * value if "shift" in given.held else value])


class BoardControls:
    """Place a stone where the person clicks; wait while it is the other's turn."""

    reads = frozenset({"action_mask"})
    keys: tuple[tuple[str, str], ...] = (("mouse-left", "place a stone in this cell or column"),)

    def __init__(self, rules: BoardRules) -> None:
        """Control a game of `rules`; a board whose moves are columns takes the click's column."""
        board = rules.board
        self._wait = rules.wait
        self._height, self._width = board.height, board.width
        self._by_column = len(board.choices) == board.width

    def reset(self) -> None:
        """Forget nothing."""

    def picture(self, env: VecEnv, seat: int) -> np.ndarray:
        """Draw all there is."""
        return env.render(0)

    def action(self, obs: Obs, seat: int, given: PersonInput) -> Tensor | None:
        """Return the move `[1]` of the newest click on a legal cell; None waits for one."""
        mask = obs["action_mask"]
        if bool(mask[self._wait]):
            return torch.tensor([self._wait])
        for click in reversed(given.clicks):
            column = min(int(click.x * self._width), self._width - 1)
            row = min(int(click.y * self._height), self._height - 1)
            choice = column if self._by_column else row * self._width + column
            if bool(mask[choice]):
                return torch.tensor([choice])
        return None


def board_controls(rules: Callable[[Any], BoardRules]) -> Callable[[Any], Controls]:
    """Return what makes the controls of a board game from its config."""
    return lambda config: BoardControls(rules(config))
