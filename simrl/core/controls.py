"""How a person's keyboard and mouse become actions of an environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from simrl.core.env import VecEnv
from simrl.core.timestep import Obs

MOUSE_BUTTONS = ("mouse-left", "mouse-middle", "mouse-right")
"""Names of the mouse buttons, among the keys and in clicks."""


@dataclass(frozen=True)
class Click:
    """Say where in the picture a mouse button went down, or a finger touched it."""

    x: float
    """From the left edge (0) to the right edge (1)."""
    y: float
    """From the upper edge (0) to the lower edge (1)."""
    button: str = "mouse-left"
    """One of `MOUSE_BUTTONS`; a touch is "mouse-left"."""


@dataclass(frozen=True)
class PersonInput:
    """Hold what a person does at one step."""

    held: frozenset[str] = frozenset()
    """Keys and mouse buttons that are down: the browser's key names in lower case ("q", " ",
    "arrowleft") and `MOUSE_BUTTONS`."""
    pressed: tuple[str, ...] = ()
    """Keys that went down since the last step, oldest first; they may be up again."""
    pointer: tuple[float, float] | None = None
    """Where the pointer is, as fractions of the picture from its upper left; None if outside."""
    clicks: tuple[Click, ...] = ()
    """Clicks since the last step, oldest first."""


@runtime_checkable
class Controls(Protocol):
    """Turn one person's input into actions at one seat; may remember, such as where to walk to."""

    reads: frozenset[str]
    """Observation groups that `action` needs."""
    keys: tuple[tuple[str, str], ...]
    """What each key does, `(key, description)`, for the page's help; mouse buttons are keys, too.
    A key may name several by spaces, such as "arrowleft arrowright"."""

    def reset(self) -> None:
        """Forget whatever was remembered; an episode starts."""
        ...

    def picture(self, env: VecEnv, seat: int) -> np.ndarray:
        """Draw environment 0 as the person at `seat` may see it, `(height, width, 3)` uint8.

        Places in `PersonInput` are fractions of this picture.
        """
        ...

    def action(self, obs: Obs, seat: int, given: PersonInput) -> Tensor | None:
        """Return a legal action `[heads]` int64 or `[size]` float32 for agent `seat`.

        `obs` holds the row's groups without the row axis (`policy [D]`, `action_mask [M]`,
        `state [S]`).  None waits for the person: a game by turns stands still meanwhile.
        """
        ...
